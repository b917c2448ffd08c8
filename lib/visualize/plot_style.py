"""How each tracker is drawn: one color, line and marker in every plot and in the report.

    plot_styles(scores)["ATOM"].color

The first seven colors are those of Okabe and Ito, which people with any color vision can distinguish (without their
yellow, which is too faint on white). Three more follow. The dashes repeat after four trackers and the colors after ten,
so that 20 trackers differ.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from ..test.analysis.score import STATIC_BOX, Score

LIGHT = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#56B4E9", "#E69F00", "#000000", "#8C564B", "#7B3FA0", "#7A8B00")
DARK = ("#4BA6E8", "#FF8A3D", "#2BC79A", "#E6A0C8", "#A3DAFA", "#F5C04A", "#F2F2F2", "#C58B7E", "#B98AE0", "#B9C93F")
SUFFIXES = (".png", ".pdf")  # of the files that plots are written to
DASHES = ((), (6, 2.5), (8, 2, 2, 2), (2, 1.5))  # on, off, … in points; () is solid
MARKERS = ("o", "s", "^", "D", "v", "P", "X", "<", ">", "p", "h", "*")


@dataclass(frozen=True)
class PlotStyle:
    """How one tracker is drawn: ``color`` on light paper, ``dark_color`` on a dark screen."""

    color: str
    dark_color: str
    dash: tuple[float, ...]
    marker: str
    width: float = 2.0


STATIC_BOX_STYLE = PlotStyle("#777777", "#A0A0A0", (1, 1.5), ".", width=1.5)


def plot_styles(scores: Iterable[Score]) -> dict[str, PlotStyle]:
    """The style of each tracker, by its place among ``scores``; the static-box baseline is gray and takes no place."""
    names = [score.tracker for score in scores if score.tracker != STATIC_BOX]
    styles = {}
    for i, name in enumerate(names):
        styles[name] = PlotStyle(LIGHT[i % len(LIGHT)], DARK[i % len(DARK)], DASHES[i % len(DASHES)],
                                 MARKERS[i % len(MARKERS)])
    styles[STATIC_BOX] = STATIC_BOX_STYLE
    return styles
