"""A planned sample: images with one target, rendered and annotated on demand.

    sample = make_sample(seed_key, frames=4, material)      # compose.py
    sample.render(0)                                        # (H, W, 3) uint8 RGB
    sample.annotation                                       # boxes, visible shares, absence
"""

from __future__ import annotations

import functools
from dataclasses import dataclass

import cv2
import numpy as np

from ..annotate import Annotation
from .cutout import Cutout, fitted
from .degrade import Degradation
from .paste import PlacedCutout, Pose, blend, extent, index_matrix, line_kernel, transformed
from .source import Scene

MIN_VISIBLE = 0.3  # share of the target that must be visible for it to count as present


@dataclass(frozen=True)
class PastedObject:
    """An object that is pasted: one cut-out for all frames or one for each, and a pose for each frame."""

    cutouts: list[Cutout]
    poses: list[Pose]

    @classmethod
    def fit(cls, cutouts: list[Cutout], poses: list[Pose]) -> PastedObject:
        """Shrink cut-outs that have far more pixels than are shown."""
        return cls(fitted(cutouts, max(pose.size for pose in poses)), poses)

    def placed(self, frame: int) -> PlacedCutout:
        return PlacedCutout(self.cutouts[frame % len(self.cutouts)], self.poses[frame])


@dataclass(frozen=True)
class PhotoSample:
    """A sample of N frames.

    backgrounds  one (h, w, 3) uint8 image for all frames, or N
    views        N (3, 3) maps from the background's px to the frame's
    target       pasted, or part of the background
    behind       objects that the target may cover, from back to front
    front        objects that may cover the target
    motion_blur  N (dx, dy) px by which the background moves during the exposure
    """

    seed_key: tuple[int, ...]
    size_wh: tuple[int, int]
    object_class: str
    backgrounds: list[np.ndarray]
    views: list[np.ndarray]
    target: PastedObject | Scene
    behind: list[PastedObject]
    front: list[PastedObject]
    degradation: Degradation
    motion_blur: list[tuple[float, float]]
    file_quality: int

    @property
    def frames(self) -> int:
        return len(self.views)

    def jpeg_quality(self, frame: int) -> int:
        """Return the JPEG quality for a file of ``frame``, which includes its degradation."""
        return min(int(self.degradation.quality[frame]), self.file_quality)

    def render(self, frame: int, compress: bool = True) -> np.ndarray:
        """Return frame ``frame``, (H, W, 3) uint8 RGB. ``compress``: with JPEG artifacts where the sample has them."""
        background = self.backgrounds[frame % len(self.backgrounds)]
        image = cv2.warpAffine(background, index_matrix(self.views[frame])[:2], self.size_wh, flags=cv2.INTER_LINEAR,
                               borderMode=cv2.BORDER_REFLECT_101)
        if np.hypot(*self.motion_blur[frame]) > 1.5:
            image = cv2.filter2D(image, -1, line_kernel(*self.motion_blur[frame]))
        target = [self.target] if isinstance(self.target, PastedObject) else []
        for item in (*self.behind, *target, *self.front):
            patch = item.placed(frame).draw(self.size_wh)
            if patch is not None:
                blend(image, patch)
        return self.degradation.apply(image, frame, self.seed_key, compress)

    @functools.cached_property
    def annotation(self) -> Annotation:
        """Boxes inside the image, measured on outlines, and visible shares, measured on silhouettes."""
        boxes = np.zeros((self.frames, 4))
        shares = np.zeros(self.frames)
        cut = np.zeros(self.frames, bool)
        for frame in range(self.frames):
            boxes[frame], shares[frame], cut[frame] = self._annotate(frame)
        return Annotation(boxes, shares, shares < MIN_VISIBLE, cut, ())

    def _annotate(self, frame: int) -> tuple[np.ndarray, float, bool]:
        """Return the box (x, y, w, h), the visible share, and whether the image border cuts the target."""
        whole, mask, roi, area = self._silhouette(frame)
        inside = np.clip(whole, 0, (*self.size_wh, *self.size_wh))
        if mask is None or roi is None or (inside[2:] - inside[:2]).min() < 1:
            return np.zeros(4), 0.0, False
        for item in self.front:
            mask[item.placed(frame).silhouette(roi) > 127] = 0
        share = min(1.0, int((mask > 127).sum()) / max(area, 1.0))
        box = np.concatenate([inside[:2], inside[2:] - inside[:2]])
        return box, share, bool(np.abs(inside - whole).max() > 0.5)

    def _silhouette(self, frame: int) -> tuple[np.ndarray, np.ndarray | None, tuple[int, int, int, int] | None, float]:
        """Return the target's extent (x0, y0, x1, y1), its mask in ``roi`` of the image, ``roi``, its whole area."""
        if isinstance(self.target, PastedObject):
            placed = self.target.placed(frame)
            roi = placed.roi(self.size_wh)
            # aspect, rotation and shear keep the area; perspective changes it little
            area = _opaque(placed.cutout.alpha) * (placed.pose.size / placed.cutout.size) ** 2
            return placed.box_xyxy, None if roi is None else placed.silhouette(roi), roi, area
        which = frame % len(self.target.masks)
        view, mask = self.views[frame], self.target.masks[which]
        area = _opaque(mask) * float(np.hypot(*view[:2, 0])) ** 2
        warped = cv2.warpAffine(mask, index_matrix(view)[:2], self.size_wh)
        return extent(transformed(view, self.target.outlines[which])), warped, (0, 0, *self.size_wh), area


def _opaque(mask: np.ndarray) -> int:
    return cv2.countNonZero((mask > 127).view(np.uint8))
