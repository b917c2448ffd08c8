"""Several runs of a tracker that draws random numbers, as one score: the mean of the runs, video by video.

    score = mean_of_runs("MIL", [score_of_run_1, score_of_run_2, …])
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from mstgt.test.analysis.score import Score, VideoScore, average

_MEANS = ("success", "precision_curve", "normalised_curve", "frame_overlap")


def mean_of_runs(tracker: str, runs: Sequence[Score]) -> Score | None:
    """The mean of ``runs`` on the videos that all of them have; None where there is no such video."""
    by_name = [{video.name: video for video in run.video_scores} for run in runs]
    names = [name for name in by_name[0] if all(name in videos for videos in by_name)]
    return average(tracker, [_mean([videos[name] for videos in by_name]) for name in names], runs[0].expected)


def _mean(videos: Sequence[VideoScore]) -> VideoScore:
    means = {name: np.mean([getattr(video, name) for video in videos], axis=0) for name in _MEANS}
    totals = np.mean([video.overlap_totals for video in videos], axis=0).tolist()
    return replace(videos[0], **means, overlap_totals=tuple(totals),
                   seconds=float(np.mean([video.seconds for video in videos])))
