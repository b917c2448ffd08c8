"""How a tracker looks: one colour, line and marker in every picture and in the report.

    looks(scores)["ATOM"].colour

The first seven colours are Okabe and Ito's, which people with any colour vision tell apart (the yellow left out: too
faint on white); three more follow. Dashes change as well, at another pace, so that 20 trackers differ.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from ..test.analysis.score import TRIVIAL, Score

LIGHT = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#56B4E9", "#E69F00", "#000000", "#8C564B", "#7B3FA0", "#7A8B00")
DARK = ("#4BA6E8", "#FF8A3D", "#2BC79A", "#E6A0C8", "#A3DAFA", "#F5C04A", "#F2F2F2", "#C58B7E", "#B98AE0", "#B9C93F")
DASHES = ((), (6, 2.5), (8, 2, 2, 2), (2, 1.5))  # on, off, … in points; () is solid
MARKERS = ("o", "s", "^", "D", "v", "P", "X", "<", ">", "p", "h", "*")


@dataclass(frozen=True)
class Look:
    """``colour`` is for light paper, ``dark_colour`` for a dark screen."""

    colour: str
    dark_colour: str
    dash: tuple[float, ...]
    marker: str
    width: float = 2.0


TRIVIAL_LOOK = Look("#777777", "#A0A0A0", (1, 1.5), ".", width=1.5)


def looks(scores: Iterable[Score]) -> dict[str, Look]:
    """The look of each tracker, by its place among ``scores``; the trivial tracker is grey and takes no place."""
    names = [score.tracker for score in scores if score.tracker != TRIVIAL]
    return {name: Look(LIGHT[i % len(LIGHT)], DARK[i % len(DARK)], DASHES[i % len(DASHES)], MARKERS[i % len(MARKERS)])
            for i, name in enumerate(names)} | {TRIVIAL: TRIVIAL_LOOK}
