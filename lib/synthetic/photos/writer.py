"""Writes sets of composed samples (:mod:`mstgt.synthetic.video_folders`); ``meta_info.ini`` has class, resolution and
seed."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path

from ...utils.errors import UserError
from ...utils.files import write_text
from ..video_folders import only_writer, prepare_root, remove_leftovers, write_annotation, write_frame, write_videos
from .compose import make_sample
from .material import open_material
from .sample import PhotoSample

FORMAT = 1  # to be raised when the same arguments give other images
SPEC_FILE = "photos.json"
SPLITS = ("train", "val")
FEW = 50  # samples that are composed sooner than processes start


@dataclass(frozen=True)
class PhotoSetSpec:
    """What determines a set: samples of each split, frames of a sample, seed, folders of material."""

    samples: dict[str, int]
    frames: int
    seed: int
    folders: tuple[str, ...]

    def __post_init__(self) -> None:
        if self.frames < 2 or min(self.samples.values()) < 0:
            raise UserError(f"{self.samples['train']} and {self.samples['val']} samples of {self.frames} frames: give "
                            "0 or more samples and 2 or more frames")
        if not 0 <= self.seed < 2 ** 63:
            raise UserError(f"seed {self.seed}: give a whole number of 0 or more")

    def name(self, split: str, index: int) -> str:
        return f"PHOTO_{split.capitalize()}_{index + 1:06d}"

    def sample(self, split: str, index: int) -> PhotoSample:
        """Return sample ``index`` of ``split``, unrendered."""
        seed_key = (self.seed, SPLITS.index(split), index)
        return make_sample(seed_key, self.frames, open_material(self.folders, split))

    def as_json(self) -> dict:
        return {"format": FORMAT, **json.loads(json.dumps(asdict(self)))}


def write_set(root: str | Path, spec: PhotoSetSpec, workers: int = 1) -> int:
    """Write the set, or what is missing of it; return the number of samples written.

    The files do not depend on ``workers``. Raises :class:`UserError` if ``root`` holds something else."""
    root = Path(root)
    if workers < 1:
        raise UserError(f"{workers} workers: give 1 or more")
    for split in SPLITS:
        if spec.samples[split]:
            open_material(spec.folders, split)  # what is wrong with the folders is said before anything is written
    prepare_root(root, SPEC_FILE, spec.as_json())
    with only_writer(root):
        return sum(_write_split(root / split, spec, split, workers) for split in SPLITS)


def _write_split(folder: Path, spec: PhotoSetSpec, split: str, workers: int) -> int:
    folder.mkdir(exist_ok=True)
    remove_leftovers(folder)
    names = [spec.name(split, index) for index in range(spec.samples[split])]
    fills = {folder / name: partial(_fill, spec, split, index) for index, name in enumerate(names)
             if not (folder / name).is_dir()}
    write_videos(fills, workers if len(fills) > FEW else 1, "sample", f"photos, {split}")
    write_text(folder / "list.txt", "".join(f"{name}\n" for name in names))
    return len(fills)


def _fill(spec: PhotoSetSpec, split: str, index: int, folder: Path) -> None:
    """Write the frames and the annotation of one sample into an existing folder."""
    sample = spec.sample(split, index)
    width, height = sample.size_wh
    write_annotation(folder, sample.annotation, {
        "object_class": " ".join(sample.object_class.split())[:100],
        "resolution": f"({width}, {height})",
        "seed": "-".join(map(str, sample.seed_key))})
    for frame in range(sample.frames):
        write_frame(folder, frame, sample.render(frame, compress=False), sample.jpeg_quality(frame))
