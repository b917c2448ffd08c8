"""Degradation of images: light, color, blur, low resolution, sensor noise, JPEG, gray and thermal cameras.

    degradation = draw_degradation(rng, frames)
    image = degradation.apply(image, frame, seed_key)
"""

from __future__ import annotations

import functools
from dataclasses import dataclass

import cv2
import numpy as np

from .cutout import Rng

NOISE_SIDE = 640  # px of the tile that sensor noise is cut from
NOISE_UNIT = 24.0  # levels of noise that the tile holds


@functools.cache
def noise_tile() -> np.ndarray:
    """Return noise around 128, (NOISE_SIDE, NOISE_SIDE, 3) uint8, the same in every process."""
    rng = np.random.default_rng(20)
    luma = rng.standard_normal((NOISE_SIDE, NOISE_SIDE, 1))
    chroma = cv2.GaussianBlur(rng.standard_normal((NOISE_SIDE, NOISE_SIDE, 3)), (0, 0), 1.0) * 2
    return np.clip(128 + NOISE_UNIT * (0.85 * luma + 0.5 * chroma), 0, 255).astype(np.uint8)


@functools.cache
def slopes() -> tuple[np.ndarray, np.ndarray]:
    """Return ramps from -1 to 1 along x and y, (18, 24) float32 each."""
    x, y = np.meshgrid(np.linspace(-1, 1, 24, dtype=np.float32), np.linspace(-1, 1, 18, dtype=np.float32))
    return x, y


