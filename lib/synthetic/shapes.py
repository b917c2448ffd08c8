"""Outlines, and bodies of one to six parts that swing, spin or flap.

An outline is (P, 2) float64 points in a part's own coordinates. A body is a tuple of parts, back to front, in body
coordinates of about [-1, 1]. ``BODIES`` draws bodies, ``OCCLUDERS`` draws objects that stand in front of others.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np

Rng = np.random.Generator
POINTS = 56
_THETA = np.linspace(0, 2 * np.pi, POINTS, endpoint=False)
_CIRCLE = np.stack([np.cos(_THETA), np.sin(_THETA)], 1)


@dataclass(frozen=True)
class Part:
    """One piece of a body: its outline, and its motion around its pivot.

    swing is in rad, spin in rad per frame, period in frames; flap in [0, 1) narrows the part along its own
    y axis. ``skin`` parts share the first part's texture.
    """

    points: np.ndarray
    pivot: tuple[float, float] = (0.0, 0.0)
    tilt: float = 0.0
    swing: float = 0.0
    spin: float = 0.0
    flap: float = 0.0
    period: float = 20.0
    phase: float = 0.0
    skin: bool = False

    def matrix(self, frame: float) -> np.ndarray:
        """(2, 3) map from part to body coordinates at ``frame``."""
        wave = np.sin(2 * np.pi * frame / self.period + self.phase)
        angle = self.tilt + self.swing * wave + self.spin * frame
        cos, sin = np.cos(angle), np.sin(angle)
        narrow = 1 - self.flap * (0.5 + 0.5 * wave)
        return np.array([[cos, -sin * narrow, self.pivot[0]], [sin, cos * narrow, self.pivot[1]]])


def ellipse(rng: Rng) -> np.ndarray:
    return _CIRCLE * (1, rng.uniform(0.45, 1))


def superellipse(rng: Rng) -> np.ndarray:
    power = rng.uniform(2.5, 8)
    return np.sign(_CIRCLE) * np.abs(_CIRCLE) ** (2 / power) * (1, rng.uniform(0.4, 1)) * 0.85


def polygon(rng: Rng) -> np.ndarray:
    corners = int(rng.integers(3, 8))
    angles = np.sort(np.linspace(0, 2 * np.pi, corners, endpoint=False) + rng.uniform(-0.3, 0.3, corners))
    points = np.stack([np.cos(angles), np.sin(angles)], 1) * rng.uniform(0.75, 1.1, (corners, 1))
    closed = np.vstack([points, points[:1]])
    at = np.arange(POINTS) / POINTS * corners
    dense = np.stack([np.interp(at, np.arange(corners + 1), closed[:, k]) for k in range(2)], 1)
    for _ in range(int(rng.integers(0, 6))):  # rounds the corners
        dense = (np.roll(dense, 1, 0) + 2 * dense + np.roll(dense, -1, 0)) / 4
    return dense


def star(rng: Rng) -> np.ndarray:
    arms, depth = int(rng.integers(3, 8)), rng.uniform(0.15, 0.45)
    radius = 1 - depth * (0.5 + 0.5 * np.cos(arms * _THETA)) ** rng.uniform(0.5, 2)
    return _CIRCLE * radius[:, None]


def blob(rng: Rng) -> np.ndarray:
    radius = np.ones(POINTS)
    for k in range(2, 8):
        radius += rng.normal(0, 0.35 / k) * np.cos(k * _THETA + rng.uniform(0, 2 * np.pi))
    return _CIRCLE * np.clip(radius, 0.35, 1.6)[:, None]


OUTLINES: dict[str, Callable[[Rng], np.ndarray]] = {
    "ellipse": ellipse, "superellipse": superellipse, "polygon": polygon, "star": star, "blob": blob,
}


def box(width: float, height: float, round_power: float = 6.0) -> np.ndarray:
    """A rounded box of half sides ``width`` and ``height``."""
    return np.sign(_CIRCLE) * np.abs(_CIRCLE) ** (2 / round_power) * (width, height)


def _limb(length: float, width: float) -> np.ndarray:
    """An ellipse that hangs from its pivot along +y."""
    return _CIRCLE * (width, length / 2) + (0, length * 0.42)


def single(rng: Rng) -> tuple[Part, ...]:
    outline = OUTLINES[rng.choice(list(OUTLINES))]
    points = outline(rng) * (1, np.exp(rng.normal(0, 0.25)))
    return (Part(points, tilt=rng.uniform(0, 2 * np.pi)),)


def decorated(rng: Rng) -> tuple[Part, ...]:
    """An outline with one or two patches of other texture on it: a logo, a face, a window."""
    body = single(rng)[0]
    patches = tuple(
        Part(OUTLINES[rng.choice(list(OUTLINES))](rng) * rng.uniform(0.2, 0.5), tuple(rng.uniform(-0.35, 0.35, 2)),
             swing=rng.uniform(0, 0.3), phase=rng.uniform(0, 6)) for _ in range(rng.integers(1, 3)))
    return (body, *patches)


def vehicle(rng: Rng) -> tuple[Part, ...]:
    height, wheel = rng.uniform(0.3, 0.55), rng.uniform(0.18, 0.28)
    spin = rng.choice([-1, 1]) * rng.uniform(0.1, 0.5)
    tire = _CIRCLE * wheel
    gap = rng.uniform(0.5, 0.7)
    cabin = Part(box(rng.uniform(0.35, 0.65), height * 0.8, 4), (rng.uniform(-0.3, 0.3), -height * 0.9), skin=True)
    window = Part(box(rng.uniform(0.2, 0.4), height * 0.35, 5), (cabin.pivot[0], -height * 1.15))
    wheels = tuple(Part(tire, (x, height), spin=spin) for x in (-gap, gap))
    return (cabin, Part(box(1, height, rng.uniform(4, 9)), skin=True), window, *wheels)


def walker(rng: Rng) -> tuple[Part, ...]:
    width, period = rng.uniform(0.22, 0.38), rng.uniform(8, 26)
    phase, stride = rng.uniform(0, 6), rng.uniform(0.2, 0.75)
    legs = [Part(_limb(1.0, width * 0.42), (side * width * 0.45, 0.35), swing=side * stride, period=period,
                 phase=phase) for side in (-1, 1)]
    arms = [Part(_limb(0.8, width * 0.32), (side * width * 0.85, -0.35), tilt=-side * 0.2, swing=-side * stride,
                 period=period, phase=phase, skin=True) for side in (-1, 1)]
    torso = Part(box(width, 0.55, 4), skin=True)
    head = Part(_CIRCLE * (0.2, 0.25), (0, -0.78), swing=0.15, period=period * 2, phase=phase)
    return (legs[0], arms[0], legs[1], torso, head, arms[1])


def bird(rng: Rng) -> tuple[Part, ...]:
    period, flap = rng.uniform(5, 18), rng.uniform(0.4, 0.85)
    wings = tuple(Part(_CIRCLE * (0.3, 0.55) + (0, side * 0.55), (0, side * 0.08), tilt=side * rng.uniform(0, 0.4),
                       flap=flap, period=period, skin=rng.random() < 0.5) for side in (-1, 1))
    return (*wings, Part(_CIRCLE * (0.85, rng.uniform(0.18, 0.3))), Part(_CIRCLE * 0.22, (0.8, 0.0), skin=True))


def snake(rng: Rng) -> tuple[Part, ...]:
    count, period, sway = int(rng.integers(3, 5)), rng.uniform(10, 30), rng.uniform(0.2, 0.5)
    step, phase = 2.0 / count, rng.uniform(0, 6)
    radius = rng.uniform(0.25, 0.45)
    return tuple(
        Part(_CIRCLE * (step * 0.85, radius * (1 - 0.15 * k)), (1 - step * (k + 0.5), 0.0), swing=sway, period=period,
             phase=phase + k * 1.1, skin=True) for k in reversed(range(count)))


def quadruped(rng: Rng) -> tuple[Part, ...]:
    period, stride, length = rng.uniform(8, 24), rng.uniform(0.2, 0.7), rng.uniform(0.5, 0.8)
    legs = [Part(_limb(length, 0.11), (x, 0.2), swing=s * stride, period=period, skin=bool(rng.random() < 0.6))
            for x, s in ((-0.65, 1), (0.5, -1), (-0.5, -1), (0.65, 1))]
    body = Part(_CIRCLE * (0.9, rng.uniform(0.3, 0.45)), skin=True)
    head = Part(_CIRCLE * (0.32, 0.24) + (0.15, -0.1), (0.85, -0.3), swing=0.3, period=period * 1.5, skin=True)
    return (*legs, body, head)


def banded(rng: Rng) -> tuple[Part, ...]:
    """Two to four bands on top of one another, each with its own texture, sometimes with a mark on one of them: a car
    seen from behind, a bag, clothes. The object is all of them together."""
    edges = np.concatenate([[-1.0], np.sort(rng.uniform(-0.75, 0.75, rng.integers(1, 4))), [1.0]])
    width, taper, power = rng.uniform(0.55, 1.3), rng.uniform(0, 0.35), rng.uniform(3, 9)
    bands = []
    for low, high in zip(edges, edges[1:], strict=False):
        height = max(high - low, 0.15) / 2 + 0.06  # they overlap
        bands.append(Part(box(width * (1 - taper * rng.random()), height, power), (0.0, (low + high) / 2)))
    marks = [Part(OUTLINES[rng.choice(list(OUTLINES))](rng) * rng.uniform(0.15, 0.35),
                  (rng.uniform(-0.5, 0.5) * width, rng.uniform(-0.6, 0.6))) for _ in range(rng.integers(0, 3))]
    quarter = rng.integers(4) if rng.random() < 0.3 else 0
    return tuple(_turned(part, quarter * np.pi / 2) for part in (*rng.permutation(np.array(bands, object)), *marks))


def _turned(part: Part, angle: float) -> Part:
    cos, sin = np.cos(angle), np.sin(angle)
    x, y = part.pivot
    return replace(part, pivot=(float(cos * x - sin * y), float(sin * x + cos * y)), tilt=part.tilt + angle)


BODIES: dict[str, Callable[[Rng], tuple[Part, ...]]] = {
    "single": single, "decorated": decorated, "vehicle": vehicle, "walker": walker, "bird": bird, "snake": snake,
    "quadruped": quadruped, "banded": banded,
}
BODY_SHARES = {"single": 0.26, "decorated": 0.2, "vehicle": 0.14, "walker": 0.14, "bird": 0.08, "snake": 0.08,
               "quadruped": 0.1}


def _bush(rng: Rng) -> tuple[Part, ...]:
    return tuple(Part(blob(rng) * rng.uniform(0.35, 0.6), tuple(rng.uniform(-0.5, 0.5, 2)), swing=0.1,
                      period=rng.uniform(15, 40), phase=rng.uniform(0, 6), skin=bool(rng.random() < 0.8))
                 for _ in range(rng.integers(2, 6)))


def _panel(rng: Rng) -> tuple[Part, ...]:
    return (Part(box(rng.uniform(0.6, 1), rng.uniform(0.6, 1.2), 12)),)


def _pole(rng: Rng) -> tuple[Part, ...]:
    return (Part(box(rng.uniform(0.15, 0.45), 8, 20), tilt=rng.normal(0, 0.12)),)


def _fence(rng: Rng) -> tuple[Part, ...]:
    bars, width = int(rng.integers(2, 4)), rng.uniform(0.1, 0.22)
    return tuple(Part(box(width, 6, 20), (x, 0.0), skin=True) for x in np.linspace(-0.8, 0.8, bars))


OCCLUDERS: dict[str, Callable[[Rng], tuple[Part, ...]]] = {
    "bush": _bush, "panel": _panel, "pole": _pole, "fence": _fence, "thing": single,
}
