"""The report on one benchmark: problems first, then the table of all trackers.

    report = make_report(benchmark, {"ATOM": folder, "mstgt/MSTGT-full-256": other_folder})
    print(report.text())
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from ...data.video import Video
from ...utils.errors import UserError, one_line, shortened
from ..evaluation.benchmarks import Benchmark, missing_frames
from .attributes import MEASURED, with_attributes
from .score import Score, nothing_to_score, restricted, score_by_attribute, score_static_box
from .score_files import Problem, score_folders
from .table import format_attributes, format_table, ranked


@dataclass(frozen=True)
class BenchmarkReport:
    """The scores of several trackers on one benchmark.

    scores      without trackers that have not a single usable result
    static_box  the static-box baseline; None where it was not asked for
    videos      the benchmark's videos whose annotation could be read, by name
    measured    whether the videos' attributes are measured (``mstgt.test.analysis.attributes``) because the dataset
                has none
    """

    benchmark: str
    scores: tuple[Score, ...]
    static_box: Score | None
    problems: tuple[Problem, ...]
    notes: tuple[str, ...]
    videos: dict[str, Video] = field(default_factory=dict, repr=False)
    measured: bool = False

    @property
    def all_scores(self) -> list[Score]:
        """The trackers, then the baseline."""
        return [*self.scores, *([self.static_box] if self.static_box else [])]

    def common_scores(self) -> list[Score]:
        """All scores on the videos that every tracker has a result on.

        Empty where the trackers have results on the same videos, or have no video in common.
        """
        by_tracker = [{video.name for video in score.video_scores} for score in self.scores]
        if not by_tracker or all(names == by_tracker[0] for names in by_tracker):
            return []
        common = set.intersection(*by_tracker)
        found = [restricted(score, common) for score in self.all_scores]
        return [score for score in found if score is not None]

    def text(self, attributes: bool = False) -> str:
        """Problems and notes first, then the table; with ``attributes`` also the table of AUC by attribute."""
        lines = self.problem_lines()
        if not self.scores:
            lines.append(f"{self.benchmark}: no result could be scored")
            return "\n".join(lines)
        lines.append(format_table(self.benchmark, self.all_scores))
        # Means over different videos do not compare trackers, so a second table shows the videos that all have.
        common = self.common_scores()
        if common:
            lines.append("note: the means above are over different videos for different trackers")
            lines.append(format_table(f"{self.benchmark}, the {common[0].videos} videos that all trackers have",
                                      common))
        if attributes:
            lines += self._attribute_lines()
        return "\n".join(lines)

    def problem_lines(self) -> list[str]:
        """Problems, then notes, one line each."""
        lines = [f"problem: {one_line(problem.message)}" for problem in self.problems]
        return lines + [f"note: {one_line(note)}" for note in self.notes]

    def _attribute_lines(self) -> list[str]:
        by_tracker = {score.label: score_by_attribute(score, self.videos) for score in ranked(self.all_scores)}
        if not any(by_tracker.values()):
            return [f"note: {self.benchmark}: no video has an attribute"]
        lines = []
        if self.measured:
            lines.append(f"note: no attributes of {self.benchmark} are known: {', '.join(MEASURED)} are measured on "
                         "its boxes")
        lines.append(format_attributes(self.benchmark, by_tracker))
        return lines

    def failed(self, allow_missing: bool) -> bool:
        """Whether a problem makes these scores incomplete; ``allow_missing`` ignores missing files."""
        if not self.scores:
            return True
        return any(not (problem.missing and allow_missing) for problem in self.problems)

    def as_json(self, attributes: bool = False) -> dict:
        """Metrics in %, by tracker; the baseline apart from the trackers, under the key of earlier versions."""
        trackers = {score.tracker: self._metrics(score, attributes) for score in self.scores}
        value: dict = {"benchmark": self.benchmark, "trackers": trackers}
        if self.static_box:
            value["trivial"] = self._metrics(self.static_box, attributes)
        if attributes:
            value["attributes_measured"] = self.measured
        return value

    def _metrics(self, score: Score, attributes: bool) -> dict:
        value = _metrics(score)
        if attributes:
            parts = score_by_attribute(score, self.videos)
            value["attributes"] = {name: _metrics(part) for name, part in parts.items()}
        return value


def make_report(benchmark: Benchmark, folders: Mapping[str, Path], with_static_box: bool = True,
                cache_folder: Path | None = None, workers: int | None = None,
                attributes: Mapping[str, tuple[str, ...]] | None = None) -> BenchmarkReport:
    """Score the result folders ``folders`` (tracker -> folder) on ``benchmark``.

    cache_folder  keeps scores between runs
    workers       the number of processes; default: one, or one per core where there is much to read
    attributes    those of every video, instead of the dataset's own or measured ones
    """
    videos, problems = _load_videos(benchmark)
    scores, result_problems = score_folders(folders, benchmark, videos, cache_folder, workers)
    videos, measured = with_attributes(videos, attributes)
    notes = [f"{benchmark.name} {video.name}: {note}" for video in videos.values() for note in video.notes]
    static_box = score_static_box(benchmark, videos) if with_static_box else None
    return BenchmarkReport(benchmark.name, tuple(scores), static_box, tuple(problems + result_problems), tuple(notes),
                           videos, measured)


def _load_videos(benchmark: Benchmark) -> tuple[dict[str, Video], list[Problem]]:
    """The videos that results can be scored on, by name, and what is wrong with the others."""
    videos = {}
    problems = []
    for name in benchmark.videos.video_names:
        try:
            video = benchmark.videos.load(name)
        except UserError as error:
            problems.append(Problem(f"{benchmark.name}: {error}"))
            continue
        problem = nothing_to_score(video, benchmark.absent_policy)
        if problem:
            problems.append(Problem(f"{benchmark.name} {problem}"))
            continue
        if video.missing_names:
            problems.append(Problem(f"{benchmark.name} {missing_frames(video)}", missing=True))
        videos[name] = video
    if benchmark.videos.missing:
        names = shortened(benchmark.videos.missing)
        what = "video" if len(benchmark.videos.missing) == 1 else f"{len(benchmark.videos.missing)} videos:"
        problems.append(Problem(f"{benchmark.name}: no annotation of {what} {names}", missing=True))
    unlisted = benchmark.absent - len(benchmark.videos.missing)
    if unlisted > 0:
        problems.append(Problem(f"{benchmark.name}: {unlisted} of its {benchmark.expected} videos are not on disk",
                                missing=True))
    return videos, problems


def _metrics(score: Score) -> dict:
    """The metrics under the names of the JSON output; None for those that are undefined."""
    values = {"success_auc": score.auc, "op50": score.op50, "op75": score.op75, "precision": score.precision,
              "norm_precision": score.norm_precision, "ao": score.ao, "sr50": score.sr50, "sr75": score.sr75,
              "fps": score.fps, "videos": score.videos, "expected_videos": score.expected}
    return {name: None if value is None or math.isnan(value) else value for name, value in values.items()}
