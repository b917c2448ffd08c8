"""From boxes to scores: one video, then a tracker on a benchmark.

Curves are made a video and then averaged over videos. AO, SR0.5 and SR0.75 follow the GOT-10k toolkit: the mean
overlap, and the shares of overlaps above 0.5 and 0.75, over all counted frames of all videos but each video's first.
What a frame without ground truth counts as is the benchmark's rule (``lib.test.evaluation.rules``).

A result that is missing, unreadable or not as long as its video is a ``Problem`` and no part of any mean; the score's
``label`` then says how many videos it stands on.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from lib.data.sequence import Sequence
from lib.test.analysis import metrics
from lib.test.evaluation.benchmarks import Benchmark
from lib.test.evaluation.results import has_result, read_boxes, read_seconds
from lib.test.evaluation.rules import Rule, Treatment
from lib.utils.errors import UserError
from lib.utils.progress import progress

TRIVIAL = "first box kept (trivial)"


@dataclass(frozen=True)
class Problem:
    """Something that keeps a video out of a mean. ``missing``: there is just no file for it."""

    message: str
    missing: bool = False


@dataclass(frozen=True)
class VideoScore:
    """What one video adds to a score: its curves, and its overlaps (all counted frames but the first)."""

    success: np.ndarray
    precision: np.ndarray
    normalised: np.ndarray
    overlaps: np.ndarray
    seconds: np.ndarray | None = None  # of the frames after the first


@dataclass(frozen=True)
class Score:
    """A tracker's score on a benchmark. Curves are shares in [0, 1]; the figures below are in %."""

    tracker: str
    videos: int
    expected: int
    success: np.ndarray  # (21,)
    precision_curve: np.ndarray  # (51,)
    normalised_curve: np.ndarray  # (51,)
    ao: float
    sr50: float
    sr75: float
    fps: float | None

    @property
    def label(self) -> str:
        """The tracker's name; with the number of videos where it is not all of them."""
        return self.tracker if self.videos == self.expected \
            else f"{self.tracker} ({self.videos} of {self.expected} videos)"

    @property
    def auc(self) -> float:
        return 100 * float(self.success.mean())

    @property
    def op50(self) -> float:
        return 100 * float(self.success[10])

    @property
    def op75(self) -> float:
        return 100 * float(self.success[15])

    @property
    def precision(self) -> float:
        return 100 * float(self.precision_curve[metrics.PRECISION_AT])

    @property
    def norm_precision(self) -> float:
        return 100 * float(self.normalised_curve[metrics.NORMALISED_AT])


def score_video(boxes_xywh: np.ndarray, sequence: Sequence, rule: Rule,
                seconds: np.ndarray | None = None) -> VideoScore:
    """Score the boxes of one video, one a frame. Raises :class:`UserError` when no frame of it can be judged."""
    count = len(sequence) if sequence.annotated is None else sequence.annotated
    truth, usable = sequence.boxes_xywh[:count], sequence.visible[:count].copy()
    if sequence.visible_ratio is not None:
        usable &= sequence.visible_ratio[:count] > 0
    if not usable.any():
        raise UserError(f"{sequence.name}: no frame has a ground truth to score with")
    predicted = _without_empty(np.array(boxes_xywh[:count], float))
    if usable[0]:
        predicted[0] = truth[0]
    overlap, centre, normalised = np.full((3, count), np.nan)
    pair = predicted[usable], truth[usable]
    centre[usable], normalised[usable] = metrics.centre_error(*pair), metrics.normalised_centre_error(*pair)
    if rule.cut_to_image and sequence.size_wh is not None:
        pair = tuple(metrics.cut_to_image(boxes, sequence.size_wh) for boxes in pair)
    overlap[usable] = metrics.iou(*pair)
    overlap = _treat(overlap, usable, rule.overlap, hit=np.inf, miss=-1.0)
    centre = _treat(centre, usable, rule.centre, hit=-1.0, miss=np.inf)
    normalised = _treat(normalised, usable, rule.normalised, hit=-1.0, miss=np.inf)
    return VideoScore(
        success=metrics.success_curve(overlap),
        precision=metrics.precision_curve(centre),
        normalised=metrics.normalised_precision_curve(normalised),
        overlaps=np.clip(overlap[1:] if usable[0] or rule.overlap != "drop" else overlap, 0.0, 1.0),
        seconds=None if seconds is None else seconds[1:])


