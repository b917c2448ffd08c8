"""Log records to TensorBoard, as event files in ``<folder>/tensorboard`` (``tensorboard --logdir <folder>``).

Scalars over the optimizer step: ``step/<metric>`` from the records within an epoch (means since its start);
``train/<metric>``, ``val/<metric>`` and ``epoch/<other value>`` from the records of whole epochs. Steps that a resumed
run repeats are marked as purged, so that TensorBoard shows one curve.
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

    def listen(line: dict[str, Any]) -> None:
        nonlocal writer
        step = line["global_step"]
        if writer is None:
            # Records of a run that was killed may lie beyond the step that this one resumed at.
            writer = SummaryWriter(str(folder / "tensorboard"), purge_step=step)
        for name, value in scalars(line).items():
            writer.add_scalar(name, value, step)
        writer.flush()

    return listen


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
