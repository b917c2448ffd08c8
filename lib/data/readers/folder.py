"""Any folder of videos. Every folder with a ground-truth file is a video: the given folder itself, its subfolders, or
theirs (``<class>/<video>/``, up to ``MAX_DEPTH`` levels down).

Frames: images whose names differ in a number (:mod:`mstgt.data.frame_names`), in the video's folder or in ``img/``,
``img1/``, ``imgs/``, ``color/``, ``images/``, ``frames/``, in the order of their numbers. Ground truth, one row per
frame, distinguished by the number of columns:

    groundtruth_rect.txt, groundtruth.txt     x,y,w,h               OTB, LaSOT, GOT-10k, TNL2K
                                              x1,y1,…,x4,y4         VOT polygons (smallest upright box around them)
                                              frame,x,y,w,h,lost    TLP (frame counts from 1; lost = not visible)
    groundtruth_rect.1.txt, ….2.txt           several targets: the videos ``<folder>_1`` and ``<folder>_2``
    gt/gt.txt                                 frame,id,x,y,w,h,…    MOTChallenge: the videos ``<folder>_<id>``

The name may be in upper or lower case, have ``ground_truth`` in it and end in ``.csv``; numbers may be separated by
semicolons, and the first line may be a header. Flags beside the ground truth are read if they are there (GOT-10k's
``absence.label``, ``cover.label`` and ``meta_info.ini``, LaSOT's ``full_occlusion.txt`` and ``out_of_view.txt``).
Folders with frames but no ground truth are ``missing``; what else is ignored is named in ``VideoSet.notes`` and
``Video.notes``.

Two other layouts are read if there is no ground truth of these kinds: masks instead of boxes
(:mod:`mstgt.data.readers.mask_videos`) and VOC annotations with track numbers (:mod:`mstgt.data.readers.voc_tracks`).
"""

from __future__ import annotations

import os
import re
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import NamedTuple

import numpy as np

from ...utils.errors import UserError, shortened
from ..frame_names import IMAGE_SUFFIXES, find_frames, frame_keys, image_keys
from ..store import ARCHIVE_SUFFIXES, FrameStore, MtimeKey, fingerprint, join, open_store
from ..video import Video, VideoSet, make_video
from .annotation import (
    GOT10K_FILES,
    LASOT_ABSENCE,
    boxes_from_rows,
    has_header,
    parse_rows,
    read_absence,
    read_flags,
    read_meta,
)
from .mask_videos import mask_videos
from .mot import mot_boxes, mot_last_frame, mot_tracks
from .voc_tracks import voc_tracks

FRAME_FOLDERS = ("img", "img1", "imgs", "color", "images", "frames", "")
MAX_DEPTH = 3  # levels of folders below the given one in which videos are looked for
_TRUTH = re.compile(r"ground_?truth(_rect)?(\.(?P<target>\d+))?\.(txt|csv)", re.IGNORECASE)
_FILE_SUFFIXES = (*IMAGE_SUFFIXES, ".txt", ".csv", ".label", ".ini", ".json", ".xml", ".zip", ".mp4", ".avi")


class Target(NamedTuple):
    """Where the boxes of one target are: the video's folder, the file, and the track number (MOTChallenge only)."""

    folder: str
    truth_file: str
    track: int | None = None


def absolute(root: str | Path) -> Path:
    """Return ``root`` as an absolute path without ``..``; links stay, because a set is named after its folder."""
    return Path(os.path.abspath(os.path.expanduser(root)))


def folder(root: str | Path) -> VideoSet:
    """Return the videos under ``root``, a folder or an archive of one; the set is named after it."""
    root = absolute(root)
    name = root.stem if root.suffix in ARCHIVE_SUFFIXES else root.name
    store = open_store(root)
    found, missing, ignored = _find_videos(store, name)
    if not found:
        videos = mask_videos(name, store) or voc_tracks(name, store)
        if videos:
            return videos
        raise UserError(f"no videos in {root}: expected <video>/groundtruth.txt or <video>/groundtruth_rect.txt, or "
                        "one of them in the folder itself, with the frames beside it or in img/; give such a folder")
    notes: tuple[str, ...] = ()
    if ignored:
        notes = (f"ignored in {root}: {shortened(ignored)} (neither frames nor ground truth)",)
    return VideoSet(name, tuple(found), partial(_read_target, store, found), tuple(missing),
                    fingerprint=partial(_fingerprint, store, found), notes=notes)


