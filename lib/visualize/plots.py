"""The plots of a report, each as PNG and PDF.

    draw_plots(report, folder)     # folder/success.png, success.pdf, precision.png, …
    draw_plot(report, "success", Path("curves.png"))

success, precision, norm_precision   curves; the metric that ranks is in the legend
attributes                           AUC by attribute, where videos have attributes
attributes_radar                     the same on axes, for attributes of at least two videos, from three such on
speed                                AUC against frames per second, of at least two trackers that have times

Plots of an earlier report that this one has no data for are removed. A tracker looks the same in all of them
(``mstgt.visualize.plot_style``).

To add one: a function ``_draw_…`` and its entry in ``_drawings``. The HTML report draws its own.
"""

from __future__ import annotations

import contextlib
import textwrap
import warnings
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import matplotlib

matplotlib.use("Agg")  # draws to files; needs no display
import matplotlib.pyplot as plt  # noqa: E402
import numpy as np  # noqa: E402
from matplotlib.axes import Axes  # noqa: E402
from matplotlib.figure import Figure  # noqa: E402
from matplotlib.projections.polar import PolarAxes  # noqa: E402
from matplotlib.ticker import FixedLocator, FuncFormatter, NullLocator  # noqa: E402

from ..test.analysis.report import BenchmarkReport  # noqa: E402
from ..test.analysis.score import Score, score_by_attribute  # noqa: E402
from ..test.analysis.table import ranked  # noqa: E402
from ..utils.errors import UserError  # noqa: E402
from ..utils.files import atomic_path  # noqa: E402
from .curve_spec import CURVE_SPECS, CurveSpec  # noqa: E402
from .plot_style import SUFFIXES, PlotStyle, plot_styles  # noqa: E402

MIN_RADAR_VIDEOS = 2  # a mean over one video says nothing about its attribute
MIN_RADAR_AXES = 3
MIN_SPEED_TRACKERS = 2  # a single dot compares nothing
MAX_BAR_WIDTH = 0.2  # of the distance between two attributes
LABEL_LENGTH = 60  # longer names are cut in the middle
TWO_COLUMNS_UP_TO = 36  # characters of a label that still fit two columns of a legend
# Names are not formulas ($ is a character). Fonts are embedded as TrueType, as conferences require.
STYLE: Any = {"font.size": 11, "axes.spines.top": False, "axes.spines.right": False, "axes.axisbelow": True,
         "axes.grid": True, "grid.color": "#dddddd", "grid.linewidth": 0.8, "text.parse_math": False,
         "pdf.fonttype": 42}

ByAttribute = dict[str, dict[str, Score]]  # tracker -> attribute -> score


def draw_plots(report: BenchmarkReport, folder: Path) -> list[Path]:
    """Draw what the report has data for into ``folder``; returns the files."""
    written: list[Path] = []
    with _style():
        for name, draw in _drawings(report).items():
            paths = [folder / (name + suffix) for suffix in SUFFIXES]
            if draw is None:
                for path in paths:
                    path.unlink(missing_ok=True)
            else:
                _save(draw(), paths)
                written += paths
    return written


def draw_plot(report: BenchmarkReport, name: str, path: Path) -> None:
    """Draw one plot of the report to the file ``path``, whose suffix must be one of ``SUFFIXES``.

    Raises :class:`UserError` where the report has no data for it.
    """
    draw = _drawings(report)[name]
    if draw is None:
        raise UserError(f"{report.benchmark}: no result to draw a {name} plot of, so {path} is not written")
    with _style():
        _save(draw(), [path])


@contextlib.contextmanager
def _style() -> Iterator[None]:
    with plt.rc_context(STYLE), warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="Glyph .* missing")  # a name in a script that the font lacks
        yield


