"""The worst moments of a tracker: where it first loses the target in its weakest videos, as small images.

    worst_moments(report, folders)     # plain values for the page; see ``worst_moments``

The target is lost where the overlap stays below 0.1 for 10 frames that can be judged. Each loss is shown before (the
last frame with an overlap of 0.5), at its first frame and at its tenth, in one crop that contains all boxes.
"""

from __future__ import annotations

import base64
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from ...test.analysis.report import BenchmarkReport
from ...test.analysis.score import Score, VideoScore
from ...test.analysis.table import ranked
from ...test.evaluation.results import present_rows, read_boxes
from ...utils.errors import UserError
from ...utils.progress import progress
from ..draw import WHITE, LabeledBox, draw_boxes
from ..plot_style import plot_styles
from ..text import Color

LOST_BELOW = 0.1  # overlap
RUN = 10  # frames
GOOD = 0.5  # overlap
MAX_MOMENTS = 8  # three images each
SIZE_WH = (320, 240)  # of an image, in pixels, at most
MARGIN = 0.5  # around the boxes, as a share of their extent
MIN_SHARE = 0.25  # of the frame that a crop shows
JPEG_QUALITY = 80

_Window = tuple[int, int, int, int]  # x0, y0, x1, y1 in pixels


@dataclass(frozen=True)
class Loss:
    """A lost target: the frames to show it by, and where it begins."""

    video: VideoScore
    frame: int
    shown: tuple[int, ...]


def find_loss(video: VideoScore) -> Loss | None:
    """The first time the target is lost in a video; None where it never is."""
    # Frames in which the target is absent are left out: they neither begin nor end a loss.
    judged = np.flatnonzero(~np.isnan(video.frame_overlap))
    overlap = video.frame_overlap[judged]
    if len(judged) < RUN:
        return None
    runs = np.convolve(overlap < LOST_BELOW, np.ones(RUN, int), "valid") == RUN
    if not runs.any():
        return None
    start = int(np.argmax(runs))
    good = np.flatnonzero(overlap[:start] >= GOOD)
    before = judged[good[-1]] if good.size else judged[0]
    shown = [int(frame) for frame in (before, judged[start], judged[start + RUN - 1])]
    # The target may be lost from the start: then the first two frames are the same one.
    return Loss(video, int(judged[start]), tuple(dict.fromkeys(shown)))


def worst_losses(score: Score, limit: int = MAX_MOMENTS) -> list[Loss]:
    """The first losses in the videos with the lowest AUC among those where the target is lost."""
    found: list[Loss] = []
    for video in sorted(score.video_scores, key=lambda video: video.auc):
        loss = find_loss(video)
        if loss is not None:
            found.append(loss)
        if len(found) == limit:
            break
    return found


def worst_moments(report: BenchmarkReport, folders: Mapping[str, Path]) -> dict[str, Any]:
    """The worst moments of the tracker that ranks first, with the boxes of all trackers that have a folder.

    folders  tracker -> folder of its result files

    Returns ``tracker``, ``drawn`` (the places in ``report.scores`` of the trackers whose boxes are drawn), and
    ``losses``: video, frame, AUC and images as JPEG data URIs, or the reason why there is none. Where no frame can be
    read there are no losses.
    """
    drawn = [i for i, score in enumerate(report.scores) if score.tracker in folders]
    value: dict[str, Any] = {"tracker": None, "drawn": drawn, "losses": [], "lost_below": LOST_BELOW, "run": RUN}
    if not report.scores:
        return value
    first = ranked(report.scores)[0]
    value["tracker"] = first.tracker
    shown = {report.scores[i].tracker: folders[report.scores[i].tracker] for i in drawn}
    losses = [_show(report, loss, shown)
              for loss in progress(worst_losses(first), desc="worst moments", unit="video", leave=False)]
    if any(image["source"] for loss in losses for image in loss["images"]):
        value["losses"] = losses
    return value


