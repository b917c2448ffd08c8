"""Photographs with annotated objects, and photographs without, which serve as backgrounds.

    source = PhotographObjects(read_coco(folder), "train")

Objects with polygons or masks are cut out along them, others softly by box. The readers of layouts are in
``annotations``.
"""

from __future__ import annotations

import functools
from dataclasses import dataclass, field
from pathlib import Path

import cv2
import numpy as np

from ...data.readers.mask_videos import check_mask_size
from ...utils.errors import UserError
from .cutout import Cutout, Rng, from_box, from_mask, hull_of
from .images import MAX_CACHED, cached_image, items_of_split, list_images, read_image
from .source import ObjectSource, Scene

MIN_OBJECT_PX = 20  # √(w·h) of the smallest object that is used
POLYGON_BITS = 4  # polygons are drawn at sixteenths of a pixel


@dataclass(frozen=True, slots=True)
class PhotoObject:
    """One annotated object.

    path        of the photograph
    box_xyxy    x0, y0, x1, y1 in px of the photograph; the left edge of the first pixel is 0
    polygons    outlines (K, 2) float32 in the same px; empty if there are none
    mask_path   image of the photograph's size in which the pixels of value ``mask_value`` are the object, if any
    """

    path: str
    box_xyxy: tuple[float, float, float, float]
    class_name: str
    polygons: tuple[np.ndarray, ...] = ()
    mask_path: str | None = None
    mask_value: int = 255


@dataclass(frozen=True)
class AnnotatedPhotographs:
    """Photographs in the order in which splits divide them, and their objects."""

    paths: list[str]
    objects: list[PhotoObject] = field(default_factory=list)


class Backgrounds:
    """Photographs to paste on."""

    def __init__(self, paths: list[str]):
        self.paths = paths

    def __len__(self) -> int:
        return len(self.paths)

    def image(self, rng: Rng) -> np.ndarray:
        """Return one of them, at most ``MAX_SIDE`` px on the longer side."""
        return cached_image(self.paths[int(rng.integers(len(self.paths)))])[0]


def photograph_folder(folder: Path, split: str) -> Backgrounds:
    """Return the images directly in ``folder``. Raises :class:`UserError` for an empty folder."""
    names = list_images(folder)
    if not names:
        raise UserError(f"no photographs in {folder}: put JPEG or PNG files there, or give another folder")
    return Backgrounds([str(folder / name) for name in items_of_split(names, split)])


class PhotographObjects(ObjectSource):
    """The annotated objects of photographs."""

    weight = 0.25
    has_scenes = True

    def __init__(self, found: AnnotatedPhotographs, split: str = "all"):
        paths = items_of_split(found.paths, split)
        self.backgrounds = Backgrounds(paths)
        chosen = set(paths)
        self.objects = [o for o in found.objects if o.path in chosen and _is_large(o.box_xyxy)]
        groups: dict[str, list[int]] = {}
        self.of_photograph: dict[str, list[int]] = {}
        for number, item in enumerate(self.objects):
            groups.setdefault(item.class_name, []).append(number)
            self.of_photograph.setdefault(item.path, []).append(number)
        super().__init__(list(groups.values()))

    def class_name(self, number: int) -> str:
        return self.objects[number].class_name

    def choose_similar(self, number: int, rng: Rng) -> int:
        """Draw an object of the same class or of the same photograph, perhaps the same object."""
        if rng.random() < 0.5:
            others = self.of_photograph[self.objects[number].path]
            return others[int(rng.integers(len(others)))]
        return super().choose_similar(number, rng)

    def cutouts(self, number: int, frames: int, rng: Rng) -> list[Cutout]:
        item = self.objects[number]
        image, scale = cached_image(item.path)
        mask = _mask(item, image.shape[:2], scale)
        found = None if mask is None else from_mask(image, mask, rng)
        return [from_box(image, np.array(item.box_xyxy) * scale, rng) if found is None else found]

    def scene(self, number: int, frames: int, rng: Rng) -> Scene:
        item = self.objects[number]
        image, scale = cached_image(item.path)
        mask = _mask(item, image.shape[:2], scale)
        if mask is not None:
            outline = hull_of(mask > 127)
            if outline is not None:
                return Scene([image], [mask], [outline])
        # only the box is known: it stands for the mask
        x0, y0, x1, y1 = np.array(item.box_xyxy) * scale
        mask = np.zeros(image.shape[:2], np.uint8)
        mask[int(y0):int(np.ceil(y1)), int(x0):int(np.ceil(x1))] = 255
        return Scene([image], [mask], [np.array([[x0, y0], [x1, y0], [x1, y1], [x0, y1]])])


def _is_large(box_xyxy: tuple[float, float, float, float]) -> bool:
    x0, y0, x1, y1 = box_xyxy
    return (x1 - x0) * (y1 - y0) >= MIN_OBJECT_PX ** 2 and min(x1 - x0, y1 - y0) >= MIN_OBJECT_PX / 4


def _mask(item: PhotoObject, shape: tuple[int, int], scale: float) -> np.ndarray | None:
    """Return the object's mask (h, w) in 0…255 at the photograph's ``scale``; None if only its box is known."""
    if item.mask_path is not None:
        return _mask_from_file(item.mask_path, item.mask_value, item.path)
    if not item.polygons:
        return None
    mask = np.zeros(shape, np.uint8)
    # the annotation's 0 is the left edge of the first pixel, OpenCV's its center
    points = [np.round((p * scale - 0.5) * (1 << POLYGON_BITS)).astype(np.int32) for p in item.polygons]
    return cv2.fillPoly(mask, points, 255, cv2.LINE_AA, POLYGON_BITS)


@functools.lru_cache(MAX_CACHED)
def _mask_from_file(path: str, value: int, photograph: str) -> np.ndarray:
    """Raises :class:`UserError` if the mask has another size than its photograph."""
    mask = (label_image(path) == value).astype(np.uint8) * 255
    check_mask_size(mask, read_image(photograph), path)
    shape = cached_image(photograph)[0].shape[:2]
    return mask if shape == mask.shape else cv2.resize(mask, shape[::-1], interpolation=cv2.INTER_AREA)


def label_image(path: str | Path) -> np.ndarray:
    """Return (h, w) int32 with a value for each color of a mask; 0 is black, the background."""
    rgb = read_image(path).astype(np.int32)
    return (rgb[:, :, 0] << 16) + (rgb[:, :, 1] << 8) + rgb[:, :, 2]
