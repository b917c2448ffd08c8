"""TrackingNet (Müller et al., ECCV 2018): ``<part>/frames/<video>/0.jpg`` … and ``<part>/anno/<video>.txt``.

The parts are TRAIN_0 … TRAIN_11 and TEST; frames are numbered from 0 without leading zeros; boxes are x, y, w, h.
Test: only the first box is known; the root may be ``TEST`` itself.
Training: the parts that are on disk; a video is named ``TRAIN_3/<video>``. The classes are no part of the dataset: a
file ``trackingnet_classmap.txt`` in the root may give them, ``<video> <class>`` a line; without it there are none.
"""

from __future__ import annotations

from functools import partial
from typing import Any

from ...utils.errors import UserError
from ..frame_names import frame_keys
from ..store import FrameStore, MtimeKey, fingerprint, join
from ..video import Video, VideoSet, make_video, require_videos, split_present
from .annotation import read_box_rows, read_text

CLASS_MAP = "trackingnet_classmap.txt"
_PARTS = tuple(f"TRAIN_{k}" for k in range(12))


def trackingnet_test(store: FrameStore) -> VideoSet:
    """The 511 test videos."""
    prefix = "TEST" if store.list("TEST") or not store.list("anno") else ""
    names = tuple(n[:-4] for n in store.list(join(prefix, "anno")) if n.endswith(".txt"))
    frames = set(store.list(join(prefix, "frames")))
    here = tuple(n for n in names if n in frames)
    videos = VideoSet("trackingnet", here, partial(_read_video, store, prefix),
                      tuple(n for n in names if n not in frames))
    return require_videos(videos, store, f"{join(prefix, 'anno/<video>.txt')} with {join(prefix, 'frames/<video>/')}")


def trackingnet_train(name: str, store: FrameStore) -> VideoSet:
    """The training videos of the parts that are there (30 132 when all are)."""
    names, present = [], []
    for part in _PARTS:
        names += [f"{part}/{file[:-4]}" for file in store.list(f"{part}/anno") if file.endswith(".txt")]
        present += [f"{part}/{video}" for video in store.list(f"{part}/frames")]
    here, missing = split_present(names, present)
    classes = _read_classes(store) if store.exists(CLASS_MAP) else {}
    videos = VideoSet(name, here, partial(_read_training_video, store, classes), missing,
                      class_of=partial(_class_of, classes) if classes else None,
                      fingerprint=partial(_fingerprint, store, store.mtime_key(CLASS_MAP)))
    return require_videos(videos, store, "TRAIN_0/anno/<video>.txt with TRAIN_0/frames/<video>/, and so on to TRAIN_11")


def _read_classes(store: FrameStore) -> dict[str, str]:
    classes = {}
    for number, line in enumerate(read_text(store, CLASS_MAP, "a text file").splitlines(), 1):
        fields = line.split(maxsplit=1)
        if len(fields) == 1:
            raise UserError(f"{store.where(CLASS_MAP)}, line {number}: expected <video> <class>, found {line[:60]!r}")
        if fields:
            classes[fields[0]] = fields[1].strip()
    return classes


def _class_of(classes: dict[str, str], name: str) -> str | None:
    return classes.get(name.partition("/")[2])


def _fingerprint(store: FrameStore, class_map: MtimeKey | None, name: str) -> tuple[MtimeKey | None, ...]:
    part, _, video = name.partition("/")
    return class_map, *fingerprint(store, f"{part}/anno/{video}.txt", f"{part}/frames/{video}")


def _read_training_video(store: FrameStore, classes: dict[str, str], name: str) -> Video:
    part, _, video = name.partition("/")
    return _read(store, part, video, name, object_class=_class_of(classes, name))


def _read_video(store: FrameStore, prefix: str, video: str) -> Video:
    return _read(store, prefix, video, video, first_only=True)


def _read(store: FrameStore, prefix: str, video: str, name: str, **known: Any) -> Video:
    boxes_xywh = read_box_rows(store, join(prefix, f"anno/{video}.txt"))
    keys = frame_keys(store, join(prefix, "frames", video), len(boxes_xywh), digits=1, first=0)
    return make_video(name, store, keys, boxes_xywh, **known)
