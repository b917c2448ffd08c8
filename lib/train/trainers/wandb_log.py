"""Figures to Weights & Biases (``--use_wandb 1``; offline with the variable ``WANDB_MODE=offline``)."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any


def wandb_logger(name: str, config: dict[str, Any], folder: Path) -> Callable[[dict[str, Any]], object]:
    """Give each line of figures to what is returned; with the first, a run called ``name`` begins in the project
    ``mstgt``."""
    import wandb  # slow to import, and only wanted here

    def log(figures: dict[str, Any]) -> None:
        if wandb.run is None:
            folder.mkdir(parents=True, exist_ok=True)
            wandb.init(project="mstgt", name=name, config=config, dir=str(folder))
        wandb.run.log(figures)

    return log
