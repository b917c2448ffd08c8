"""Writes synthetic videos in GOT-10k's layout.

    ROOT/synthetic.json                  the parameters of the set
    ROOT/<split>/list.txt                the split's video names, written when all videos are complete
    ROOT/<split>/<video>/00000001.jpg    frames, 1-based
                        /groundtruth.txt      x,y,w,h per line
                        /absence.label        1 where the target is absent
                        /cover.label          0…8, visible share in eighths
                        /cut_by_image.label   1 where the target is partly outside the image
                        /meta_info.ini        class, motion, resolution, attributes, difficulty, seed

A video is written into a hidden folder and renamed when it is complete: a folder with a video's name is a complete
video. Leftovers of a killed run are removed by the next one.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import tempfile
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass
from multiprocessing import get_context
from pathlib import Path

import cv2

from ..utils.errors import UserError
from ..utils.files import locked, write_json, write_text
from ..utils.progress import progress
from .object_set import ObjectSet
from .set_spec import SPEC_FILE, SPLITS, STYLES, SetSpec, prepare_root
from .world import World

HIDDEN = ".unfinished-"
ROOT_CLASS = {"single": "object", "block": "object", "decorated": "object", "banded": "object", "vehicle": "vehicle",
              "walker": "person", "bird": "animal", "snake": "animal", "quadruped": "animal"}


@dataclass(frozen=True)
class WriteSummary:
    """The summary of a run: videos written and already there, frames written, wall time and time of all workers (s)."""

    written: int
    skipped: int
    frames: int
    wall_s: float
    busy_s: float


def meta_info(world: World | ObjectSet, spec: SetSpec, split: str, index: int) -> str:
    """The text of ``meta_info.ini``."""
    width, height = spec.size_wh
    minutes, seconds = divmod(world.frames / 30, 60)
    pace = "quickly" if "fast_motion" in world.annotation.attributes else "slowly"
    values = {
        "url": "synthetic", "begin": "00:00:00", "end": f"00:{int(minutes):02d}:{seconds:05.2f}", "anno_fps": "30Hz",
        "object_class": world.object_class, "motion_class": world.motion_class,
        "major_class": world.object_class, "root_class": ROOT_CLASS[world.object_class], "motion_adverb": pace,
        "resolution": f"({width}, {height})",
        "absence": f"{int(world.annotation.absent.sum())}/{world.frames}",
        "cover": f"{world.annotation.visible_ratio.mean():.4f}",
        "attributes": ", ".join(world.annotation.attributes),
        "difficulty": f"{spec.video_difficulty(split, index):.4f}",
        "seed": "-".join(map(str, spec.seed_key(split, index))),
    }
    return "[METAINFO]\n" + "".join(f"{key}: {value}\n" for key, value in values.items())


def spec_world(spec: SetSpec, split: str, index: int) -> World | ObjectSet:
    """Video ``index`` of ``split``, unrendered."""
    return STYLES[spec.style](spec.seed_key(split, index), spec.frames[split], spec.size_wh,
                              spec.video_difficulty(split, index), spec.pool_key(split))


def _fill(folder: Path, spec: SetSpec, split: str, index: int) -> None:
    world = spec_world(spec, split, index)
    found = world.annotation
    rows = "".join(",".join(f"{v:.4f}" for v in box) + "\n" for box in found.boxes_xywh)
    (folder / "groundtruth.txt").write_text(rows)
    for name, values in (("absence", found.absent), ("cover", found.cover), ("cut_by_image", found.cut)):
        (folder / f"{name}.label").write_text("".join(f"{int(v)}\n" for v in values))
    (folder / "meta_info.ini").write_text(meta_info(world, spec, split, index))
    quality = [cv2.IMWRITE_JPEG_QUALITY, world.jpeg_quality]
    for frame in range(world.frames):
        done, data = cv2.imencode(".jpg", cv2.cvtColor(world.render(frame), cv2.COLOR_RGB2BGR), quality)
        if not done:
            raise RuntimeError(f"cannot encode frame {frame} of {folder}")
        (folder / f"{frame + 1:08d}.jpg").write_bytes(data.tobytes())


def write_video(root: Path, spec: SetSpec, split: str, index: int) -> float:
    """Write one video; return the seconds that it took."""
    start = time.perf_counter()
    cv2.setNumThreads(1)
    name = spec.video_name(split, index)
    try:
        hidden = Path(tempfile.mkdtemp(prefix=HIDDEN, dir=root / split))
        try:
            _fill(hidden, spec, split, index)
            hidden.chmod(0o755)
            hidden.rename(root / split / name)
        finally:
            shutil.rmtree(hidden, ignore_errors=True)
    except OSError as error:
        raise UserError(f"cannot write {root / split / name}: {error.strerror or error}") from error
    return time.perf_counter() - start


@contextlib.contextmanager
def _only_writer(root: Path) -> Iterator[None]:
    """Lock ``root`` against other runs."""
    with locked(root, wait_s=0) as alone:
        if not alone:
            raise UserError(f"another run is writing to {root}: wait for it, or give another folder")
        yield


def _remove_old(root: Path) -> None:
    """Remove the splits of an old set. Each is renamed first, so that no incomplete video keeps its name."""
    for split in SPLITS:
        if (root / split).exists():
            (root / split / "list.txt").unlink(missing_ok=True)
            (root / split).rename(tempfile.mkdtemp(prefix=HIDDEN, dir=root))
    _remove_leftovers(root)


def _remove_leftovers(root: Path) -> None:
    for folder in (root, *(root / split for split in SPLITS)):
        for leftover in folder.glob(HIDDEN + "*"):
            shutil.rmtree(leftover)


def end_with_parent(parent: int) -> None:
    """In a worker: exit when the parent process has ended, even by SIGKILL."""

    def watch() -> None:
        while os.getppid() == parent:
            time.sleep(1)
        os._exit(1)

    threading.Thread(target=watch, daemon=True).start()


def _run(root: Path, spec: SetSpec, jobs: list[tuple[str, int]], workers: int) -> float:
    """Write ``jobs`` in order with ``workers`` processes (1: this one); return the seconds that all of them took."""
    bar = progress(total=len(jobs), unit="video", desc="synthetic")
    with bar:
        if workers == 1:
            busy = 0.0
            for split, index in jobs:
                busy += write_video(root, spec, split, index)
                bar.update()
            return busy
        pool = ProcessPoolExecutor(workers, get_context("spawn"), end_with_parent, (os.getpid(),))
        try:
            busy = 0.0
            for done in as_completed([pool.submit(write_video, root, spec, *job) for job in jobs]):
                busy += done.result()
                bar.update()
            return busy
        except BrokenProcessPool as error:
            raise UserError("a worker process was killed, perhaps for lack of memory: run again with fewer "
                            "workers (finished videos are kept)") from error
        finally:
            pool.shutdown(cancel_futures=True)


def write_set(root: str | Path, spec: SetSpec, workers: int = 1, overwrite: bool = False) -> WriteSummary:
    """Write the set ``spec`` under ``root``, or complete it; existing videos are skipped.

    The bytes do not depend on ``workers``. Raises :class:`UserError` if ``root`` holds something else.
    """
    root = Path(root)
    if workers < 1:
        raise UserError(f"{workers} workers: give 1 or more")
    replace = prepare_root(root, spec, overwrite)
    start = time.perf_counter()
    with _only_writer(root):
        if replace:
            _remove_old(root)
            write_json(root / SPEC_FILE, spec.as_json())
        _remove_leftovers(root)
        jobs, skipped = [], 0
        for split in SPLITS:
            (root / split).mkdir(exist_ok=True)
            for index in range(spec.videos[split]):
                if (root / split / spec.video_name(split, index)).is_dir():
                    skipped += 1
                else:
                    jobs.append((split, index))
        busy = _run(root, spec, jobs, max(1, min(workers, len(jobs))))
        for split in SPLITS:
            names = [spec.video_name(split, index) for index in range(spec.videos[split])]
            write_text(root / split / "list.txt", "".join(f"{name}\n" for name in names))
    frames = sum(spec.frames[split] for split, _ in jobs)
    return WriteSummary(len(jobs), skipped, frames, time.perf_counter() - start, busy)
