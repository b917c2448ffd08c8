"""Synthetic videos without files: images are rendered when they are read.

    video = synthetic_video(seed=7, frames=36, size_wh=(320, 240), difficulty=0.5)

Planning a video and measuring its boxes takes about as long as rendering ten frames. Each process keeps its last few
plans, so frames can be read in any order.
"""

from __future__ import annotations

import functools
from dataclasses import dataclass

import cv2
import numpy as np

from ..data.video import Video
from .world import World, make_world

LIVE_SPLIT = 3  # beside train, val and test, so that live videos of the same seed share no content with them


@functools.lru_cache(maxsize=8)
def _world(seed_key: tuple[int, ...], frames: int, size_wh: tuple[int, int], difficulty: float,
           pool_key: tuple[int, ...]) -> World:
    return make_world(seed_key, frames, size_wh, difficulty, pool_key)


@dataclass(frozen=True)
class SyntheticFrames:
    """The images of a synthetic video, rendered on demand; they can be pickled."""

    seed_key: tuple[int, ...]
    frames: int
    size_wh: tuple[int, int]
    difficulty: float
    pool_key: tuple[int, ...] = (0, LIVE_SPLIT)

    def __len__(self) -> int:
        return self.frames

    @property
    def world(self) -> World:
        return _world(self.seed_key, self.frames, self.size_wh, self.difficulty, self.pool_key)

    def read(self, index: int, reduce: int = 1, rows: int | None = None) -> np.ndarray:
        """Frame ``index`` as (H, W, 3) uint8 RGB, always with all rows; see ``mstgt.data.video.Frames``."""
        image = self.world.render(index)
        if reduce == 1:
            return image
        size = tuple(-(-side // reduce) for side in self.size_wh)
        return cv2.resize(image, size, interpolation=cv2.INTER_AREA)

    def where(self, index: int) -> str:
        return f"synthetic video {'-'.join(map(str, self.seed_key))} frame {index}"


def synthetic_video(seed: int, frames: int = 36, size_wh: tuple[int, int] = (320, 240), difficulty: float = 0.5,
                    index: int = 0) -> Video:
    """Video ``index`` of ``seed``; boxes are 0, 0, 0, 0 where the target is outside the image."""
    width, height = size_wh
    images = SyntheticFrames((seed, LIVE_SPLIT, index), frames, (width, height), difficulty, (seed, LIVE_SPLIT))
    world = images.world
    found = world.annotation
    return Video(f"SYN_Live_{index + 1:06d}", images, found.boxes_xywh.copy(), ~found.absent,
                 found.visible_ratio.copy(), world.scene.object_class, found.attributes)
