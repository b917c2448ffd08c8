"""Pictures to look at: the tracker's box with its score and the region it searched, and sheets of such pictures.

    picture = annotate(image_rgb, box_xywh, score, search_xywh, lost=False, caption="frame 12")
    sheet = contact_sheet([picture, …])

Orange: the tracker's box. Red and dashed: the target is probably lost. Thin, white and dashed: the
part of the picture that was searched. Green: the true box, where it is known.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import cv2
import numpy as np

from .text import Colour, put_tag, tag_width
from .video_writer import fit

TRACKED, LOST, TRUE = (255, 150, 30), (255, 60, 70), (60, 200, 60)  # RGB
WHITE, BLACK, PAPER = (255, 255, 255), (0, 0, 0), (255, 255, 255)
FILM_SIDE = 640  # px; in smaller pictures there is no room for lines and letters
_FRACTION = 4  # bits of a pixel's fraction that OpenCV's lines take


def annotate(image_rgb: np.ndarray, box_xywh: np.ndarray, score: float | None, search_xywh: np.ndarray | None = None,
             lost: bool = False, caption: str = "", zoom: float = 1.0,
             true_xywh: np.ndarray | None = None) -> np.ndarray:
    """A copy of (H, W, 3) uint8 RGB with a box, as much larger as ``zoom`` says; lines and letters fit the new size.

    score    on the box's tag; None: no tag
    caption  in the top-left corner

    A box or region that is NaN or has no area is left out.
    """
    picture = resized(image_rgb, zoom)
    height, width = picture.shape[:2]
    side = math.sqrt(width * height)
    line, letters = max(2, round(side / 300)), max(16, round(0.6 * side**0.6))
    if _drawable(search_xywh):
        ghost = picture.copy()
        outline(ghost, _inside(np.asarray(search_xywh) * zoom, picture, line), WHITE, max(1, line // 2), dash=4 * line)
        cv2.addWeighted(ghost, 0.55, picture, 0.45, 0, dst=picture)
    if _drawable(true_xywh):
        outline(picture, np.asarray(true_xywh) * zoom, TRUE, line)
    if _drawable(box_xywh):
        colour, box = LOST if lost else TRACKED, np.asarray(box_xywh, np.float64) * zoom
        line = min(line, max(1, round(min(box[2:]) / 8)))  # a small target stays in sight
        outline(picture, box, colour, line, dash=5 * line if lost else None)
        if score is not None:
            _tag_box(picture, box, f"lost? {score:.2f}" if lost else f"{score:.2f}", letters, line, colour)
    if caption:
        put_tag(picture, caption, (letters // 2, letters // 2), letters, WHITE, BLACK, opacity=0.55)
    return picture


def film_zoom(size_wh: tuple[int, int]) -> int:
    """By how much pictures of this size are enlarged for a film."""
    return max(1, -(-FILM_SIDE // max(size_wh)))


def resized(image: np.ndarray, zoom: float) -> np.ndarray:
    """A copy, ``zoom`` times as large."""
    if zoom == 1:
        return image.copy()
    size = [max(1, round(side * zoom)) for side in image.shape[1::-1]]
    return cv2.resize(image, size, interpolation=cv2.INTER_AREA if zoom < 1 else cv2.INTER_CUBIC)


def outline(picture: np.ndarray, box_xywh: np.ndarray, colour: Colour, line: int, dash: float | None = None) -> None:
    """Draw a box into ``picture``, ``line`` px wide on a dark edge; ``dash``: px of a dash and of the gap after it."""
    x, y, w, h = box_xywh
    corners = np.array([[x, y], [x + w, y], [x + w, y + h], [x, y + h]])
    ends = np.stack([corners, np.roll(corners, -1, axis=0)], axis=1)
    if dash is not None:
        ends = np.concatenate([_dashes(start, end, dash) for start, end in ends])
    ends = np.clip(ends - 0.5, -1e4, 1e5)  # a pixel's centre is its whole number
    lines = np.rint(ends * 2**_FRACTION).astype(np.int32)[:, :, None]
    edge = max(1, round(line / 2))
    for ink, width in ((BLACK, line + 2 * edge), (colour, line)):
        cv2.polylines(picture, list(lines), False, ink, width, cv2.LINE_AA, _FRACTION)


def _dashes(start: np.ndarray, end: np.ndarray, dash: float) -> np.ndarray:
    """(N, 2, 2) from ``start`` to ``end``, with a dash at both, so that corners are whole."""
    count = 2 * max(1, round(np.linalg.norm(end - start) / dash / 2)) + 1
    marks = start + (end - start) * np.linspace(0, 1, count + 1)[:, None]
    return np.stack([marks[0:-1:2], marks[1::2]], axis=1)


def _tag_box(picture: np.ndarray, box_xywh: np.ndarray, text: str, height: int, line: int, colour: Colour) -> None:
    """Above the box, below it where there is no room, else inside."""
    x, y, w, h = box_xywh
    gap = height // 4 + line
    above, below = round(y) - height - gap, round(y + h) + gap
    top = above if above >= 0 else below if below + height <= picture.shape[0] else round(y) + gap
    left = round(x + (w - tag_width(text, height)) / 2)
    put_tag(picture, text, (left, top), height, BLACK if colour == TRACKED else WHITE, colour)


def _drawable(box_xywh: np.ndarray | None) -> bool:
    return box_xywh is not None and bool(np.isfinite(box_xywh).all()) and min(box_xywh[2:]) > 0


def _inside(box_xywh: np.ndarray, picture: np.ndarray, margin: int) -> np.ndarray:
    """The part of the box in the picture, ``margin`` px from its border."""
    most = np.array(picture.shape[1::-1]) - margin
    first, last = (np.clip(corner, margin, most) for corner in (box_xywh[:2], box_xywh[:2] + box_xywh[2:]))
    return np.concatenate([first, last - first])


def contact_sheet(tiles: Sequence[np.ndarray], columns: int | None = None, gap: int = 12) -> np.ndarray:
    """Pictures side by side on white, ``gap`` px apart. All get the size of the first.

    columns  by default as many as make a sheet nearest to 16:9

    Raises ValueError without pictures.
    """
    if not tiles:
        raise ValueError("a contact sheet needs a picture")
    height, width = tiles[0].shape[:2]
    if columns is None:
        columns = min(range(1, len(tiles) + 1), key=lambda n: _off_shape(n, len(tiles), width, height))
    rows = -(-len(tiles) // columns)
    sheet = np.full((rows * (height + gap) + gap, columns * (width + gap) + gap, 3), PAPER, np.uint8)
    for place, tile in enumerate(tiles):
        y, x = (gap + at * (side + gap) for at, side in zip(divmod(place, columns), (height, width), strict=True))
        sheet[y : y + height, x : x + width] = fit(tile, (width, height))
    return sheet


def _off_shape(columns: int, count: int, width: int, height: int) -> tuple[float, int]:
    """How far a sheet is from 16:9, and how many places it leaves empty."""
    rows = -(-count // columns)
    empty = rows * columns - count
    return abs(math.log(columns * width / (rows * height) * 9 / 16)) + 0.5 * empty, empty