def _without_empty(boxes_xywh: np.ndarray) -> np.ndarray:
    """Each box without area replaced by the one before it (in place)."""
    for row in np.flatnonzero((boxes_xywh[:, 2:] <= 0).any(axis=1)):
        if row:
            boxes_xywh[row] = boxes_xywh[row - 1]
    return boxes_xywh


def _treat(values: np.ndarray, usable: np.ndarray, treatment: Treatment, hit: float, miss: float) -> np.ndarray:
    if treatment == "drop":
        return values[usable]
    return np.where(usable, values, {"hit": hit, "miss": miss}[treatment])


def score_folder(tracker: str, folder: Path, benchmark: Benchmark,
                 sequences: Mapping[str, Sequence]) -> tuple[Score | None, list[Problem]]:
    """Score the result files in ``folder``; ``sequences`` are the benchmark's videos by name.

    The score is None when not one video could be scored.
    """
    scores, problems = [], []
    for name in progress(benchmark.videos.video_names, desc=tracker, unit="video", leave=False):
        if not has_result(folder, name):
            problems.append(Problem(f"{tracker}: missing {folder / (name + '.txt')}", missing=True))
        elif name in sequences:
            try:
                scores.append(_score_file(folder, sequences[name], benchmark.rule))
            except UserError as error:
                problems.append(Problem(f"{tracker}: {error}"))
    return average(tracker, scores, benchmark.expected), problems


def _score_file(folder: Path, sequence: Sequence, rule: Rule) -> VideoScore:
    boxes_xywh, seconds = read_boxes(folder, sequence.name), read_seconds(folder, sequence.name)
    for suffix, values in (("", boxes_xywh), ("_time", seconds)):
        if values is not None and len(values) not in (len(sequence), sequence.annotated):
            kind = "short" if len(values) < len(sequence) else "long"
            raise UserError(f"{folder / (sequence.name + suffix + '.txt')}: too {kind}: {len(values)} rows for "
                            f"{len(sequence)} frames")
    return score_video(boxes_xywh, sequence, rule, seconds)


def score_trivial(benchmark: Benchmark, sequences: Mapping[str, Sequence]) -> Score | None:
    """The score of the tracker that keeps the first box for ever: what every other one has to beat."""
    scores = []
    for sequence in sequences.values():
        if sequence.visible.any():
            first_box = np.repeat(sequence.boxes_xywh[:1], len(sequence), axis=0)
            scores.append(score_video(first_box, sequence, benchmark.rule))
    return average(TRIVIAL, scores, benchmark.expected)


def average(tracker: str, videos: Iterable[VideoScore], expected: int) -> Score | None:
    """The mean over videos; None of none. FPS only where every video has its times."""
    videos = list(videos)
    if not videos:
        return None
    overlaps = np.concatenate([v.overlaps for v in videos])
    seconds = [v.seconds for v in videos if v.seconds is not None]
    total = sum(float(s.sum()) for s in seconds) if len(seconds) == len(videos) else 0.0
    above = {tau: 100 * float((overlaps > tau).mean()) if overlaps.size else float("nan") for tau in (0.5, 0.75)}
    return Score(
        tracker, len(videos), expected,
        success=np.mean([v.success for v in videos], axis=0),
        precision_curve=np.mean([v.precision for v in videos], axis=0),
        normalised_curve=np.mean([v.normalised for v in videos], axis=0),
        ao=100 * float(overlaps.mean()) if overlaps.size else float("nan"), sr50=above[0.5], sr75=above[0.75],
        fps=sum(map(len, seconds)) / total if total > 0 else None)
