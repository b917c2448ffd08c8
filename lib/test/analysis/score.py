"""From boxes to scores: one video, then a tracker on a benchmark.

Curves are computed per video and then averaged over videos. AO, SR0.5 and SR0.75 follow the GOT-10k toolkit: the mean
overlap, and the shares of overlaps above 0.5 and 0.75, over all counted frames of all videos except each video's first.
What a frame without ground truth counts as is the benchmark's policy (``mstgt.test.evaluation.absent_frames``).

A result that cannot be scored is not part of any mean (``mstgt.test.analysis.score_files``). The score's ``label`` then
says how many videos it is computed from.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field

import numpy as np

from ...data.video import Video
from ...geometry.boxes import MAX_PX
from ...utils.errors import UserError
from ..evaluation.absent_frames import AbsentFramePolicy, Treatment
from ..evaluation.benchmarks import Benchmark
from . import metrics

STATIC_BOX = "static-box baseline"  # the tracker that returns the given box in every frame


@dataclass(frozen=True)
class Curves:
    """Three curves, as shares in [0, 1], and the metrics that summarize them, in %."""

    success: np.ndarray  # (21,)
    precision_curve: np.ndarray  # (51,)
    normalized_curve: np.ndarray  # (51,)

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
        return 100 * float(self.normalized_curve[metrics.NORMALIZED_AT])


@dataclass(frozen=True)
class VideoScore(Curves):
    """The score of one video.

    frame_overlap   (frames,) float32, the IoU in every frame that the annotation covers; NaN where it is not usable
    counted         how many frames count for AO: all that the policy keeps except the first
    overlap_totals  over these: the sum of overlaps, how many are above 0.5, how many above 0.75
    timed_frames    how many frames have a time, without the first; 0 where there are no times
    seconds         the time of these frames together
    boxes_xywh      (frames, 4) float32, the boxes that were scored; None where the score comes from the cache
    """

    name: str
    frame_overlap: np.ndarray
    counted: int
    overlap_totals: tuple[float, float, float]
    timed_frames: int = 0
    seconds: float = 0.0
    boxes_xywh: np.ndarray | None = field(default=None, repr=False, compare=False)


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
        if self.videos == self.expected:
            return self.tracker
        return f"{self.tracker} ({self.videos} of {self.expected} videos)"


def score_video(boxes_xywh: np.ndarray, video: Video, policy: AbsentFramePolicy,
                seconds: np.ndarray | None = None) -> VideoScore:
    """Score the boxes (N, 4) of one video, one per frame.

    Raises :class:`UserError` where there is nothing to score: no frame has a ground truth, or only the first one,
    whose box is given to the tracker.
    """
    count = len(video) if video.annotated is None else video.annotated
    truth = video.boxes_xywh[:count]
    usable = _usable(video, policy)[:count]
    problem = nothing_to_score(video, policy)
    if problem:
        raise UserError(problem)
    predicted = np.array(boxes_xywh[:count], float)
    if not policy.as_got10k:
        _repeat_for_empty(predicted)
    # The toolkits put the given box in place of the first prediction.
    if usable[0]:
        predicted[0] = truth[0]
    overlap, center, normalized = _frame_metrics(predicted, truth, usable, policy, video.size_wh)
    frame_overlap = overlap.astype(np.float32)
    # A hit is above every threshold of overlap and below every threshold of an error; a miss is the opposite.
    overlap = _apply(policy.overlap, overlap, usable, hit=np.inf, miss=-1.0)
    center = _apply(policy.center, center, usable, hit=-1.0, miss=np.inf)
    normalized = _apply(policy.normalized, normalized, usable, hit=-1.0, miss=np.inf)
    # AO leaves out the first frame, unless the policy has dropped it already.
    first_is_in = usable[0] or policy.overlap != "drop"
    counted = np.clip(overlap[1:] if first_is_in else overlap, 0.0, 1.0)
    totals = (float(counted.sum()), float((counted > 0.5).sum()), float((counted > 0.75).sum()))
    return VideoScore(
        success=metrics.success_curve(overlap),
        precision_curve=metrics.precision_curve(center),
        normalized_curve=metrics.normalized_precision_curve(normalized),
        name=video.name,
        frame_overlap=frame_overlap,
        counted=len(counted),
        overlap_totals=totals,
        # The first frame's time is that of initialization, which FPS leaves out.
        timed_frames=0 if seconds is None else len(seconds) - 1,
        seconds=0.0 if seconds is None else float(seconds[1:].sum()),
        boxes_xywh=np.clip(boxes_xywh, -MAX_PX, MAX_PX).astype(np.float32))


def nothing_to_score(video: Video, policy: AbsentFramePolicy) -> str | None:
    """Why no result on ``video`` can be scored, in one line; None where one can."""
    usable = _usable(video, policy)[:video.annotated]
    if not usable.any():
        return f"{video.name}: no frame has a ground truth to score with"
    # Where the policy counts absent frames as hits or misses, these frames can be scored, too.
    only_given = len(usable) == 1 if policy.overlap != "drop" else not usable[1:].any()
    if only_given:
        return f"{video.name}: only the first frame has a ground truth, and its box is given: there is nothing to score"
    return None


def _frame_metrics(predicted: np.ndarray, truth: np.ndarray, usable: np.ndarray, policy: AbsentFramePolicy,
                   size_wh: tuple[int, int] | None) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Overlap, center error and normalized center error of every frame, each (N,); NaN where ``usable`` is false."""
    overlap, center, normalized = np.full((3, len(truth)), np.nan)
    predicted = predicted[usable]
    truth = truth[usable]
    # A tracker that diverges may give boxes so large that products overflow: infinitely far off, no overlap.
    with np.errstate(over="ignore"):
        center[usable] = metrics.center_error(predicted, truth)
        normalized[usable] = metrics.normalized_center_error(predicted, truth)
        if policy.as_got10k and size_wh is not None:
            predicted = metrics.cut_to_image(predicted, size_wh)
            truth = metrics.cut_to_image(truth, size_wh)
        overlap[usable] = metrics.iou(predicted, truth)
    return overlap, center, normalized


