"""Boxes on images, and sheets of images.

    image = draw_boxes(image_rgb, [tracked_box(box_xywh, score, lost=False)], caption="frame 12")
    sheet = contact_sheet([image, …])

A tracker's box has the color of its target (the first one: orange) and carries its score. It is dashed while the
target is probably lost, and red where it is the only target. Thin, white and dashed: the region that was searched.
Green: the ground truth.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np

from .text import Color, put_tag, tag_width
from .video_writer import MAX_SIDE, fit

TRACKED, LOST, GROUND_TRUTH = (255, 150, 30), (255, 60, 70), (60, 200, 60)  # RGB
# One color per target or tracker; neither the red of a lost target nor the green of the ground truth is among them.
PALETTE: tuple[Color, ...] = (TRACKED, (70, 165, 255), (240, 95, 210), (250, 222, 60), (150, 115, 255), (60, 222, 215),
                              (190, 135, 90), (225, 225, 225))
WHITE, BLACK, PAPER = (255, 255, 255), (0, 0, 0), (255, 255, 255)
MIN_VIDEO_SIDE = 640  # px; smaller images leave no room for lines and letters
_SHIFT = 4  # fractional bits of the coordinates that OpenCV's lines take


@dataclass(frozen=True)
class LabeledBox:
    """A box to draw: (4,) x, y, w, h in pixels, its RGB color, the text of its tag ("": no tag), dashed or solid."""

    box_xywh: np.ndarray
    color: Color
    label: str = ""
    dashed: bool = False


def target_color(target: int) -> Color:
    """The color of the target with this number, counted from 1."""
    return PALETTE[(target - 1) % len(PALETTE)]


def tracked_box(box_xywh: np.ndarray, score: float | None = None, lost: bool = False,
                target: int | None = None) -> LabeledBox:
    """A tracker's box, labeled with its score (None: no label).

    target  number of the target, from 1, where there are several: it chooses the color and is part of the label
    """
    label = "" if score is None else f"lost? {score:.2f}" if lost else f"{score:.2f}"
    if target is None:
        return LabeledBox(box_xywh, LOST if lost else TRACKED, label, lost)
    return LabeledBox(box_xywh, target_color(target), f"{target}: {label}" if label else str(target), lost)


def draw_boxes(image_rgb: np.ndarray, boxes: Sequence[LabeledBox], search_regions: Sequence[np.ndarray] = (),
               caption: str = "", zoom: float = 1.0, legend: Sequence[tuple[str, Color]] = (),
               line: int | None = None) -> np.ndarray:
    """Draw boxes into a copy of an image, (H, W, 3) uint8 RGB, that is enlarged by the factor ``zoom``.

    search_regions  (4,) x, y, w, h each, drawn thin below the boxes
    caption         in the top-left corner
    legend          names and their colors, in the bottom-left corner
    line            width of the boxes' lines in px, which are then drawn on whole pixels and without a dark edge;
                    default: in proportion to the image

    Boxes and regions are in pixels of the image as given. One that is NaN or has no area is left out. Lines and letters
    have the same size relative to the result, whatever the zoom.
    """
    image = resized(image_rgb, zoom)
    height, width = image.shape[:2]
    side = math.sqrt(width * height)
    crisp = line is not None
    line = max(2, round(side / 300)) if line is None else line
    letters = max(16, round(0.6 * side**0.6))
    for region in search_regions:
        if _drawable(region):
            overlay = image.copy()
            clipped = _inside(np.asarray(region) * zoom, image, line)
            outline(overlay, clipped, WHITE, max(1, line // 2), dash=4 * line)
            cv2.addWeighted(overlay, 0.55, image, 0.45, 0, dst=image)
    for item in boxes:
        if _drawable(item.box_xywh):
            box = np.asarray(item.box_xywh, np.float64) * zoom
            own_line = min(line, max(1, round(min(box[2:]) / 8)))  # thin enough to leave a small target visible
            outline(image, box, item.color, own_line, 5 * own_line if item.dashed else None, crisp)
            if item.label:
                _tag_box(image, box, item.label, letters, own_line, item.color)
    if caption:
        put_tag(image, caption, (letters // 2, letters // 2), letters, WHITE, BLACK, opacity=0.55)
    for place, (name, color) in enumerate(reversed(legend)):
        bottom = height - letters // 2 - letters - place * (letters + letters // 4)
        put_tag(image, name, (letters // 2, bottom), letters, ink_on(color), color)
    return image


def video_zoom(size_wh: tuple[int, int]) -> float:
    """The factor by which images of this size are enlarged in a video: a whole one, or what fits a huge image in."""
    side = max(size_wh)
    return min(MAX_SIDE / side, max(1, -(-MIN_VIDEO_SIDE // side)))


def write_png(path: Path, image_rgb: np.ndarray) -> None:
    """Write an image. Raises OSError where the disk is full, which cv2.imwrite does not tell."""
    path.write_bytes(cv2.imencode(".png", cv2.cvtColor(image_rgb, cv2.COLOR_RGB2BGR))[1].tobytes())


def resized(image: np.ndarray, zoom: float) -> np.ndarray:
    """A copy, enlarged by the factor ``zoom``."""
    if zoom == 1:
        return image.copy()
    size = [max(1, round(side * zoom)) for side in image.shape[1::-1]]
    return cv2.resize(image, size, interpolation=cv2.INTER_AREA if zoom < 1 else cv2.INTER_CUBIC)


def outline(image: np.ndarray, box_xywh: np.ndarray, color: Color, line: int, dash: float | None = None,
            crisp: bool = False) -> None:
    """Draw a box into ``image``, ``line`` px wide with a dark edge; ``dash``: px of dashes and gaps.

    crisp  on whole pixels and without the edge, for images of a few dozen pixels
    """
    x, y, w, h = box_xywh
    corners = np.array([[x, y], [x + w, y], [x + w, y + h], [x, y + h]])
    ends = np.stack([corners, np.roll(corners, -1, axis=0)], axis=1)
    if dash is not None:
        ends = np.concatenate([_dashes(start, end, dash) for start, end in ends])
    # OpenCV counts from the center of the first pixel, boxes from its top-left corner: half a pixel less.
    ends = np.clip(ends - 0.5, -1e4, 1e5)
    lines = np.rint(ends * 2**_SHIFT).astype(np.int32)[:, :, None]
    if crisp:
        cv2.polylines(image, list(np.rint(ends + 0.5).astype(np.int32)[:, :, None]), False, color, line, cv2.LINE_8)
        return
    edge = max(1, round(line / 2))
    for ink, width in ((BLACK, line + 2 * edge), (color, line)):
        cv2.polylines(image, list(lines), False, ink, width, cv2.LINE_AA, _SHIFT)


def _dashes(start: np.ndarray, end: np.ndarray, dash: float) -> np.ndarray:
    """(N, 2, 2) dashes from ``start`` to ``end``. Both ends have one, so that the corners of a box are closed."""
    count = 2 * max(1, round(np.linalg.norm(end - start) / dash / 2)) + 1
    marks = start + (end - start) * np.linspace(0, 1, count + 1)[:, None]
    return np.stack([marks[0:-1:2], marks[1::2]], axis=1)


def _tag_box(image: np.ndarray, box_xywh: np.ndarray, text: str, height: int, line: int, color: Color) -> None:
    """Write ``text`` above the box; below it if there is no room above; inside if there is none at all."""
    x, y, w, h = box_xywh
    gap = height // 4 + line
    above, below = round(y) - height - gap, round(y + h) + gap
    if above >= 0:
        top = above
    elif below + height <= image.shape[0]:
        top = below
    else:
        top = round(y) + gap
    left = round(x + (w - tag_width(text, height)) / 2)
    put_tag(image, text, (left, top), height, ink_on(color), color)


def ink_on(color: Color) -> Color:
    """Black or white, whichever is easier to read on ``color`` (luma of ITU-R BT.601)."""
    red, green, blue = color
    return BLACK if 0.299 * red + 0.587 * green + 0.114 * blue > 140 else WHITE


def _drawable(box_xywh: np.ndarray | None) -> bool:
    return box_xywh is not None and bool(np.isfinite(box_xywh).all()) and min(box_xywh[2:]) > 0


def _inside(box_xywh: np.ndarray, image: np.ndarray, margin: int) -> np.ndarray:
    """The part of the box in the image, ``margin`` px from its border."""
    limit = np.array(image.shape[1::-1]) - margin
    first, last = (np.clip(corner, margin, limit) for corner in (box_xywh[:2], box_xywh[:2] + box_xywh[2:]))
    return np.concatenate([first, last - first])


def contact_sheet(tiles: Sequence[np.ndarray], columns: int | None = None, gap: int = 12,
                  background: Color = PAPER) -> np.ndarray:
    """Images in a grid, ``gap`` px apart and from the border. All get the size of the first.

    columns  by default as many as make a sheet nearest to 16:9

    Raises ValueError without images.
    """
    if not tiles:
        raise ValueError("a contact sheet needs an image")
    height, width = tiles[0].shape[:2]
    if columns is None:
        columns = min(range(1, len(tiles) + 1), key=lambda n: _off_shape(n, len(tiles), width, height))
    rows = -(-len(tiles) // columns)
    sheet = np.full((rows * (height + gap) + gap, columns * (width + gap) + gap, 3), background, np.uint8)
    for place, tile in enumerate(tiles):
        row, column = divmod(place, columns)
        y, x = gap + row * (height + gap), gap + column * (width + gap)
        sheet[y : y + height, x : x + width] = fit(tile, (width, height))
    return sheet


def _off_shape(columns: int, count: int, width: int, height: int) -> float:
    """How far a sheet is from 16:9, with half a unit for every empty place."""
    rows = -(-count // columns)
    empty = rows * columns - count
    return abs(math.log(columns * width / (rows * height) * 9 / 16)) + 0.5 * empty
