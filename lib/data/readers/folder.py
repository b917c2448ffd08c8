"""Any folder of videos. Each subfolder with a ground-truth file is a video, or the folder itself is one.

Frames: images whose names end in a number, in the video's folder or in ``img/``, ``imgs/``, ``color/``, ``images/``,
``frames/``, taken in the order of their numbers. Ground truth, one row a frame, told apart by the number of columns:

    groundtruth_rect.txt, groundtruth.txt     x,y,w,h               OTB, LaSOT, GOT-10k, TNL2K
                                              x1,y1,…,x4,y4         VOT polygons (smallest upright box around them)
                                              frame,x,y,w,h,lost    TLP (frame counts from 1; lost = not visible)
    groundtruth_rect.1.txt, ….2.txt           several targets: the videos ``<folder>_1`` and ``<folder>_2``

Without such files: videos with masks (``mask_videos``) and VOC annotations with track numbers (``voc_tracks``).

Flags beside it are read where they are (GOT-10k's ``absence.label``, ``cover.label`` and ``meta_info.ini``, LaSOT's
``full_occlusion.txt`` and ``out_of_view.txt``). Folders with frames but no ground truth are ``missing``.
"""

from __future__ import annotations

import os
import re
from functools import partial
from pathlib import Path

import numpy as np

from ...utils.errors import UserError
from ..store import FrameStore, MtimeKey
from ..video import Video, VideoSet
from .annotation import boxes_from_rows, parse_flags, parse_rows
from .common import OPENERS, fingerprint, frame_keys, image_keys, join, make_video, open_store
from .got10k import ANNOTATION, read_meta
from .lasot import ABSENCE, read_absence
from .mask_videos import mask_videos
from .voc_tracks import voc_tracks

FRAME_FOLDERS = ("img", "imgs", "color", "images", "frames", "")
_TRUTH = re.compile(r"groundtruth(_rect)?(\.(?P<target>\d+))?\.txt")


def absolute(root: str | Path) -> Path:
    """``root`` as an absolute path without ``..``; links stay as they are, for a set is named after its folder."""
    return Path(os.path.abspath(Path(root).expanduser()))


def folder(root: str | Path) -> VideoSet:
    """The videos under ``root``, a folder or an archive of one; the set is named after it."""
    root = absolute(root)
    name = root.stem if root.suffix in OPENERS else root.name
    store = open_store(root, name)
    found = _targets(store, "", name)
    missing: list[str] = []
    if not found:
        for inner in (n for n in store.list() if not n.startswith(".")):
            targets = _targets(store, inner, inner)
            twice = found.keys() & targets.keys()
            if twice:
                raise UserError(f"{root}: two videos would be called {min(twice)}; rename the folder {inner}")
            found |= targets
            if not targets and _frame_folder(store, inner) is not None:
                missing.append(inner)
    if not found:
        videos = mask_videos(name, store) or voc_tracks(name, store)
        if videos:
            return videos
        raise UserError(f"no videos in {root}: expected <video>/groundtruth.txt or <video>/groundtruth_rect.txt, or "
                        "one of them in the folder itself, with the frames beside it or in img/; give such a folder")
    return VideoSet(name, tuple(found), partial(_read_target, store, found), tuple(missing),
                    fingerprint=partial(_fingerprint, store, found))


def _targets(store: FrameStore, video_folder: str, name: str) -> dict[str, tuple[str, str]]:
    """The targets annotated in one folder: name -> (folder, ground-truth file)."""
    files = [m for m in map(_TRUTH.fullmatch, store.list(video_folder)) if m]
    numbered = {f"{name}_{m['target']}": (video_folder, m.string) for m in files if m["target"]}
    plain = [m.string for m in files if not m["target"]]
    if len(plain) > 1:
        raise UserError(f"{store.where(video_folder)} holds {' and '.join(plain)}: keep one")
    return ({name: (video_folder, plain[0])} if plain else {}) | numbered


def _frame_folder(store: FrameStore, video_folder: str) -> str | None:
    candidates = (join(video_folder, inner) for inner in FRAME_FOLDERS)
    return next((c for c in candidates if image_keys(store, c)), None)


def _fingerprint(store: FrameStore, found: dict[str, tuple[str, str]], name: str) -> tuple[MtimeKey | None, ...]:
    video_folder, truth = found[name]
    files = (truth, *FRAME_FOLDERS, *ANNOTATION[1:], *ABSENCE)
    return fingerprint(store, *(join(video_folder, file) for file in files))


def _read_target(store: FrameStore, found: dict[str, tuple[str, str]], name: str) -> Video:
    return read_video_folder(store, *found[name], name)


def read_video_folder(store: FrameStore, video_folder: str, truth_file: str, name: str) -> Video:
    """One target of one video folder, in any of the layouts of this module."""
    truth = join(video_folder, truth_file)
    where = store.where(truth)
    rows = parse_rows(store.read(truth), where, columns=(4, 6, 8))
    absent = None
    if rows.shape[1] == 6:
        boxes_xywh, absent = _tlp_rows(rows, where)
    else:
        boxes_xywh, absent = boxes_from_rows(rows), _absence(store, video_folder)
    frames_at = _frame_folder(store, video_folder)
    frames_at = join(video_folder, "img") if frames_at is None else frames_at
    cover = join(video_folder, "cover.label")
    ratio = parse_flags(store.read(cover), store.where(cover)) / 8 if store.exists(cover) else None
    return make_video(name, store, frame_keys(store, frames_at, len(boxes_xywh)), boxes_xywh,
                         absent=absent, visible_ratio=ratio, **read_meta(store, video_folder))


def _absence(store: FrameStore, video_folder: str) -> np.ndarray | None:
    label = join(video_folder, "absence.label")
    return parse_flags(store.read(label), store.where(label)) if store.exists(label) \
        else read_absence(store, video_folder)


def _tlp_rows(rows: np.ndarray, where: str) -> tuple[np.ndarray, np.ndarray]:
    """Boxes and lost flags of rows ``frame,x,y,w,h,lost``, each at the place its frame number says."""
    numbers = rows[:, 0]
    first = 0 if len(rows) and numbers[0] == 0 else 1
    bad = np.flatnonzero(~((numbers >= first) & (numbers % 1 == 0) & (np.diff(numbers, prepend=first - 1) > 0)))
    if bad.size:
        raise UserError(f"{where}, line {bad[0] + 1}: frame number {numbers[bad[0]]:g} is not a whole number above "
                        "the one before")
    if len(rows) and numbers[-1] > 10 * len(rows) + 1000:
        raise UserError(f"{where}, line {len(rows)}: frame number {numbers[-1]:g} is out of reach of {len(rows)} rows")
    at = numbers.astype(int) - first
    boxes = np.full((at[-1] + 1 if at.size else 0, 4), np.nan)
    lost = np.zeros(len(boxes))
    boxes[at], lost[at] = rows[:, 1:5], rows[:, 5]
    return boxes, lost
