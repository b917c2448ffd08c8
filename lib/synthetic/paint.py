"""An object that can be drawn at a pose: a body with textures. Drawing gives a patch of color and coverage.

    thing = make_thing(rng, pool, body)
    patch = thing.draw(Pose(...), frame)          # or thing.silhouette(pose, frame): coverage alone

The texture continues beyond the outline, so that blurring a patch leaves no dark rim.
"""

from __future__ import annotations

import functools
from dataclasses import dataclass, field, replace
from typing import NamedTuple

import cv2
import numpy as np

from .shapes import Part
from .textures import POOL_SIZE, TexturePool, recolor_matrix

Rng = np.random.Generator
SPRITE = 128  # px, side of a part's texture
NO_COLOR = np.empty((0, 0, 3), np.uint8)
MARGIN = 1.35  # the sprite covers this much more than the resting outline, for the wobble


class Pose(NamedTuple):
    """The pose of an object in a frame: center and size (px), log2 of the aspect, angle (rad), shear, shift of the
    texture, velocity (px per frame)."""

    x: float
    y: float
    size: float
    aspect: float = 0.0
    angle: float = 0.0
    shear: float = 0.0
    roll: tuple[float, float] = (0.0, 0.0)
    velocity: tuple[float, float] = (0.0, 0.0)

    def matrix(self, norm: float) -> np.ndarray:
        """(2, 3) map from body to image coordinates."""
        cos, sin = np.cos(self.angle), np.sin(self.angle)
        stretch = 2.0 ** (self.aspect / 2)
        shape = np.array([[stretch, self.shear], [0, 1 / stretch]]) * (self.size * norm)
        return np.hstack([np.array([[cos, -sin], [sin, cos]]) @ shape, [[self.x], [self.y]]])


class Patch(NamedTuple):
    """A rectangle of the image plane at pixel (x0, y0), possibly outside the image."""

    x0: int
    y0: int
    alpha: np.ndarray  # (h, w) uint8
    color: np.ndarray = NO_COLOR  # (h, w, 3) uint8 RGB; a silhouette has none


@dataclass(frozen=True)
class Wobble:
    """A slow wave along the outline: (K,) wave numbers, amplitudes, phases and periods in frames."""

    waves: np.ndarray
    amplitudes: np.ndarray
    phases: np.ndarray
    periods: np.ndarray

    def factor(self, angles: np.ndarray, frame: float) -> np.ndarray:
        """(P,) factors on the radius at ``angles``."""
        beat = self.amplitudes * np.sin(2 * np.pi * frame / self.periods + self.phases)
        return 1 + (beat * np.cos(angles[:, None] * self.waves + self.phases)).sum(1)


@dataclass
class Sprite:
    """A part's texture (SPRITE, SPRITE, 3) and the square of part coordinates that it covers."""

    levels: list[np.ndarray]
    center: np.ndarray
    half: float

    def warp(self, matrix: np.ndarray, size_wh: tuple[int, int], roll: tuple[float, float]) -> np.ndarray:
        """The texture under ``matrix`` (part to patch coordinates), filling the whole patch."""
        scale = np.sqrt(abs(np.linalg.det(matrix[:, :2]))) * 2 * self.half / SPRITE
        level = int(np.clip(np.floor(-np.log2(max(scale, 1e-6)) + 0.3), 0, 3))
        while len(self.levels) <= level:
            self.levels.append(cv2.pyrDown(self.levels[-1]))
        image = self.levels[level]
        step = 2 * self.half / image.shape[0]
        inner = np.array([[step, 0, self.center[0] - self.half + roll[0] * self.half],
                          [0, step, self.center[1] - self.half + roll[1] * self.half]])
        whole = matrix[:, :2] @ inner
        whole[:, 2] += matrix[:, 2]
        return cv2.warpAffine(image, whole, size_wh, flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_REFLECT_101)


