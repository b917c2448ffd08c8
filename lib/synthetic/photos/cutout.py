"""A cut-out: the pixels of one object with a transparency, and the outline that its box follows from.

    cutout = from_mask(image, mask, rng)             # exact: polygons, segmentation masks, PNG with alpha
    cutout = from_box(image, box_xyxy, rng)          # soft: a feathered superellipse around the box

If only the box of an object is known, the cut-out includes a margin of its surroundings that fades out. The object
stays complete, and the edge of the paste lies outside it.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np

Rng = np.random.Generator

OUTLINE_POINTS = 48  # of a superellipse
MARGIN = 3  # px of transparent border around exact cut-outs, so that interpolation has an edge to fade into


@dataclass(frozen=True)
class Cutout:
    """Pixels and outline of one object.

    rgb      (h, w, 3) uint8
    alpha    (h, w) uint8, 255 where the object is opaque
    outline  (K, 2) float64, x and y in px; the left edge of the first pixel is 0. Convex: only its extent is used
    """

    rgb: np.ndarray
    alpha: np.ndarray
    outline: np.ndarray

    @property
    def extent_wh(self) -> np.ndarray:
        """(2,) width and height of the outline in px."""
        return np.ptp(self.outline, axis=0)

    @property
    def center(self) -> np.ndarray:
        """(2,) middle of the outline's extent in px."""
        return (self.outline.min(0) + self.outline.max(0)) / 2

    @property
    def size(self) -> float:
        """√(w·h) of the outline's extent in px."""
        return float(np.sqrt(np.prod(self.extent_wh)))


def hull_of(mask: np.ndarray) -> np.ndarray | None:
    """Return points (K, 2) whose convex hull is that of the mask's pixels, corners included; None if it is empty."""
    contours = cv2.findContours(mask.view(np.uint8), cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_SIMPLE)[0]
    if not contours:
        return None
    points = cv2.convexHull(np.concatenate(contours))[:, 0].astype(np.float64)
    corners = [points + offset for offset in ((0, 0), (1, 0), (0, 1), (1, 1))]
    return np.concatenate(corners)


def superellipse(box_xyxy: np.ndarray, power: float) -> np.ndarray:
    """Return (K, 2) points on |x/a|ⁿ + |y/b|ⁿ = 1 inscribed in the box; 2 is an ellipse, large powers are the box."""
    turn = np.linspace(0, 2 * np.pi, OUTLINE_POINTS, endpoint=False)
    circle = np.stack([np.cos(turn), np.sin(turn)], 1)
    points = np.sign(circle) * np.abs(circle) ** (2 / power)
    middle = (box_xyxy[:2] + box_xyxy[2:]) / 2
    half = (box_xyxy[2:] - box_xyxy[:2]) / 2
    return middle + points * half


def from_mask(image: np.ndarray, mask: np.ndarray, rng: Rng) -> Cutout | None:
    """Return the object marked by ``mask`` (h, w) uint8 in 0…255; None if the mask is empty.

    At random the edge is moved inwards by a pixel and softened by up to a pixel, so that edges of pasted objects
    differ."""
    outline = hull_of(mask > 127)
    if outline is None:
        return None
    # crop first: all further work is on the object alone
    left, top = np.maximum(outline.min(0).astype(int) - MARGIN, 0)
    right, bottom = outline.max(0).astype(int) + MARGIN
    rgb, alpha = image[top:bottom, left:right], mask[top:bottom, left:right]
    if rng.random() < 0.5 and min(alpha.shape) > 24:
        alpha = cv2.erode(alpha, np.ones((3, 3), np.uint8))
    if rng.random() < 0.7:
        alpha = cv2.GaussianBlur(alpha, (0, 0), float(rng.uniform(0.4, 1.0)))
    return Cutout(np.ascontiguousarray(rgb), np.ascontiguousarray(alpha), outline - (left, top))


def from_box(image: np.ndarray, box_xyxy: np.ndarray, rng: Rng) -> Cutout:
    """Return the object in a box, with an edge that fades out over some of its surroundings."""
    height, width = image.shape[:2]
    box = np.asarray(box_xyxy, np.float64)
    power = float(rng.choice([2.0, 2.5, 3.5, 6.0, 12.0], p=[0.25, 0.25, 0.25, 0.15, 0.1]))
    inner = float(rng.uniform(0.0, 0.12))
    outer = float(rng.uniform(0.02, 0.3))
    side = box[2:] - box[:2]
    left, top = np.maximum(np.floor(box[:2] - side * outer / 2), 0).astype(int)
    right, bottom = np.minimum(np.ceil(box[2:] + side * outer / 2), (width, height)).astype(int)
    rgb = image[top:bottom, left:right]
    box = box - (left, top, left, top)
    alpha = soft_edge(rgb.shape[:2], box, power, inner, outer)
    return Cutout(np.ascontiguousarray(rgb), alpha, superellipse(box, max(power, 3.5)))


def soft_edge(shape: tuple[int, int], box_xyxy: np.ndarray, power: float, inner: float, outer: float) -> np.ndarray:
    """Return alpha (h, w) uint8: opaque inside the superellipse of the box, transparent outside, a ramp in between.

    inner, outer  where the ramp begins and ends, as shares of the superellipse's half axes inside and outside of it

    The border of the image is faded over two pixels where the superellipse extends beyond it."""
    height, width = shape
    middle = (box_xyxy[:2] + box_xyxy[2:]) / 2
    half = np.maximum((box_xyxy[2:] - box_xyxy[:2]) / 2, 1)
    x = np.abs((np.arange(width) + 0.5 - middle[0]) / half[0]) ** power
    y = np.abs((np.arange(height) + 0.5 - middle[1]) / half[1]) ** power
    distance = (x[None] + y[:, None]) ** (1 / power)
    ramp = np.clip((1 + outer - distance) / (inner + outer), 0, 1)
    ramp = ramp * ramp * (3 - 2 * ramp)
    border_x = np.clip(np.minimum(np.arange(width) + 1, width - np.arange(width)) / 3, 0, 1)
    border_y = np.clip(np.minimum(np.arange(height) + 1, height - np.arange(height)) / 3, 0, 1)
    return (ramp * border_x[None] * border_y[:, None] * 255).astype(np.uint8)


def shrunk(cutout: Cutout, factor: int) -> Cutout:
    """Return the cut-out at 1/``factor`` of its size; each pixel is the mean of ``factor``² pixels."""
    height, width = cutout.alpha.shape
    bottom, right = -height % factor, -width % factor
    size = (width + right) // factor, (height + bottom) // factor
    rgb = cv2.copyMakeBorder(cutout.rgb, 0, bottom, 0, right, cv2.BORDER_REPLICATE)
    alpha = cv2.copyMakeBorder(cutout.alpha, 0, bottom, 0, right, cv2.BORDER_CONSTANT, value=0)
    return Cutout(cv2.resize(rgb, size, interpolation=cv2.INTER_AREA),
                  cv2.resize(alpha, size, interpolation=cv2.INTER_AREA), cutout.outline / factor)


def fitted(cutouts: list[Cutout], size: float) -> list[Cutout]:
    """Return the cut-outs, shrunk if they have at least twice the resolution that ``size`` (√(w·h) in px) needs."""
    factors = [int(c.size / size) for c in cutouts]
    return [shrunk(c, f) if f > 1 else c for c, f in zip(cutouts, factors, strict=True)]
