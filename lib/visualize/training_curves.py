"""Plot a training run: its loss, the parts of the loss, IoU and learning rate over the epochs.

    path = draw_curves(Path("output/checkpoints/train/mstgt/MSTGT-nano-128"))     # <folder>/training.png

Read from ``<folder>/metrics.jsonl``, one JSON object a line: step lines (``epoch``, ``step``, ``at`` = epochs done,
``lr``, and the means of the metrics since the epoch's start) and epoch lines (``epoch``, ``at``, ``lr``, ``train``, and
``val`` where the epoch was validated; ``mixing`` says whether it mixed features). The training curves are these means,
so within an epoch they become smoother. Lines that a crash has truncated are skipped.
"""

from __future__ import annotations

import json
import logging
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.ticker import LogLocator, MaxNLocator, NullFormatter, ScalarFormatter

from ..config.schema import MAX_COUNT
from ..train.trainers.state import METRICS
from ..utils.errors import UserError, explain_os_error
from ..utils.files import atomic_path

_log = logging.getLogger(__name__)

PLOT_FILE = "training.png"
PARTS = {"giou": "#0072B2", "l1": "#D55E00", "focal": "#009E73"}  # of the loss, in colors of Okabe and Ito
TRAIN, VALIDATION, MIXING = "#0072B2", "#D55E00", "#F0E442"
MARKED_UP_TO = 15  # points: few points are marked one by one

Line = dict[str, Any]
Curve = tuple[list[float], list[float]]  # epochs done, values


def draw_curves(folder: Path) -> Path:
    """Draw the run in ``folder``; returns the plot's path. Raises :class:`UserError` where there is nothing to draw."""
    lines = read_lines(folder / METRICS)
    figure = Figure(figsize=(12, 7.5), layout="constrained")
    FigureCanvasAgg(figure)
    figure.suptitle(_title(folder, lines), fontsize=13, parse_math=False)
    for axes, draw in zip(figure.subplots(2, 2, sharex=True).flat, PANELS, strict=True):
        draw(axes, lines)
        _finish(axes, lines)
    for axes in figure.axes[-2:]:
        axes.set_xlabel("epochs done")
    path = folder / PLOT_FILE
    with atomic_path(path) as temporary:
        figure.savefig(temporary, dpi=110)
    return path


def read_lines(path: Path) -> list[Line]:
    """The whole lines of a metrics file. Raises :class:`UserError` where there is none."""
    with explain_os_error(f"cannot read {path}"):
        texts = path.read_text(encoding="utf-8", errors="replace").splitlines()
    lines = [line for line in map(_parse, texts) if line is not None]
    skipped = sum(bool(text.strip()) for text in texts) - len(lines)
    if skipped:
        _log.warning("%s: skipped what is not a log record (%d lines)", path, skipped)
    if not lines:
        raise UserError(f"{path} has no log record to plot yet; train until the first one (TRAIN.PRINT_INTERVAL)")
    return lines


def _parse(text: str) -> Line | None:
    """A log record; None for a truncated line, also where a later record was appended to it."""
    try:
        line = json.loads(text)
    except (ValueError, RecursionError):
        return None
    if not isinstance(line, dict) or not _is_number(line.get("at")) or not 0 <= line["at"] <= MAX_COUNT:
        return None
    return line if all(isinstance(line.get(mode, {}), dict) for mode in ("train", "val")) else None


def _is_number(value: Any) -> bool:
    return isinstance(value, float) and math.isfinite(value) or isinstance(value, int) and abs(value) <= MAX_COUNT


def curve(lines: list[Line], name: str, mode: str) -> Curve:
    """Where and what ``name`` was: ``mode`` is ``train`` (step and epoch lines), ``val``, or "" for the line itself."""
    points = []
    for line in lines:
        values = line.get(mode, line if mode == "train" else {}) if mode else line
        if _is_number(values.get(name)):
            points.append((line["at"], values[name]))
    return [at for at, _ in points], [value for _, value in points]


