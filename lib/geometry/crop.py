"""The crop of training and tracking: a square around a box, resized to the network's input.

The side of the square is ceil(sqrt(w * h) * factor), its top-left corner round(center - side / 2). Pixels outside the
image are black; resizing is bilinear. A box center c maps to (S - 1) / 2 + (c - center) * S / side in the S x S crop,
and back by the inverse.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np

REDUCTIONS = (1, 2, 4, 8)  # by which a JPEG decoder can shrink an image while it decodes it
MASK_COLOR = (255.0, 0.0, 255.0)  # RGB, of masked templates: magenta, which few images contain
FAR = 8192  # px: crops with longer sides are sampled directly, without memory for the black border


@dataclass(frozen=True)
class Crop:
    """A square region of an image.

    center  (2,) x, y of the region's center in px
    side    of the region in px
    size    of the crop in px, after resizing
    """

    center: np.ndarray
    side: int
    size: int

    @classmethod
    def around(cls, box_xywh: np.ndarray, factor: float, size: int) -> Crop:
        """Return the crop centered on the box whose side is ``factor`` times the box's mean side sqrt(w * h)."""
        x, y, w, h = (float(value) for value in box_xywh)
        # Rounded up to whole pixels, as in the OSTrack family: published weights were trained with these sides.
        side = max(1, math.ceil(math.sqrt(w * h) * factor))
        return cls(np.array([x + w / 2, y + h / 2]), side, size)

    @property
    def scale(self) -> float:
        """Return crop pixels per image pixel."""
        return self.size / self.side

    @property
    def reduce(self) -> int:
        """Return the largest reduction in {1, 2, 4, 8} at which the image is still no coarser than the crop."""
        # A crop that shrinks the image eightfold does not need the pixels that an eightfold reduction drops. Decoding
        # at a reduced size is what makes large images cheap to train on.
        return max(r for r in REDUCTIONS if r == 1 or self.side >= r * self.size)

    @property
    def rows(self) -> int:
        """Return how many of the image's first rows the cut needs, at any reduction; at least 1."""
        # One reduced row more than the region, because bilinear interpolation reads the next row.
        return max(1, self._corner[1] + self.side + self.reduce)

    @property
    def _corner(self) -> tuple[int, int]:
        """Return the top-left pixel of the region."""
        # Whole pixels: the region is then a slice of the image, and only resizing interpolates.
        x, y = (round(float(c) - self.side / 2) for c in self.center)
        return x, y

    def cut(self, image: np.ndarray, reduce: int = 1, out: np.ndarray | None = None) -> np.ndarray:
        """Cut the region out of ``image`` (H, W, 3) uint8; returns (size, size, 3) uint8, in ``out`` if it is given.

        reduce  one pixel of ``image`` stands for ``reduce`` x ``reduce`` pixels of the original image (in the last row
                and column for fewer, if the sides are no multiples). The crop shows the same region.

        Rows beyond :attr:`rows` may be missing.
        """
        if out is None:
            out = np.empty((self.size, self.size, image.shape[2]), image.dtype)
        if self.side > FAR:
            return self._cut_far(image, reduce, out)
        if reduce > 1:
            return self._cut_reduced(image, reduce, out)
        height, width = image.shape[:2]
        x0, y0 = self._corner
        # The part of the region that lies inside the image. OSTrack's cut drops the image's last row and column here
        # when the region reaches past them; this one keeps them.
        left = min(max(x0, 0), width)
        top = min(max(y0, 0), height)
        right = min(max(x0 + self.side, 0), width)
        bottom = min(max(y0 + self.side, 0), height)
        if right <= left or bottom <= top:  # wholly outside
            out[:] = 0
            return out
        region = image[top:bottom, left:right]
        # Padding copies the region; a region wholly inside the image stays a view.
        if region.shape[:2] != (self.side, self.side):
            region = cv2.copyMakeBorder(region, top - y0, y0 + self.side - bottom, left - x0, x0 + self.side - right,
                                        cv2.BORDER_CONSTANT, value=(0, 0, 0))
        return cv2.resize(region, (self.size, self.size), out, interpolation=cv2.INTER_LINEAR)

    def _cut_reduced(self, image: np.ndarray, reduce: int, out: np.ndarray) -> np.ndarray:
        """Sample the region from a reduced image, in which its corner need not be a whole pixel."""
        step = self.side / (self.size * reduce)  # pixels of the reduced image per pixel of the crop
        # The crop's first pixel center: half a crop pixel into the region, in coordinates whose whole numbers are the
        # centers of the reduced pixels. The same half pixels as in cv2.resize, so both ways give the same crop.
        x, y = (c / reduce + step / 2 - 0.5 for c in self._corner)
        matrix = np.array([[step, 0, x], [0, step, y]])
        return cv2.warpAffine(image, matrix, (self.size, self.size), out, cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP,
                              cv2.BORDER_CONSTANT, (0, 0, 0))

    def _cut_far(self, image: np.ndarray, reduce: int, out: np.ndarray) -> np.ndarray:
        """Sample a very large region pixel by pixel, so that its size needs no memory."""
        height, width = image.shape[:2]
        # Where the crop's pixel centers lie in the region. Coordinates are clipped just outside the image, where
        # remap gives black: its float32 and int16 arithmetic cannot hold larger ones.
        places = (np.arange(self.size) + 0.5) * self.side / self.size
        x, y = (np.clip((corner + places) / reduce - 0.5, -2, extent + 1).astype(np.float32)
                for corner, extent in zip(self._corner, (width, height), strict=True))
        return cv2.remap(image, *np.meshgrid(x, y), cv2.INTER_LINEAR, out, cv2.BORDER_CONSTANT, (0, 0, 0))

    def to_crop(self, box_xywh: np.ndarray) -> np.ndarray:
        """Map a box (4,) x, y, w, h in image px to cx, cy, w, h (4,) as shares of the crop (the network's target)."""
        center = box_xywh[:2] + box_xywh[2:] / 2
        # The crop's center is the center of its pixel grid, (S - 1) / 2, as published; from_crop is the exact inverse.
        inside = (self.size - 1) / 2 + (center - self.center) * self.scale
        return np.concatenate([inside, box_xywh[2:] * self.scale]) / self.size

    def from_crop(self, box_cxcywh: Sequence[float] | np.ndarray) -> np.ndarray:
        """Map cx, cy, w, h (4,) as shares of the crop (the network's output) to a box (4,) x, y, w, h in image px."""
        # In plain numbers: operations on arrays of two take ten times as long, in every frame.
        cx, cy, w, h = (float(value) * self.size for value in box_cxcywh)
        scale, middle = self.scale, (self.size - 1) / 2
        w, h = w / scale, h / scale
        x, y = self.center.tolist()
        return np.array([x + (cx - middle) / scale - w / 2, y + (cy - middle) / scale - h / 2, w, h])
