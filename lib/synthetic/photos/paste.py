"""Paste a cut-out at a pose: geometry, resampling, motion blur, blending.

    placed = PlacedCutout(cutout, pose)
    placed.box_xyxy                       # extent of the transformed outline
    patch = placed.draw((width, height))  # what to blend where
    blend(image, patch)
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np

from .cutout import Cutout, shrunk

MAX_BLUR = 25  # px of motion blur


@dataclass(frozen=True)
class Pose:
    """Where and how a cut-out is pasted.

    x, y      px, where the center of its outline goes
    size      px, √(w·h) of its outline before rotation
    aspect    log of the factor on the ratio of width to height
    angle     rad
    shear     along x
    flip      mirror it
    tilt      (2,) perspective: relative change of scale across the object along its x and y
    velocity  (2,) px by which it moves during the exposure
    gain      (3,) factors of red, green and blue
    shift     (3,) levels that are added to them
    """

    x: float
    y: float
    size: float
    aspect: float = 0.0
    angle: float = 0.0
    shear: float = 0.0
    flip: bool = False
    tilt: tuple[float, float] = (0.0, 0.0)
    velocity: tuple[float, float] = (0.0, 0.0)
    gain: tuple[float, float, float] = (1.0, 1.0, 1.0)
    shift: tuple[float, float, float] = (0.0, 0.0, 0.0)


@dataclass(frozen=True)
class Patch:
    """Premultiplied pixels (h, w, 3) uint8 and alpha (h, w) uint8 whose top left corner is at x0, y0."""

    rgb: np.ndarray
    alpha: np.ndarray
    x0: int
    y0: int


def pose_matrix(cutout: Cutout, pose: Pose) -> np.ndarray:
    """Return the (3, 3) map from the cut-out's px to the image's; 0 is the left edge of the first pixel in both."""
    scale = pose.size / cutout.size
    sx = scale * np.exp(pose.aspect / 2) * (-1 if pose.flip else 1)
    sy = scale * np.exp(-pose.aspect / 2)
    c, s = np.cos(pose.angle), np.sin(pose.angle)
    rotation = np.array([[c, -s], [s, c]])
    shear = np.array([[1, pose.shear], [0, 1]])
    matrix = np.eye(3)
    matrix[:2, :2] = rotation @ shear @ np.diag([sx, sy])
    if any(pose.tilt):
        # perspective about the center: the homogeneous coordinate is 1 + tilt · (position as a share of the extent)
        perspective = np.eye(3)
        perspective[2, :2] = np.array(pose.tilt) / cutout.extent_wh
        matrix = matrix @ perspective
    return _translation(pose.x, pose.y) @ matrix @ _translation(*-cutout.center)


def _translation(x: float, y: float) -> np.ndarray:
    return np.array([[1, 0, x], [0, 1, y], [0, 0, 1.0]])


def transformed(matrix: np.ndarray, points: np.ndarray) -> np.ndarray:
    """Return points (K, 2) after a homography."""
    result = points @ matrix[:, :2].T + matrix[:, 2]
    return result[:, :2] / result[:, 2:]


def extent(points: np.ndarray) -> np.ndarray:
    """Return x0, y0, x1, y1 of points, (4,)."""
    return np.concatenate([points.min(0), points.max(0)])


def index_matrix(matrix: np.ndarray) -> np.ndarray:
    """Return the same map for OpenCV, for which 0 is the center of the first pixel."""
    return _translation(-0.5, -0.5) @ matrix @ _translation(0.5, 0.5)


class PlacedCutout:
    """A cut-out at a pose."""

    def __init__(self, cutout: Cutout, pose: Pose):
        factor = int(cutout.size / pose.size)
        if factor > 1:  # bilinear interpolation alone would skip pixels
            cutout = shrunk(cutout, factor)
        self.cutout, self.pose = cutout, pose
        self.matrix = pose_matrix(cutout, pose)
        self.box_xyxy = extent(transformed(self.matrix, cutout.outline))

    def roi(self, size_wh: tuple[int, int], reach: float = 0.0) -> tuple[int, int, int, int] | None:
        """Return x0, y0, x1, y1 of the pixels that it may cover, ``reach`` px around it included; None if outside."""
        height, width = self.cutout.alpha.shape
        corners = transformed(self.matrix, np.array([[0, 0], [width, 0], [width, height], [0, height]], float))
        x0, y0, x1, y1 = extent(corners)
        x0, y0 = max(0, int(np.floor(x0 - reach)) - 1), max(0, int(np.floor(y0 - reach)) - 1)
        x1, y1 = min(size_wh[0], int(np.ceil(x1 + reach)) + 1), min(size_wh[1], int(np.ceil(y1 + reach)) + 1)
        return (x0, y0, x1, y1) if x1 > x0 and y1 > y0 else None

    def warp(self, pixels: np.ndarray, roi: tuple[int, int, int, int]) -> np.ndarray:
        """Return pixels of the cut-out as they appear in the part ``roi`` of the image."""
        x0, y0, x1, y1 = roi
        matrix = index_matrix(self.matrix)
        matrix[:2] -= np.outer((x0, y0), matrix[2])
        size = x1 - x0, y1 - y0
        if any(self.pose.tilt):
            return cv2.warpPerspective(pixels, matrix, size, flags=cv2.INTER_LINEAR)
        return cv2.warpAffine(pixels, matrix[:2], size, flags=cv2.INTER_LINEAR)

    def silhouette(self, roi: tuple[int, int, int, int]) -> np.ndarray:
        """Return alpha in ``roi`` without motion blur."""
        return self.warp(self.cutout.alpha, roi)

    def draw(self, size_wh: tuple[int, int]) -> Patch | None:
        """Return the pixels to blend; None if it is outside the image."""
        speed = float(np.hypot(*self.pose.velocity))
        roi = self.roi(size_wh, min(speed, MAX_BLUR) / 2)
        if roi is None:
            return None
        rgb = self.cutout.rgb
        if self.pose.gain != (1.0, 1.0, 1.0) or self.pose.shift != (0.0, 0.0, 0.0):
            table = np.arange(256)[:, None] * np.array(self.pose.gain) + np.array(self.pose.shift)
            rgb = cv2.LUT(rgb, np.clip(table, 0, 255).astype(np.uint8)[None])
        # premultiplied: colors of transparent pixels do not bleed into the edge
        alpha = self.cutout.alpha
        premultiplied = cv2.multiply(rgb, cv2.merge([alpha] * 3), scale=1 / 255)
        pixels = self.warp(cv2.merge([premultiplied, alpha]), roi)
        if speed > 1.5:
            pixels = cv2.filter2D(pixels, -1, line_kernel(*self.pose.velocity), borderType=cv2.BORDER_CONSTANT)
        return Patch(pixels[:, :, :3], pixels[:, :, 3], roi[0], roi[1])


def line_kernel(dx: float, dy: float) -> np.ndarray:
    """Return the (K, K) float32 kernel of a straight motion by dx, dy px, at most ``MAX_BLUR`` long."""
    length = np.hypot(dx, dy)
    if length > MAX_BLUR:
        dx, dy = dx * MAX_BLUR / length, dy * MAX_BLUR / length
    reach = int(np.ceil(max(abs(dx), abs(dy)) / 2)) + 1
    side = 2 * reach + 1
    kernel = np.zeros((side, side), np.float32)
    # cv2.line takes sixteenths of a pixel
    begin = round((reach - dx / 2) * 16), round((reach - dy / 2) * 16)
    end = round((reach + dx / 2) * 16), round((reach + dy / 2) * 16)
    cv2.line(kernel, begin, end, 1.0, 1, cv2.LINE_AA, 4)
    kernel = np.maximum(kernel, 0)
    return kernel / max(kernel.sum(), 1e-6)


def blend(image: np.ndarray, patch: Patch) -> None:
    """Blend the patch over the image, in place."""
    height, width = patch.alpha.shape
    part = image[patch.y0:patch.y0 + height, patch.x0:patch.x0 + width]
    rest = cv2.multiply(part, cv2.merge([cv2.bitwise_not(patch.alpha)] * 3), scale=1 / 255)
    part[:] = cv2.add(rest, patch.rgb)