def _find_videos(store: FrameStore, name: str) -> tuple[dict[str, Target], list[str], list[str]]:
    """Return the targets by name, the folders that have frames but no ground truth, and the other folders."""
    targets = _targets(store, "", name)
    if targets:
        return targets, [], []
    found: dict[str, list[tuple[str, Target]]] = {}
    missing: list[str] = []
    ignored: list[str] = []

    def look_into(parent: str, depth: int) -> bool:
        """Collect what is below ``parent``; return whether there is a video or a folder of frames."""
        anything = False
        for inner in store.list(parent):
            place = join(parent, inner)
            if inner.startswith(".") or (inner.lower().endswith(_FILE_SUFFIXES) and store.exists(place)):
                continue
            if not store.list(place):
                continue
            targets = _targets(store, place, inner)
            for target_name, target in targets.items():
                found.setdefault(target_name, []).append((place, target))
            if targets:
                anything = True
            elif _frame_folder(store, place) is not None:
                missing.append(place)
                anything = True
            elif depth < MAX_DEPTH and look_into(place, depth + 1):
                anything = True
            elif depth == 1:
                ignored.append(inner)
        return anything

    look_into("", 1)
    if not found:
        return {}, missing, ignored
    return _with_unique_names(store, found), missing, ignored


def _with_unique_names(store: FrameStore, found: dict[str, list[tuple[str, Target]]]) -> dict[str, Target]:
    """Name each target after its folder; the folders above distinguish folders of the same name."""
    targets: dict[str, Target] = {}
    for name, places in found.items():
        for place, target in places:
            above = place.rpartition("/")[0].replace("/", "_")
            unique = f"{above}_{name}" if len(places) > 1 and above else name
            if unique in targets:
                raise UserError(f"{store.where('')}: two videos would be called {unique}; rename the folder {place}")
            targets[unique] = target
    return targets


def _targets(store: FrameStore, video_folder: str, name: str) -> dict[str, Target]:
    """Return the targets annotated in one folder by their names."""
    names = store.list(video_folder)
    files = [m for m in map(_TRUTH.fullmatch, names) if m]
    numbered = {f"{name}_{m['target']}": Target(video_folder, m.string) for m in files if m["target"]}
    plain = [m.string for m in files if not m["target"]]
    if len(plain) > 1:
        raise UserError(f"{store.where(video_folder)} holds {' and '.join(plain)}: keep one")
    if plain:
        return {name: Target(video_folder, plain[0])} | numbered
    mot_truth = None if numbered else _mot_truth(store, video_folder, names)
    if mot_truth is None:
        return numbered
    tracks = mot_tracks(store, join(video_folder, mot_truth))
    if len(tracks) == 1:
        return {name: Target(video_folder, mot_truth, tracks[0])}
    return {f"{name}_{track}": Target(video_folder, mot_truth, track) for track in tracks}


def _mot_truth(store: FrameStore, video_folder: str, names: Sequence[str]) -> str | None:
    """Return ``gt/gt.txt`` below the folder, in the case in which it is written there; None where there is none."""
    for inner in names:
        if inner.lower() == "gt":
            for file in store.list(join(video_folder, inner)):
                if file.lower() == "gt.txt":
                    return f"{inner}/{file}"
    return None


def _frame_folder(store: FrameStore, video_folder: str) -> str | None:
    """Return the folder that holds the frames of a video; None if there are no frames."""
    inside = {name.lower(): name for name in store.list(video_folder)}
    for candidate in FRAME_FOLDERS:
        if candidate and candidate not in inside:
            continue
        place = join(video_folder, inside.get(candidate, ""))
        if image_keys(store, place):
            return place
    return None


