"""The pictures of a report, each as PNG and PDF.

    draw_plots(report, folder)     # folder/success.png, success.pdf, precision.png, …
    draw_plot(report, "success", Path("curves.png"))

success, precision, norm_precision   curves; the figure that ranks stands in the legend
attributes, attributes_radar         AUC by attribute, where videos have attributes (the radar from three on)
speed                                AUC against frames a second, where result files have times

Pictures of an earlier report that this one has no data for are removed. A tracker looks the same in all of them
(``mstgt.visualize.plot_style``).
"""

from __future__ import annotations

import contextlib
import textwrap
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path

import matplotlib

matplotlib.use("Agg")  # draws to files; needs no display
import matplotlib.pyplot as plt  # noqa: E402
import numpy as np  # noqa: E402
from matplotlib.axes import Axes  # noqa: E402
from matplotlib.figure import Figure  # noqa: E402
from matplotlib.ticker import FixedLocator, FuncFormatter, NullLocator  # noqa: E402

from ..test.analysis.report import BenchmarkReport  # noqa: E402
from ..test.analysis.score import Score, score_by_attribute  # noqa: E402
from ..test.analysis.table import ranked  # noqa: E402
from ..utils.errors import UserError  # noqa: E402
from ..utils.files import atomic_path  # noqa: E402
from .curve_spec import CURVE_SPECS, CurveSpec  # noqa: E402
from .plot_style import PlotStyle, plot_styles  # noqa: E402

