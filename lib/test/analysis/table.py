"""Scores as a text table, one row a tracker, best AUC first."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from lib.test.analysis.score import Score

COLUMNS: dict[str, Callable[[Score], str]] = {
    "tracker": lambda s: s.label,
    "AUC": lambda s: f"{s.auc:.2f}",
    "OP50": lambda s: f"{s.op50:.2f}",
    "OP75": lambda s: f"{s.op75:.2f}",
    "Prec": lambda s: f"{s.precision:.2f}",
    "NormPrec": lambda s: f"{s.norm_precision:.2f}",
    "AO": lambda s: f"{s.ao:.2f}",
    "SR0.5": lambda s: f"{s.sr50:.2f}",
    "SR0.75": lambda s: f"{s.sr75:.2f}",
    "FPS": lambda s: "-" if s.fps is None else f"{s.fps:.1f}",
    "videos": lambda s: str(s.videos),
}


def ranked(scores: Sequence[Score]) -> list[Score]:
    """Best success AUC first."""
    return sorted(scores, key=lambda s: -s.auc)


def format_table(benchmark: str, scores: Sequence[Score]) -> str:
    """The table of a benchmark; all figures but FPS and the number of videos in %."""
    rows = [list(COLUMNS), *([show(s) for show in COLUMNS.values()] for s in ranked(scores))]
    widths = [max(len(row[i]) for row in rows) for i in range(len(COLUMNS))]
    lines = ["  ".join([row[0].ljust(widths[0]), *map(str.rjust, row[1:], widths[1:])]) for row in rows]
    rule = "-" * len(lines[0])
    return "\n".join([f"{benchmark} (%)", rule, lines[0], rule, *lines[1:], rule])