def _draw_loss(axes: Axes, lines: list[Line]) -> None:
    _line(axes, curve(lines, "total", "train"), "training", TRAIN)
    _dots(axes, curve(lines, "total", "val"), "validation", VALIDATION)
    _logarithmic(axes)
    axes.set_title("Loss", loc="left")


def _draw_parts(axes: Axes, lines: list[Line]) -> None:
    for name, color in PARTS.items():
        _line(axes, curve(lines, name, "train"), name, color)
        _dots(axes, curve(lines, name, "val"), "", color)
    _logarithmic(axes)
    axes.set_title("Its parts, unweighted", loc="left")


def _draw_iou(axes: Axes, lines: list[Line]) -> None:
    _line(axes, curve(lines, "iou", "train"), "training", TRAIN)
    _dots(axes, curve(lines, "iou", "val"), "validation", VALIDATION)
    axes.set_ylim(0, 1)
    axes.set_title("IoU", loc="left")


def _draw_rate(axes: Axes, lines: list[Line]) -> None:
    _line(axes, curve(lines, "lr", ""), "", "#333333")
    axes.set_ylim(bottom=0)
    axes.yaxis.set_major_formatter(lambda rate, _position: f"{rate:.3g}")
    axes.set_title("Learning rate", loc="left")


PANELS: tuple[Callable[[Axes, list[Line]], None], ...] = (_draw_loss, _draw_parts, _draw_iou, _draw_rate)


def _line(axes: Axes, points: Curve, label: str, color: str) -> None:
    marker: dict[str, Any] = {"marker": ".", "markersize": 6} if len(points[0]) <= MARKED_UP_TO else {}
    axes.plot(*points, color=color, linewidth=1.5, label=label if points[0] else "", **marker)


def _dots(axes: Axes, points: Curve, label: str, color: str) -> None:
    """Validation: joined circles; drawn only where there was any."""
    if points[0]:
        size = 6 if len(points[0]) <= MARKED_UP_TO else 4
        axes.plot(*points, color=color, linewidth=1, linestyle=(0, (4, 2)), marker="o", markersize=size,
                  markerfacecolor="white", markeredgewidth=1.5, label=label, zorder=3)


def _logarithmic(axes: Axes) -> None:
    """A logarithmic y axis with plain numbers, also where it spans less than a decade."""
    axes.set_yscale("log", nonpositive="mask")
    axes.yaxis.set_major_locator(LogLocator(subs=(1, 2, 3, 5)))
    plain = ScalarFormatter()
    plain.set_scientific(False)
    axes.yaxis.set_major_formatter(plain)
    axes.yaxis.set_minor_formatter(NullFormatter())


def _finish(axes: Axes, lines: list[Line]) -> None:
    """What all panels share: grid, bands of the epochs that mixed features, epochs from 0, a legend off the curves."""
    mixed = [line["at"] for line in lines if "train" in line and line.get("mixing") is True]
    for i, at in enumerate(mixed):
        axes.axvspan(at - 1, at, color=MIXING, alpha=0.3, linewidth=0, label="" if i else "mixed features", zorder=0)
    axes.set_xlim(0, max(line["at"] for line in lines) * 1.01 or 1)
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    axes.grid(color="#dddddd", linewidth=0.8)
    axes.set_axisbelow(True)
    axes.spines[["top", "right"]].set_visible(False)
    if axes.get_legend_handles_labels()[1]:
        axes.legend(fontsize=9, loc="lower right", bbox_to_anchor=(1.0, 1.0), ncols=4, frameon=False, borderpad=0.2,
                    columnspacing=1.2, handlelength=1.8)


def _title(folder: Path, lines: list[Line]) -> str:
    """The run's name, how far it is, and its last validation."""
    done = lines[-1]["at"]
    parts = [folder.resolve().name, f"{done:.4g} epoch{'' if done == 1 else 's'}"]
    at, values = curve(lines, "iou", "val")
    if at:
        parts.append(f"validation IoU {values[-1]:.3f} after epoch {at[-1]:g}")
    return "   ·   ".join(parts)
