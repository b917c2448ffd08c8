"""The one crop of training and tracking: a square around a box, resized to the network's input.

The square's side is ceil(sqrt(w * h) * factor), its top-left round(centre - side / 2); what lies outside the picture is
black; resizing is bilinear. A box centre c maps to (S - 1) / 2 + (c - centre) * S / side in the S x S crop, and back by
the inverse.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import cv2
import numpy as np


@dataclass(frozen=True)
class Crop:
    """A square region of a picture. center: (2,) x, y in px; side, size: px before and after resizing."""

    center: np.ndarray
    side: int
    size: int

    @classmethod
    def around(cls, box_xywh: np.ndarray, factor: float, size: int) -> Crop:
        """The crop of ``factor`` times the box's mean side, centred on it."""
        side = max(1, math.ceil(math.sqrt(float(box_xywh[2]) * float(box_xywh[3])) * factor))
        return cls(np.asarray(box_xywh[:2], np.float64) + np.asarray(box_xywh[2:], np.float64) / 2, side, size)

    @property
    def scale(self) -> float:
        """Crop pixels per picture pixel."""
        return self.size / self.side

    def cut(self, image: np.ndarray) -> np.ndarray:
        """(H, W, 3) uint8 -> (size, size, 3) uint8."""
        height, width = image.shape[:2]
        x0, y0 = (round(float(c) - self.side / 2) for c in self.center)
        left, top = min(max(x0, 0), width), min(max(y0, 0), height)
        right, bottom = min(max(x0 + self.side, 0), width), min(max(y0 + self.side, 0), height)
        if right <= left or bottom <= top:
            return np.zeros((self.size, self.size, image.shape[2]), image.dtype)
        region = image[top:bottom, left:right]
        if region.shape[:2] != (self.side, self.side):
            region = cv2.copyMakeBorder(region, top - y0, y0 + self.side - bottom, left - x0, x0 + self.side - right,
                                        cv2.BORDER_CONSTANT, value=(0, 0, 0))
        return cv2.resize(region, (self.size, self.size), interpolation=cv2.INTER_LINEAR)

    def to_crop(self, box_xywh: np.ndarray) -> np.ndarray:
        """A box of the picture -> cx, cy, w, h as a share of the crop (the network's target)."""
        center = box_xywh[:2] + box_xywh[2:] / 2
        inside = (self.size - 1) / 2 + (center - self.center) * self.scale
        return np.concatenate([inside, box_xywh[2:] * self.scale]) / self.size

    def from_crop(self, box_cxcywh: np.ndarray) -> np.ndarray:
        """cx, cy, w, h as a share of the crop (the network's answer) -> x, y, w, h in the picture."""
        box = np.asarray(box_cxcywh, np.float64) * self.size
        center = self.center + (box[:2] - (self.size - 1) / 2) / self.scale
        size = box[2:] / self.scale
        return np.concatenate([center - size / 2, size])
