"""Figures to TensorBoard, as event files in ``<folder>/tensorboard`` (look with ``tensorboard --logdir <folder>``).

Scalars over the optimizer step: ``step/<figure>`` from the lines within an epoch (means since it began); from the lines
of whole epochs ``train/<figure>``, ``val/<figure>``, and ``epoch/<what else the line says>``. What a resumed run does
again is marked as replaced, so that TensorBoard shows one curve.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from ...utils.errors import UserError

_PLACE = ("epoch", "step", "at", "global_step")  # where a line belongs: no figures


def tensorboard_logger(folder: Path) -> Callable[[dict[str, Any]], object]:
    """Give each line of figures to what is returned; nothing is written before the first.

    Raises :class:`UserError` where the package ``tensorboard`` is missing.
    """
    try:
        from torch.utils.tensorboard import SummaryWriter  # optional, slow to import, and only wanted here
    except ImportError as error:
        raise UserError(f"TensorBoard cannot be used ({error}): run `python -m pip install tensorboard`") from error
    writer: SummaryWriter | None = None

    def listen(line: dict[str, Any]) -> None:
        nonlocal writer
        step = line["global_step"]
        if writer is None:
            writer = SummaryWriter(str(folder / "tensorboard"), purge_step=step)
        for name, value in scalars(line).items():
            writer.add_scalar(name, value, step)
        writer.flush()

    return listen


def scalars(line: dict[str, Any]) -> dict[str, float]:
    """The figures of a line by their names in TensorBoard."""
    own = "step" if "step" in line else "epoch"
    found: dict[str, float] = {}
    for name, value in line.items():
        if isinstance(value, dict):
            found |= {f"{name}/{inner}": float(v) for inner, v in value.items() if isinstance(v, (int, float))}
        elif name not in _PLACE and isinstance(value, (int, float)):
            found[f"{own}/{name}"] = float(value)
    return found
