"""Renders a scene: :class:`World` draws any frame on its own and gives the annotation of all frames.

    world = make_world(seed_key=(1, 0, 7), frames=36, size_wh=(320, 240), difficulty=0.5)
    world.render(12)             # (240, 320, 3) uint8 RGB
    world.annotation.boxes_xywh  # (36, 4)

Frame i depends on the plan and on i only, not on the frames that were rendered before.
"""

from __future__ import annotations

import functools
from dataclasses import dataclass

import cv2
import numpy as np

from .annotate import Annotation, annotate
from .paint import compose
from .scene import Scene, make_scene
from .textures import texture_pool

BLUR_STEP = 1.7  # pixels between the canvas views that are averaged for the blur of a moving camera
MAX_VIEWS = 8


@dataclass(frozen=True)
class World:
    """One synthetic video."""

    scene: Scene

    @property
    def frames(self) -> int:
        """Number of images."""
        return self.scene.frames

    @property
    def object_class(self) -> str:
        return self.scene.object_class

    @property
    def motion_class(self) -> str:
        return self.scene.motion_class

    @property
    def jpeg_quality(self) -> int:
        """The JPEG quality of files of the frames."""
        return self.scene.look.jpeg_quality

    @functools.cached_property
    def annotation(self) -> Annotation:
        """Boxes, visibility and attributes of all frames, from the silhouettes."""
        return annotate(self.scene)

    def _background(self, frame: int) -> np.ndarray:
        scene = self.scene
        matrices = scene.camera.matrices
        low, high = max(frame - 1, 0), min(frame + 1, scene.frames - 1)
        step = (matrices[high] - matrices[low]) / max(high - low, 1) * scene.look.shutter
        width, height = scene.size_wh
        middle = np.linalg.solve(matrices[frame][:, :2], (width / 2, height / 2) - matrices[frame][:, 2])
        views = int(np.clip(1 + np.hypot(*(step[:, :2] @ middle + step[:, 2])) / BLUR_STEP, 1, MAX_VIEWS))
        if views == 1:
            return self._view(matrices[frame])
        total = np.zeros((height, width, 3), np.float32)
        for share in np.linspace(-0.5, 0.5, views):
            cv2.accumulate(self._view(matrices[frame] + share * step), total)
        return cv2.convertScaleAbs(total, alpha=1 / views)

    def _view(self, matrix: np.ndarray) -> np.ndarray:
        return cv2.warpAffine(self.scene.canvas, matrix, self.scene.size_wh, flags=cv2.INTER_LINEAR,
                              borderMode=cv2.BORDER_REFLECT_101)

    def render(self, frame: int, look: bool = True) -> np.ndarray:
        """Frame ``frame`` as (H, W, 3) uint8 RGB; ``look``: whether to apply the effects of light, lens and sensor."""
        if not 0 <= frame < self.scene.frames:
            raise IndexError(f"frame {frame} of {self.scene.frames}")
        scene = self.scene
        image = self._background(frame)
        for actor in (*scene.behind, scene.target, *scene.front):
            patch = actor.thing.draw(actor.poses[frame], frame, scene.size_wh)
            if patch is not None:
                compose(image, patch)
        return scene.look.apply(image, frame, scene.pool.sensor_noise) if look else image


def make_world(seed_key: tuple[int, ...], frames: int, size_wh: tuple[int, int], difficulty: float,
               pool_key: tuple[int, ...] = (0,)) -> World:
    """The world of ``seed_key`` with textures from the pool ``pool_key``."""
    return World(make_scene(seed_key, frames, size_wh, difficulty, texture_pool(pool_key)))