def _fingerprint(store: FrameStore, found: dict[str, Target], name: str) -> tuple[MtimeKey | None, ...]:
    target = found[name]
    files = (target.truth_file, *FRAME_FOLDERS, *GOT10K_FILES[1:], *LASOT_ABSENCE)
    return fingerprint(store, *(join(target.folder, file) for file in files))


def _read_target(store: FrameStore, found: dict[str, Target], name: str) -> Video:
    target = found[name]
    if target.track is not None:
        return _read_mot_target(store, target, target.track, name)
    return read_video_folder(store, target.folder, target.truth_file, name)


def _read_mot_target(store: FrameStore, target: Target, track: int, name: str) -> Video:
    """Return the video of one track: from its first frame, where it is initialized, to its last one."""
    truth = join(target.folder, target.truth_file)
    boxes_xywh, first = mot_boxes(store, truth, track)
    frames_at = _frame_folder(store, target.folder) or join(target.folder, "img1")
    listed = find_frames(store.list(frames_at))
    notes: tuple[str, ...] = ()
    # Frames count from 1. Images that are numbered from 0 show it by the last frame, which has no image otherwise.
    if listed.numbers[:1] == (0,) and mot_last_frame(store, truth) == listed.numbers[-1] + 1:
        first -= 1
        notes = (f"the images are numbered from 0 and the frames of {target.truth_file} from 1",)
    keys = [join(frames_at, frame) for frame, number in zip(listed.names, listed.numbers, strict=True)
            if first <= number < first + len(boxes_xywh)]
    if not keys:
        keys = [join(frames_at, f"{first + row:06d}.jpg") for row in range(len(boxes_xywh))]
    return make_video(name, store, tuple(keys), boxes_xywh, absent=np.isnan(boxes_xywh).any(axis=1),
                      first_number=first, notes=notes)


def read_video_folder(store: FrameStore, video_folder: str, truth_file: str, name: str) -> Video:
    """Return one target of one video folder, in any of the layouts of this module but MOTChallenge's."""
    truth = join(video_folder, truth_file)
    where = store.where(truth)
    data = store.read(truth)
    rows = parse_rows(data, where, columns=(4, 6, 8), header=True)
    absent: np.ndarray | None
    if rows.shape[1] == 6:
        boxes_xywh, absent = _tlp_rows(rows, where)
    else:
        boxes_xywh, absent = boxes_from_rows(rows), read_flags(store, join(video_folder, "absence.label"))
        if absent is None:
            absent = read_absence(store, video_folder)
    frames_at = _frame_folder(store, video_folder)
    frames_at = join(video_folder, "img") if frames_at is None else frames_at
    notes: tuple[str, ...] = ()
    if has_header(data):
        notes += (f"the first line of {truth_file} is a header",)
    ignored = find_frames(store.list(frames_at)).ignored
    if ignored:
        notes += (f"{len(ignored)} images are ignored, because their names do not fit the others: "
                  f"{shortened(ignored)}",)
    cover = read_flags(store, join(video_folder, "cover.label"))
    return make_video(name, store, frame_keys(store, frames_at, len(boxes_xywh)), boxes_xywh, absent=absent,
                      visible_ratio=None if cover is None else cover / 8, notes=notes,
                      **read_meta(store, video_folder))


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
    odd = np.flatnonzero(~np.isin(rows[:, 5], (0, 1)))
    if odd.size:
        raise UserError(f"{where}, line {odd[0] + 1}: the last of six numbers is 1 where the target is lost, else 0, "
                        f"not {rows[odd[0], 5]:g}; of rows frame,id,x,y,w,h keep x,y,w,h")
    at = numbers.astype(int) - first
    boxes = np.full((at[-1] + 1 if at.size else 0, 4), np.nan)
    lost = np.zeros(len(boxes))
    boxes[at], lost[at] = rows[:, 1:5], rows[:, 5]
    return boxes, lost
