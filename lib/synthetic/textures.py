"""Textures with the statistics of natural images, drawn from a pool that each process makes once.

Four families, all (SIDE, SIDE, 3) uint8 RGB: *leaves* (occluding patches with power-law sizes, the "dead leaves"
model), *noise* (octaves with a 1/f amplitude, luminance stronger than color), *pattern* (stripes, checks, bricks,
dots, rings, bent by noise) and *marks* (strokes and characters on noise). Making one takes tens of milliseconds, so
a :class:`TexturePool` keeps a fixed number of them, and :meth:`TexturePool.sample` crops, rotates, mirrors, scales and
recolors them. The same key always gives the same pool.
"""

from __future__ import annotations

import functools
from collections.abc import Callable

import cv2
import numpy as np

SIDE = 512
POOL_SIZE = 40
NOISE_SIDE = 1024

Rng = np.random.Generator


# Hues (of 180) as they occur in images: earth and skin, leaves, sky, and sometimes any other.
_HUES = np.array([8, 12, 15, 18, 22, 26, 38, 48, 60, 98, 104, 110, 116, 0, 80, 135, 160], np.float32)


def palette(rng: Rng, count: int) -> np.ndarray:
    """``count`` colors (count, 3) float32 RGB in 0…255: a few hues, mostly muted, of any brightness."""
    hues = rng.choice(_HUES, rng.integers(1, 4)) + rng.normal(0, 9)
    hue = (rng.choice(hues, count) + rng.normal(0, 8, count)) % 180
    saturation = rng.beta(*((1.6, 1.6) if rng.random() < 0.25 else (1.2, 3.2)), count)
    value = rng.beta(1.3, 1.3, count) * 0.88 + 0.08
    hsv = np.stack([hue, saturation * 255, value * 255], 1).astype(np.uint8)
    return cv2.cvtColor(hsv[None], cv2.COLOR_HSV2RGB)[0].astype(np.float32)


def octave_noise(rng: Rng, size_wh: tuple[int, int], channels: int = 1, slope: float = 1.0,
                 stretch: tuple[float, float] = (1.0, 1.0), coarsest: int = 2) -> np.ndarray:
    """Noise (H, W[, channels]) float32 of mean 0 and deviation 1; octave k has amplitude 2^(-slope·k).

    Natural images have about the same contrast in every octave: a slope near 0, more where they are smooth.
    """
    width, height = size_wh
    total = np.zeros((height, width, channels), np.float32)
    cells = coarsest
    while cells < max(size_wh) // 2:
        shape = (max(2, int(cells / stretch[1])), max(2, int(cells / stretch[0])), channels)
        grid = rng.standard_normal(shape, np.float32)
        layer = cv2.resize(grid, size_wh, interpolation=cv2.INTER_CUBIC if cells < 64 else cv2.INTER_LINEAR)
        total += layer.reshape(total.shape) * (cells / coarsest) ** -slope
        cells *= 2
    total -= total.mean((0, 1))
    total /= total.std((0, 1)) + 1e-6
    return total[..., 0] if channels == 1 else total


def _colored_noise(rng: Rng) -> np.ndarray:
    stretch = (1.0, 1.0) if rng.random() < 0.6 else (float(rng.uniform(2, 8)), 1.0)
    slope = float(rng.uniform(0.0, 0.8))
    luminance = octave_noise(rng, (SIDE, SIDE), 1, slope, stretch, coarsest=4)[..., None]
    chroma = octave_noise(rng, (SIDE, SIDE), 3, slope + 0.4, stretch, coarsest=2)
    low, high = palette(rng, 2)
    mix = 1 / (1 + np.exp(-luminance * rng.uniform(0.8, 2.5)))
    return low + (high - low) * mix + chroma * rng.uniform(4, 22) + luminance * rng.uniform(5, 25)


def _leaf(rng: Rng, radius: float, kind: int) -> np.ndarray:
    center = rng.uniform(-radius * 0.5, SIDE + radius * 0.5, 2)
    corners = (12, 4, 3, 7)[kind]
    angle = rng.uniform(0, 2 * np.pi) + np.linspace(0, 2 * np.pi, corners, endpoint=False)
    reach = radius * (1.0 if kind == 0 else rng.uniform(0.6, 1.3, corners))
    points = np.stack([np.cos(angle) * reach, np.sin(angle) * reach * rng.uniform(0.4, 1)], 1)
    turn = rng.uniform(0, np.pi)
    cos, sin = np.cos(turn), np.sin(turn)
    return center + points @ np.array([[cos, sin], [-sin, cos]])


