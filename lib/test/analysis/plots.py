"""Success, precision and normalised precision plots, ranked, as PNG and PDF.

    draw_plots("lasot", scores, folder)     # folder/success.png, success.pdf, precision.png, …

Colours are Okabe and Ito's, which people with any colour vision tell apart; the line style changes as well. The figure
that ranks stands in the legend.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import matplotlib

matplotlib.use("Agg")  # draws to files; needs no display
import matplotlib.pyplot as plt  # noqa: E402
import numpy as np  # noqa: E402

from lib.test.analysis import metrics  # noqa: E402
from lib.test.analysis.score import TRIVIAL, Score  # noqa: E402
from lib.utils.files import atomic_path  # noqa: E402

COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#56B4E9", "#E69F00", "#000000")
STYLES = ("-", "--", "-.", ":")
LABEL_LENGTH = 60  # longer names are cut in the middle


@dataclass(frozen=True)
class _Plot:
    title: str
    x_label: str
    y_label: str
    x: np.ndarray
    y: Callable[[Score], np.ndarray]
    value: Callable[[Score], float]


PLOTS = {
    "success": _Plot("Success plot", "overlap threshold", "share of frames above it (%)", metrics.OVERLAP_THRESHOLDS,
                     lambda s: s.success, lambda s: s.auc),
    "precision": _Plot("Precision plot", "centre error threshold (pixels)", "share of frames within it (%)",
                       metrics.CENTRE_THRESHOLDS, lambda s: s.precision_curve, lambda s: s.precision),
    "norm_precision": _Plot("Normalised precision plot", "normalised centre error threshold",
                            "share of frames within it (%)", metrics.NORMALISED_THRESHOLDS,
                            lambda s: s.normalised_curve, lambda s: s.norm_precision),
}


def draw_plots(benchmark: str, scores: Sequence[Score], folder: Path) -> list[Path]:
    """Draw the three plots of a benchmark into ``folder``; returns the files. A tracker has one colour in all."""
    looks = _looks(scores)
    written = []
    for name, plot in PLOTS.items():
        figure = _draw(plot, benchmark, scores, looks)
        for suffix in (".png", ".pdf"):
            path = folder / (name + suffix)
            with atomic_path(path) as temporary:
                figure.savefig(temporary, dpi=150, bbox_inches="tight")
            written.append(path)
        plt.close(figure)
    return written


def _looks(scores: Sequence[Score]) -> dict[str, dict]:
    looks, number = {}, 0
    for score in scores:
        if score.tracker == TRIVIAL:
            looks[score.tracker] = {"color": "#777777", "linestyle": (0, (1, 1)), "linewidth": 1.5}
        else:
            looks[score.tracker] = {"color": COLOURS[number % len(COLOURS)], "linewidth": 2,
                                    "linestyle": STYLES[number // len(COLOURS) % len(STYLES)]
                                    if len(scores) > len(COLOURS) else STYLES[number % len(STYLES)]}
            number += 1
    return looks


def _draw(plot: _Plot, benchmark: str, scores: Sequence[Score], looks: dict[str, dict]) -> plt.Figure:
    figure, axes = plt.subplots(figsize=(7, 5))
    for score in sorted(scores, key=lambda s: -plot.value(s)):
        axes.plot(plot.x, 100 * plot.y(score), label=f"[{plot.value(score):.1f}] {_short(score.label)}",
                  **looks[score.tracker])
    axes.set(title=f"{plot.title}: {benchmark}", xlabel=plot.x_label, ylabel=plot.y_label,
             xlim=(plot.x[0], plot.x[-1]), ylim=(0, 100))
    axes.grid(color="#dddddd", linewidth=0.8)
    axes.set_axisbelow(True)
    axes.legend(fontsize=10, loc="upper center", bbox_to_anchor=(0.5, -0.13), frameon=False)  # covers no curve
    return figure


def _short(label: str) -> str:
    half = (LABEL_LENGTH - 1) // 2
    return label if len(label) <= LABEL_LENGTH else f"{label[:half]}…{label[-half:]}"
