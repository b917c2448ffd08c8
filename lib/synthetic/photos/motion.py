"""Random motion: the camera of a sample, the path of an object, and which part of a background is seen.

Between two frames an object moves from not at all to 1.5 times its size, as at 10 frames per second, or anywhere.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from .cutout import Rng
from .paste import Pose

MIN_PX = 10.0  # √(w·h) of the smallest objects
SPEEDS = ((0.0, 0.12), (0.12, 0.6), (0.6, 1.5))  # of an object from frame to frame, in its own size
SPEED_SHARES = (0.35, 0.35, 0.3)
ANYWHERE_SHARE = 0.12  # of objects that are found at an unrelated place in every frame
MAX_ASPECT, MAX_TILT = 0.7, 0.4
MAX_PAN_BLUR = 10.0  # px


@dataclass(frozen=True)
class CameraMotion:
    """Of each frame: px that the camera has moved (N, 2), turn (N,) rad, zoom (N,), motion blur N x (dx, dy) px."""

    moved: np.ndarray
    turn: np.ndarray
    zoom: np.ndarray
    blur: list[tuple[float, float]]

    @classmethod
    def still(cls, frames: int) -> CameraMotion:
        return cls(np.zeros((frames, 2)), np.zeros(frames), np.ones(frames), [(0.0, 0.0)] * frames)


def draw_camera(rng: Rng, frames: int, size: float) -> CameraMotion:
    """Draw a camera motion; ``size`` is √(w·h) of the target in px, which sets its speed."""
    speed = float(rng.choice([0.0, 0.1, 0.5, 1.2], p=[0.25, 0.35, 0.25, 0.15])) * max(size, 24)
    heading = rng.uniform(0, 2 * np.pi)
    steps = speed * (rng.normal(0, 0.4, (frames, 2)) + [np.cos(heading), np.sin(heading)])
    turns = np.cumsum(rng.normal(0, 0.04, frames)) * (rng.random() < 0.4)
    zoom = np.exp(np.cumsum(rng.normal(0, 0.06, frames)) * (rng.random() < 0.5))
    blur = [(0.0, 0.0)] * frames
    if rng.random() < 0.25 and speed > 4:
        exposure = rng.uniform(0.05, 0.35)
        blur = [tuple(np.clip(exposure * step, -MAX_PAN_BLUR, MAX_PAN_BLUR).tolist()) for step in steps]
    return CameraMotion(np.cumsum(steps, 0), turns, zoom, blur)


def view_matrix(center: np.ndarray, zoom: float, angle: float, to: np.ndarray) -> np.ndarray:
    """Return the (3, 3) similarity that puts ``center`` at ``to``."""
    c, s = zoom * np.cos(angle), zoom * np.sin(angle)
    matrix = np.array([[c, -s, 0], [s, c, 0], [0, 0, 1.0]])
    matrix[:2, 2] = to - matrix[:2, :2] @ center
    return matrix


def background_views(rng: Rng, background_wh: tuple[int, int], size_wh: tuple[int, int],
                     camera: CameraMotion) -> list[np.ndarray]:
    """Return the view of each frame on a background: it moves with the camera, or is another part each time."""
    covering = max(size_wh[0] / background_wh[0], size_wh[1] / background_wh[1])
    zoom = covering * float(np.exp(rng.uniform(0.0, 0.6)))
    center = np.array(background_wh) * rng.uniform(0.35, 0.65, 2)
    unrelated = rng.random() < 0.12
    mirror = np.eye(3)
    if rng.random() < 0.5:
        mirror = np.array([[-1.0, 0, background_wh[0]], [0, 1, 0], [0, 0, 1]])
    views = []
    for moved, turn, change in zip(camera.moved, camera.turn, camera.zoom, strict=True):
        if unrelated:
            center = np.array(background_wh) * rng.uniform(0.25, 0.75, 2)
        view = view_matrix(center - moved / zoom, zoom * change, turn, np.array(size_wh) / 2)
        views.append(view @ mirror)
    return views


def crop_view(rng: Rng, photo_wh: tuple[int, int], size_wh: tuple[int, int], outline: np.ndarray) -> np.ndarray:
    """Return a view of a part of a photograph that holds most of the object with ``outline``."""
    zoom = float(np.exp(rng.uniform(0, 0.5))) * size_wh[0] / photo_wh[0]
    angle = float(rng.normal(0, 0.05)) if rng.random() < 0.6 else 0.0
    span = np.array(size_wh) / zoom
    # the crop lies inside the photograph, or its center near the object
    low, high = span / 2, np.maximum(np.array(photo_wh) - span / 2, span / 2)
    middle = (outline.min(0) + outline.max(0)) / 2
    center = np.clip(rng.uniform(low, high), middle - span * 0.45, middle + span * 0.45)
    return view_matrix(center, zoom, angle, np.array(size_wh) / 2)


def draw_path(rng: Rng, frames: int, size: float, size_wh: tuple[int, int]) -> list[Pose]:
    """Draw the poses of one object, which is ``size`` px (√(w·h)) large in the first frame.

    It moves, grows, turns, changes its aspect and its brightness, all to an extent that differs from object to
    object."""
    span = np.array(size_wh, float)
    margin = np.minimum(0.35 * size, 0.3 * span)
    place = rng.uniform(margin, span - margin)
    speed = rng.uniform(*SPEEDS[int(rng.choice(len(SPEEDS), p=SPEED_SHARES))]) * size
    anywhere = rng.random() < ANYWHERE_SHARE
    heading = rng.uniform(0, 2 * np.pi)
    exposure = rng.uniform(0, 0.6) if rng.random() < 0.4 else 0.0
    angle = rng.normal(0, 0.12) if rng.random() < 0.8 else rng.uniform(-np.pi, np.pi)
    spin = rng.normal(0, 0.25) if rng.random() < 0.3 else rng.normal(0, 0.05)
    growth = rng.normal(0, 0.12)
    aspect = rng.normal(0, 0.12)
    shear = rng.normal(0, 0.05)
    flip = rng.random() < 0.5
    tilted = rng.random() < 0.3
    tilt = rng.normal(0, 0.15, 2)
    gain = np.exp(rng.normal(0, 0.06, 3) + rng.normal(0, 0.12))
    flickers = rng.random() < 0.5
    poses = []
    for frame in range(frames):
        step = np.zeros(2)
        if frame:
            heading += rng.normal(0, 0.6)
            step = speed * np.exp(rng.normal(0, 0.25)) * np.array([np.cos(heading), np.sin(heading)])
            # turn back at the image's border
            outside = (place + step < margin) | (place + step > span - margin)
            step = np.where(outside, -step, step)
            heading = np.arctan2(step[1], step[0])
            place = np.clip(place + step, 0.3 * margin, span - 0.3 * margin)
            if anywhere:
                place = rng.uniform(margin, span - margin)
            size = float(np.clip(size * np.exp(growth + rng.normal(0, 0.05)), 0.9 * MIN_PX, 0.8 * min(size_wh)))
            angle += spin + rng.normal(0, 0.03)
            aspect += rng.normal(0, 0.06)
            shear += rng.normal(0, 0.02)
            tilt = tilt + rng.normal(0, 0.06, 2)
            flip ^= rng.random() < 0.03
        gain_now = gain * np.exp(rng.normal(0, 0.06, 3) + rng.normal(0, 0.1)) if flickers else gain
        tilt_now = np.clip(tilt, -MAX_TILT, MAX_TILT) if tilted else np.zeros(2)
        poses.append(Pose(
            x=float(place[0]), y=float(place[1]), size=size, aspect=float(np.clip(aspect, -MAX_ASPECT, MAX_ASPECT)),
            angle=float(angle), shear=float(shear), flip=bool(flip), tilt=tuple(tilt_now.tolist()),
            velocity=tuple((exposure * step).tolist()), gain=tuple(gain_now.tolist())))
    return poses