def _dead_leaves(rng: Rng) -> np.ndarray:
    colors = palette(rng, 24)
    smallest, largest = rng.uniform(3, 12), rng.uniform(50, 160)
    count = int(rng.integers(500, 1300))
    share = rng.random(count)
    radii = (smallest ** -2 + share * (largest ** -2 - smallest ** -2)) ** -0.5  # density r^-3
    radii[: count // 12] = rng.uniform(largest * 0.4, largest, count // 12)  # the ground is covered first
    flat = np.full((SIDE, SIDE, 3), colors[0], np.uint8)
    field = np.zeros((SIDE, SIDE), np.uint8)
    kinds = rng.integers(0, 4, count) if rng.random() < 0.6 else np.full(count, rng.integers(0, 4))
    for radius, kind in zip(radii, kinds, strict=True):
        points = np.round(_leaf(rng, radius, kind) * 16).astype(np.int32)
        color = np.clip(colors[rng.integers(24)] + rng.normal(0, 8), 0, 255)
        cv2.fillPoly(flat, [points], color.tolist(), cv2.LINE_AA, 4)
        cv2.fillPoly(field, [points], int(rng.integers(4)), cv2.LINE_8, 4)
    details = [octave_noise(rng, (SIDE, SIDE), 1, s, st, coarsest=8) for s, st in
               ((0.4, (1, 1)), (0.0, (1, 1)), (0.3, (5, 1)), (0.9, (1, 1)))]
    detail = np.choose(field, [d * a for d, a in zip(details, rng.uniform(0.0, 0.22, 4), strict=True)])
    return flat.astype(np.float32) * (1 + detail[..., None])


def _pattern(rng: Rng) -> np.ndarray:
    bend = octave_noise(rng, (SIDE, SIDE), 2, 1.3) * rng.choice([0, 2, 8, 20])
    yy, xx = np.mgrid[:SIDE, :SIDE].astype(np.float32)
    turn = rng.uniform(0, np.pi)
    u = (xx + bend[..., 0]) * np.cos(turn) + (yy + bend[..., 1]) * np.sin(turn)
    v = (yy + bend[..., 1]) * np.cos(turn) - (xx + bend[..., 0]) * np.sin(turn)
    u, v = u / rng.uniform(10, 44), v / rng.uniform(10, 44)
    kind = rng.integers(5)
    if kind == 0:
        cell = np.floor(u) % 3
    elif kind == 1:
        cell = (np.floor(u) + np.floor(v)) % 2
    elif kind == 2:
        row = np.floor(v)
        cell = np.where(((u / 2 + row * 0.5) % 1 < 0.08) | (v % 1 < 0.15), 0, 1 + (np.floor(u / 2 + row * 0.5) % 3))
    elif kind == 3:
        cell = ((u % 1 - 0.5) ** 2 + (v % 1 - 0.5) ** 2 < rng.uniform(0.04, 0.18)).astype(np.float32)
    else:
        cell = np.floor(np.hypot(u % 6 - 3, v % 6 - 3) * 1.5) % 3
    colors = palette(rng, 4)
    shade = octave_noise(rng, (SIDE, SIDE), 1, rng.uniform(0.0, 0.8), coarsest=4) * rng.uniform(0.05, 0.22)
    image = cv2.GaussianBlur(colors[cell.astype(np.int64)], (0, 0), float(rng.uniform(0.5, 1.3)))
    return image * (1 + shade[..., None])


def _marks(rng: Rng) -> np.ndarray:
    image = np.clip(_colored_noise(rng), 0, 255).astype(np.uint8)
    for color in palette(rng, int(rng.integers(15, 60))):
        x, y = rng.integers(-20, SIDE, 2).tolist()
        width = int(rng.integers(1, 8))
        if rng.random() < 0.4:
            text = "".join(chr(c) for c in rng.integers(48, 91, rng.integers(1, 5)))
            cv2.putText(image, text, (x, y), int(rng.integers(0, 5)), float(rng.uniform(0.8, 3.5)), color.tolist(),
                        width, cv2.LINE_AA)
        else:
            steps = rng.normal(0, rng.uniform(8, 50), (rng.integers(2, 7), 2)).cumsum(0) + (x, y)
            cv2.polylines(image, [steps.astype(np.int32)], False, color.tolist(), width * 2, cv2.LINE_AA)
    return image.astype(np.float32)


TEXTURES: dict[str, Callable[[Rng], np.ndarray]] = {
    "leaves": _dead_leaves, "noise": _colored_noise, "pattern": _pattern, "marks": _marks,
}
_SHARES = {"leaves": 0.42, "noise": 0.22, "pattern": 0.22, "marks": 0.14}


def recolor_matrix(rng: Rng, strength: float = 1.0) -> np.ndarray:
    """A random (3, 4) color map for ``cv2.transform``: hue rotation, saturation, contrast, brightness; 0: identity."""
    turn = (rng.uniform(-np.pi, np.pi) if rng.random() < 0.3 else rng.normal(0, 0.35)) * strength
    gray = np.full((3, 3), 1 / 3)
    axis = np.array([[0, -1, 1], [1, 0, -1], [-1, 1, 0]]) / np.sqrt(3)
    rotation = gray + np.cos(turn) * (np.eye(3) - gray) + np.sin(turn) * axis
    saturation = np.exp(rng.normal(-0.3, 0.4) * strength)
    contrast = np.exp(rng.normal(0.0, 0.25) * strength)
    color = (gray + saturation * (rotation - gray)) * contrast
    offset = 118 * (1 - contrast) + rng.normal(0, 22) * strength
    return np.hstack([color, np.full((3, 1), offset)])


class TexturePool:
    """``POOL_SIZE`` textures, each made on first use from ``(*key, its number)``."""

    def __init__(self, key: tuple[int, ...]):
        self.key = key
        self._made: dict[int, np.ndarray] = {}

    def base(self, number: int) -> np.ndarray:
        """Texture ``number`` (SIDE, SIDE, 3) uint8."""
        if number not in self._made:
            rng = np.random.default_rng([*self.key, number])
            kind = rng.choice(list(_SHARES), p=list(_SHARES.values()))
            self._made[number] = np.clip(TEXTURES[kind](rng), 0, 255).astype(np.uint8)
        return self._made[number]

    def sample(self, rng: Rng, size_wh: tuple[int, int], zoom: float, number: int | None = None) -> np.ndarray:
        """A random crop, rotated, mirrored and recolored, (H, W, 3) uint8; ``zoom`` is in texture pixels per pixel."""
        number = int(rng.integers(POOL_SIZE)) if number is None else number
        base = self.base(number)
        for _ in range(int(max(0.0, np.floor(np.log2(max(zoom, 1.0)) + 0.4)))):
            base, zoom = cv2.pyrDown(base), zoom / 2
        turn = rng.uniform(0, 2 * np.pi) if rng.random() < 0.5 else rng.integers(4) * np.pi / 2
        cos, sin = np.cos(turn) * zoom, np.sin(turn) * zoom
        x, y = rng.uniform(0.25, 0.75, 2) * base.shape[0]
        flip = rng.choice([-1.0, 1.0])
        width, height = size_wh
        matrix = np.array([[cos * flip, -sin, 0], [sin * flip, cos, 0]])
        matrix[:, 2] = np.array([x, y]) - matrix[:, :2] @ (width / 2, height / 2)
        cut = cv2.warpAffine(base, matrix, size_wh, flags=cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP,
                             borderMode=cv2.BORDER_REFLECT_101)
        return cv2.transform(cut, recolor_matrix(rng))

    @functools.cached_property
    def sensor_noise(self) -> np.ndarray:
        """(NOISE_SIDE, NOISE_SIDE, 3) float32 of deviation 1: white noise, partly common to all channels."""
        rng = np.random.default_rng([*self.key, POOL_SIZE])
        noise = rng.standard_normal((NOISE_SIDE, NOISE_SIDE, 3), np.float32)
        noise += rng.standard_normal((NOISE_SIDE, NOISE_SIDE, 1), np.float32)
        blurred = cv2.GaussianBlur(noise, (3, 3), 0.6)
        return blurred / blurred.std()


@functools.lru_cache(maxsize=6)
def texture_pool(key: tuple[int, ...]) -> TexturePool:
    """The pool of ``key``; each process makes it once."""
    return TexturePool(key)
