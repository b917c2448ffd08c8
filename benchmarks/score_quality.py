"""How well a tracker's score says whether it is on its target.

    python benchmarks/score_quality.py --config MSTGT-nano --videos /my/videos
    python benchmarks/score_quality.py --config MSTGT-nano-128 --videos /my/videos --lost_score 0.3

Tracks every video of the folders once, from its first box to its end, and prints

    auroc        area under the ROC curve of the score as a test for an overlap above 0.3, over all annotated frames but
                 the first: the probability that a frame with the target has a higher score than one without
    losses       how often the target is lost: an overlap of at most 0.1 in 10 frames in a row after one above 0.3
    told         the share of the losses in which "probably lost" is shown within 10 frames, as video_demo.py shows it:
                 the running mean of the scores, of which each new score makes a fifth, is below --lost_score
    false alarms the share of the frames with an overlap above 0.3 in which it is shown
    recovered    the share of the losses after which an overlap above 0.3 comes back
    auc          mean success AUC in %, for comparison

told and recovered are nan where the target was never lost.
"""

from __future__ import annotations

import argparse
import logging
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from mstgt.apps.video_demo.track import GIVEN_SCORE, LOST_SCORE, NEW_SHARE
from mstgt.config.arguments import add_shared_arguments
from mstgt.data.readers import read_training_set
from mstgt.data.video import Video
from mstgt.test.analysis.metrics import OVERLAP_THRESHOLDS, iou
from mstgt.test.tracker import Tracker, load_tracker
from mstgt.utils.errors import UserError, run_command
from mstgt.utils.progress import progress

ON_TARGET, OFF_TARGET = 0.3, 0.1  # overlaps
LOSS_FRAMES = 10


@dataclass(frozen=True)
class Track:
    """One video's result: overlap and score of every frame, (N,) each; the overlap is NaN where no box is known."""

    overlaps: np.ndarray
    scores: np.ndarray


def track_video(tracker: Tracker, video: Video) -> Track:
    """Track ``video`` from its first box."""
    count = len(video)
    boxes = np.full((count, 4), np.nan)
    scores = np.full(count, GIVEN_SCORE)
    boxes[0] = video.boxes_xywh[0]
    tracker.init(video.frames.read(0), boxes[0])
    for frame in range(1, count):
        boxes[frame], scores[frame] = tracker.update(video.frames.read(frame))
    overlaps = np.zeros(count)  # a box where the target is absent overlaps with nothing
    known = video.visible
    overlaps[known] = iou(boxes[known], video.boxes_xywh[known])
    return Track(overlaps, scores)


def auroc(scores: np.ndarray, positive: np.ndarray) -> float:
    """Area under the ROC curve; ties count half. NaN where one class is empty."""
    count = int(positive.sum())
    others = len(positive) - count
    if not count or not others:
        return float("nan")
    values, inverse, counts = np.unique(scores, return_inverse=True, return_counts=True)
    ranks = np.cumsum(counts) - (counts - 1) / 2
    total = ranks[inverse][positive].sum()
    return float((total - count * (count + 1) / 2) / (count * others))


def find_losses(overlaps: np.ndarray) -> list[int]:
    """The first frames of all losses: runs of ``LOSS_FRAMES`` frames off the target after a frame on it."""
    losses = []
    on_target = False
    for frame, overlap in enumerate(overlaps):
        if overlap > ON_TARGET:
            on_target = True
        elif on_target and frame + LOSS_FRAMES <= len(overlaps) \
                and (overlaps[frame:frame + LOSS_FRAMES] <= OFF_TARGET).all():
            losses.append(frame)
            on_target = False
    return losses


def running_mean(scores: np.ndarray) -> np.ndarray:
    """The mean that "probably lost" is judged by, after every frame."""
    means = np.empty(len(scores))
    mean = GIVEN_SCORE
    for frame, score in enumerate(scores):
        mean = (1 - NEW_SHARE) * mean + NEW_SHARE * score
        means[frame] = mean
    return means


def summarize(tracks: Sequence[Track], lost_score: float) -> dict[str, float]:
    """The numbers of the module's docstring; shares are NaN where there is nothing to share."""
    overlaps = np.concatenate([track.overlaps[1:] for track in tracks])
    scores = np.concatenate([track.scores[1:] for track in tracks])
    shown = [running_mean(track.scores) < lost_score for track in tracks]
    told, recovered = [], []
    for track, lost in zip(tracks, shown, strict=True):
        for first in find_losses(track.overlaps):
            told.append(bool(lost[first:first + LOSS_FRAMES].any()))
            recovered.append(bool((track.overlaps[first:] > ON_TARGET).any()))
    on_target = overlaps > ON_TARGET
    alarms = np.concatenate([lost[1:] for lost in shown])[on_target]
    return {
        "auroc": auroc(scores, on_target),
        "losses": float(len(told)),
        "told": _mean(told),
        "false alarms": _mean(alarms),
        "recovered": _mean(recovered),
        "auc": 100 * float(np.mean([[(track.overlaps > t).mean() for t in OVERLAP_THRESHOLDS] for track in tracks])),
    }


def _mean(values: Sequence[bool] | np.ndarray) -> float:
    return float(np.mean(values)) if len(values) else float("nan")


def parse(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    add_shared_arguments(parser, "script", "config", "set", "checkpoint", "device", "precision",
                         defaults={"config": "MSTGT-nano"})
    parser.add_argument("--videos", nargs="+", type=Path, required=True, metavar="DIR", help="folders of videos")
    parser.add_argument("--lost_score", type=float, default=LOST_SCORE, help="default: %(default)s")
    return parser.parse_args(arguments)


def main(arguments: Sequence[str] | None = None) -> None:
    logging.basicConfig(level=logging.WARNING, format="%(levelname)s: %(message)s")
    args = parse(arguments)
    sets = {folder: read_training_set(f"FOLDER:{folder}", lambda key: Path(key)) for folder in args.videos}
    tracker = load_tracker(args.config, args.script, args.checkpoint, args.overrides, args.device,
                           precision=args.precision)
    tracks = []
    for folder, videos in sets.items():
        for index in progress(range(len(videos)), desc=videos.name, unit="video"):
            video = videos[index]
            if not video.visible[0]:
                raise UserError(f"{video.name} in {folder} has no box in its first frame")
            tracks.append(track_video(tracker, video))
    print(f"{args.config}, {len(tracks)} videos, {sum(len(track.scores) for track in tracks)} frames, "
          f"probably lost below {args.lost_score:g}")
    for name, value in summarize(tracks, args.lost_score).items():
        print(f"  {name:<13} {value:.3f}" if name not in ("losses", "auc") else f"  {name:<13} {value:.1f}")


if __name__ == "__main__":
    run_command(main)
