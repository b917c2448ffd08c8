"""Write samples in GOT-10k's layout.

    ROOT/photos.json                     what the set is made from
    ROOT/<split>/list.txt                names of the split's samples, written when all of them are there
    ROOT/<split>/<sample>/00000001.jpg   frames, 1-based; beside them groundtruth.txt, absence.label, cover.label,
                                         cut_by_image.label and meta_info.ini, as ``synthetic.writer`` describes them

A sample is written into a hidden folder and renamed when it is complete, so that an interrupted run can continue.
"""

from __future__ import annotations

import json
import os
import shutil
import tempfile
from concurrent.futures import ProcessPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool
from dataclasses import asdict, dataclass
from multiprocessing import get_context
from pathlib import Path

import cv2

from ...utils.errors import UserError
from ...utils.files import locked, write_json, write_text
from ...utils.progress import progress
from ..writer import HIDDEN, end_with_parent
from .compose import make_sample
from .material import open_material
from .sample import PhotoSample

FORMAT = 1  # to be raised when the same arguments give other images
SPEC_FILE = "photos.json"
SPLITS = ("train", "val")
CHUNK = 50  # samples that a worker process is given at once


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
        raise UserError(f"--workers {workers}: give 1 or more")
    for split in SPLITS:
        if spec.samples[split]:
            open_material(spec.folders, split)  # what is wrong with the folders is said before anything is written
    _claim(root, spec)
    with locked(root, wait_s=0) as alone:
        if not alone:
            raise UserError(f"another run is writing to {root}: wait for it, or give another --out")
        return sum(_write_split(root, spec, split, workers) for split in SPLITS)


def _claim(root: Path, spec: PhotoSetSpec) -> None:
    path = root / SPEC_FILE
    if not path.exists():
        if root.exists() and (not root.is_dir() or any(root.iterdir())):
            raise UserError(f"{root} is not empty and holds no {SPEC_FILE}: give another folder to --out")
        write_json(path, spec.as_json())
        return
    try:
        same = json.loads(path.read_text("utf-8")) == spec.as_json()
    except (OSError, ValueError):
        same = False
    if not same:
        raise UserError(f"{root} holds a set made with other arguments (see {SPEC_FILE}): give another --out")


def _write_split(root: Path, spec: PhotoSetSpec, split: str, workers: int) -> int:
    folder = root / split
    folder.mkdir(exist_ok=True)
    for leftover in folder.glob(HIDDEN + "*"):
        shutil.rmtree(leftover)
    names = [spec.name(split, index) for index in range(spec.samples[split])]
    missing = [index for index, name in enumerate(names) if not (folder / name).is_dir()]
    chunks = [missing[at:at + CHUNK] for at in range(0, len(missing), CHUNK)]
    with progress(total=len(missing), unit="sample", desc=f"photos, {split}") as bar:
        if workers == 1 or len(chunks) < 2:
            for chunk in chunks:
                bar.update(_write_chunk(root, spec, split, chunk))
        else:
            _write_parallel(root, spec, split, chunks, workers, bar)
    write_text(folder / "list.txt", "".join(f"{name}\n" for name in names))
    return len(missing)


def _write_parallel(root: Path, spec: PhotoSetSpec, split: str, chunks: list[list[int]], workers: int, bar) -> None:
    pool = ProcessPoolExecutor(min(workers, len(chunks)), get_context("spawn"), end_with_parent, (os.getpid(),))
    try:
        for done in as_completed([pool.submit(_write_chunk, root, spec, split, chunk) for chunk in chunks]):
            bar.update(done.result())
    except BrokenProcessPool as error:
        raise UserError("a worker process was killed, perhaps for lack of memory: run again with fewer --workers "
                        "(finished samples are kept)") from error
    finally:
        pool.shutdown(cancel_futures=True)


def _write_chunk(root: Path, spec: PhotoSetSpec, split: str, indices: list[int]) -> int:
    """Write samples; return how many."""
    cv2.setNumThreads(1)
    for index in indices:
        sample = spec.sample(split, index)
        target = root / split / spec.name(split, index)
        try:
            hidden = Path(tempfile.mkdtemp(prefix=HIDDEN, dir=target.parent))
            try:
                write_sample(hidden, sample)
                hidden.chmod(0o755)
                hidden.rename(target)
            finally:
                shutil.rmtree(hidden, ignore_errors=True)
        except OSError as error:
            raise UserError(f"cannot write {target}: {error.strerror or error}") from error
    return len(indices)


def write_sample(folder: Path, sample: PhotoSample) -> None:
    """Write the frames and the annotation of one sample into an existing folder."""
    found = sample.annotation
    rows = "".join(",".join(f"{value:.4f}" for value in box) + "\n" for box in found.boxes_xywh)
    (folder / "groundtruth.txt").write_text(rows)
    for name, values in (("absence", found.absent), ("cover", found.cover), ("cut_by_image", found.cut)):
        (folder / f"{name}.label").write_text("".join(f"{int(value)}\n" for value in values))
    width, height = sample.size_wh
    object_class = " ".join(sample.object_class.split())[:100]
    seed = "-".join(map(str, sample.seed_key))
    (folder / "meta_info.ini").write_text(
        f"[METAINFO]\nobject_class: {object_class}\nresolution: ({width}, {height})\nseed: {seed}\n", encoding="utf-8")
    for frame in range(sample.frames):
        image = cv2.cvtColor(sample.render(frame, compress=False), cv2.COLOR_RGB2BGR)
        data = cv2.imencode(".jpg", image, [cv2.IMWRITE_JPEG_QUALITY, sample.jpeg_quality(frame)])[1]
        (folder / f"{frame + 1:08d}.jpg").write_bytes(data.tobytes())
