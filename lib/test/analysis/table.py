"""Scores as text tables: one row per tracker, best AUC first; one row per attribute."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from .score import Score

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
    """The table of a benchmark; all metrics except FPS in %."""
    return text_table(f"{benchmark} (%)",
                      [list(COLUMNS), *([show(s) for show in COLUMNS.values()] for s in ranked(scores))])


def format_attributes(benchmark: str, by_tracker: Mapping[str, Mapping[str, Score]]) -> str:
    """AUC in % of each tracker on the videos of each attribute; ``by_tracker``: label -> attribute -> score.

    Where a tracker has not been scored on all videos of an attribute, their number is shown beside its AUC.
    """
    counts = {name: score.expected for scores in by_tracker.values() for name, score in scores.items()}
    rows = [["attribute", *by_tracker, "videos"]]
    for name in sorted(counts):
        rows.append([name, *(_auc(scores.get(name)) for scores in by_tracker.values()), str(counts[name])])
    return text_table(f"{benchmark}: AUC by attribute (%)", rows)


def _auc(score: Score | None) -> str:
    if score is None:
        return "-"
    return f"{score.auc:.2f}" if score.videos == score.expected else f"{score.auc:.2f} ({score.videos} videos)"


def text_table(title: str, rows: Sequence[Sequence[str]]) -> str:
    """Rows in columns under a title; the first row is the header, the first column is left-aligned."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    lines = ["  ".join([row[0].ljust(widths[0]), *map(str.rjust, row[1:], widths[1:])]) for row in rows]
    line = "-" * len(lines[0])
    return "\n".join([title, line, lines[0], line, *lines[1:], line])
