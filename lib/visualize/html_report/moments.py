"""The worst moments of a tracker: where it first loses the target in its weakest videos, as small pictures.

    worst_moments(report, folders)     # plain values for the page; see ``worst_moments``

The target is lost where the overlap stays below 0.1 for 10 frames that can be judged. Each loss is shown before (the
last frame with an overlap of 0.5), at its first frame and at its tenth, in one cut-out that holds all boxes.
"""

from __future__ import annotations

import base64
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np

from ...data.video import Video
from ...test.analysis.report import BenchmarkReport
from ...test.analysis.score import Score, VideoScore
from ...test.analysis.table import ranked
from ...test.evaluation.results import read_boxes
from ...utils.errors import UserError
from ...utils.progress import progress
from ..plot_style import plot_styles

LOST_BELOW, RUN, GOOD = 0.1, 10, 0.5
MOMENTS = 8  # three pictures each
SIZE_WH = (320, 240)  # of a picture, in pixels, at most
ROOM = 0.5  # around the boxes, as a share of their extent
MIN_SHARE = 0.25  # of the frame, that a cut-out shows at least
QUALITY = 80  # JPEG
FAR = 10_000  # pixels: where boxes that reach farther are cut
TRUTH = "#FFFFFF"

_Window = tuple[int, int, int, int]  # x0, y0, x1, y1 in pixels


@dataclass(frozen=True)
class Loss:
    """A lost target: the frames to show it by, and where it begins."""

    video: VideoScore
    frame: int
    shown: tuple[int, ...]


def find_loss(video: VideoScore) -> Loss | None:
    """The first time the target is lost in a video; None where it never is."""
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
    return Loss(video, int(judged[start]), tuple(dict.fromkeys(
        int(i) for i in (before, judged[start], judged[start + RUN - 1]))))


def worst_losses(score: Score, most: int = MOMENTS) -> list[Loss]:
    """The first losses in the videos with the lowest AUC among those where the target is lost."""
    weakest = sorted(score.video_scores, key=lambda video: video.auc)
    found = []
    for video in weakest:
        loss = find_loss(video)
        found += [loss] if loss else []
        if len(found) == most:
            break
    return found


def worst_moments(report: BenchmarkReport, folders: Mapping[str, Path]) -> dict:
    """The worst moments of the first of the ranking, with the boxes of all trackers that have a folder in ``folders``.

    Returns ``tracker``, the numbers of those ``drawn`` (by their place in ``report.scores``), ``losses`` (video, frame,
    AUC and pictures as JPEG data URIs, or the reason why there is none). Without one readable frame: no losses.
    """
    drawn = [i for i, score in enumerate(report.scores) if score.tracker in folders]
    value = {"tracker": None, "drawn": drawn, "losses": [], "lost_below": LOST_BELOW, "run": RUN}
    if not report.scores:
        return value
    first = ranked(report.scores)[0]
    losses = [_show(report, loss, {report.scores[i].tracker: folders[report.scores[i].tracker] for i in drawn})
              for loss in progress(worst_losses(first), desc="worst moments", unit="video", leave=False)]
    any_picture = any(picture["source"] for loss in losses for picture in loss["pictures"])
    return value | {"tracker": first.tracker, "losses": losses if any_picture else []}


def _show(report: BenchmarkReport, loss: Loss, folders: Mapping[str, Path]) -> dict:
    name = loss.video.name
    sequence, styles = report.videos[name], plot_styles(report.all_scores)
    boxes = [(read_boxes(folder, name), styles[tracker].colour) for tracker, folder in folders.items()
             if any(video.name == name for score in report.scores if score.tracker == tracker
                    for video in score.video_scores)]
    boxes.append((sequence.boxes_xywh, TRUTH))
    window: _Window | None = None
    pictures = []
    for frame in loss.shown:
        picture = {"frame": frame, "overlap": round(float(loss.video.frame_overlap[frame]), 3), "source": None}
        try:
            image = sequence.frames.read(frame)
        except UserError as error:
            pictures.append(picture | {"error": str(error)})
            continue
        window = window or _window(loss, sequence, [values for values, _ in boxes], image.shape[1::-1])
        thumbnail = draw_boxes(image, window, [(values[frame], colour) for values, colour in boxes
                                               if frame < len(values)])
        pictures.append(picture | {"source": _data_uri(thumbnail), "width": thumbnail.shape[1],
                                   "height": thumbnail.shape[0]})
    return {"video": name, "frame": loss.frame, "auc": round(loss.video.auc, 2), "pictures": pictures}


def _window(loss: Loss, sequence: Video, boxes: list[np.ndarray], size_wh: tuple[int, int]) -> _Window:
    """The part of the frame that holds all boxes of the frames shown, in the frame's own proportions."""
    width, height = size_wh
    rows = np.array([values[i] for values in boxes for i in loss.shown if i < len(values)], float)
    rows = rows[np.isfinite(rows).all(axis=1)]
    low = np.clip(rows[:, :2].min(axis=0), 0, size_wh)
    high = np.clip((rows[:, :2] + rows[:, 2:]).max(axis=0), 0, size_wh)
    share = min(1.0, max(MIN_SHARE, *((1 + ROOM) * (high - low) / size_wh)))
    side = np.array([share * width, share * height])
    corner = np.clip((low + high - side) / 2, 0, np.array(size_wh) - side)
    x0, y0 = np.floor(corner).astype(int)
    x1, y1 = np.minimum(np.ceil(corner + side).astype(int), size_wh)
    return int(x0), int(y0), int(x1), int(y1)


def draw_boxes(image: np.ndarray, window: _Window, boxes: list[tuple[np.ndarray, str]]) -> np.ndarray:
    """The ``window`` of (H, W, 3) uint8 RGB, at most 320 x 240 pixels, with boxes drawn.

    A box is x, y, w, h in the image's pixels and a colour as #RRGGBB. Boxes that are not finite are left out. Each has
    an edge that stands out from what is below it.
    """
    x0, y0, x1, y1 = window
    zoom = min(SIZE_WH[0] / (x1 - x0), SIZE_WH[1] / (y1 - y0))
    size = max(1, round(zoom * (x1 - x0))), max(1, round(zoom * (y1 - y0)))
    picture = cv2.resize(np.ascontiguousarray(image[y0:y1, x0:x1]), size,
                         interpolation=cv2.INTER_AREA if zoom < 1 else cv2.INTER_CUBIC)
    for box, colour in boxes:
        if not np.isfinite(box).all():
            continue
        box = np.clip(box, -FAR, FAR)  # OpenCV takes small integers only
        first = tuple(round(zoom * float(v)) for v in (box[0] - x0, box[1] - y0))
        last = tuple(round(zoom * float(v)) for v in (box[0] + box[2] - x0, box[1] + box[3] - y0))
        rgb = tuple(int(colour[i:i + 2], 16) for i in (1, 3, 5))
        edge = (0, 0, 0) if sum(rgb) > 200 else (255, 255, 255)
        cv2.rectangle(picture, first, last, edge, 4, cv2.LINE_AA)
        cv2.rectangle(picture, first, last, rgb, 2, cv2.LINE_AA)
    return picture


def _data_uri(image: np.ndarray) -> str:
    done, data = cv2.imencode(".jpg", cv2.cvtColor(image, cv2.COLOR_RGB2BGR), [cv2.IMWRITE_JPEG_QUALITY, QUALITY])
    if not done:
        raise RuntimeError("this OpenCV cannot encode JPEG")
    return "data:image/jpeg;base64," + base64.b64encode(data.tobytes()).decode("ascii")
