"""The one crop of training and tracking: a square around a box, resized to the network's input.

The square's side is ceil(sqrt(w * h) * factor), its top-left round(centre - side / 2); what lies outside the image is
black; resizing is bilinear. A box centre c maps to (S - 1) / 2 + (c - centre) * S / side in the S x S crop, and back by
the inverse.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import cv2
import numpy as np

REDUCTIONS = (1, 2, 4, 8)  # what a JPEG decoder can do on its way
FAR = 8192  # px: no room is made for the black around the image in crops with longer sides


@dataclass(frozen=True)
class Crop:
    """A square region of an image. center: (2,) x, y in px; side, size: px before and after resizing."""

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
        """Crop pixels per image pixel."""
        return self.size / self.side

    @property
    def reduce(self) -> int:
        """By how much the image may be reduced before the cut, in {1, 2, 4, 8}, and still be no coarser than it."""
        return max(r for r in REDUCTIONS if r == 1 or self.side >= r * self.size)

    @property
    def rows(self) -> int:
        """How many of the image's first rows the cut looks at, whatever the reduction; at least 1."""
        return max(1, self._corner[1] + self.side + self.reduce)

    @property
    def _corner(self) -> tuple[int, int]:
        x, y = (round(float(c) - self.side / 2) for c in self.center)
        return x, y

    def cut(self, image: np.ndarray, reduce: int = 1, out: np.ndarray | None = None) -> np.ndarray:
        """(H, W, 3) uint8 -> (size, size, 3) uint8, in ``out`` where that is given.

        ``image`` may be reduced: one pixel of it stands for ``reduce`` x ``reduce`` of the image (those of the last
        row and column for fewer, where the image's sides are no multiples). The crop is the same region. Rows beyond
        :attr:`rows` may be missing.
        """
        out = np.empty((self.size, self.size, image.shape[2]), image.dtype) if out is None else out
        if self.side > FAR:
            return self._cut_far(image, reduce, out)
        if reduce > 1:
            return self._cut_reduced(image, reduce, out)
        height, width = image.shape[:2]
        x0, y0 = self._corner
        left, top = min(max(x0, 0), width), min(max(y0, 0), height)
        right, bottom = min(max(x0 + self.side, 0), width), min(max(y0 + self.side, 0), height)
        if right <= left or bottom <= top:
            out[:] = 0
            return out
        region = image[top:bottom, left:right]
        if region.shape[:2] != (self.side, self.side):
            region = cv2.copyMakeBorder(region, top - y0, y0 + self.side - bottom, left - x0, x0 + self.side - right,
                                        cv2.BORDER_CONSTANT, value=(0, 0, 0))
        return cv2.resize(region, (self.size, self.size), out, interpolation=cv2.INTER_LINEAR)

    def _cut_reduced(self, image: np.ndarray, reduce: int, out: np.ndarray) -> np.ndarray:
        step = self.side / (self.size * reduce)  # pixels of the reduced image per pixel of the crop
        x, y = (c / reduce + step / 2 - 0.5 for c in self._corner)
        matrix = np.array([[step, 0, x], [0, step, y]])
        return cv2.warpAffine(image, matrix, (self.size, self.size), out, cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP,
                              cv2.BORDER_CONSTANT, (0, 0, 0))

    def _cut_far(self, image: np.ndarray, reduce: int, out: np.ndarray) -> np.ndarray:
        """Pixel by pixel, so that the size of the region costs nothing."""
        height, width = image.shape[:2]
        places = (np.arange(self.size) + 0.5) * self.side / self.size
        x, y = (np.clip((corner + places) / reduce - 0.5, -2, extent + 1).astype(np.float32)
                for corner, extent in zip(self._corner, (width, height), strict=True))
        return cv2.remap(image, *np.meshgrid(x, y), cv2.INTER_LINEAR, out, cv2.BORDER_CONSTANT, (0, 0, 0))

    def to_crop(self, box_xywh: np.ndarray) -> np.ndarray:
        """A box of the image -> cx, cy, w, h as a share of the crop (the network's target)."""
        center = box_xywh[:2] + box_xywh[2:] / 2
        inside = (self.size - 1) / 2 + (center - self.center) * self.scale
        return np.concatenate([inside, box_xywh[2:] * self.scale]) / self.size

    def from_crop(self, box_cxcywh: np.ndarray) -> np.ndarray:
        """cx, cy, w, h as a share of the crop (the network's answer) -> x, y, w, h in the image."""
        box = np.asarray(box_cxcywh, np.float64) * self.size
        center = self.center + (box[:2] - (self.size - 1) / 2) / self.scale
        size = box[2:] / self.scale
        return np.concatenate([center - size / 2, size])
