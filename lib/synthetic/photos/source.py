"""The interface of object sources: collections of objects that can be cut out of images.

Every source numbers its objects and groups them by class. The layouts that are read:

    photographs.PhotographObjects    photographs with boxes, polygons or masks (COCO, VOC, YOLO, images/ and masks/)
    tiny_imagenet.TinyImageNet       64 px photographs with one box each
    cutout_files.CutoutFiles         PNG files with alpha
    mask_videos.MaskVideos           videos with one mask per frame
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from .cutout import Cutout, Rng


@dataclass(frozen=True)
class Scene:
    """An object in its own photograph or video.

    images    one (h, w, 3) uint8 RGB image for all frames, or one for each frame
    masks     (h, w) uint8 in 0…255 for each image: the object
    outlines  (K, 2) points for each image, whose extent is the object's box, in px
    """

    images: list[np.ndarray]
    masks: list[np.ndarray]
    outlines: list[np.ndarray]


class ObjectSource:
    """Objects by number, in groups.

    groups  the objects' numbers by class; groups without objects are dropped
    """

    weight = 1.0  # how often targets come from this source, relative to the others
    has_scenes = False  # whether objects can be shown in their own photographs
    has_moving_shape = False  # whether a group is one object in many shapes

    def __init__(self, groups: list[list[int]]):
        self.groups = [group for group in groups if group]
        self.group_of = {number: i for i, group in enumerate(self.groups) for number in group}
        self.numbers = sorted(self.group_of)

    def __len__(self) -> int:
        return len(self.numbers)

    def choose(self, rng: Rng) -> int:
        """Draw an object. Half of the draws take each class equally often, so that rare classes are seen."""
        if rng.random() < 0.5:
            return _element(rng, self.groups[int(rng.integers(len(self.groups)))])
        return _element(rng, self.numbers)

    def choose_similar(self, number: int, rng: Rng) -> int:
        """Draw an object of the same class, perhaps the same object."""
        return _element(rng, self.groups[self.group_of[number]])

    def class_name(self, number: int) -> str:
        """Return the name of the object's class."""
        raise NotImplementedError

    def cutouts(self, number: int, frames: int, rng: Rng) -> list[Cutout]:
        """Cut out the object: one cut-out, or one for each of ``frames`` frames if its shape changes.

        An empty list means that nothing of the object is visible."""
        raise NotImplementedError

    def scene(self, number: int, frames: int, rng: Rng) -> Scene:
        """Return the object in its own photograph or video."""
        raise NotImplementedError


def _element(rng: Rng, numbers: list[int]) -> int:
    return numbers[int(rng.integers(len(numbers)))]