def _show(report: BenchmarkReport, loss: Loss, folders: Mapping[str, Path]) -> dict[str, Any]:
    """One loss as values for the page."""
    name = loss.video.name
    video = report.videos[name]
    styles = plot_styles(report.all_scores)
    boxes = [(_boxes(report, tracker, folder, name), _rgb(styles[tracker].color))
             for tracker, folder in folders.items()]
    known = [(values, color) for values, color in boxes if values is not None]
    known.append((video.boxes_xywh, WHITE))
    window: _Window | None = None
    images = []
    for frame in loss.shown:
        entry: dict[str, Any] = {"frame": frame, "overlap": round(float(loss.video.frame_overlap[frame]), 3),
                                 "source": None}
        images.append(entry)
        try:
            image = video.frames.read(frame)
        except UserError as error:
            entry["error"] = str(error)
            continue
        if window is None:
            window = _window(loss, [values for values, _ in known], (image.shape[1], image.shape[0]))
        there = [(values[frame], color) for values, color in known if frame < len(values)]
        thumbnail = draw_window(image, window, there)
        entry |= {"source": _data_uri(thumbnail), "width": thumbnail.shape[1], "height": thumbnail.shape[0]}
    return {"video": name, "frame": loss.frame, "auc": round(loss.video.auc, 2), "images": images}


def _boxes(report: BenchmarkReport, tracker: str, folder: Path, name: str) -> np.ndarray | None:
    """The boxes of a tracker on a video that it has a score on; None where it has none.

    Boxes that were read for scoring are used again. Those whose score came from the cache are read here.
    """
    for score in report.scores:
        for video in score.video_scores:
            if score.tracker == tracker and video.name == name:
                if video.boxes_xywh is not None:
                    return video.boxes_xywh
                return present_rows(read_boxes(folder, name), report.videos[name])
    return None


def _window(loss: Loss, boxes: list[np.ndarray], size_wh: tuple[int, int]) -> _Window:
    """The part of the frame that contains all boxes of the frames shown, in the frame's own proportions."""
    rows = np.array([values[i] for values in boxes for i in loss.shown if i < len(values)], float)
    rows = rows[np.isfinite(rows).all(axis=1)]
    low = np.clip(rows[:, :2].min(axis=0), 0, size_wh)
    high = np.clip((rows[:, :2] + rows[:, 2:]).max(axis=0), 0, size_wh)
    share = min(1.0, max(MIN_SHARE, *((1 + MARGIN) * (high - low) / size_wh)))
    side = share * np.array(size_wh, float)
    corner = np.clip((low + high - side) / 2, 0, np.array(size_wh) - side)
    x0, y0 = np.floor(corner).astype(int)
    x1, y1 = np.minimum(np.ceil(corner + side).astype(int), size_wh)
    return int(x0), int(y0), int(x1), int(y1)


def draw_window(image: np.ndarray, window: _Window, boxes: list[tuple[np.ndarray, Color]]) -> np.ndarray:
    """The ``window`` of (H, W, 3) uint8 RGB, resized to at most 320 x 240 pixels, with boxes.

    A box is x, y, w, h in the image's pixels and an RGB color. Boxes that are not finite or have no area are left out.
    """
    x0, y0, x1, y1 = window
    zoom = min(SIZE_WH[0] / (x1 - x0), SIZE_WH[1] / (y1 - y0))
    offset = np.array([x0, y0, 0, 0])
    labeled = [LabeledBox(np.asarray(box, float) - offset, color) for box, color in boxes]
    return draw_boxes(np.ascontiguousarray(image[y0:y1, x0:x1]), labeled, zoom=zoom)


def _rgb(color: str) -> Color:
    """#RRGGBB as numbers."""
    return int(color[1:3], 16), int(color[3:5], 16), int(color[5:7], 16)


def _data_uri(image: np.ndarray) -> str:
    done, data = cv2.imencode(".jpg", cv2.cvtColor(image, cv2.COLOR_RGB2BGR), [cv2.IMWRITE_JPEG_QUALITY, JPEG_QUALITY])
    if not done:
        raise RuntimeError("this OpenCV cannot encode JPEG")
    return "data:image/jpeg;base64," + base64.b64encode(data.tobytes()).decode("ascii")
