"""Effects of light, lens and sensor: gain, gamma, color temperature, a gradient of light, defocus, noise, gray.

A :class:`Look` holds the parameters of a whole video; :meth:`Look.apply` applies those of one frame.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np

from .motion import curve
from .textures import NOISE_SIDE

Rng = np.random.Generator


@dataclass(frozen=True)
class Look:
    """(N,) curves: gain, gamma, temperature (log ratio), the gradient of light (slope and direction), defocus
    (px)."""

    seed_key: tuple[int, ...]
    gain: np.ndarray
    gamma: np.ndarray
    temperature: np.ndarray
    slope: np.ndarray
    slope_turn: np.ndarray
    defocus: np.ndarray
    noise: float
    coarse: float
    gray: bool
    shutter: float
    jpeg_quality: int

    def table(self, frame: int) -> np.ndarray:
        """(1, 256, 3) uint8 tone curve of ``frame``."""
        tone = (np.arange(256) / 255) ** self.gamma[frame] * self.gain[frame] * 255
        warm = np.exp(np.array([1, 0, -1]) * self.temperature[frame])
        return np.clip(tone[:, None] * warm + 0.5, 0, 255).astype(np.uint8)[None]

    def _light(self, image: np.ndarray, frame: int) -> np.ndarray:
        height, width = image.shape[:2]
        x, y = np.linspace(-1, 1, 24)[None], np.linspace(-1, 1, 18)[:, None]
        turn = self.slope_turn[frame]
        field = 1 + self.slope[frame] * np.tanh(1.6 * (x * np.cos(turn) + y * np.sin(turn) + np.sin(turn * 3)))
        field = cv2.resize(np.clip(field * 128, 0, 255).astype(np.uint8), (width, height))
        return cv2.multiply(image, cv2.merge([field] * 3), scale=1 / 128)

    def _noise(self, image: np.ndarray, frame: int, tile: np.ndarray) -> np.ndarray:
        height, width = image.shape[:2]
        rng = np.random.default_rng([*self.seed_key, 1, frame])
        rows, columns = -(-height // NOISE_SIDE) + 1, -(-width // NOISE_SIDE) + 1
        if rows > 2 or columns > 2:
            tile = np.tile(tile, (rows, columns, 1))
        y, x = rng.integers(0, (tile.shape[0] - height + 1, tile.shape[1] - width + 1))
        cut = tile[y:y + height, x:x + width]
        flip = int(rng.integers(-1, 3))
        cut = cut if flip == 2 else cv2.flip(cut, flip)
        return cv2.scaleAdd(cut, self.noise, image.astype(np.float32))

    def apply(self, image: np.ndarray, frame: int, noise_tile: np.ndarray) -> np.ndarray:
        """The image with all effects, (H, W, 3) uint8."""
        if abs(self.slope[frame]) > 0.02:
            image = self._light(image, frame)
        if self.coarse > 1:
            height, width = image.shape[:2]
            small = (max(8, int(width / self.coarse)), max(8, int(height / self.coarse)))
            image = cv2.resize(cv2.resize(image, small, interpolation=cv2.INTER_AREA), (width, height))
        if self.defocus[frame] > 0.3:
            image = cv2.GaussianBlur(image, (0, 0), float(self.defocus[frame]))
        image = cv2.LUT(image, self.table(frame))
        if self.gray:
            image = cv2.cvtColor(cv2.cvtColor(image, cv2.COLOR_RGB2GRAY), cv2.COLOR_GRAY2RGB)
        if self.noise > 0.3:
            noisy = self._noise(image, frame, noise_tile)
            image = cv2.convertScaleAbs(np.maximum(noisy, 0))
        return image


def make_look(rng: Rng, frames: int, difficulty: float, unit: float, seed_key: tuple[int, ...]) -> Look:
    """Draw a look; ``unit`` is the image's short side over 240 px."""
    change = rng.choice([0.25, 1.0]) * (0.05 + 0.45 * difficulty)
    gain = np.exp(rng.normal(0, 0.08) + change * curve(rng, frames, rng.uniform(20, 80)) * 0.8)
    if rng.random() < 0.25 * difficulty:  # a lamp goes on or off
        gain[int(rng.integers(frames // 4, frames)):] *= np.exp(rng.choice([-1, 1]) * rng.uniform(0.2, 0.6))
    blurred = rng.random() < 0.05 + 0.2 * difficulty
    defocus = np.maximum(0, curve(rng, frames, 25) + 0.2) * rng.uniform(0.5, 2.2) * unit * blurred
    return Look(
        seed_key=seed_key, gain=np.clip(gain, 0.3, 1.9),
        gamma=np.exp(rng.normal(0, 0.1) + change * 0.5 * curve(rng, frames, 50)),
        temperature=rng.normal(0, 0.05) + change * 0.3 * curve(rng, frames, 60),
        slope=rng.choice([0.0, 1.0]) * (0.1 + 0.4 * difficulty) * curve(rng, frames, 70),
        slope_turn=rng.uniform(0, 6.28) + curve(rng, frames, 120) * 1.5,
        defocus=defocus, noise=float(rng.choice([0.0, 1.0, 1.0]) * rng.uniform(0.5, 3 + 7 * difficulty)),
        coarse=float(rng.uniform(1.2, 1.6 + difficulty)) if rng.random() < 0.12 else 1.0,
        gray=bool(rng.random() < 0.07), shutter=float(rng.uniform(0.0, 0.35 + 0.6 * difficulty)),
        jpeg_quality=int(rng.integers(60, 96)))