@dataclass
class Thing:
    """A body and its textures. ``norm`` scales it so that √(w·h) of its undeformed box equals the size of a pose."""

    parts: tuple[Part, ...]
    sprites: list[Sprite]
    norm: float
    wobble: Wobble | None = None
    soft: float = 0.0
    _angles: list[np.ndarray] = field(default_factory=list)

    def __post_init__(self) -> None:
        self._angles = [np.arctan2(p.points[:, 1], p.points[:, 0]) for p in self.parts]

    def _outlines(self, pose: Pose, frame: float) -> list[tuple[np.ndarray, np.ndarray]]:
        body = pose.matrix(self.norm)
        result = []
        for part, angles in zip(self.parts, self._angles, strict=True):
            local = part.matrix(frame)
            matrix = body[:, :2] @ local
            matrix[:, 2] += body[:, 2]
            points = part.points
            if self.wobble is not None:
                points = points * self.wobble.factor(angles, frame)[:, None]
            result.append((points @ matrix[:, :2].T + matrix[:, 2], matrix))
        return result

    def _draw(self, pose: Pose, frame: float, pad: int, clip_wh: tuple[int, int] | None, color: bool) -> Patch | None:
        outlines = self._outlines(pose, frame)
        every = np.concatenate([o[0] for o in outlines])
        x0, y0 = (np.floor(every.min(0)).astype(int) - pad).tolist()
        x1, y1 = (np.ceil(every.max(0)).astype(int) + pad + 1).tolist()
        if clip_wh is not None:
            x0, y0 = max(x0, -pad), max(y0, -pad)
            x1, y1 = min(x1, clip_wh[0] + pad), min(y1, clip_wh[1] + pad)
        if x1 <= x0 or y1 <= y0:
            return None
        size = (x1 - x0, y1 - y0)
        alpha = np.zeros((size[1], size[0]), np.uint8)
        image: np.ndarray | None = None
        for (points, matrix), sprite in zip(outlines, self.sprites, strict=True):
            mask = np.zeros_like(alpha)
            cv2.fillPoly(mask, [np.round((points - (x0, y0)) * 16).astype(np.int32)], 255, cv2.LINE_AA, 4)
            alpha = np.maximum(alpha, mask)
            if not color:
                continue
            texture = sprite.warp(matrix - [[0, 0, x0], [0, 0, y0]], size, pose.roll)
            image = texture if image is None else blend(image, texture, mask)
        return Patch(x0, y0, alpha, NO_COLOR if image is None else image)

    def silhouette(self, pose: Pose, frame: float) -> Patch:
        """Return the whole unblurred coverage, also of parts outside the image."""
        patch = self._draw(pose, frame, 2, None, color=False)
        assert patch is not None  # only what is clipped can be empty
        return patch

    def silhouette_near(self, pose: Pose, frame: float, clip_wh: tuple[int, int]) -> Patch | None:
        """Return the unblurred coverage near an image of size ``clip_wh``; None if there is none."""
        return self._draw(pose, frame, 2, clip_wh, color=False)

    def draw(self, pose: Pose, frame: float, clip_wh: tuple[int, int]) -> Patch | None:
        """Color and coverage within an image of size ``clip_wh``, with soft edges and motion blur; None outside."""
        length = float(np.hypot(*pose.velocity))
        patch = self._draw(pose, frame, 2 + int(length / 2 + 3 * self.soft), clip_wh, color=True)
        if patch is None:
            return None
        alpha: np.ndarray = patch.alpha
        color: np.ndarray = patch.color
        if self.soft:
            alpha = cv2.GaussianBlur(alpha, (0, 0), self.soft)
        if length > 1.3:
            kernel = line_kernel(round(pose.velocity[0] * 2) / 2, round(pose.velocity[1] * 2) / 2)
            alpha = cv2.filter2D(alpha, -1, kernel)
            color = cv2.filter2D(color, -1, kernel)
        return Patch(patch.x0, patch.y0, alpha, color)


def blend(below: np.ndarray, above: np.ndarray, alpha: np.ndarray) -> np.ndarray:
    """``above`` over ``below`` with coverage ``alpha`` (uint8)."""
    weight = alpha * np.float32(1 / 255)
    return cv2.blendLinear(above, below, weight, 1 - weight)


@functools.lru_cache(maxsize=4096)
def line_kernel(dx: float, dy: float) -> np.ndarray:
    """The kernel of linear motion by (dx, dy) pixels during the exposure."""
    reach = int(np.ceil(max(abs(dx), abs(dy)) / 2))
    side = 2 * reach + 1
    kernel = np.zeros((side, side), np.float32)
    for t in np.linspace(-0.5, 0.5, 4 * reach + 5):
        x, y = reach + dx * t, reach + dy * t
        ix, iy = min(int(x), side - 2) if side > 1 else 0, min(int(y), side - 2) if side > 1 else 0
        fx, fy = x - ix, y - iy
        kernel[iy:iy + 2, ix:ix + 2] += np.outer((1 - fy, fy), (1 - fx, fx))[: side - iy, : side - ix]
    return kernel / kernel.sum()


