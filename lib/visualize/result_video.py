"""An annotated video: the true box, the tracker's box and its score on every frame."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np

from ..data.video import Video
from ..utils.files import atomic_path
from ..utils.progress import progress
from .draw import GROUND_TRUTH, LabeledBox, contact_sheet, draw_boxes, tracked_box, video_zoom
from .video_writer import VideoWriter


def write_film(path: Path, video: Video, boxes_xywh: np.ndarray, scores: np.ndarray | None = None,
               fps: float = 25.0) -> None:
    """Write ``video`` with the tracker's boxes (N, 4) and scores (N,) to an MP4 file, atomically.

    Green: the true box. Orange: the tracker's.
    """
    first = drawn(video, boxes_xywh, 0)
    with VideoWriter(path, fps, (first.shape[1], first.shape[0])) as film:
        for i in progress(range(min(len(video), len(boxes_xywh))), desc=f"writing {path.name}", unit="frame"):
            film.add(drawn(video, boxes_xywh, i, None if scores is None else scores[i]))


def write_sheet(path: Path, video: Video, boxes_xywh: np.ndarray, frames: int = 6, columns: int = 3) -> None:
    """A picture of evenly spread annotated frames."""
    chosen = np.linspace(0, min(len(video), len(boxes_xywh)) - 1, frames).round().astype(int)
    sheet = contact_sheet([drawn(video, boxes_xywh, i) for i in chosen], columns)
    with atomic_path(path) as temporary:
        cv2.imwrite(str(temporary), cv2.cvtColor(sheet, cv2.COLOR_RGB2BGR))


def drawn(video: Video, boxes_xywh: np.ndarray, frame: int, score: float | None = None) -> np.ndarray:
    """A frame with both boxes, enlarged where it is small."""
    image = video.frames.read(frame)
    boxes = [LabeledBox(video.boxes_xywh[frame], GROUND_TRUTH), tracked_box(boxes_xywh[frame], score)]
    return draw_boxes(image, boxes, caption=f"{video.name}  {frame}", zoom=video_zoom((image.shape[1], image.shape[0])))
