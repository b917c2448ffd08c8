"""An annotated video: the true box, the tracker's box and its score on every frame."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np

from lib.data.sequence import Sequence
from lib.utils.errors import UserError
from lib.utils.files import atomic_path
from lib.utils.progress import progress

TRUE, TRACKED = (60, 200, 60), (255, 110, 30)  # RGB
MIN_WIDTH = 480  # smaller pictures are enlarged so that the lines can be seen


def annotate(image: np.ndarray, true_xywh: np.ndarray, box_xywh: np.ndarray, text: str) -> np.ndarray:
    """A copy of (H, W, 3) uint8 RGB with both boxes drawn; NaN boxes and boxes without area are left out."""
    zoom = max(1, -(-MIN_WIDTH // image.shape[1]))
    picture = cv2.resize(image, None, fx=zoom, fy=zoom, interpolation=cv2.INTER_LINEAR)
    thickness = max(2, picture.shape[1] // 400)
    for box, colour in ((true_xywh, TRUE), (box_xywh, TRACKED)):
        if np.isfinite(box).all() and (box[2:] > 0).all():
            x0, y0, x1, y1 = (int(round(v * zoom)) for v in (*box[:2], *(box[:2] + box[2:])))
            cv2.rectangle(picture, (x0, y0), (x1, y1), colour, thickness)
    scale = picture.shape[1] / 900
    for colour, width in (((0, 0, 0), 3 * thickness), ((255, 255, 255), thickness)):
        cv2.putText(picture, text, (10, int(10 + 30 * scale)), cv2.FONT_HERSHEY_SIMPLEX, scale, colour, width,
                    cv2.LINE_AA)
    return picture


def write_film(path: Path, video: Sequence, boxes_xywh: np.ndarray, scores: np.ndarray | None = None,
               fps: float = 25.0) -> None:
    """Write ``video`` with the tracker's boxes (N, 4) and scores (N,) to an MP4 file, atomically.

    Green: the true box. Orange: the tracker's.
    """
    size: tuple[int, int] | None = None
    with atomic_path(path) as temporary:
        writer = cv2.VideoWriter()
        try:
            for i in progress(range(min(len(video), len(boxes_xywh))), desc=f"writing {path.name}", unit="frame"):
                text = f"{video.name} {i}" + ("" if scores is None else f"  score {scores[i]:.2f}")
                picture = annotate(video.frames.read(i), video.boxes_xywh[i], boxes_xywh[i], text)
                if size is None:
                    size = (picture.shape[1] // 2 * 2, picture.shape[0] // 2 * 2)
                    if not writer.open(str(temporary), cv2.VideoWriter.fourcc(*"mp4v"), fps, size):
                        raise UserError(f"cannot write {path}: this OpenCV has no MP4 encoder")
                frame = picture if (picture.shape[1], picture.shape[0]) == size else cv2.resize(picture, size)
                writer.write(cv2.cvtColor(frame, cv2.COLOR_RGB2BGR))
        finally:
            writer.release()


def write_sheet(path: Path, video: Sequence, boxes_xywh: np.ndarray, frames: int = 6, columns: int = 3) -> None:
    """A picture of evenly spread annotated frames."""
    chosen = np.linspace(0, min(len(video), len(boxes_xywh)) - 1, frames).round().astype(int)
    tiles = [annotate(video.frames.read(i), video.boxes_xywh[i], boxes_xywh[i], f"{video.name} {i}") for i in chosen]
    height, width = tiles[0].shape[:2]
    tiles = [t if t.shape[:2] == (height, width) else cv2.resize(t, (width, height)) for t in tiles]
    rows = [np.hstack(tiles[i : i + columns]) for i in range(0, len(tiles) - columns + 1, columns)]
    with atomic_path(path) as temporary:
        cv2.imwrite(str(temporary), cv2.cvtColor(np.vstack(rows), cv2.COLOR_RGB2BGR))
