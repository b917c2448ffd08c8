"""The mean score of several runs of a tracker that draws random numbers, video by video.

    score = mean_of_runs("MIL", [score_of_run_1, score_of_run_2, …])
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from mstgt.test.analysis.score import Score, VideoScore, average

_MEANS = ("success", "precision_curve", "normalized_curve", "frame_overlap")


def mean_of_runs(tracker: str, runs: Sequence[Score]) -> Score | None:
    """The mean of ``runs`` over the videos that all of them have; None if there is no such video."""
    by_name = [{video.name: video for video in run.video_scores} for run in runs]
    names = [name for name in by_name[0] if all(name in videos for videos in by_name)]
    return average(tracker, [_mean([videos[name] for videos in by_name]) for name in names], runs[0].expected)


def _mean(runs: Sequence[VideoScore]) -> VideoScore:
    """The mean of one video's scores in several runs."""
    changes: dict[str, Any] = {name: np.mean([getattr(run, name) for run in runs], axis=0) for name in _MEANS}
    changes["overlap_totals"] = tuple(np.mean([run.overlap_totals for run in runs], axis=0).tolist())
    changes["seconds"] = float(np.mean([run.seconds for run in runs]))
    return replace(runs[0], **changes)