def _drawings(report: BenchmarkReport) -> dict[str, Callable[[], Figure] | None]:
    """How to draw each plot; None where there is nothing to draw."""
    styles = plot_styles(report.all_scores)
    scores = report.all_scores if report.scores else []
    drawings: dict[str, Callable[[], Figure] | None] = {}
    for key, spec in CURVE_SPECS.items():
        drawings[key] = partial(_draw_curves, spec, report.benchmark, scores, styles) if scores else None

    title = f"{report.benchmark} (measured on boxes)" if report.measured else report.benchmark
    by_attribute = {score.tracker: score_by_attribute(score, report.videos) for score in scores}
    counts = {name: part.expected for parts in by_attribute.values() for name, part in parts.items()}
    labels = {name: _attribute_label(name, count) for name, count in counts.items()}
    axes_labels = {name: label for name, label in labels.items() if counts[name] >= MIN_RADAR_VIDEOS}
    bars = partial(_draw_bars, title, scores, by_attribute, labels, styles)
    radar = partial(_draw_radar, title, scores, by_attribute, axes_labels, styles)
    drawings["attributes"] = bars if labels else None
    drawings["attributes_radar"] = radar if len(axes_labels) >= MIN_RADAR_AXES else None

    timed = [score for score in report.scores if score.fps is not None]
    title = report.benchmark
    if len(timed) != len(report.scores):
        title += f", {len(timed)} of {len(report.scores)} trackers"
    drawings["speed"] = partial(_draw_speed, title, timed, styles) if len(timed) >= MIN_SPEED_TRACKERS else None
    return drawings


def _save(figure: Figure, paths: Sequence[Path]) -> None:
    try:
        for path in paths:
            with atomic_path(path) as temporary:
                figure.savefig(temporary, dpi=150, bbox_inches="tight")
    finally:
        plt.close(figure)


def _attribute_label(name: str, videos: int) -> str:
    """An attribute's name as the dataset gives it, in lines, with the number of its videos."""
    return textwrap.fill(f"{name} ({videos})", 24)


def _attribute_values(score: Score, by_attribute: ByAttribute, names: Iterable[str]) -> list[float]:
    """The AUC of a tracker on each attribute; NaN where it has no result."""
    parts = by_attribute[score.tracker]
    return [parts[name].auc if name in parts else np.nan for name in names]


def _draw_curves(spec: CurveSpec, benchmark: str, scores: Sequence[Score], styles: Mapping[str, PlotStyle]) -> Figure:
    figure, axes = plt.subplots(figsize=(7, 5))
    for score in sorted(scores, key=lambda s: -spec.value(s)):
        axes.plot(spec.x, 100 * spec.curve(score), label=_label(score, spec.value(score)),
                  **_line(styles[score.tracker]))
    axes.set(title=f"{spec.title} plot: {_short(benchmark)}", xlabel=spec.x_label, ylabel=spec.y_label,
             xlim=(spec.x[0], spec.x[-1]), ylim=(0, 100))
    _legend_below(axes, -0.14, handlelength=3.2)
    return figure


def _draw_bars(benchmark: str, scores: Sequence[Score], by_attribute: ByAttribute, labels: Mapping[str, str],
               styles: Mapping[str, PlotStyle]) -> Figure:
    # Few trackers would give bars as wide as their group, and few groups a wide empty figure.
    width = min(0.84 / len(scores), MAX_BAR_WIDTH)
    figure, axes = plt.subplots(figsize=(max(5.0, len(labels) * (0.5 + 0.12 * len(scores))), 4.2))
    colors: list[str] = []
    for i, score in enumerate(ranked(scores)):
        places = np.arange(len(labels)) + (i - (len(scores) - 1) / 2) * width
        color = styles[score.tracker].color
        # Colors repeat after ten trackers; hatching then tells the bars apart.
        axes.bar(places, _attribute_values(score, by_attribute, labels), 0.92 * width, color=color,
                 label=_label(score, score.auc), hatch="////" if color in colors else None, edgecolor="white",
                 linewidth=0)
        colors.append(color)
    axes.set(title=f"Success AUC by attribute: {_short(benchmark)}", ylabel="AUC (%)",
             xlim=(-0.6, len(labels) - 0.4), ylim=(0, None))
    axes.set_xticks(np.arange(len(labels)), list(labels.values()), fontsize=9, rotation=40, ha="right",
                    rotation_mode="anchor")
    axes.grid(visible=False, axis="x")
    _legend_below(axes, -0.34)
    return figure


