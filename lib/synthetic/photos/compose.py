"""Compose samples: a few images in which the same target appears in other places, poses and light.

    sample = make_sample(seed_key, frames=4, material)

Composites: the target is pasted on a background among one to five other objects, half of them of its class or from its
photograph. Objects in front cover a part of it, or all of it; it leaves the image; both in later frames only. All
pasted objects get the same kinds of edges, so that an edge does not tell the target from the others.

Scenes: the target stays in its own photograph, of which each frame shows another crop, or in its own video.
"""

from __future__ import annotations

import logging
from dataclasses import replace

import cv2
import numpy as np

from ...utils.errors import UserError, warn_once
from .cutout import Cutout, Rng
from .degrade import draw_degradation
from .material import Material
from .motion import MIN_PX, CameraMotion, background_views, crop_view, draw_camera, draw_path
from .paste import Pose, extent, transformed
from .sample import PastedObject, PhotoSample
from .source import ObjectSource, Scene

_log = logging.getLogger(__name__)

SIZES_WH = ((320, 320), (352, 288), (400, 300), (300, 360), (320, 240))
SCENE_SHARE = 0.25  # of samples whose target stays in its own photograph or video
MAX_SCENE_SIDE = 400  # px
LARGE_SHARE = 0.5  # of the image's short side, from which a target is large
MAX_OTHERS = 5  # pasted objects beside the target
MAX_ENLARGED = 2.6  # factor by which a target is enlarged at most
FILE_QUALITY = (85, 96)  # JPEG quality of undegraded images
MAX_ATTEMPTS = 20  # draws of material before a sample is given up


def make_sample(seed_key: tuple[int, ...], frames: int, material: Material) -> PhotoSample:
    """Return the sample of ``seed_key``: the same in every process that has the same material.

    Material that cannot be read is named in a warning, once, and other material is drawn. Raises :class:`UserError`
    if that fails many times in a row."""
    rng = np.random.default_rng(seed_key)
    for attempt in range(MAX_ATTEMPTS):
        source = material.choose_scene_source(rng) if rng.random() < SCENE_SHARE else None
        try:
            if source is not None:
                return _scene(rng, seed_key, frames, material, source)
            return _composite(rng, seed_key, frames, material)
        except UserError as error:
            warn_once(_log, f"skipped: {error}")
            if attempt == MAX_ATTEMPTS - 1:
                raise
    raise AssertionError


def _composite(rng: Rng, seed_key: tuple[int, ...], frames: int, material: Material) -> PhotoSample:
    size_wh = SIZES_WH[int(rng.integers(len(SIZES_WH)))]
    source = material.choose_source(rng)
    number, cutouts = _draw_object(rng, source, frames)
    size = _target_size(rng, size_wh, min(c.size for c in cutouts))
    backgrounds = material.background(rng, frames, size_wh)
    camera = draw_camera(rng, frames, size)
    views = background_views(rng, backgrounds[0].shape[1::-1], size_wh, camera)
    backgrounds = _equally_soft(rng, backgrounds, size / cutouts[0].size)
    target = PastedObject.fit(cutouts, draw_path(rng, frames, size, size_wh))
    others = [_other_object(rng, material, source, number, cutouts, size, size_wh, camera)
              for _ in range(int(rng.integers(1, MAX_OTHERS + 1)))]
    if rng.random() < 0.5:  # colors as in the background
        share = rng.uniform(0.2, 0.6) if rng.random() < 0.7 else rng.uniform(0.7, 1.0)
        target, *others = [_recolored(item, backgrounds[0], share) for item in (target, *others)]
    in_front = rng.random(len(others)) < 0.12
    front = [item for item, flag in zip(others, in_front, strict=True) if flag]
    behind = [item for item, flag in zip(others, in_front, strict=True) if not flag]
    if rng.random() < 0.12 and frames > 1:
        target = _leaving(rng, target, size_wh)
    front += _occluder(rng, material, target.poses)
    degradation = draw_degradation(rng, frames, size)
    if degradation.mode == "thermal" and rng.random() < 0.7:
        target, behind, front = _glowing(rng, target, behind, front)
    return PhotoSample(seed_key, size_wh, source.class_name(number), backgrounds, views, target, behind, front,
                       degradation, camera.blur, int(rng.integers(*FILE_QUALITY)))


