"""The report on one benchmark: its problems, then the table and the plots of all trackers on it.

    report = make_report(benchmark, {"ATOM": folder, "mstgt/MSTGT-full-256": other_folder})
    print(report.text())
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from lib.data.sequence import Sequence
from lib.test.analysis.score import Problem, Score, score_folder, score_trivial
from lib.test.analysis.table import format_table
from lib.test.evaluation.benchmarks import Benchmark
from lib.utils.errors import UserError


@dataclass(frozen=True)
class Report:
    """``scores`` leaves out trackers without a single usable result; ``trivial`` is None when not asked for."""

    benchmark: str
    scores: tuple[Score, ...]
    trivial: Score | None
    problems: tuple[Problem, ...]
    notes: tuple[str, ...]

    @property
    def all_scores(self) -> list[Score]:
        return [*self.scores, *([self.trivial] if self.trivial else [])]

    def text(self) -> str:
        """Problems and notes first, then the table."""
        lines = [f"problem: {p.message}" for p in self.problems] + [f"note: {n}" for n in self.notes]
        table = [format_table(self.benchmark, self.all_scores)] if self.scores else \
            [f"{self.benchmark}: no result could be scored"]
        return "\n".join(lines + table)

    def failed(self, allow_missing: bool) -> bool:
        """Whether a problem stands against these scores; missing files do not where they are allowed."""
        return not self.scores or any(not (p.missing and allow_missing) for p in self.problems)

    def as_json(self) -> dict:
        """Figures in %, by tracker; the trivial tracker apart from the real ones."""
        value = {"benchmark": self.benchmark, "trackers": {s.tracker: _figures(s) for s in self.scores}}
        return value | ({"trivial": _figures(self.trivial)} if self.trivial else {})


def make_report(benchmark: Benchmark, folders: Mapping[str, Path], with_trivial: bool = True) -> Report:
    """Score the result folders of ``folders`` (tracker -> folder) on ``benchmark``."""
    sequences, problems = _load(benchmark)
    scores = []
    for tracker, folder in folders.items():
        score, found = score_folder(tracker, folder, benchmark, sequences)
        problems += found
        if score is not None:
            scores.append(score)
    notes = tuple(f"{benchmark.name} {s.name}: {note}" for s in sequences.values() for note in s.notes)
    return Report(benchmark.name, tuple(scores), score_trivial(benchmark, sequences) if with_trivial else None,
                  tuple(problems), notes)


def _load(benchmark: Benchmark) -> tuple[dict[str, Sequence], list[Problem]]:
    """The annotations that can be read, by video, and what is wrong with the others."""
    sequences, problems = {}, []
    for name in benchmark.videos.video_names:
        try:
            sequences[name] = benchmark.videos.load(name)
        except UserError as error:
            problems.append(Problem(f"{benchmark.name}: {error}"))
    problems += [Problem(f"{benchmark.name}: no annotation of video {name}", missing=True)
                 for name in benchmark.videos.missing]
    unlisted = benchmark.expected - len(benchmark.videos) - len(benchmark.videos.missing)
    if unlisted > 0:
        problems.append(Problem(f"{benchmark.name}: {unlisted} of its {benchmark.expected} videos are not on disk",
                                missing=True))
    return sequences, problems


def _figures(score: Score) -> dict:
    figures = {"success_auc": score.auc, "op50": score.op50, "op75": score.op75, "precision": score.precision,
            "norm_precision": score.norm_precision, "ao": score.ao, "sr50": score.sr50, "sr75": score.sr75,
            "fps": score.fps, "videos": score.videos, "expected_videos": score.expected}
    return {name: None if value is None or math.isnan(value) else value for name, value in figures.items()}
