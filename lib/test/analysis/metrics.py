"""The metrics of one-pass evaluation, in plain NumPy. Boxes are (N, 4) x, y, w, h in pixels.

Success (Wu et al., CVPR 2013): the share of frames whose overlap is above τ, for τ = 0, 0.05 … 1; AUC is its mean.
Precision: the share of frames whose center is at most d pixels off, d = 0 … 50; the metric is the share at 20.
Normalized precision (Müller et al., ECCV 2018): the same with the offset in units of the true box's width and height,
0 … 0.5; the metric is the share at 0.2. The overlap test is strict (``>``), the distance tests are not (``<=``).
"""

from __future__ import annotations

import numpy as np

OVERLAP_THRESHOLDS = np.linspace(0.0, 1.0, 21)
CENTER_THRESHOLDS = np.arange(51.0)  # pixels
NORMALIZED_THRESHOLDS = np.arange(51) / 100
PRECISION_AT = 20  # index into CENTER_THRESHOLDS: 20 pixels
NORMALIZED_AT = 20  # index into NORMALIZED_THRESHOLDS: 0.2


def iou(a_xywh: np.ndarray, b_xywh: np.ndarray) -> np.ndarray:
    """Intersection over union of boxes row by row, (N,) in [0, 1]; 0 where both have no area."""
    a = np.asarray(a_xywh, float)
    b = np.asarray(b_xywh, float)
    top_left = np.maximum(a[:, :2], b[:, :2])
    bottom_right = np.minimum(a[:, :2] + a[:, 2:], b[:, :2] + b[:, 2:])
    shared = np.maximum(bottom_right - top_left, 0).prod(axis=1)
    union = a[:, 2:].prod(axis=1) + b[:, 2:].prod(axis=1) - shared
    return np.clip(np.divide(shared, union, out=np.zeros(len(a)), where=union > 0), 0.0, 1.0)


def center_error(predicted_xywh: np.ndarray, true_xywh: np.ndarray) -> np.ndarray:
    """The distance of the centers in pixels, (N,)."""
    return np.hypot(*(_center(predicted_xywh) - _center(true_xywh)).T)


def normalized_center_error(predicted_xywh: np.ndarray, true_xywh: np.ndarray) -> np.ndarray:
    """The distance of the centers in units of the true box's width and height, (N,); the true box must have area."""
    offset = _center(predicted_xywh) - _center(true_xywh)
    return np.hypot(*(offset / np.asarray(true_xywh, float)[:, 2:]).T)


def _center(boxes_xywh: np.ndarray) -> np.ndarray:
    boxes_xywh = np.asarray(boxes_xywh, float)
    return boxes_xywh[:, :2] + boxes_xywh[:, 2:] / 2


def success_curve(overlaps: np.ndarray) -> np.ndarray:
    """The share of ``overlaps`` above each of the 21 thresholds, (21,)."""
    return (len(overlaps) - _count_up_to(OVERLAP_THRESHOLDS, overlaps)) / len(overlaps)


def precision_curve(errors: np.ndarray) -> np.ndarray:
    """The share of center ``errors`` (pixels) at or below each of the 51 thresholds, (51,)."""
    return _count_up_to(CENTER_THRESHOLDS, errors) / len(errors)


def normalized_precision_curve(errors: np.ndarray) -> np.ndarray:
    """The share of normalized center ``errors`` at or below each of the 51 thresholds, (51,)."""
    return _count_up_to(NORMALIZED_THRESHOLDS, errors) / len(errors)


def _count_up_to(thresholds: np.ndarray, values: np.ndarray) -> np.ndarray:
    return np.searchsorted(np.sort(values), thresholds, side="right")


def cut_to_image(boxes_xywh: np.ndarray, size_wh: tuple[int, int]) -> np.ndarray:
    """Boxes cut to the image of ``size_wh`` pixels as the GOT-10k toolkit does it.

    First the corner x, y is moved into the image, then the width and height are cut to what is left of it. So a box
    that begins left of the image or above it is moved, and keeps its size: the toolkit's numbers depend on it.
    """
    boxes_xywh = np.asarray(boxes_xywh, float)
    limits = np.asarray(size_wh, float)
    top_left = np.clip(boxes_xywh[:, :2], 0, limits)
    sides = np.clip(boxes_xywh[:, 2:], 0, limits - top_left)
    return np.concatenate([top_left, sides], axis=1)