def _scene(rng: Rng, seed_key: tuple[int, ...], frames: int, material: Material, source: ObjectSource) -> PhotoSample:
    number = source.choose(rng)
    scene = source.scene(number, frames, rng)
    height, width = scene.images[0].shape[:2]
    scale = min(1.0, MAX_SCENE_SIDE / max(width, height))
    size_wh = (max(1, round(width * scale)), max(1, round(height * scale)))
    views = _scene_views(rng, scene, frames, size_wh)
    size = float(np.sqrt(np.prod(np.ptp(scene.outlines[0], axis=0)))) * scale
    if size > LARGE_SHARE * min(size_wh) and rng.random() < 0.7:  # hardly anything else would be in view
        return _composite(rng, seed_key, frames, material)
    front: list[PastedObject] = []
    if rng.random() < 0.4 and size >= MIN_PX:
        centers = [_center(view, scene.outlines[i % len(scene.outlines)]) for i, view in enumerate(views)]
        front = _occluder(rng, material, [Pose(x, y, size) for x, y in centers])
    return PhotoSample(seed_key, size_wh, source.class_name(number), scene.images, views, scene, [], front,
                       draw_degradation(rng, frames, size), CameraMotion.still(frames).blur,
                       int(rng.integers(*FILE_QUALITY)))


def _scene_views(rng: Rng, scene: Scene, frames: int, size_wh: tuple[int, int]) -> list[np.ndarray]:
    """Return a crop for each frame of a photograph; one crop for all frames of a video, whose own motion is kept."""
    height, width = scene.images[0].shape[:2]
    if len(scene.images) > 1:
        return [crop_view(rng, (width, height), size_wh, scene.outlines[0])] * frames
    return [crop_view(rng, (width, height), size_wh, scene.outlines[0]) for _ in range(frames)]


def _center(view: np.ndarray, outline: np.ndarray) -> tuple[float, float]:
    x0, y0, x1, y1 = extent(transformed(view, outline))
    return float(x0 + x1) / 2, float(y0 + y1) / 2


def _draw_object(rng: Rng, source: ObjectSource, frames: int) -> tuple[int, list[Cutout]]:
    """Return an object and its cut-outs, which are no thin lines."""
    for _ in range(MAX_ATTEMPTS):
        number = source.choose(rng)
        cutouts = source.cutouts(number, frames, rng)
        if cutouts and min(min(c.extent_wh) for c in cutouts) >= 8:
            return number, cutouts
    raise UserError(f"{MAX_ATTEMPTS} objects in a row are thinner than 8 px, {source.class_name(number)!r} among them; "
                    "give larger photographs or boxes")


def _target_size(rng: Rng, size_wh: tuple[int, int], native: float) -> float:
    """Return √(w·h) in px. As in video, most targets are a fourteenth to a third of the image, some are smaller or
    larger; ``native`` is the size of the cut-out."""
    short = min(size_wh)
    draw = rng.random()
    if draw < 0.13:
        return float(np.exp(rng.uniform(np.log(MIN_PX), np.log(24))))
    low, high = (0.33, 0.62) if draw > 0.87 else (0.07, 0.33)
    size = float(np.exp(rng.uniform(np.log(low * short), np.log(high * short))))
    return min(size, native * MAX_ENLARGED)


def _equally_soft(rng: Rng, backgrounds: list[np.ndarray], scale: float) -> list[np.ndarray]:
    """Blur the background, half the time as much as a cut-out enlarged by ``scale`` is blurred: then sharpness does not
    tell the two apart."""
    draw = rng.random()
    sigma = 0.0
    if scale > 1.15 and draw < 0.5:
        sigma = 0.42 * scale
    elif draw > 0.9:
        sigma = float(rng.uniform(0.8, 4))
    return [cv2.GaussianBlur(image, (0, 0), sigma) for image in backgrounds] if sigma else backgrounds


