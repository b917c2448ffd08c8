"""Objects of videos with one mask per frame, whose shape changes from frame to frame.

    <root>/JPEGImages/<size>/<video>/00000.jpg, <root>/Annotations/<size>/<video>/00000.png    DAVIS
    <root>/<video>/img/<frame>.jpg, <root>/<video>/mask/<frame>.png                            your own

All non-zero pixels of a mask are the object. Frames without a mask are not used.
"""

from __future__ import annotations

import functools
from pathlib import Path

import cv2
import numpy as np

from ...data.readers.mask_videos import check_mask_size
from ...data.readers.mask_videos import video_folders as folders_in
from ...data.store import FolderStore
from ...utils.errors import UserError
from .cutout import Cutout, Rng, from_mask, hull_of
from .images import MAX_CACHED, MAX_SIDE, items_of_split, list_images, read_image
from .source import ObjectSource, Scene

MIN_CUTOUT_PX = 8  # √(w·h) below which a frame's object is passed over
MAX_GAP = 6  # frames between two cut-outs of a sample
MAX_SCENE_GAP = 20  # frames between two frames of a real clip
SURROUNDINGS = 8  # px around an object that are kept with it


class MaskVideos(ObjectSource):
    """Each masked frame is an object; its cut-outs are that frame and later ones of the same video."""

    weight = 0.17
    has_scenes = True
    has_moving_shape = True

    def __init__(self, folder: str | Path, split: str = "all"):
        self.frames: list[tuple[str, str]] = []  # image and mask
        self.video_of: list[int] = []
        self.names: list[str] = []
        self.ranges: list[tuple[int, int]] = []  # first frame and end of each video
        for name, images, masks in items_of_split(video_folders(Path(folder)), split):
            first = len(self.frames)
            image_of = {Path(image).stem: image for image in list_images(images)}
            for mask in list_images(masks):
                if Path(mask).stem in image_of:
                    self.frames.append((f"{images}/{image_of[Path(mask).stem]}", f"{masks}/{mask}"))
                    self.video_of.append(len(self.names))
            self.names.append(name)
            self.ranges.append((first, len(self.frames)))
        if not self.frames:
            raise UserError(f"no videos with masks in {folder}: expected JPEGImages/ and Annotations/ as in DAVIS, or "
                            "<video>/img and <video>/mask with frames of the same names")
        super().__init__([list(range(*ends)) for ends in self.ranges])

    def class_name(self, number: int) -> str:
        return self.names[self.video_of[number]]

    def _clip(self, number: int, frames: int, max_gap: int, rng: Rng) -> list[int]:
        """Return ``frames`` frame numbers of one video at an equal gap, from ``number`` on or shortly before."""
        first, end = self.ranges[self.video_of[number]]
        gap = int(rng.integers(1, max_gap + 1))
        gap = max(1, min(gap, (end - 1 - first) // max(1, frames - 1)))
        start = max(first, min(number, end - 1 - gap * (frames - 1)))
        return [min(start + step * gap, end - 1) for step in range(frames)]

    def cutouts(self, number: int, frames: int, rng: Rng) -> list[Cutout]:
        found: list[Cutout] = []
        missing = 0  # leading frames without an object
        for frame in self._clip(number, frames, MAX_GAP, rng):
            cutout = from_mask(*_read_object(*self.frames[frame]), rng)
            if cutout is not None and cutout.size >= MIN_CUTOUT_PX:
                found.append(cutout)
            elif found:
                found.append(found[-1])
            else:
                missing += 1
        return found[:1] * missing + found

    def scene(self, number: int, frames: int, rng: Rng) -> Scene:
        images, masks, outlines = [], [], []
        for frame in self._clip(number, frames, MAX_SCENE_GAP, rng):
            image, mask = read_pair(*self.frames[frame])
            outline = hull_of(mask > 127)
            images.append(image)
            masks.append(mask)
            outlines.append(np.zeros((1, 2)) if outline is None else outline)
        return Scene(images, masks, outlines)

    def background(self, frames: int, rng: Rng) -> list[np.ndarray]:
        """Return ``frames`` images of one video, close together in time."""
        clip = self._clip(self.choose(rng), frames, 3, rng)
        return [read_pair(*self.frames[frame])[0] for frame in clip]


def video_folders(folder: Path) -> list[tuple[str, Path, Path]]:
    """Return (name, folder of images, folder of masks) of the videos in ``folder``."""
    found = folders_in(FolderStore(folder))
    return [(name, folder / images, folder / masks) for name, (images, masks) in found.items()]


def read_pair(image_path: str, mask_path: str) -> tuple[np.ndarray, np.ndarray]:
    """Return a frame (h, w, 3) and its mask (h, w) in 0…255, shrunk to at most ``MAX_SIDE`` px.

    Raises :class:`UserError` if the two have different sizes."""
    mask = cv2.cvtColor(read_image(mask_path), cv2.COLOR_RGB2GRAY)
    mask = cv2.threshold(mask, 0, 255, cv2.THRESH_BINARY)[1]
    # decoding a JPEG at half of its size or less is faster than to shrink it afterwards
    reduce = next((r for r in (1, 2, 4) if max(mask.shape) <= MAX_SIDE * r), 8)
    image = read_image(image_path, reduce)
    size_wh = tuple(-(-side // reduce) for side in mask.shape[::-1])
    if size_wh != image.shape[1::-1]:
        check_mask_size(mask, read_image(image_path), mask_path)
    if reduce > 1:
        mask = cv2.resize(mask, size_wh, interpolation=cv2.INTER_AREA)
    return image, mask


@functools.lru_cache(MAX_CACHED)
def _read_object(image_path: str, mask_path: str) -> tuple[np.ndarray, np.ndarray]:
    """Return the part of a frame and of its mask that holds the object."""
    image, mask = read_pair(image_path, mask_path)
    outline = hull_of(mask > 127)
    if outline is None:
        return image[:SURROUNDINGS, :SURROUNDINGS].copy(), mask[:SURROUNDINGS, :SURROUNDINGS].copy()
    left, top = np.maximum(outline.min(0).astype(int) - SURROUNDINGS, 0)
    right, bottom = outline.max(0).astype(int) + SURROUNDINGS
    return image[top:bottom, left:right].copy(), mask[top:bottom, left:right].copy()
