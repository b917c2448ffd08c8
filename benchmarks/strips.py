"""Several trackers on the same videos in one image: one strip of frames per video, one color per tracker.

    sheet = draw_strips(videos, {"Car4": {"CSRT": boxes_xywh, …}}, {"CSRT": (75, 166, 232), …})

The ground truth is white.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import numpy as np

from mstgt.data.video import Video
from mstgt.visualize.draw import outline, resized
from mstgt.visualize.text import Color, put_tag, tag_width
from mstgt.visualize.video_writer import fit

GROUND_TRUTH, GROUND_TRUTH_COLOR = "ground truth", (255, 255, 255)
FRAMES = 6  # per strip
TILE_WIDTH, GAP, TEXT_HEIGHT = 320, 8, 22  # px
_BLACK = (0, 0, 0)
_PAPER = 40  # gray value between the tiles


def draw_strips(videos: Iterable[Video], boxes: Mapping[str, Mapping[str, np.ndarray]],
                colors: Mapping[str, Color], frames: int = FRAMES) -> np.ndarray:
    """(H, W, 3) uint8 RGB: a legend, and below it a strip of ``frames`` evenly spaced frames for each video.

    boxes   video -> tracker -> (N, 4) x, y, w, h; a tracker without boxes of a video is left out there
    colors  tracker -> RGB, in the order in which boxes are drawn
    """
    strips = [_strip(video, boxes.get(video.name, {}), colors, frames) for video in videos]
    legend = _legend({GROUND_TRUTH: GROUND_TRUTH_COLOR, **colors}, strips[0].shape[1])
    return np.pad(np.concatenate([legend, *strips]), ((0, 0), (GAP, 0), (0, 0)), constant_values=_PAPER)


def _strip(video: Video, boxes: Mapping[str, np.ndarray], colors: Mapping[str, Color], frames: int) -> np.ndarray:
    tiles: list[np.ndarray] = []
    for index in np.linspace(0, len(video) - 1, frames).round().astype(int).tolist():
        tile = _tile(video, index, {label: boxes[label][index] for label in colors if label in boxes}, colors)
        tiles.append(fit(tile, tiles[0].shape[1::-1]) if tiles else tile)
    padded = [np.pad(tile, ((0, GAP), (0, GAP), (0, 0)), constant_values=_PAPER) for tile in tiles]
    return np.concatenate(padded, axis=1)


def _tile(video: Video, index: int, boxes: Mapping[str, np.ndarray], colors: Mapping[str, Color]) -> np.ndarray:
    image = video.frames.read(index)
    zoom = TILE_WIDTH / image.shape[1]
    tile = resized(image, zoom)
    if video.visible[index]:
        outline(tile, video.boxes_xywh[index] * zoom, GROUND_TRUTH_COLOR, 2)
    for label, box in boxes.items():
        outline(tile, np.asarray(box) * zoom, colors[label], 2)
    put_tag(tile, f"{video.name}, frame {index}", (4, 4), TEXT_HEIGHT, GROUND_TRUTH_COLOR, _BLACK, opacity=0.55)
    return tile


def _legend(colors: Mapping[str, Color], width: int) -> np.ndarray:
    """Tags in the trackers' colors, in as many rows as they need."""
    corners = {}
    x, y = 0, GAP
    for label in colors:
        length = tag_width(label, TEXT_HEIGHT)
        if x and x + length > width:
            x = 0
            y += TEXT_HEIGHT + GAP
        corners[label] = (x, y)
        x += length + GAP
    legend = np.full((y + TEXT_HEIGHT + GAP, width, 3), _PAPER, np.uint8)
    for label, corner in corners.items():
        put_tag(legend, label, corner, TEXT_HEIGHT, _BLACK, colors[label])
    return legend
