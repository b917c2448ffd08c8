"""From boxes to scores: one video, then a tracker on a benchmark.

Curves are made a video and then averaged over videos. AO, SR0.5 and SR0.75 follow the GOT-10k toolkit: the mean
overlap, and the shares of overlaps above 0.5 and 0.75, over all counted frames of all videos but each video's first.
What a frame without ground truth counts as is the benchmark's policy (``mstgt.test.evaluation.absent_frames``).

A result that cannot be scored is no part of any mean (``mstgt.test.analysis.scoring``); the score's ``label`` then says
how many videos it stands on.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

import numpy as np

from ...data.video import Video
from ...utils.errors import UserError
from ..evaluation.absent_frames import AbsentFramePolicy, Treatment
from ..evaluation.benchmarks import Benchmark
from . import metrics

STATIC_BOX = "first box kept (trivial)"


@dataclass(frozen=True)
class Curves:
    """Three curves, as shares in [0, 1], and the figures they are summed up in, in %."""

    success: np.ndarray  # (21,)
    precision_curve: np.ndarray  # (51,)
    normalised_curve: np.ndarray  # (51,)

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


@dataclass(frozen=True)
class VideoScore(Curves):
    """What one video adds to a score.

    frame_overlap   (frames,) float32, the IoU in every frame that the annotation covers; NaN where it is not usable
    counted         how many frames count for AO: all that the policy keeps but the first
    overlap_totals  over these: the sum of overlaps, how many are above 0.5, how many above 0.75
    timed_frames    how many frames have a time, without the first; 0 where there are no times
    seconds         what these took together
    """

    name: str
    frame_overlap: np.ndarray
    counted: int
    overlap_totals: tuple[float, float, float]
    timed_frames: int = 0
    seconds: float = 0.0


@dataclass(frozen=True)
class Score(Curves):
    """A tracker's score on a benchmark: the mean of its ``video_scores``, which are in the benchmark's order."""

    tracker: str
    expected: int
    ao: float
    sr50: float
    sr75: float
    fps: float | None
    video_scores: tuple[VideoScore, ...] = field(repr=False)

    @property
    def videos(self) -> int:
        return len(self.video_scores)

    @property
    def label(self) -> str:
        """The tracker's name; with the number of videos where it is not all of them."""
        return self.tracker if self.videos == self.expected \
            else f"{self.tracker} ({self.videos} of {self.expected} videos)"


def score_video(boxes_xywh: np.ndarray, sequence: Video, policy: AbsentFramePolicy,
                seconds: np.ndarray | None = None) -> VideoScore:
    """Score the boxes of one video, one a frame. Raises :class:`UserError` when no frame of it can be judged."""
    count = len(sequence) if sequence.annotated is None else sequence.annotated
    truth, usable = sequence.boxes_xywh[:count], _usable(sequence, policy)[:count]
    if not usable.any():
        raise UserError(f"{sequence.name}: no frame has a ground truth to score with")
    predicted = np.array(boxes_xywh[:count], float)
    if not policy.as_got10k:
        _repeat_for_empty(predicted)
    if usable[0]:
        predicted[0] = truth[0]
    overlap, centre, normalised = np.full((3, count), np.nan)
    pair = predicted[usable], truth[usable]
    with np.errstate(over="ignore"):  # of a tracker that has lost all bounds: infinitely far off, no overlap
        centre[usable], normalised[usable] = metrics.centre_error(*pair), metrics.normalised_centre_error(*pair)
        if policy.as_got10k and sequence.size_wh is not None:
            pair = tuple(metrics.cut_to_image(boxes, sequence.size_wh) for boxes in pair)
        overlap[usable] = metrics.iou(*pair)
    frame_overlap = overlap.astype(np.float32)
    overlap = _treat(overlap, usable, policy.overlap, hit=np.inf, miss=-1.0)
    centre = _treat(centre, usable, policy.centre, hit=-1.0, miss=np.inf)
    normalised = _treat(normalised, usable, policy.normalised, hit=-1.0, miss=np.inf)
    counted = np.clip(overlap[1:] if usable[0] or policy.overlap != "drop" else overlap, 0.0, 1.0)
    return VideoScore(
        success=metrics.success_curve(overlap),
        precision_curve=metrics.precision_curve(centre),
        normalised_curve=metrics.normalised_precision_curve(normalised),
        name=sequence.name, frame_overlap=frame_overlap, counted=len(counted),
        overlap_totals=(float(counted.sum()), float((counted > 0.5).sum()), float((counted > 0.75).sum())),
        timed_frames=0 if seconds is None else len(seconds) - 1,
        seconds=0.0 if seconds is None else float(seconds[1:].sum()))