@dataclass(frozen=True)
class Degradation:
    """How the frames of a sample are degraded; arrays have one row per frame.

    gain, gamma, temperature   tone curve: factor, exponent, log ratio of red to blue
    slope                      (N, 2) gradient of the light along x and y
    defocus                    σ in px
    coarse                     factor by which the image is shrunk and enlarged again
    quality                    JPEG quality, 100: no compression
    noise                      σ in levels
    mode                       color, gray or thermal
    inverted, contrast         of the tone curve: negative; factor of the contrast around mid-gray
    """

    gain: np.ndarray
    gamma: np.ndarray
    temperature: np.ndarray
    slope: np.ndarray
    defocus: np.ndarray
    coarse: np.ndarray
    quality: np.ndarray
    noise: float
    mode: str
    inverted: bool = False
    contrast: float = 1.0

    def table(self, frame: int) -> np.ndarray:
        """Return the tone curve of a frame, (1, 256, 3) uint8."""
        tone = (np.arange(256) / 255) ** self.gamma[frame]
        tone = ((tone - 0.5) * self.contrast + 0.5) * self.gain[frame] * 255
        if self.inverted:
            tone = 255 - tone
        warm = np.exp(np.array([1, 0, -1]) * (self.temperature[frame] if self.mode == "color" else 0.0))
        return np.clip(tone[:, None] * warm + 0.5, 0, 255).astype(np.uint8)[None]

    def apply(self, image: np.ndarray, frame: int, seed_key: tuple[int, ...], compress: bool = True) -> np.ndarray:
        """Return the degraded image, (H, W, 3) uint8. The noise is a function of the key and the frame."""
        height, width = image.shape[:2]
        if self.mode != "color":
            gray = cv2.cvtColor(image, cv2.COLOR_RGB2GRAY)
            if self.mode == "thermal":
                gray = cv2.GaussianBlur(gray, (0, 0), 0.8)
            image = cv2.cvtColor(gray, cv2.COLOR_GRAY2RGB)
        if np.abs(self.slope[frame]).max() > 0.03:
            x, y = slopes()
            field = 128 * (1 + self.slope[frame, 0] * x + self.slope[frame, 1] * y)
            field = cv2.resize(np.clip(field, 0, 255).astype(np.uint8), (width, height))
            image = cv2.multiply(image, cv2.merge([field] * 3), scale=1 / 128)
        if self.coarse[frame] > 1.05:
            small = max(8, int(width / self.coarse[frame])), max(8, int(height / self.coarse[frame]))
            image = cv2.resize(cv2.resize(image, small, interpolation=cv2.INTER_AREA), (width, height))
        if self.defocus[frame] > 0.3:
            image = cv2.GaussianBlur(image, (0, 0), float(self.defocus[frame]))
        image = cv2.LUT(image, self.table(frame))
        if self.noise > 0.5:
            image = self._noisy(image, frame, seed_key)
        if compress and self.quality[frame] < 95:
            code = cv2.imencode(".jpg", image, [cv2.IMWRITE_JPEG_QUALITY, int(self.quality[frame])])[1]
            image = np.asarray(cv2.imdecode(code, cv2.IMREAD_COLOR))
        return image

    def _noisy(self, image: np.ndarray, frame: int, seed_key: tuple[int, ...]) -> np.ndarray:
        height, width = image.shape[:2]
        tile = noise_tile()
        rng = np.random.default_rng([*seed_key, 1, frame])
        if height > NOISE_SIDE or width > NOISE_SIDE:
            tile = np.tile(tile, (-(-height // NOISE_SIDE) + 1, -(-width // NOISE_SIDE) + 1, 1))
        y, x = rng.integers(0, (tile.shape[0] - height + 1, tile.shape[1] - width + 1))
        cut = tile[y:y + height, x:x + width]
        if self.mode != "color":  # a sensor without colors has the same noise in all channels
            cut = cv2.merge([np.ascontiguousarray(cut[:, :, 0])] * 3)
        share = self.noise / NOISE_UNIT
        return cv2.addWeighted(image, 1.0, cut, share, -128 * share)


def draw_degradation(rng: Rng, frames: int, size: float) -> Degradation:
    """Draw the degradation of a sample: most are daylight in color, some are dark, gray, thermal, blurred, compressed.

    size  √(w·h) of the target in px: small targets are blurred less, so that they stay recognizable"""
    change = float(rng.choice([0.0, 0.4, 1.0], p=[0.3, 0.5, 0.2]))  # how much the frames differ
    mode = str(rng.choice(["color", "gray", "thermal"], p=[0.87, 0.08, 0.05]))
    gain = np.exp(rng.normal(0, 0.1) + change * rng.normal(0, 0.25, frames))
    gamma = np.exp(rng.normal(0, 0.12) + change * rng.normal(0, 0.15, frames))
    temperature = rng.normal(0, 0.07) + change * rng.normal(0, 0.07, frames)
    noise = float(rng.choice([0.0, rng.uniform(0.5, 4), rng.uniform(4, 11)], p=[0.45, 0.4, 0.15]))
    if rng.random() < 0.1:  # low light
        gain = gain * rng.uniform(0.25, 0.6)
        noise = float(rng.uniform(3, 11))
    slope = change * rng.normal(0, 0.12, (frames, 2))
    if rng.random() < 0.35:
        slope = slope + rng.normal(0, 0.25, 2)
    defocus = np.zeros(frames)
    if rng.random() < 0.25:
        defocus = np.maximum(0, rng.normal(0, 1.0, frames)) * rng.uniform(0.5, 1.8)
    coarse = np.ones(frames)
    if rng.random() < 0.3:
        coarse = coarse + rng.uniform(0, 1.2) * rng.uniform(0.4, 1.0, frames)
    quality = np.full(frames, 100)
    if rng.random() < 0.45:
        quality = np.clip(rng.integers(22, 95) + rng.integers(-8, 9, frames), 15, 100)
    low_contrast = mode == "thermal" or rng.random() < 0.1
    return Degradation(
        gain=np.clip(gain, 0.15, 1.8), gamma=np.clip(gamma, 0.5, 2.0), temperature=temperature,
        slope=np.clip(slope, -0.7, 0.7), defocus=np.minimum(defocus, 0.05 * size),
        coarse=np.minimum(coarse, max(1.0, size / 14)), quality=quality, noise=noise, mode=mode,
        inverted=mode == "thermal" and rng.random() < 0.5,
        contrast=float(rng.uniform(0.5, 0.9)) if low_contrast else 1.0)
