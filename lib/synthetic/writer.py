"""Writes sets of rendered videos (:mod:`.video_folders`); ``meta_info.ini`` has class, motion, resolution, attributes,
difficulty and seed.
"""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from ..utils.errors import UserError
from ..utils.files import write_json, write_text
from .object_set import ObjectSet
from .set_spec import SPEC_FILE, SPLITS, STYLES, SetSpec
from .video_folders import (
    HIDDEN,
    only_writer,
    prepare_root,
    remove_leftovers,
    write_annotation,
    write_frame,
    write_videos,
)
from .world import World

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


def meta_info(world: World | ObjectSet, spec: SetSpec, split: str, index: int) -> dict[str, str]:
    """The content of ``meta_info.ini``."""
    width, height = spec.size_wh
    minutes, seconds = divmod(world.frames / 30, 60)
    pace = "quickly" if "fast_motion" in world.annotation.attributes else "slowly"
    return {
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


def _fill(spec: SetSpec, split: str, index: int, folder: Path) -> None:
    world = STYLES[spec.style](spec.seed_key(split, index), spec.frames[split], spec.size_wh,
                               spec.video_difficulty(split, index), spec.pool_key(split))
    write_annotation(folder, world.annotation, meta_info(world, spec, split, index))
    for frame in range(world.frames):
        write_frame(folder, frame, world.render(frame), world.jpeg_quality)


def _remove_old(root: Path) -> None:
    """Remove the splits of an old set. Each is renamed first, so that no incomplete video keeps its name."""
    for split in SPLITS:
        if (root / split).exists():
            (root / split / "list.txt").unlink(missing_ok=True)
            (root / split).rename(tempfile.mkdtemp(prefix=HIDDEN, dir=root))


def write_set(root: str | Path, spec: SetSpec, workers: int = 1, overwrite: bool = False,
              on_start: Callable[[], None] = lambda: None) -> WriteSummary:
    """Write the set ``spec`` under ``root``, or complete it; existing videos are skipped.

    ``on_start`` is called before the first video is made, when it is known that ``root`` can be written to. The bytes
    do not depend on ``workers``. Raises :class:`UserError` if ``root`` holds something else.
    """
    root = Path(root)
    if workers < 1:
        raise UserError(f"{workers} workers: give 1 or more")
    replace = prepare_root(root, SPEC_FILE, spec.as_json(), overwrite)
    start = time.perf_counter()
    with only_writer(root):
        if replace:
            _remove_old(root)
            write_json(root / SPEC_FILE, spec.as_json())
        remove_leftovers(root)
        on_start()
        fills = {}
        frames = 0
        for split in SPLITS:
            (root / split).mkdir(exist_ok=True)
            remove_leftovers(root / split)
            for index in range(spec.videos[split]):
                folder = root / split / spec.video_name(split, index)
                if not folder.is_dir():
                    fills[folder] = partial(_fill, spec, split, index)
                    frames += spec.frames[split]
        busy = write_videos(fills, workers, "video", "synthetic")
        for split in SPLITS:
            names = [spec.video_name(split, index) for index in range(spec.videos[split])]
            write_text(root / split / "list.txt", "".join(f"{name}\n" for name in names))
    skipped = sum(spec.videos.values()) - len(fills)
    return WriteSummary(len(fills), skipped, frames, time.perf_counter() - start, busy)
