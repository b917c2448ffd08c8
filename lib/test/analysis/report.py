"""The report on one benchmark: its problems, then the table and the plots of all trackers on it.

    report = make_report(benchmark, {"ATOM": folder, "mstgt/MSTGT-full-256": other_folder})
    print(report.text())
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from ...data.video import Video
from ...utils.errors import UserError
from ..evaluation.benchmarks import Benchmark
from .attributes import MEASURED, with_attributes
from .score import Score, score_by_attribute, score_static_box
from .scoring import Problem, score_folders
from .table import format_attributes, format_table, ranked


@dataclass(frozen=True)
class BenchmarkReport:
    """``scores`` leaves out trackers without a single usable result; ``trivial`` is None when not asked for.

    ``sequences`` are the benchmark's videos whose annotation could be read, by name; where none of them is annotated
    with attributes, they carry measured ones (``measured``, see ``mstgt.test.analysis.attributes``).
    """

    benchmark: str
    scores: tuple[Score, ...]
    trivial: Score | None
    problems: tuple[Problem, ...]
    notes: tuple[str, ...]
    sequences: dict[str, Video] = field(default_factory=dict, repr=False)
    measured: bool = False

    @property
    def all_scores(self) -> list[Score]:
        return [*self.scores, *([self.trivial] if self.trivial else [])]

    def text(self, attributes: bool = False) -> str:
        """Problems and notes first, then the table; with ``attributes`` that of AUC by attribute after it."""
        lines = self.problem_lines()
        if not self.scores:
            return "\n".join([*lines, f"{self.benchmark}: no result could be scored"])
        lines.append(format_table(self.benchmark, self.all_scores))
        return "\n".join(lines + (self._attribute_lines() if attributes else []))

    def problem_lines(self) -> list[str]:
        """Problems, then notes, a line each."""
        return [f"problem: {p.message}" for p in self.problems] + [f"note: {n}" for n in self.notes]

    def _attribute_lines(self) -> list[str]:
        by_tracker = {s.label: score_by_attribute(s, self.sequences) for s in ranked(self.all_scores)}
        if not any(by_tracker.values()):
            return [f"note: {self.benchmark}: no video has an attribute"]
        said = [f"note: no attributes of {self.benchmark} are known: {', '.join(MEASURED)} are measured on its boxes"] \
            if self.measured else []
        return [*said, format_attributes(self.benchmark, by_tracker)]

    def failed(self, allow_missing: bool) -> bool:
        """Whether a problem stands against these scores; missing files do not where they are allowed."""
        return not self.scores or any(not (p.missing and allow_missing) for p in self.problems)

    def as_json(self, attributes: bool = False) -> dict:
        """Figures in %, by tracker; the trivial tracker apart from the real ones."""
        value = {"benchmark": self.benchmark,
                 "trackers": {s.tracker: self._metrics(s, attributes) for s in self.scores}}
        value |= {"trivial": self._metrics(self.trivial, attributes)} if self.trivial else {}
        return value | ({"attributes_measured": self.measured} if attributes else {})

    def _metrics(self, score: Score, attributes: bool) -> dict:
        by_name = score_by_attribute(score, self.sequences) if attributes else {}
        return _metrics(score) | ({"attributes": {n: _metrics(s) for n, s in by_name.items()}} if attributes else {})


def make_report(benchmark: Benchmark, folders: Mapping[str, Path], with_static_box: bool = True,
                cache_folder: Path | None = None, workers: int | None = None,
                attributes: Mapping[str, tuple[str, ...]] | None = None) -> BenchmarkReport:
    """Score the result folders of ``folders`` (tracker -> folder) on ``benchmark``.

    cache_folder  keeps scores between runs
    workers       the number of processes, by default what pays
    attributes    those of every video, instead of the dataset's own or measured ones
    """
    sequences, problems = _load(benchmark)
    scores, found = score_folders(folders, benchmark, sequences, cache_folder, workers)
    problems += found
    sequences, measured = with_attributes(sequences, attributes)
    notes = tuple(f"{benchmark.name} {s.name}: {note}" for s in sequences.values() for note in s.notes)
    static_box = score_static_box(benchmark, sequences) if with_static_box else None
    return BenchmarkReport(benchmark.name, tuple(scores), static_box, tuple(problems), notes, sequences, measured)


def _load(benchmark: Benchmark) -> tuple[dict[str, Video], list[Problem]]:
    """The annotations that can be read, by video, and what is wrong with the others."""
    sequences, problems = {}, []
    for name in benchmark.videos.video_names:
        try:
            sequences[name] = benchmark.videos.load(name)
        except UserError as error:
            problems.append(Problem(f"{benchmark.name}: {error}"))
    problems += [Problem(f"{benchmark.name}: no annotation of video {name}", missing=True)
                 for name in benchmark.videos.missing]
    unlisted = benchmark.absent - len(benchmark.videos.missing)
    if unlisted > 0:
        problems.append(Problem(f"{benchmark.name}: {unlisted} of its {benchmark.expected} videos are not on disk",
                                missing=True))
    return sequences, problems


def _metrics(score: Score) -> dict:
    figures = {"success_auc": score.auc, "op50": score.op50, "op75": score.op75, "precision": score.precision,
               "norm_precision": score.norm_precision, "ao": score.ao, "sr50": score.sr50, "sr75": score.sr75,
               "fps": score.fps, "videos": score.videos, "expected_videos": score.expected}
    return {name: None if value is None or math.isnan(value) else value for name, value in figures.items()}
