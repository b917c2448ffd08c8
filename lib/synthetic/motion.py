"""Motion of objects and of the camera: smooth random curves, paths, and the map from the world to the image.

Lengths are in units of the image's short side, times in frames. All random numbers are drawn in advance.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

Rng = np.random.Generator


def curve(rng: Rng, frames: int, period: float) -> np.ndarray:
    """(frames,) a smooth random curve in [-1, 1] with a period of about ``period`` frames."""
    t = np.arange(frames)
    waves = [np.sin(2 * np.pi * t / (period * rng.uniform(0.7, 2.0)) + rng.uniform(0, 2 * np.pi)) for _ in range(3)]
    return (waves[0] + 0.6 * waves[1] + 0.4 * waves[2]) / 2.0


def smooth(values: np.ndarray, width: float) -> np.ndarray:
    """Gaussian smoothing over time of (N, C) values; the first and last value are repeated beyond the ends."""
    reach = int(3 * width) + 1
    kernel = np.exp(-0.5 * (np.arange(-reach, reach + 1) / width) ** 2)
    padded = np.pad(values, ((reach, reach), (0, 0)), mode="edge")
    return np.stack([np.convolve(padded[:, k], kernel / kernel.sum(), "valid") for k in range(values.shape[1])], 1)


def _headings(rng: Rng, frames: int, turn: float) -> np.ndarray:
    heading = rng.uniform(0, 2 * np.pi) + np.cumsum(rng.normal(0, turn, frames))
    return np.stack([np.cos(heading), np.sin(heading)], 1)


def cruise(rng: Rng, frames: int, speed: float) -> np.ndarray:
    """Constant speed, with a direction that changes slightly in every frame."""
    return np.cumsum(_headings(rng, frames, rng.uniform(0.0, 0.15)) * speed, 0)


def oscillate(rng: Rng, frames: int, speed: float) -> np.ndarray:
    """Oscillation along two axes with different periods."""
    periods = rng.uniform(14, 60, 2)
    reach = speed * periods / (2 * np.pi) * rng.uniform(0.3, 1.4, 2)
    return reach * np.sin(2 * np.pi * np.arange(frames)[:, None] / periods + rng.uniform(0, 2 * np.pi, 2))


def wander(rng: Rng, frames: int, speed: float) -> np.ndarray:
    """Random acceleration with drag."""
    velocity, steps = rng.normal(0, speed, 2), []
    for push in rng.normal(0, speed * 0.45, (frames, 2)):
        velocity = velocity * 0.92 + push
        steps.append(velocity)
    return np.cumsum(steps, 0)


def stop_and_go(rng: Rng, frames: int, speed: float) -> np.ndarray:
    """Cruising with stops."""
    gate = np.clip(curve(rng, frames, rng.uniform(15, 40)) * 3 + 0.6, 0, 1)
    return np.cumsum(_headings(rng, frames, 0.1) * speed * 1.4 * gate[:, None], 0)


def dash(rng: Rng, frames: int, speed: float) -> np.ndarray:
    """Cruising with sudden jumps of one or two frames."""
    steps = _headings(rng, frames, 0.1) * speed * 0.6
    for _ in range(int(rng.integers(1, 2 + frames // 15))):
        at, angle = int(rng.integers(2, max(3, frames))), rng.uniform(0, 2 * np.pi)
        steps[at % frames] += np.array([np.cos(angle), np.sin(angle)]) * rng.uniform(2.5, 6) * speed
    return np.cumsum(steps, 0)


def rest(rng: Rng, frames: int, speed: float) -> np.ndarray:
    """Almost still."""
    return np.stack([curve(rng, frames, 40), curve(rng, frames, 40)], 1) * speed


PATHS: dict[str, Callable[[Rng, int, float], np.ndarray]] = {
    "cruise": cruise, "oscillate": oscillate, "wander": wander, "stop and go": stop_and_go, "dash": dash, "rest": rest,
}


def path_shares(difficulty: float) -> dict[str, float]:
    """The probability of each path; only difficult videos have jumps."""
    shares = {"cruise": 0.3, "oscillate": 0.2, "wander": 0.25, "stop and go": 0.17, "rest": 0.08,
              "dash": 0.3 * max(0.0, difficulty - 0.4)}
    total = sum(shares.values())
    return {name: share / total for name, share in shares.items()}


def fold(path: np.ndarray, low: np.ndarray, high: np.ndarray, smoothing: float) -> np.ndarray:
    """Keep (N, 2) positions between ``low`` and ``high`` by reflection at these limits, then smooth the corners."""
    span = np.maximum(high - low, 1e-3)
    folded = low + span - np.abs((path - low) % (2 * span) - span)
    return smooth(folded, smoothing) if smoothing > 0 else folded


@dataclass(frozen=True)
class Camera:
    """matrices (N, 2, 3) from world to image pixels; zoom (N,), angle (N,) radians, shake (N, 2) pixels."""

    matrices: np.ndarray
    zoom: np.ndarray
    angle: np.ndarray
    shake: np.ndarray

    def to_image(self, world_xy: np.ndarray) -> np.ndarray:
        """(N, 2) image positions of (2,) or (N, 2) world positions."""
        world = np.broadcast_to(world_xy, (len(self.zoom), 2))
        return np.einsum("nij,nj->ni", self.matrices[:, :, :2], world) + self.matrices[:, :, 2]

    def to_world(self, image_xy: np.ndarray, frame: int) -> np.ndarray:
        """The world position seen at ``image_xy`` in ``frame``."""
        matrix = self.matrices[frame]
        return np.linalg.solve(matrix[:, :2], image_xy - matrix[:, 2])


def make_camera(rng: Rng, frames: int, size_wh: tuple[int, int], center_world: np.ndarray, difficulty: float,
                followed: np.ndarray) -> Camera:
    """A camera that pans, zooms, tilts and shakes, and follows the (N, 2) path ``followed`` (px) by a random share."""
    short, middle = min(size_wh), np.array(size_wh) / 2
    speed = rng.choice([0.0, 1.0, 1.0]) * rng.uniform(0.001, 0.004 + 0.022 * difficulty ** 1.5)
    name = rng.choice(["cruise", "oscillate", "wander"])
    pan = smooth(PATHS[name](rng, frames, speed * short), 1.5)
    follow = rng.choice([0.0, rng.uniform(0, 1.3)])
    center = center_world + pan - pan[0] + follow * smooth(followed - followed[0], 2.0)
    depth = rng.uniform(0, 0.04 + 0.16 * difficulty)
    zoom = np.exp(depth * curve(rng, frames, rng.uniform(30, 90)))
    angle = rng.uniform(0, 0.02 + 0.1 * difficulty) * curve(rng, frames, rng.uniform(30, 90))
    amount = rng.choice([0.0, 0.3, 1.0]) * (0.001 + 0.016 * difficulty ** 1.5) * short
    shake = rng.normal(0, amount, (frames, 2)) * 0.6 + smooth(rng.normal(0, amount * 1.5, (frames, 2)), 1.0)
    cos, sin = np.cos(angle) * zoom, np.sin(angle) * zoom
    linear = np.stack([np.stack([cos, -sin], 1), np.stack([sin, cos], 1)], 1)
    offset = middle + shake - np.einsum("nij,nj->ni", linear, center)
    return Camera(np.concatenate([linear, offset[:, :, None]], 2), zoom, angle, shake)
