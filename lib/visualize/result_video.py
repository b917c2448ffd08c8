"""Result files on the frames of a video: the ground truth, and the boxes of one or several trackers.

    trackers = [TrackerBoxes("ATOM", boxes_xywh), TrackerBoxes("MSTGT", other_boxes_xywh, scores)]
    write_result_video(Path("a.mp4"), video, trackers)
    write_result_sheet(Path("a.png"), video, trackers)

The ground truth is green. Every tracker has its own color, which the legend names.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from ..data.video import Video
from ..utils.files import atomic_path
from ..utils.progress import progress
from .draw import GROUND_TRUTH, LabeledBox, contact_sheet, draw_boxes, target_color, video_zoom, write_png
from .video_writer import VideoWriter

FPS = 25.0  # data sets of single frames do not say theirs


@dataclass(frozen=True)
class TrackerBoxes:
    """The boxes (N, 4) x, y, w, h of one tracker on a video, and its scores (N,) where it has any; N is 0 without a
    result."""

    name: str
    boxes_xywh: np.ndarray
    scores: np.ndarray | None = None


def write_result_video(path: Path, video: Video, trackers: Sequence[TrackerBoxes], fps: float = FPS) -> None:
    """Write ``video`` with all boxes to an MP4 file, atomically."""
    first = draw_frame(video, trackers, 0)
    with VideoWriter(path, fps, (first.shape[1], first.shape[0])) as writer:
        for frame in progress(range(len(video)), desc=f"writing {path.name}", unit="frame"):
            writer.add(draw_frame(video, trackers, frame))


def write_result_sheet(path: Path, video: Video, trackers: Sequence[TrackerBoxes], frames: int = 6,
                       columns: int = 3) -> None:
    """Write an image with evenly spread frames of ``video``."""
    chosen = np.linspace(0, len(video) - 1, frames).round().astype(int)
    sheet = contact_sheet([draw_frame(video, trackers, frame) for frame in chosen], columns)
    with atomic_path(path) as temporary:
        write_png(temporary, sheet)


def draw_frame(video: Video, trackers: Sequence[TrackerBoxes], frame: int) -> np.ndarray:
    """Frame ``frame`` with all boxes, (H, W, 3) uint8 RGB, enlarged where it is small."""
    image = video.frames.read(frame)
    boxes = [LabeledBox(video.boxes_xywh[frame], GROUND_TRUTH)]
    legend = [("ground truth", GROUND_TRUTH)]
    for number, tracker in enumerate(trackers, start=1):
        color = target_color(number)
        legend.append((tracker.name if len(tracker.boxes_xywh) else f"{tracker.name} (no result)", color))
        if frame < len(tracker.boxes_xywh):
            # The tags of several trackers would cover each other, and their scores do not compare.
            score = tracker.scores[frame] if tracker.scores is not None and len(trackers) == 1 else None
            label = "" if score is None else f"{score:.2f}"
            boxes.append(LabeledBox(tracker.boxes_xywh[frame], color, label))
    zoom = video_zoom((image.shape[1], image.shape[0]))
    return draw_boxes(image, boxes, caption=f"{video.name}  {frame}", zoom=zoom, legend=legend)