def _usable(video: Video, policy: AbsentFramePolicy) -> np.ndarray:
    """(N,) whether a frame has a ground truth to compare with."""
    if video.visible_ratio is None:
        return video.visible
    if not policy.as_got10k:
        return video.visible & (video.visible_ratio > 0)
    # GOT-10k goes by its cover labels alone, whatever the absence labels say.
    with np.errstate(invalid="ignore"):
        return (video.boxes_xywh[:, 2:] > 0).all(axis=1) & (video.visible_ratio > 0)


def _repeat_for_empty(boxes_xywh: np.ndarray) -> None:
    """Replace each box without area by the one before it, in place."""
    for row in np.flatnonzero((boxes_xywh[:, 2:] <= 0).any(axis=1)):
        if row:
            boxes_xywh[row] = boxes_xywh[row - 1]


def _apply(treatment: Treatment, values: np.ndarray, usable: np.ndarray, hit: float, miss: float) -> np.ndarray:
    """The values that count: those that are not usable are dropped or replaced."""
    if treatment == "drop":
        return values[usable]
    return np.where(usable, values, hit if treatment == "hit" else miss)


def score_static_box(benchmark: Benchmark, videos: Mapping[str, Video]) -> Score | None:
    """The score of the static-box baseline on ``videos``: what every tracker has to exceed."""
    scores = []
    for video in videos.values():
        if nothing_to_score(video, benchmark.absent_policy) is None:
            boxes = np.repeat(video.boxes_xywh[:1], len(video), axis=0)
            scores.append(score_video(boxes, video, benchmark.absent_policy))
    return average(STATIC_BOX, scores, benchmark.expected)


def average(tracker: str, videos: Iterable[VideoScore], expected: int) -> Score | None:
    """The mean over videos; None without any. FPS is given only where every video has its times."""
    videos = tuple(videos)
    if not videos:
        return None
    counted = sum(video.counted for video in videos)
    totals = np.sum([video.overlap_totals for video in videos], axis=0)
    if counted:
        ao, sr50, sr75 = (100 * totals / counted).tolist()
    else:
        ao = sr50 = sr75 = float("nan")
    seconds = sum(video.seconds for video in videos)
    frames = sum(video.timed_frames for video in videos)
    all_timed = all(video.timed_frames for video in videos)
    return Score(
        success=np.mean([video.success for video in videos], axis=0),
        precision_curve=np.mean([video.precision_curve for video in videos], axis=0),
        normalized_curve=np.mean([video.normalized_curve for video in videos], axis=0),
        tracker=tracker, expected=expected, ao=ao, sr50=sr50, sr75=sr75,
        fps=frames / seconds if all_timed and seconds > 0 else None, video_scores=videos)


def restricted(score: Score, names: Collection[str]) -> Score | None:
    """The mean over those videos of ``score`` that are in ``names``; None without any."""
    return average(score.tracker, [video for video in score.video_scores if video.name in names], len(names))


def score_by_attribute(score: Score, videos: Mapping[str, Video]) -> dict[str, Score]:
    """The mean over the videos of each attribute that ``videos`` (by name) have, as far as they are in ``score``."""
    names: dict[str, list[str]] = {}
    for name, video in videos.items():
        for attribute in video.attributes:
            names.setdefault(attribute, []).append(name)
    scored = {video.name: video for video in score.video_scores}
    found = {}
    for attribute, members in names.items():
        part = average(score.tracker, [scored[name] for name in members if name in scored], len(members))
        if part is not None:
            found[attribute] = part
    return found
