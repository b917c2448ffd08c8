"""Several trackers on the same videos in one picture: a strip of frames a video, a colour a tracker.

    sheet = draw_strips(videos, {"Car4": {"CSRT": boxes_xywh, …}}, {"CSRT": (75, 166, 232), …})

White: the true box.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import numpy as np

from mstgt.data.video import Video
from mstgt.visualize.draw import outline, resized
from mstgt.visualize.text import Colour, put_tag, tag_width
from mstgt.visualize.video_writer import fit

TRUTH, TRUE_COLOUR = "ground truth", (255, 255, 255)
FRAMES, TILE_WIDTH, GAP, LETTERS = 6, 320, 8, 22  # frames of a strip; px
_BLACK = (0, 0, 0)
_PAPER = 40  # grey


def draw_strips(videos: Iterable[Video], boxes: Mapping[str, Mapping[str, np.ndarray]],
                colours: Mapping[str, Colour], frames: int = FRAMES) -> np.ndarray:
    """(H, W, 3) uint8 RGB: under a legend a strip for each video, ``frames`` of them evenly spread.

    boxes    video -> tracker -> (N, 4) x, y, w, h; a tracker without boxes of a video is left out there
    colours  tracker -> RGB, in the order in which boxes are drawn
    """
    rows = [_strip(video, boxes.get(video.name, {}), colours, frames) for video in videos]
    sheet = np.concatenate([_legend({TRUTH: TRUE_COLOUR, **colours}, rows[0].shape[1]), *rows])
    return np.pad(sheet, ((0, 0), (GAP, 0), (0, 0)), constant_values=_PAPER)


def _strip(video: Video, boxes: Mapping[str, np.ndarray], colours: Mapping[str, Colour], frames: int) -> np.ndarray:
    tiles: list[np.ndarray] = []
    for index in np.linspace(0, len(video) - 1, frames).round().astype(int).tolist():
        tile = _tile(video, index, {label: boxes[label][index] for label in colours if label in boxes}, colours)
        tile = fit(tile, tiles[0].shape[1::-1]) if tiles else tile
        tiles.append(tile)
    return np.concatenate([np.pad(tile, ((0, GAP), (0, GAP), (0, 0)), constant_values=_PAPER) for tile in tiles],
                          axis=1)


def _tile(video: Video, index: int, boxes: Mapping[str, np.ndarray], colours: Mapping[str, Colour]) -> np.ndarray:
    image = video.frames.read(index)
    zoom = TILE_WIDTH / image.shape[1]
    tile = resized(image, zoom)
    drawn = [(video.boxes_xywh[index], TRUE_COLOUR)] if video.visible[index] else []
    for box, colour in drawn + [(boxes[label], colours[label]) for label in boxes]:
        outline(tile, np.asarray(box) * zoom, colour, 2)
    put_tag(tile, f"{video.name}, frame {index}", (4, 4), LETTERS, TRUE_COLOUR, _BLACK, opacity=0.55)
    return tile


def _legend(colours: Mapping[str, Colour], width: int) -> np.ndarray:
    """Tags in the trackers' colours, in as many rows as they need."""
    places, x, y = {}, 0, GAP
    for label in colours:
        wide = tag_width(label, LETTERS)
        if x and x + wide > width:
            x, y = 0, y + LETTERS + GAP
        places[label] = (x, y)
        x += wide + GAP
    legend = np.full((y + LETTERS + GAP, width, 3), _PAPER, np.uint8)
    for label, corner in places.items():
        put_tag(legend, label, corner, LETTERS, _BLACK, colours[label])
    return legend
