"""Loggers: functions that take the log records of a training run and pass them on to TensorBoard or Weights & Biases.

TensorBoard's event files are in ``<folder>/tensorboard`` (``tensorboard --logdir <folder>``). The scalars over the
optimizer step are ``step/<metric>`` from the records within an epoch (means since its start), and ``train/<metric>``,
``val/<metric>`` and ``epoch/<other value>`` from the records of whole epochs. Steps that a resumed run repeats are
marked as purged, so that TensorBoard shows one curve.

Weights & Biases works offline with the environment variable ``WANDB_MODE=offline``.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from ...utils.errors import UserError

_POSITION = ("epoch", "step", "at", "global_step")  # the position of a record, not a metric


def tensorboard_logger(folder: Path) -> Callable[[dict[str, Any]], object]:
    """A function that takes log records; nothing is written before the first one.

    Raises :class:`UserError` if the package ``tensorboard`` is missing.
    """
    try:
        from torch.utils.tensorboard import SummaryWriter  # imported here: optional and slow
    except ImportError as error:
        raise UserError(f"TensorBoard cannot be used ({error}): run `python -m pip install tensorboard`") from error
    writer: SummaryWriter | None = None

    def log(line: dict[str, Any]) -> None:
        nonlocal writer
        step = line["global_step"]
        if writer is None:
            # Records of a run that was killed may lie beyond the step that this one resumed at.
            writer = SummaryWriter(str(folder / "tensorboard"), purge_step=step)
        for name, value in scalars(line).items():
            writer.add_scalar(name, value, step)
        writer.flush()

    return log


def scalars(line: dict[str, Any]) -> dict[str, float]:
    """The metrics of a log record by their names in TensorBoard."""
    # Records within an epoch hold their metrics directly, those of epochs hold them by "train" and "val".
    own = "step" if "step" in line else "epoch"
    found: dict[str, float] = {}
    for name, value in line.items():
        if isinstance(value, dict):
            found |= {f"{name}/{inner}": float(v) for inner, v in value.items() if isinstance(v, (int, float))}
        elif name not in _POSITION and isinstance(value, (int, float)):
            found[f"{own}/{name}"] = float(value)
    return found


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