def compose(image: np.ndarray, patch: Patch) -> None:
    """Paint ``patch`` onto ``image`` (H, W, 3) uint8 in place, where it lies inside."""
    height, width = image.shape[:2]
    h, w = patch.alpha.shape
    x0, y0 = max(patch.x0, 0), max(patch.y0, 0)
    x1, y1 = min(patch.x0 + w, width), min(patch.y0 + h, height)
    if x1 <= x0 or y1 <= y0:
        return
    cut = np.s_[y0 - patch.y0:y1 - patch.y0, x0 - patch.x0:x1 - patch.x0]
    image[y0:y1, x0:x1] = blend(image[y0:y1, x0:x1], patch.color[cut], patch.alpha[cut])


def _shade(rng: Rng, points: np.ndarray, center: np.ndarray, half: float, light: float) -> np.ndarray:
    """(SPRITE, SPRITE) float32 factors: darker near the edge, brighter towards the light."""
    mask = np.zeros((SPRITE, SPRITE), np.uint8)
    pixels = (points - center + half) * (SPRITE / (2 * half))
    cv2.fillPoly(mask, [np.round(pixels * 16).astype(np.int32)], 255, cv2.LINE_8, 4)
    depth = cv2.distanceTransform(mask, cv2.DIST_L2, 3)
    deep = np.minimum(depth / (depth.max() * rng.uniform(0.25, 1.0) + 1e-6), 1) ** 0.6
    rim = rng.uniform(0.0, 0.55)
    axis = np.linspace(-1, 1, SPRITE, dtype=np.float32)
    slope = axis[None] * np.cos(light) + axis[:, None] * np.sin(light)
    return cv2.GaussianBlur((1 - rim + rim * deep) * (1 + rng.uniform(0.05, 0.4) * slope), (0, 0), 1.2)


def make_sprite(rng: Rng, pool: TexturePool, part: Part, source: tuple[int, float], light: float) -> Sprite:
    """The texture of ``part``: cut from pool texture ``source`` (number, zoom) and shaded as a solid."""
    low, high = part.points.min(0), part.points.max(0)
    center, half = (low + high) / 2, float((high - low).max() / 2 * MARGIN)
    image = pool.sample(rng, (SPRITE, SPRITE), source[1], source[0])
    shade = _shade(rng, part.points, center, half, light)
    return Sprite([cv2.multiply(image, cv2.merge([shade] * 3), dtype=cv2.CV_8U)], center, half)


def make_thing(rng: Rng, pool: TexturePool, parts: tuple[Part, ...], wobble: Wobble | None = None,
               soft: float = 0.0, number: int | None = None) -> Thing:
    """An object with textures from ``pool``. Parts marked ``skin`` share one texture: ``number``, or a random one."""
    light = rng.uniform(0, 2 * np.pi)
    skin = (int(rng.integers(POOL_SIZE)) if number is None else number, float(rng.uniform(0.6, 2.6)))
    skin_seed = int(rng.integers(1 << 62))
    sprites = []
    for place, part in enumerate(parts):
        shared = part.skin or place == 0
        texture_rng = np.random.default_rng(skin_seed) if shared else rng
        source = skin if shared else (int(rng.integers(POOL_SIZE)), float(rng.uniform(0.6, 2.6)))
        sprites.append(make_sprite(texture_rng, pool, part, source, light))
    thing = Thing(parts, sprites, 1.0, wobble, soft)
    rest = np.concatenate([o[0] for o in thing._outlines(Pose(0, 0, 1), 0)])
    thing.norm = float(1 / np.sqrt(np.prod(rest.max(0) - rest.min(0))))
    return thing


def recolored(thing: Thing, matrix: np.ndarray) -> Thing:
    """``thing`` with its colors transformed by a (3, 4) matrix (``cv2.transform``)."""
    sprites = [Sprite([cv2.transform(s.levels[0], matrix)], s.center, s.half) for s in thing.sprites]
    return replace(thing, sprites=sprites)


def lookalike(rng: Rng, thing: Thing, change: float) -> Thing:
    """An object like ``thing`` whose colors and outline differ by about ``change`` in [0, 1]."""
    sprites = recolored(thing, recolor_matrix(rng, change)).sprites
    wave = 1 + change * 0.25 * np.cos(rng.integers(2, 5) * np.linspace(0, 2 * np.pi, len(thing.parts[0].points)))
    stretch = np.exp(rng.normal(0, 0.3 * change, 2))
    parts = tuple(
        Part(p.points * wave[:, None] * stretch, p.pivot, p.tilt, p.swing, p.spin, p.flap, p.period,
             p.phase + rng.uniform(0, 6), p.skin) for p in thing.parts)
    return Thing(parts, sprites, thing.norm, thing.wobble, thing.soft)
