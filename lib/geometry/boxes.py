"""Boxes as plain NumPy: formats, clipping, overlap. The tensor side uses ``torchvision.ops``.

``box_xywh`` is top-left x, y, width, height in pixels; ``box_cxcywh`` is centre x, y, width, height.

A box may lie outside its image, in part or wholly. One whose numbers are beyond ``MAX_PX``, or whose sides are below
``MIN_PX``, is no box of an image: sums and products with it would overflow or vanish.
"""

from __future__ import annotations

import reprlib

import numpy as np

from ..utils.errors import UserError

CLIP_MARGIN = 10.0
MAX_PX, MIN_PX = 1e6, 1e-3


def check_box(box_xywh: object, where: str) -> np.ndarray:
    """A box as (4,) float64. Raises :class:`UserError` unless it is four finite numbers with w > 0 and h > 0."""
    try:
        box = np.asarray(box_xywh, dtype=np.float64).reshape(-1)
    except (TypeError, ValueError) as error:
        raise UserError(f"{where}: a box is four numbers x y w h, not {reprlib.repr(box_xywh)}") from error
    if box.shape != (4,) or not np.isfinite(box).all() or (box[2:] <= 0).any():
        raise UserError(f"{where}: a box is four finite numbers x y w h with w > 0 and h > 0, not "
                        f"{reprlib.repr(box.tolist())}")
    if not usable_boxes(box[None])[0]:
        raise UserError(f"{where}: {box.tolist()} is no box of an image: numbers are at most {MAX_PX:.0f} px, sides "
                        f"at least {MIN_PX} px")
    return box


def usable_boxes(boxes_xywh: np.ndarray) -> np.ndarray:
    """(N, 4) -> (N,) whether a box is finite, has an area, and is within ``MAX_PX`` and ``MIN_PX``."""
    return (np.abs(boxes_xywh) <= MAX_PX).all(axis=-1) & (boxes_xywh[..., 2:] >= MIN_PX).all(axis=-1)


def overlaps_image(box_xywh: np.ndarray, width: int, height: int) -> bool:
    """Whether any part of the box lies in the image."""
    x, y, w, h = box_xywh
    return bool(x < width and y < height and x + w > 0 and y + h > 0)


def clip_box(box_xywh: np.ndarray, width: int, height: int, margin: float = CLIP_MARGIN) -> np.ndarray:
    """The part of the box inside the image, kept at least ``margin`` px wide and high and that far from the border
    that it still overlaps the image by the margin (less where the image itself is smaller)."""
    low, size = box_xywh[:2], box_xywh[2:]
    frame = np.array([width, height], dtype=np.float64)
    margins = np.minimum(margin, frame)
    first = np.clip(low, 0, frame - margins)
    last = np.clip(low + size, margins, frame)
    return np.concatenate([first, np.maximum(margins, last - first)])


def xywh_to_cxcywh(box_xywh: np.ndarray) -> np.ndarray:
    """(..., 4) top-left format -> centre format."""
    return np.concatenate([box_xywh[..., :2] + box_xywh[..., 2:] / 2, box_xywh[..., 2:]], axis=-1)