def _usable(sequence: Video, policy: AbsentFramePolicy) -> np.ndarray:
    """(N,) whether a frame has a ground truth to compare with."""
    if sequence.visible_ratio is None:
        return sequence.visible
    if not policy.as_got10k:
        return sequence.visible & (sequence.visible_ratio > 0)
    with np.errstate(invalid="ignore"):
        return (sequence.boxes_xywh[:, 2:] > 0).all(axis=1) & (sequence.visible_ratio > 0)


def _repeat_for_empty(boxes_xywh: np.ndarray) -> None:
    """Replace each box without area by the one before it, in place."""
    for row in np.flatnonzero((boxes_xywh[:, 2:] <= 0).any(axis=1)):
        if row:
            boxes_xywh[row] = boxes_xywh[row - 1]


def _treat(values: np.ndarray, usable: np.ndarray, treatment: Treatment, hit: float, miss: float) -> np.ndarray:
    if treatment == "drop":
        return values[usable]
    return np.where(usable, values, {"hit": hit, "miss": miss}[treatment])


def score_static_box(benchmark: Benchmark, sequences: Mapping[str, Video]) -> Score | None:
    """The score of the tracker that keeps the first box for ever: what every other one has to beat."""
    scores = []
    for sequence in sequences.values():
        if sequence.visible.any():
            first_box = np.repeat(sequence.boxes_xywh[:1], len(sequence), axis=0)
            scores.append(score_video(first_box, sequence, benchmark.absent_policy))
    return average(STATIC_BOX, scores, benchmark.expected)


def average(tracker: str, videos: Iterable[VideoScore], expected: int) -> Score | None:
    """The mean over videos; None of none. FPS only where every video has its times."""
    videos = tuple(videos)
    if not videos:
        return None
    counted = sum(v.counted for v in videos)
    totals = np.sum([v.overlap_totals for v in videos], axis=0)
    ao, sr50, sr75 = (100 * totals / counted).tolist() if counted else [float("nan")] * 3
    seconds = sum(v.seconds for v in videos) if all(v.timed_frames for v in videos) else 0.0
    return Score(
        success=np.mean([v.success for v in videos], axis=0),
        precision_curve=np.mean([v.precision_curve for v in videos], axis=0),
        normalised_curve=np.mean([v.normalised_curve for v in videos], axis=0),
        tracker=tracker, expected=expected, ao=ao, sr50=sr50, sr75=sr75,
        fps=sum(v.timed_frames for v in videos) / seconds if seconds > 0 else None, video_scores=videos)


def score_by_attribute(score: Score, sequences: Mapping[str, Video]) -> dict[str, Score]:
    """The score on the videos of each attribute that ``sequences`` (by name) have, as far as they are in ``score``."""
    videos: dict[str, list[str]] = {}
    for name, sequence in sequences.items():
        for attribute in sequence.attributes:
            videos.setdefault(attribute, []).append(name)
    scored = {video.name: video for video in score.video_scores}
    found = {attribute: average(score.tracker, [scored[n] for n in names if n in scored], len(names))
             for attribute, names in videos.items()}
    return {attribute: part for attribute, part in found.items() if part is not None}
