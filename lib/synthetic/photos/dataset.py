"""The world of photographs as a data set by name.

    videos = photos(Path("/data/my_photos"), "train")      # a VideoSet; PHOTOS:/data/my_photos in a config

A folder that ``tracking/make_photos.py`` has written is read; for any other folder samples are composed of its material
when they are read, ``LIVE_SAMPLES`` different ones.
"""

from __future__ import annotations

import functools
import os
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import cv2
import numpy as np

from ...data.readers.got10k import got10k_folder
from ...data.store import open_store, require_photos
from ...data.video import Video, VideoSet
from .compose import make_sample
from .material import open_material
from .sample import PhotoSample
from .writer import SPEC_FILE

LIVE_SAMPLES = {"train": 100_000, "val": 1000}
LIVE_FRAMES = 4
LIVE_SEED = 0
SPLIT_KEYS = {"train": 2, "val": 3}  # of seeds; 0 and 1 are those of sets on disk


@functools.lru_cache(maxsize=8)
def _sample(folders: tuple[str, ...], split: str, index: int, frames: int) -> PhotoSample:
    return make_sample((LIVE_SEED, SPLIT_KEYS[split], index), frames, open_material(folders, split))


@dataclass(frozen=True)
class PhotoFrames:
    """The images of one sample, rendered on demand; see ``mstgt.data.video.Frames``."""

    folders: tuple[str, ...]
    split: str
    index: int
    frames: int = LIVE_FRAMES

    def __len__(self) -> int:
        return self.frames

    @property
    def sample(self) -> PhotoSample:
        return _sample(self.folders, self.split, self.index, self.frames)

    def read(self, index: int, reduce: int = 1, rows: int | None = None) -> np.ndarray:
        """Return frame ``index`` as (H, W, 3) uint8 RGB, always with all rows."""
        image = self.sample.render(index)
        if reduce == 1:
            return image
        size_wh = tuple(-(-side // reduce) for side in image.shape[1::-1])
        return cv2.resize(image, size_wh, interpolation=cv2.INTER_AREA)

    def where(self, index: int) -> str:
        return f"frame {index} of sample {self.index + 1} composed of {', '.join(self.folders)}"


def _load(folders: tuple[str, ...], split: str, name: str) -> Video:
    frames = PhotoFrames(folders, split, int(name.rpartition("_")[2]) - 1)
    sample = frames.sample
    found = sample.annotation
    return Video(name, frames, found.boxes_xywh.copy(), ~found.absent, found.visible_ratio.copy(),
                 sample.object_class, size_wh=sample.size_wh)


def live_photos(folder: Path, split: str) -> VideoSet:
    """Return samples composed of the material in ``folder``; the split's share of it."""
    folders = (os.path.abspath(folder),)
    open_material(folders, split)  # what is wrong with the folder is said at the start
    names = tuple(f"PHOTO_{index + 1:06d}" for index in range(LIVE_SAMPLES[split]))
    return VideoSet(folder.name or "photos", names, partial(_load, folders, split))


def photos(folder: Path, split: str) -> VideoSet:
    """Return the split "train" or "val" of a folder: the samples written there, or samples composed of what is there.

    Raises :class:`UserError` for a folder without material."""
    require_photos(folder)
    if (folder / SPEC_FILE).is_file():
        return got10k_folder(folder.name, open_store(folder, "photos"), split)
    return live_photos(folder, split)
