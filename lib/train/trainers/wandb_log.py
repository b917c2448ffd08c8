"""Figures to Weights & Biases (``--use_wandb 1``; offline with the variable ``WANDB_MODE=offline``)."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any


def wandb_listener(name: str, config: dict[str, Any], folder: Path) -> Callable[[dict[str, Any]], object]:
    """Begin a run called ``name`` in the project ``mstgt``; give each line of figures to what is returned."""
    import wandb  # slow to import, and only wanted here

    folder.mkdir(parents=True, exist_ok=True)
    run = wandb.init(project="mstgt", name=name, config=config, dir=str(folder))
    return run.log
