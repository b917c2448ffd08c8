"""Boxes as NumPy arrays: formats, clipping, overlap. Tensors use ``torchvision.ops``.

``box_xywh`` is top-left x, y, width, height in pixels; ``box_cxcywh`` is center x, y, width, height.
Coordinates are those of the annotation; :mod:`.crop` says how they map to pixels.

A box may lie outside its image, partly or wholly. Boxes with numbers beyond ``MAX_PX`` or sides below ``MIN_PX`` are
not usable: sums and products with them would overflow or vanish.
"""

from __future__ import annotations

import reprlib

import numpy as np

from ..utils.errors import UserError

CLIP_MARGIN = 10.0  # px, as in the OSTrack family
MAX_PX = 1e6
MIN_PX = 1e-3


def check_box(box_xywh: object, where: str) -> np.ndarray:
    """Return a copy of a box as (4,) float64.

    where  how the message begins: what the box was given for

    Raises :class:`UserError` unless it is four finite numbers with w > 0 and h > 0, in pixels.
    """
    try:
        # A copy: callers convert their boxes in place, and that must not move the target.
        box = np.asarray(box_xywh, dtype=np.float64).reshape(-1).copy()
    except (TypeError, ValueError, OverflowError, RuntimeError) as error:  # the last: a tensor that requires grad
        raise UserError(f"{where}: a box is four numbers x y w h, not {reprlib.repr(box_xywh)}") from error
    if box.shape != (4,) or not np.isfinite(box).all() or (box[2:] <= 0).any():
        raise UserError(f"{where}: a box is four finite numbers x y w h with w > 0 and h > 0, not "
                        f"{reprlib.repr(box.tolist())}")
    if np.abs(box).max() <= 1 and (box % 1).any():
        raise UserError(f"{where}: {box.tolist()} seems to be given in fractions of the image; boxes are in pixels")
    if not usable_boxes(box[None])[0]:
        raise UserError(f"{where}: {box.tolist()} is no box of an image: numbers are at most {MAX_PX:.0f} px, sides "
                        f"at least {MIN_PX} px")
    return box


def usable_boxes(boxes_xywh: np.ndarray) -> np.ndarray:
    """Return (N,) whether boxes (N, 4) are finite, have an area, and are within ``MAX_PX`` and ``MIN_PX``."""
    # Comparisons with NaN are false, so boxes that are not known are not usable.
    return (np.abs(boxes_xywh) <= MAX_PX).all(axis=-1) & (boxes_xywh[..., 2:] >= MIN_PX).all(axis=-1)


def overlaps_image(box_xywh: np.ndarray, width: int, height: int) -> bool:
    """Return whether any part of the box lies in the image."""
    x, y, w, h = box_xywh
    return bool(x < width and y < height and x + w > 0 and y + h > 0)


def clip_box(box_xywh: np.ndarray, width: int, height: int, margin: float = CLIP_MARGIN) -> np.ndarray:
    """Return the part of the box inside the image, at least ``margin`` px wide and high.

    A box outside the image becomes one of that size at the border, so that the next search region still overlaps the
    image. In images smaller than the margin, it is the image's side that counts.
    """
    x, y, w, h = box_xywh.tolist()
    x, w = _clip_range(x, w, float(width), margin)
    y, h = _clip_range(y, h, float(height), margin)
    return np.array([x, y, w, h])


def _clip_range(start: float, length: float, limit: float, margin: float) -> tuple[float, float]:
    """:func:`clip_box` along one axis."""
    margin = min(margin, limit)
    # Both ends are clipped, each to where the other one still has room for the margin; then the length is widened to
    # it. Clipping start and length one after the other would move boxes that are partly outside.
    first = min(max(start, 0.0), limit - margin)
    last = min(max(start + length, margin), limit)
    return first, max(margin, last - first)


def xywh_to_cxcywh(box_xywh: np.ndarray) -> np.ndarray:
    """Convert boxes (..., 4) from top-left to center format."""
    return np.concatenate([box_xywh[..., :2] + box_xywh[..., 2:] / 2, box_xywh[..., 2:]], axis=-1)
