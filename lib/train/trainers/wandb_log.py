"""Log records to Weights & Biases (offline with the environment variable ``WANDB_MODE=offline``)."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from ...utils.errors import UserError


def wandb_logger(name: str, config: dict[str, Any], folder: Path) -> Callable[[dict[str, Any]], object]:
    """A function that takes log records. The first one starts a run called ``name`` in the project ``mstgt``.

    Raises :class:`UserError` if wandb is not installed, and in the first call if it cannot start a run.
    """
    try:
        import wandb  # imported here because it is optional and slow to import
    except ImportError as error:
        raise UserError(f"Weights & Biases cannot be used ({error}): run `python -m pip install wandb`") from error

    def log(record: dict[str, Any]) -> None:
        # With the first record, not before: a run that fails at its start leaves nothing behind.
        if wandb.run is None:
            folder.mkdir(parents=True, exist_ok=True)
            try:
                wandb.init(project="mstgt", name=name, config=config, dir=str(folder))
            except (wandb.Error, OSError) as error:  # no login, no network
                reason = " ".join(str(error).split())[:300]
                raise UserError(f"Weights & Biases cannot start a run: {reason}. Log in with `wandb login`, or set "
                                "WANDB_MODE=offline") from error
        assert wandb.run is not None
        wandb.run.log(record)

    return log