def _other_object(rng: Rng, material: Material, source: ObjectSource, number: int, cutouts: list[Cutout], size: float,
                  size_wh: tuple[int, int], camera: CameraMotion) -> PastedObject:
    """Return a distractor of about the target's size: the target in other colors, an object of its class or
    photograph, of its source, or any."""
    frames = len(camera.zoom)
    draw = rng.random()
    gain = np.ones(3)
    own = cutouts
    if draw < 0.06:
        gain = np.exp(rng.choice([-1, 1], 3) * rng.uniform(0.25, 0.6, 3))
    elif draw < 0.45:
        similar = source.choose_similar(number, rng)
        if similar == number or source.has_moving_shape:  # that would be the target itself
            similar = source.choose(rng)
        own = source.cutouts(similar, frames, rng) or cutouts
    elif draw < 0.75:
        own = _draw_object(rng, source, frames)[1]
    else:
        own = _draw_object(rng, material.choose_source(rng), frames)[1]
    own_size = float(np.clip(size * np.exp(rng.normal(0, 0.35)), MIN_PX, 0.5 * min(size_wh)))
    poses = draw_path(rng, frames, max(MIN_PX, min(own_size, own[0].size * MAX_ENLARGED)), size_wh)
    if rng.random() < 0.4:  # it stands still in the scene
        places = np.array([poses[0].x, poses[0].y]) + camera.moved - camera.moved[0]
        poses = [replace(pose, x=float(x), y=float(y), angle=poses[0].angle, velocity=(0.0, 0.0))
                 for pose, (x, y) in zip(poses, places, strict=True)]
    poses = [replace(pose, gain=tuple((np.array(pose.gain) * gain).tolist())) for pose in poses]
    return PastedObject.fit(own, poses)


def _recolored(item: PastedObject, background: np.ndarray, share: float) -> PastedObject:
    """Return the object with its mean color moved to the background's by ``share``."""
    cutout = item.cutouts[0]
    own = np.array(cv2.mean(cutout.rgb, (cutout.alpha > 127).view(np.uint8))[:3])
    ground = np.array(cv2.mean(background)[:3])
    shift = tuple(np.clip((ground - own) * share, -90, 90).tolist())
    return replace(item, poses=[replace(pose, shift=shift) for pose in item.poses])


def _leaving(rng: Rng, target: PastedObject, size_wh: tuple[int, int]) -> PastedObject:
    """Return the target half or wholly outside the image in one of the later frames."""
    frame = int(rng.integers(1, len(target.poses)))
    pose = target.poses[frame]
    beyond = float(rng.uniform(-0.25, 0.9)) * pose.size
    places = [(-beyond, pose.y), (size_wh[0] + beyond, pose.y), (pose.x, -beyond), (pose.x, size_wh[1] + beyond)]
    x, y = places[int(rng.integers(4))]
    poses = list(target.poses)
    poses[frame] = replace(pose, x=x, y=y)
    return replace(target, poses=poses)


def _occluder(rng: Rng, material: Material, target: list[Pose]) -> list[PastedObject]:
    """Return nothing, or an object that covers a part of the target in some frames; now and then all of it in one."""
    draw = rng.random()
    if draw > 0.42:
        return []
    hidden = int(rng.integers(1, len(target))) if draw < 0.08 and len(target) > 1 else -1
    cutouts = _draw_object(rng, material.choose_source(rng), len(target))[1]
    ratio = rng.uniform(1.6, 2.2) if hidden > 0 else rng.uniform(0.45, 1.1)
    angle = float(rng.normal(0, 0.3))
    flip = bool(rng.random() < 0.5)
    gain = tuple(np.exp(rng.normal(0, 0.12, 3)).tolist())
    side = rng.uniform(0, 2 * np.pi)
    poses = []
    for frame, pose in enumerate(target):
        if frame == hidden:
            distance = rng.uniform(0, 0.1)
        elif rng.random() < 0.6:  # covers a part
            distance = rng.uniform(0.45, 0.75) * (1 + ratio) / 2
        else:  # beside it
            distance = rng.uniform(1.2, 3)
        x = pose.x + distance * pose.size * np.cos(side)
        y = pose.y + distance * pose.size * np.sin(side)
        poses.append(Pose(float(x), float(y), pose.size * ratio, angle=angle, flip=flip, gain=gain))
        side += rng.normal(0, 0.5)
    return [PastedObject.fit(cutouts, poses)]


def _glowing(rng: Rng, target: PastedObject, behind: list[PastedObject],
             front: list[PastedObject]) -> tuple[PastedObject, list[PastedObject], list[PastedObject]]:
    """Return the objects as warm bodies look in thermal images: the target and most others are bright and plain."""
    level, contrast = rng.uniform(90, 190), float(rng.uniform(0.2, 0.6))

    def warm(item: PastedObject, probability: float) -> PastedObject:
        if rng.random() > probability:
            return item
        own = float(level + rng.normal(0, 15))
        return replace(item, poses=[replace(pose, gain=(contrast,) * 3, shift=(own,) * 3) for pose in item.poses])

    return warm(target, 1.0), [warm(item, 0.7) for item in behind], [warm(item, 0.3) for item in front]