LABEL_LENGTH = 60  # longer names are cut in the middle
TWO_COLUMNS_UP_TO = 36  # characters of a label that still fit two columns of a legend
SUFFIXES = (".png", ".pdf")
STYLE = {"font.size": 11, "axes.spines.top": False, "axes.spines.right": False, "axes.axisbelow": True,
         "axes.grid": True, "grid.color": "#dddddd", "grid.linewidth": 0.8, "text.parse_math": False,
         "pdf.fonttype": 42}  # names are no formulas; fonts embedded as TrueType, as conferences want them

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
    """Draw one picture of the report to a file of one's own; its suffix must be one of ``SUFFIXES``.

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
    """How to draw each picture; None where there is nothing to draw."""
    everyone, styles = report.all_scores if report.scores else [], plot_styles(report.all_scores)
    by_attribute = {s.tracker: score_by_attribute(s, report.videos) for s in report.scores}
    timed = [score for score in report.scores if score.fps is not None]
    name = report.benchmark
    curves = {key: partial(_draw_curves, kind, name, everyone, styles) if everyone else None
              for key, kind in CURVE_SPECS.items()}
    labels = _attribute_labels(by_attribute)
    attributes_of = f"{name} (measured on boxes)" if report.measured else name
    speed_of = name if len(timed) == len(report.scores) else f"{name}, {len(timed)} of {len(report.scores)} trackers"
    split = attributes_of, report.scores, by_attribute, labels, styles
    return curves | {
        "attributes": partial(_draw_bars, *split) if labels else None,
        "attributes_radar": partial(_draw_radar, *split) if len(labels) >= 3 else None,
        "speed": partial(_draw_speed, speed_of, timed, styles) if timed else None}


def _save(figure: Figure, paths: Sequence[Path]) -> None:
    try:
        for path in paths:
            with atomic_path(path) as temporary:
                figure.savefig(temporary, dpi=150, bbox_inches="tight")
    finally:
        plt.close(figure)


def _attribute_labels(by_attribute: ByAttribute) -> dict[str, str]:
    """Attribute -> its name, in lines, with the number of its videos."""
    counts = {name: score.expected for by in by_attribute.values() for name, score in by.items()}
    return {name: textwrap.fill(f"{name.replace('_', ' ')} ({count})", 24) for name, count in counts.items()}


def _draw_curves(kind: CurveSpec, benchmark: str, scores: Sequence[Score], styles: Mapping[str, PlotStyle]) -> Figure:
    figure, axes = plt.subplots(figsize=(7, 5))
    for score in sorted(scores, key=lambda s: -kind.value(s)):
        axes.plot(kind.x, 100 * kind.curve(score), label=_label(score, kind.value(score)),
                  **_line(styles[score.tracker]))
    axes.set(title=f"{kind.title} plot: {_short(benchmark)}", xlabel=kind.x_label, ylabel=kind.y_label,
             xlim=(kind.x[0], kind.x[-1]), ylim=(0, 100))
    _legend_below(axes, -0.14, handlelength=3.2)
    return figure


def _draw_bars(benchmark: str, scores: Sequence[Score], by_attribute: ByAttribute, labels: Mapping[str, str],
               styles: Mapping[str, PlotStyle]) -> Figure:
    width = 0.84 / len(scores)
    figure, axes = plt.subplots(figsize=(max(7.0, len(labels) * (0.5 + 0.12 * len(scores))), 4.2))
    colours: list[str] = []
    for i, score in enumerate(ranked(scores)):
        values = [by_attribute[score.tracker][a].auc if a in by_attribute[score.tracker] else np.nan for a in labels]
        at = np.arange(len(labels)) + (i - (len(scores) - 1) / 2) * width
        colour = styles[score.tracker].colour
        axes.bar(at, values, 0.92 * width, color=colour, label=_label(score, score.auc),
                 hatch="////" if colour in colours else None, edgecolor="white", linewidth=0)
        colours.append(colour)
    axes.set(title=f"Success AUC by attribute: {_short(benchmark)}", ylabel="AUC (%)",
             xlim=(-0.6, len(labels) - 0.4), ylim=(0, None))
    axes.set_xticks(np.arange(len(labels)), labels.values(), fontsize=9, rotation=40, ha="right",
                    rotation_mode="anchor")
    axes.grid(visible=False, axis="x")
    _legend_below(axes, -0.34)
    return figure


def _draw_radar(benchmark: str, scores: Sequence[Score], by_attribute: ByAttribute, labels: Mapping[str, str],
                styles: Mapping[str, PlotStyle]) -> Figure:
    figure, axes = plt.subplots(figsize=(7, 7), subplot_kw={"projection": "polar"})
    angles = np.linspace(0, 2 * np.pi, len(labels) + 1)
    every = []
    for score in ranked(scores):
        values = [by_attribute[score.tracker][a].auc if a in by_attribute[score.tracker] else np.nan for a in labels]
        every += [value for value in values if not np.isnan(value)]
        axes.plot(angles, [*values, values[0]], label=_label(score, score.auc), **_line(styles[score.tracker]))
    low, high = 10 * max(0, np.floor(min(every) / 10) - 1), 10 * np.ceil(max(every) / 10)
    axes.set_theta_offset(np.pi / 2)
    axes.set_theta_direction(-1)
    axes.set(ylim=(low, max(high, low + 10)), xticks=angles[:-1])
    for label, angle in zip(axes.set_xticklabels(labels.values(), fontsize=9), angles[:-1], strict=True):
        side = round(np.sin(angle), 6)  # labels stand outside the circle
        label.set_horizontalalignment("left" if side > 0 else "right" if side < 0 else "center")
    axes.tick_params(axis="x", pad=4)
    axes.set_rlabel_position(180 / len(labels))  # between two spokes
    axes.tick_params(axis="y", labelsize=8, labelcolor="#555555")
    axes.spines["polar"].set_color("#dddddd")
    axes.set_title(f"Success AUC (%) by attribute: {_short(benchmark)}", pad=28)
    _legend_below(axes, -0.1, handlelength=3.2)
    return figure


def _draw_speed(benchmark: str, scores: Sequence[Score], styles: Mapping[str, PlotStyle]) -> Figure:
    figure, axes = plt.subplots(figsize=(7, 4.6))
    for score in ranked(scores):
        style = styles[score.tracker]
        axes.plot(score.fps, score.auc, style.marker, color=style.colour, markersize=10, markeredgecolor="white",
                  label=f"{_label(score, score.auc)}, {score.fps:.3g} FPS", linestyle="none")
    speeds, figures = [score.fps for score in scores], [score.auc for score in scores]
    axes.set_xscale("log")
    axes.set(title=f"Accuracy and speed: {_short(benchmark)}", xlabel="frames a second (logarithmic)", ylabel="AUC (%)",
             xlim=(min(speeds) / 1.6, max(speeds) * 1.6), ylim=(max(0, min(figures) - 5), min(100, max(figures) + 5)))
    low, high = axes.get_xlim()
    places = [k * 10.0**n for n in range(-4, 7) for k in (1, 2, 5)]
    axes.xaxis.set_major_locator(FixedLocator([place for place in places if low <= place <= high]))
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    axes.xaxis.set_minor_locator(NullLocator())
    _legend_below(axes, -0.15)
    return figure


def _line(style: PlotStyle) -> dict:
    return {"color": style.colour, "linewidth": style.width, "linestyle": (0, style.dash) if style.dash else "-"}


def _label(score: Score, value: float) -> str:
    return f"[{value:.1f}] {_short(score.label)}"


def _legend_below(axes: Axes, at: float, **options: float) -> None:
    """A legend under the axes, where it covers no data; in two columns where the names are short."""
    labels = axes.get_legend_handles_labels()[1]
    columns = 2 if len(labels) > 4 and max(map(len, labels)) <= TWO_COLUMNS_UP_TO else 1
    axes.legend(fontsize=10, loc="upper center", bbox_to_anchor=(0.5, at), frameon=False, ncols=columns, **options)


def _short(label: str) -> str:
    half = (LABEL_LENGTH - 1) // 2
    return label if len(label) <= LABEL_LENGTH else f"{label[:half]}…{label[-half:]}"