def _draw_radar(benchmark: str, scores: Sequence[Score], by_attribute: ByAttribute, labels: Mapping[str, str],
                styles: Mapping[str, PlotStyle]) -> Figure:
    figure, axes = plt.subplots(figsize=(7, 7), subplot_kw={"projection": "polar"})
    assert isinstance(axes, PolarAxes)
    angles = np.linspace(0, 2 * np.pi, len(labels) + 1)
    all_values: list[float] = []
    for score in ranked(scores):
        values = _attribute_values(score, by_attribute, labels)
        all_values += [value for value in values if not np.isnan(value)]
        # The first value again closes the line.
        axes.plot(angles, [*values, values[0]], label=_label(score, score.auc), **_line(styles[score.tracker]))
    low = 10 * max(0, np.floor(min(all_values) / 10) - 1)
    high = 10 * np.ceil(max(all_values) / 10)
    # The first attribute is at the top, the others follow clockwise.
    axes.set_theta_offset(np.pi / 2)
    axes.set_theta_direction(-1)
    axes.set(ylim=(low, max(high, low + 10)), xticks=angles[:-1])
    for label, angle in zip(axes.set_xticklabels(list(labels.values()), fontsize=9), angles[:-1], strict=True):
        # Labels are aligned so that they lie outside the circle.
        side = round(np.sin(angle), 6)
        label.set_horizontalalignment("left" if side > 0 else "right" if side < 0 else "center")
    axes.tick_params(axis="x", pad=4)
    axes.set_rlabel_position(180 / len(labels))  # between two axes
    axes.tick_params(axis="y", labelsize=8, labelcolor="#555555")
    axes.spines["polar"].set_color("#dddddd")
    axes.set_title(f"Success AUC (%) by attribute: {_short(benchmark)}", pad=28)
    _legend_below(axes, -0.1, handlelength=3.2)
    return figure


def _draw_speed(benchmark: str, scores: Sequence[Score], styles: Mapping[str, PlotStyle]) -> Figure:
    figure, axes = plt.subplots(figsize=(7, 4.6))
    speeds = []
    for score in ranked(scores):
        assert score.fps is not None
        speeds.append(score.fps)
        style = styles[score.tracker]
        axes.plot(score.fps, score.auc, style.marker, color=style.color, markersize=10, markeredgecolor="white",
                  label=f"{_label(score, score.auc)}, {score.fps:.3g} FPS", linestyle="none")
    lowest_auc = min(score.auc for score in scores)
    highest_auc = max(score.auc for score in scores)
    axes.set_xscale("log")
    axes.set(title=f"Accuracy and speed: {_short(benchmark)}", xlabel="frames per second (logarithmic)",
             ylabel="AUC (%)", xlim=(min(speeds) / 1.6, max(speeds) * 1.6),
             ylim=(max(0, lowest_auc - 5), min(100, highest_auc + 5)))
    # Plain numbers at 1, 2 and 5: within one decade matplotlib's own ticks would be a single power of ten.
    low, high = axes.get_xlim()
    ticks = [digit * 10.0**power for power in range(-4, 7) for digit in (1, 2, 5)]
    axes.xaxis.set_major_locator(FixedLocator([tick for tick in ticks if low <= tick <= high]))
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    axes.xaxis.set_minor_locator(NullLocator())
    _legend_below(axes, -0.15)
    return figure


def _line(style: PlotStyle) -> dict[str, Any]:
    return {"color": style.color, "linewidth": style.width, "linestyle": (0, style.dash) if style.dash else "-"}


def _label(score: Score, value: float) -> str:
    return f"[{value:.1f}] {_short(score.label)}"


def _legend_below(axes: Axes, at: float, **options: Any) -> None:
    """A legend below the axes, where it covers no data; in two columns where the names are short."""
    labels = axes.get_legend_handles_labels()[1]
    columns = 2 if len(labels) > 4 and max(map(len, labels)) <= TWO_COLUMNS_UP_TO else 1
    axes.legend(fontsize=10, loc="upper center", bbox_to_anchor=(0.5, at), frameon=False, ncols=columns, **options)


def _short(label: str) -> str:
    half = (LABEL_LENGTH - 1) // 2
    return label if len(label) <= LABEL_LENGTH else f"{label[:half]}…{label[-half:]}"
