"""The material of a set: object sources and backgrounds, found in folders by their layout.

    material = open_material(("/data/my_photos",), "train")
    print(layouts_in(Path("/data/my_photos")))        # [("coco", Path("/data/my_photos"))]

A folder may have one of these layouts, or hold several folders that do (at most two levels down):

    coco            annotations/*.json with the images in a folder named after it, in images/ or beside it
    voc             Annotations/*.xml, JPEGImages/*.jpg
    yolo            images/, labels/*.txt (or images/train, labels/train)
    masked          images/, masks/: PNG masks of the same names, each color one object
    mask_videos     <video>/img, <video>/mask; or DAVIS's JPEGImages/ and Annotations/
    tiny_imagenet   train/<wnid>/images, train/<wnid>/<wnid>_boxes.txt
    cutouts         *.png with alpha
    photographs     images without annotation, to paste on
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import cv2
import numpy as np

from ...utils.errors import UserError
from .annotations import coco_files, read_coco, read_masked, read_voc, read_yolo
from .cutout import Rng
from .cutout_files import CutoutFiles
from .images import list_images
from .mask_videos import MaskVideos, video_folders
from .photographs import Backgrounds, PhotographObjects, photograph_folder
from .source import ObjectSource
from .tiny_imagenet import TinyImageNet

Item = TypeVar("Item")

MAX_DEPTH = 2  # levels of folders that are searched for material
TILE_PX = (64, 150)  # smallest and largest side of a mosaic's tiles

SOURCES: dict[str, Callable[[Path, str], ObjectSource]] = {
    "coco": lambda folder, split: PhotographObjects(read_coco(folder), split),
    "voc": lambda folder, split: PhotographObjects(read_voc(folder), split),
    "yolo": lambda folder, split: PhotographObjects(read_yolo(folder), split),
    "masked": lambda folder, split: PhotographObjects(read_masked(folder), split),
    "mask_videos": MaskVideos,
    "tiny_imagenet": TinyImageNet,
    "cutouts": CutoutFiles,
}
# how often each kind of background is used, relative to the others
BACKGROUND_WEIGHTS = {"photographs": 0.5, "annotated": 0.22, "mosaic": 0.18, "video": 0.08, "gradient": 0.02}


@dataclass(frozen=True)
class Material:
    """What samples are composed from."""

    sources: list[ObjectSource]
    backgrounds: list[Backgrounds]

    def choose_source(self, rng: Rng) -> ObjectSource:
        """Draw the source of an object."""
        return _weighted(rng, self.sources, [source.weight for source in self.sources])

    def choose_scene_source(self, rng: Rng) -> ObjectSource | None:
        """Draw a source whose objects can be shown in their own photographs, if there is one."""
        sources = [source for source in self.sources if source.has_scenes]
        return _weighted(rng, sources, [source.weight for source in sources]) if sources else None

    def background(self, rng: Rng, frames: int, size_wh: tuple[int, int]) -> list[np.ndarray]:
        """Return what to paste on: one (h, w, 3) image for all frames, or one for each frame."""
        annotated = [s.backgrounds for s in self.sources if isinstance(s, PhotographObjects)]
        videos = [s for s in self.sources if isinstance(s, MaskVideos)]
        tiles = [s for s in self.sources if isinstance(s, TinyImageNet)]
        present: dict[str, list[Any]] = {"photographs": self.backgrounds, "annotated": annotated, "mosaic": tiles,
                                         "video": videos}
        kinds = [kind for kind in BACKGROUND_WEIGHTS if present.get(kind, True)]
        kind = _weighted(rng, kinds, [BACKGROUND_WEIGHTS[kind] for kind in kinds])
        if kind == "gradient":
            colors = rng.integers(0, 256, (*rng.integers(2, 9, 2), 3), dtype=np.uint8)
            return [cv2.resize(colors, size_wh, interpolation=cv2.INTER_CUBIC)]
        chosen = present[kind][int(rng.integers(len(present[kind])))]
        if kind == "mosaic":
            return [mosaic(rng, chosen, size_wh)]
        return chosen.background(frames, rng) if kind == "video" else [chosen.image(rng)]


def _weighted(rng: Rng, items: list[Item], weights: list[float]) -> Item:
    """Draw an item with a probability in proportion to its weight."""
    shares = np.array(weights) / sum(weights)
    return items[int(rng.choice(len(items), p=shares))]


def mosaic(rng: Rng, source: TinyImageNet, size_wh: tuple[int, int]) -> np.ndarray:
    """Return small photographs side by side, in columns of different widths, (H, W, 3)."""
    width, height = size_wh
    image = np.empty((height, width, 3), np.uint8)
    x = 0
    while x < width:
        side = int(rng.integers(*TILE_PX))
        y = -int(rng.integers(side))
        while y < height:
            tile = source.random_image(rng)
            if tile.shape[:2] != (side, side):
                tile = cv2.resize(tile, (side, side), interpolation=cv2.INTER_LINEAR)
            top, bottom, right = max(y, 0), min(y + side, height), min(x + side, width)
            image[top:bottom, x:right] = tile[top - y:bottom - y, :right - x]
            y += side
        x += side
    return image


def layouts_in(folder: Path, depth: int = MAX_DEPTH) -> list[tuple[str, Path]]:
    """Return (layout, folder) of all material in ``folder``; an empty list if no layout is recognized."""
    layout = _layout_of(folder)
    if layout is not None:
        return [(layout, folder)]
    found = []
    for inside in sorted(folder.iterdir()) if depth else ():
        if inside.is_dir() and not inside.name.startswith("."):
            found += layouts_in(inside, depth - 1)
    return found


def _layout_of(folder: Path) -> str | None:
    if any((folder / "Annotations").glob("*.xml")):
        return "voc"
    if (folder / "images").is_dir() and (folder / "masks").is_dir():
        return "masked"
    if (folder / "images").is_dir() and (folder / "labels").is_dir():
        return "yolo"
    if video_folders(folder):
        return "mask_videos"
    if coco_files(folder):
        return "coco"
    if any((folder / "train").glob("*/images")):
        return "tiny_imagenet"
    images = list_images(folder)
    if images:
        return "cutouts" if all(_has_alpha(folder / name) for name in images[:5]) else "photographs"
    return None


def _has_alpha(path: Path) -> bool:
    """Return whether a file is a PNG with an alpha channel, by its header."""
    with open(path, "rb") as file:
        header = file.read(26)
    return header.startswith(b"\x89PNG") and len(header) == 26 and header[25] in (4, 6)


@functools.lru_cache(maxsize=4)
def open_material(folders: tuple[str, ...], split: str) -> Material:
    """Return the material in ``folders``, of ``split`` ("train", "val" or "all").

    Raises :class:`UserError` for a folder without any, and if there is not one object in all of them."""
    sources: list[ObjectSource] = []
    backgrounds: list[Backgrounds] = []
    for folder in map(Path, folders):
        if not folder.is_dir():
            raise UserError(f"no folder {folder}: give a folder with photographs")
        found = layouts_in(folder)
        if not found:
            raise UserError(f"no photographs in {folder}: it is empty or has no layout that is known (photographs with "
                            "COCO, VOC or YOLO boxes, images/ and masks/, videos with masks, cut-outs; docs/photos.md)")
        for layout, place in found:
            if layout == "photographs":
                backgrounds.append(photograph_folder(place, split))
            else:
                sources.append(SOURCES[layout](place, split))
    sources = [source for source in sources if len(source)]
    if not sources:
        raise UserError(f"no objects in {', '.join(folders)}: photographs need boxes (COCO, VOC, YOLO), masks or "
                        "alpha, for objects of at least 20 px")
    return Material(sources, backgrounds)
