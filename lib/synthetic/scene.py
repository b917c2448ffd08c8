"""The plan of a video: its objects and their poses in every frame. All random numbers of a video are drawn here.

``make_scene`` places a target on a background that a moving camera sees. Depending on the difficulty, it adds other
objects, look-alikes that cross the target's path, occluders, and an excursion of the target out of the image.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np

from .look import Look, make_look
from .motion import PATHS, Camera, curve, fold, make_camera, path_shares, smooth
from .paint import Pose, Thing, Wobble, compose, lookalike, make_thing
from .shapes import BODIES, BODY_SHARES, OCCLUDERS, single
from .textures import POOL_SIZE, TexturePool, octave_noise

Rng = np.random.Generator
UPRIGHT = ("vehicle", "walker", "quadruped")


@dataclass(frozen=True)
class Actor:
    """An object with its pose in every frame."""

    thing: Thing
    poses: list[Pose]


@dataclass(frozen=True)
class Scene:
    """Everything that a video shows, back to front: canvas, ``behind``, ``target``, ``front``."""

    size_wh: tuple[int, int]
    frames: int
    difficulty: float
    pool: TexturePool
    canvas: np.ndarray
    camera: Camera
    behind: tuple[Actor, ...]
    target: Actor
    front: tuple[Actor, ...]
    look: Look
    object_class: str
    motion_class: str
    deforms: bool
    lookalikes: int


def _pick(rng: Rng, shares: dict[str, float]) -> str:
    return str(rng.choice(list(shares), p=list(shares.values())))


def make_canvas(rng: Rng, pool: TexturePool, size_wh: tuple[int, int], difficulty: float, number: int,
                color: np.ndarray, clutter: tuple[int, int] | None = None) -> np.ndarray:
    """The background, twice the size of the image: one to three textures with static objects on them.

    In easier videos it has fewer objects, is more defocused and fainter, and its mean color is farther from
    ``color``, that of the target. With ``clutter`` the number of objects is drawn from this range (first, last + 1),
    and the background does not depend on the difficulty.
    """
    width, height = 2 * size_wh[0], 2 * size_wh[1]
    unit = min(size_wh) / 240
    canvas = pool.sample(rng, (width, height), float(rng.uniform(0.3, 1.3)) / unit, number)
    for _ in range(int(rng.integers(0, 3))):
        other = pool.sample(rng, (width, height), float(rng.uniform(0.3, 1.3)) / unit)
        if rng.random() < 0.5:  # such as a horizon, a wall, a road
            turn = rng.choice([0, np.pi / 2, rng.uniform(0, np.pi)], p=[0.5, 0.2, 0.3])
            x, y = np.linspace(-1, 1, width)[None], np.linspace(-1, 1, height)[:, None]
            field = (x * np.sin(turn) + y * np.cos(turn) - rng.uniform(-0.5, 0.5)) * 200
        else:
            field = cv2.resize(octave_noise(rng, (64, 48), 1, 1.0), (width, height)) * 60 - rng.uniform(0, 60)
        canvas = cv2.blendLinear(other, canvas, *_weights(field))
    stock = [make_thing(rng, pool, BODIES[_pick(rng, BODY_SHARES)](rng) if rng.random() < 0.3 else single(rng))
             for _ in range(int(rng.integers(2, 8)))]
    count = int(rng.integers(3, 26) * difficulty**1.5) if clutter is None else int(rng.integers(*clutter))
    for _ in range(count):
        size = min(size_wh) * np.exp(rng.normal(np.log(0.16), 0.5))
        x, y = rng.uniform((0, 0), (width, height))
        pose = Pose(x, y, size, rng.normal(0, 0.4), rng.uniform(0, 6.28))
        patch = stock[rng.integers(len(stock))].draw(pose, 0, (width, height))
        if patch is not None:
            compose(canvas, patch)
    calm = (1 - difficulty) ** 2 if clutter is None else 0.0
    if rng.random() < 0.35 + 0.65 * calm**0.5:  # depth of field
        canvas = cv2.GaussianBlur(canvas, (0, 0), float(rng.uniform(0.6 + 3.4 * calm, 3.0 + 6.0 * calm)) * unit)
    return _set_apart(canvas, color, calm)


def _set_apart(canvas: np.ndarray, color: np.ndarray, calm: float) -> np.ndarray:
    """Lower the contrast of ``canvas`` and keep its mean away from ``color``, in proportion to ``calm`` in [0, 1]."""
    mean = canvas.mean((0, 1))
    away = mean - color
    distance = float(np.linalg.norm(away))
    if distance < 1:
        away, distance = np.full(3, 1.0 if color.mean() < 128 else -1.0), 3**0.5
    shift = away / distance * max(0.0, 110 * calm - distance)
    contrast = 1 - 0.65 * calm
    return np.clip((canvas - mean) * contrast + mean + shift, 0, 255).astype(np.uint8)


def _weights(field: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    weight = np.clip(field + 0.5, 0, 1).astype(np.float32)
    return weight, 1 - weight


def _wobble(rng: Rng, difficulty: float) -> Wobble:
    waves = rng.integers(1, 5, 3)
    amplitudes = rng.uniform(0.02, 0.05 + 0.12 * difficulty, 3) / waves ** 0.5
    return Wobble(waves, amplitudes, rng.uniform(0, 6.28, 3), rng.uniform(14, 50, 3))


def _angles(rng: Rng, path: np.ndarray, difficulty: float, upright: bool) -> np.ndarray:
    frames = len(path)
    kind = rng.choice(["sway", "spin", "heading"], p=[0.8, 0.1, 0.1] if upright else [0.5, 0.3, 0.2])
    if kind == "sway":
        return rng.uniform(0, 0.1 + 0.5 * difficulty) * curve(rng, frames, rng.uniform(20, 60))
    if kind == "spin":
        return rng.normal(0, 0.01 + 0.07 * difficulty) * np.arange(frames)
    step = smooth(np.gradient(path, axis=0), 3.0)
    return np.unwrap(np.arctan2(step[:, 1], step[:, 0]))


def _poses(rng: Rng, path: np.ndarray, size: np.ndarray, difficulty: float, upright: bool, deforms: bool,
           shutter: float, camera: Camera | None) -> list[Pose]:
    """Poses along (N, 2) pixel positions with (N,) sizes; angle, aspect and shear are drawn here."""
    frames = len(path)
    angle = _angles(rng, path, difficulty, upright)
    if camera is not None:
        angle = angle + camera.angle
    aspect = rng.uniform(0, 0.1 + 0.7 * difficulty) * curve(rng, frames, rng.uniform(20, 70))
    shear = rng.uniform(0, 0.3) * difficulty * deforms * curve(rng, frames, 30)
    roll = np.stack([curve(rng, frames, 60), curve(rng, frames, 60)], 1) * rng.uniform(0, 0.5) * difficulty
    velocity = np.gradient(path, axis=0) * shutter
    speed = np.hypot(*velocity.T)[:, None]
    velocity = velocity * np.minimum(1, 0.6 * size[:, None] / np.maximum(speed, 1e-6))
    rows = np.column_stack([path, size, aspect, angle, shear]).tolist()
    poses = []
    for (x, y, side, log_aspect, turn, slant), shift, step in zip(rows, roll.tolist(), velocity.tolist(), strict=True):
        poses.append(Pose(x, y, side, log_aspect, turn, slant, tuple(shift), tuple(step)))
    return poses


def _excursion(rng: Rng, path: np.ndarray, size: float, size_wh: tuple[int, int]) -> np.ndarray:
    """(N, 2) displacement that moves ``path`` out of the image across the nearer of two random sides, and back."""
    frames = len(path)
    leave = int(rng.integers(frames // 5 + 1, max(frames // 5 + 2, frames * 2 // 3)))
    ramp, hold = rng.uniform(4, 11), int(rng.integers(2, 9))
    t = np.arange(frames)
    up = np.clip((t - leave) / ramp, 0, 1) - np.clip((t - leave - ramp - hold) / ramp, 0, 1)
    up = up * up * (3 - 2 * up)
    position = path[min(leave + int(ramp), frames - 1)]
    reach = 0.9 * size * rng.choice([0.55, 1.0, 1.2], p=[0.3, 0.4, 0.3])
    sides = [(-(position[0] + reach), 0), (size_wh[0] - position[0] + reach, 0),
             (0, -(position[1] + reach)), (0, size_wh[1] - position[1] + reach)]
    choice = min((sides[k] for k in rng.choice(4, 2, replace=False)), key=lambda s: abs(s[0]) + abs(s[1]))
    return up[:, None] * np.array(choice)


def _speed(rng: Rng, difficulty: float) -> float:
    """A random speed in short sides per frame."""
    return float(np.exp(rng.uniform(np.log(0.012), np.log(0.03 + 0.045 * difficulty))))


def _target_path(rng: Rng, size: np.ndarray, size_wh: tuple[int, int], difficulty: float) -> tuple[np.ndarray, str]:
    """(N, 2) pixel positions of the target without camera shake, and the kind of path."""
    frames, short = len(size), min(size_wh)
    kind = _pick(rng, path_shares(difficulty))
    speed = min(_speed(rng, difficulty) * short, 0.28 * size[0])
    margin = size[0] * rng.uniform(0.75 - 0.6 * difficulty, 0.8)
    low, high = np.full(2, margin), np.array(size_wh) - margin
    start = rng.uniform(low, high) * 0.6 + 0.4 * np.array(size_wh) / 2
    path = PATHS[kind](rng, frames, speed)
    path = fold(path - path[0] + start, low, high, 0.0 if kind == "dash" else 1.2)
    if rng.random() < 0.3 * difficulty:
        path = path + _excursion(rng, path, float(size.max()), size_wh)
    return path, kind


def _sizes(rng: Rng, frames: int, short: int, difficulty: float) -> np.ndarray:
    """(N,) √(w·h) in pixels: 10 to 45 % of the short side; they change more in difficult videos."""
    first = np.clip(np.exp(rng.normal(np.log(0.21), 0.33)), 0.10, 0.42)
    change = rng.uniform(0, 0.06 + 0.6 * difficulty) * curve(rng, frames, rng.uniform(25, 90))
    return np.clip(first * np.exp(change - change[0]), 0.08, 0.48) * short


def make_target(rng: Rng, pool: TexturePool, size_wh: tuple[int, int], frames: int, difficulty: float,
                shutter: float, number: int | None) -> tuple[Thing, np.ndarray, np.ndarray, list[Pose], str, str]:
    """The target: object, path without camera shake, sizes, poses, and the names of its body and of its path."""
    body = _pick(rng, BODY_SHARES)
    deforms = rng.random() < 0.15 + 0.5 * difficulty
    thing = make_thing(rng, pool, BODIES[body](rng), _wobble(rng, difficulty) if deforms else None,
                       soft=float(rng.uniform(0.5, 1.5)) * min(size_wh) / 240 if rng.random() < 0.4 else 0.0,
                       number=number)
    size = _sizes(rng, frames, min(size_wh), difficulty)
    path, kind = _target_path(rng, size, size_wh, difficulty)
    poses = _poses(rng, path, size, difficulty, body in UPRIGHT, deforms, shutter, None)
    return thing, path, size, poses, body, kind


def _inside(thing: Thing, pose: Pose, size_wh: tuple[int, int]) -> tuple[float, float, float]:
    """How to move (x, y) and shrink ``pose`` so that its whole silhouette lies in the image in frame 0."""
    shrink = 1.0
    while True:
        patch = thing.silhouette(pose._replace(size=pose.size * shrink), 0)
        rows, columns = np.nonzero(patch.alpha.any(1))[0], np.nonzero(patch.alpha.any(0))[0]
        low = np.array([patch.x0 + columns[0], patch.y0 + rows[0]]) - 2
        high = np.array(size_wh) - 3 - (patch.x0 + columns[-1], patch.y0 + rows[-1])
        if np.all(high + low >= 0):
            return float(max(0, -low[0]) + min(0, high[0])), float(max(0, -low[1]) + min(0, high[1])), shrink
        shrink *= 0.9


def _shifted(poses: list[Pose], offset: np.ndarray, zoom: np.ndarray, angle: np.ndarray, shutter: float) -> list[Pose]:
    step = np.gradient(offset, axis=0) * shutter
    return [p._replace(x=p.x + offset[t, 0], y=p.y + offset[t, 1], size=p.size * zoom[t], angle=p.angle + angle[t],
                       velocity=(p.velocity[0] + step[t, 0], p.velocity[1] + step[t, 1]))
            for t, p in enumerate(poses)]


def _crossing(rng: Rng, path: np.ndarray, size: float, size_wh: tuple[int, int], difficulty: float) -> np.ndarray:
    """(N, 2) a path that comes close to ``path`` in some frame, or runs beside it."""
    frames = len(path)
    at = int(rng.integers(frames // 6, frames))
    gap = rng.normal(0, 1, 2)
    gap *= size * rng.uniform(0.2, 1.4) / np.hypot(*gap)
    own = PATHS[_pick(rng, path_shares(0))](rng, frames, max(_speed(rng, difficulty), 0.006) * min(size_wh))
    if rng.random() < 0.3:
        return path + gap * 1.3 + (own - own[at]) * 0.5
    wide = np.array(size_wh) * 0.15
    return fold(own - own[at] + path[at] + gap, -wide, np.array(size_wh) + wide, 1.2)


def _extra(rng: Rng, pool: TexturePool, target: Thing | None, path: np.ndarray, size: np.ndarray,
           size_wh: tuple[int, int], difficulty: float, shutter: float, camera: Camera) -> Actor:
    """A look-alike of ``target``, or another moving object if that is None."""
    if target is not None:
        thing = lookalike(rng, target, rng.uniform(0.02, 0.3))
        sizes = size * np.exp(rng.normal(0, 0.15))
        upright = True
    else:
        body = _pick(rng, BODY_SHARES)
        thing, upright = make_thing(rng, pool, BODIES[body](rng)), body in UPRIGHT
        sizes = np.full(len(path), min(size_wh) * np.clip(np.exp(rng.normal(np.log(0.18), 0.4)), 0.06, 0.4))
    route = _crossing(rng, path, float(size[0]) * (1 if target is not None else 3), size_wh, difficulty)
    return Actor(thing, _poses(rng, route + camera.shake, sizes * camera.zoom, difficulty, upright,
                               True, shutter, camera))


def _occluder(rng: Rng, pool: TexturePool, path: np.ndarray, size: np.ndarray, size_wh: tuple[int, int], full: bool,
              shutter: float, camera: Camera) -> Actor:
    """An occluder: it stands on the target's path, or passes in front of a target that hardly moves."""
    frames = len(path)
    at = int(rng.integers(frames // 5 + 1, frames))
    kind = str(rng.choice(["bush", "panel", "thing"] if full else ["bush", "panel", "pole", "fence", "thing"]))
    thing = make_thing(rng, pool, OCCLUDERS[kind](rng), soft=float(rng.choice([0.0, 0.8, 2.0])))
    scale = rng.uniform(1.5, 2.3) if full else rng.uniform(0.6, 1.2)
    if kind in ("pole", "fence"):
        scale = np.sqrt(np.prod(np.ptp(thing.parts[0].points, 0))) * rng.uniform(0.5, 1.1)
    miss = rng.normal(0, 0.08 if full else 0.35, 2) * size[at]
    place = camera.to_world(path[at] + camera.shake[at] + miss, at)
    relative = camera.to_image(place) - camera.shake - path
    if np.hypot(*relative[0]) < 1.3 * size[at] * max(scale, 0.8):
        turn = rng.uniform(0, 2 * np.pi)
        step = np.array([np.cos(turn), np.sin(turn)]) * size[at] * rng.uniform(0.08, 0.25) * max(scale, 1)
        place = place + step * (np.arange(frames)[:, None] - at)
    route = camera.to_image(place)
    return Actor(thing, _poses(rng, route, size[at] * scale * camera.zoom, 0.0, True, False, shutter, camera))


def _hides(actor: Actor, target: Actor, size_wh: tuple[int, int]) -> bool:
    """Whether ``actor`` touches the target's silhouette in frame 0."""
    body, cover = np.zeros(size_wh[::-1] + (3,), np.uint8), np.zeros(size_wh[::-1] + (3,), np.uint8)
    for image, drawn in ((body, target), (cover, actor)):
        patch = drawn.thing.draw(drawn.poses[0], 0, size_wh)
        if patch is not None:
            compose(image, patch._replace(color=np.full_like(patch.color, 255)))
    return bool(np.any((body > 0) & (cover > 0)))


def make_scene(seed_key: tuple[int, ...], frames: int, size_wh: tuple[int, int], difficulty: float,
               pool: TexturePool) -> Scene:
    """The plan of the video with the seed ``seed_key``; ``difficulty`` in [0, 1]."""
    rng = np.random.default_rng(seed_key)
    look = make_look(rng, frames, difficulty, min(size_wh) / 240, seed_key)
    ground = int(rng.integers(POOL_SIZE))
    number = ground if rng.random() < 0.3 * difficulty else None
    thing, path, size, poses, body, kind = make_target(rng, pool, size_wh, frames, difficulty, look.shutter, number)
    dx, dy, shrink = _inside(thing, poses[0], size_wh)
    path, size = path + (dx, dy), size * shrink
    camera = make_camera(rng, frames, size_wh, np.array(size_wh, float), difficulty, path)
    camera.shake[:] -= camera.shake[0]
    offset = np.array([dx, dy]) + camera.shake
    zoom = shrink * camera.zoom / camera.zoom[0]
    target = Actor(thing, _shifted(poses, offset, zoom, camera.angle - camera.angle[0], look.shutter))
    behind: list[Actor] = []
    front: list[Actor] = []
    alike = min(3, int(3.99 * difficulty * rng.random() ** 0.7))
    others = int(rng.uniform(0, 3) * min(1.0, 1.5 * difficulty))
    for number in range(alike + others):
        actor = _extra(rng, pool, thing if number < alike else None, path, size, size_wh, difficulty, look.shutter,
                       camera)
        above = rng.random() < (0.5 if number < alike else 0.3) * difficulty
        if above and not _hides(actor, target, size_wh):
            front.append(actor)
        else:
            behind.append(actor)
    for chance, full in ((0.65 * difficulty, False), (0.4 * difficulty, True)):
        if rng.random() < chance:
            actor = _occluder(rng, pool, path, size * camera.zoom, size_wh, full, look.shutter, camera)
            if not _hides(actor, target, size_wh):
                front.append(actor)
    patch = thing.draw(target.poses[0], 0, size_wh)
    assert patch is not None  # the target is wholly inside the image in frame 0
    color = patch.color[patch.alpha > 127].mean(0)
    canvas = make_canvas(rng, pool, size_wh, difficulty, ground, color)
    return Scene(size_wh, frames, difficulty, pool, canvas, camera, tuple(behind), target, tuple(front), look, body,
                 kind, thing.wobble is not None, alike)
