"""Videos whose boxes have to be computed from other annotations: computed once, then kept in the index.

    videos = tracks_set(store, name, states, parse)      # parse() -> list of Track, called if ``states`` changed
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterable
from dataclasses import dataclass
from functools import partial

import numpy as np

from ..index import Arrays, cached_arrays, digests
from ..store import FrameStore
from ..video import Video, VideoSet, make_video

_KINDS = {"names": "U1", "classes": "U1", "lengths": "i1", "starts": "i1", "keys": "U1", "boxes_xywh": "f2"}


@dataclass(frozen=True)
class Track:
    """One target: keys of N frames, boxes (N, 4) float64 with NaN rows where the target is not visible."""

    name: str
    object_class: str
    keys: list[str]
    boxes_xywh: np.ndarray


def tracks_set(store: FrameStore, name: str, states: Iterable[Hashable], parse: Callable[[], list[Track]]) -> VideoSet:
    """Return a set with one video for each track of ``parse()``.

    states  of all that ``parse`` reads; as long as they are unchanged, it is not called again"""
    kept = cached_arrays(store.root, name, digests(states), lambda _old: _as_arrays(parse()), _KINDS, _fit)
    rows = {video: row for row, video in enumerate(kept["names"].tolist())}
    return VideoSet(name, tuple(rows), partial(_read, store, kept, rows), class_of=partial(_class_of, kept, rows))


def _as_arrays(tracks: list[Track]) -> Arrays:
    lengths = [len(track.keys) for track in tracks]
    boxes = [track.boxes_xywh.astype(np.float32) for track in tracks]
    return {
        "names": np.array([track.name for track in tracks], np.str_),
        "classes": np.array([track.object_class for track in tracks], np.str_),
        "lengths": np.array(lengths, np.int64),
        "starts": np.cumsum([0, *lengths])[:-1],
        "keys": np.array([key for track in tracks for key in track.keys], np.str_),
        "boxes_xywh": np.concatenate([np.empty((0, 4), np.float32), *boxes]),
    }


def _fit(kept: Arrays) -> bool:
    """Return whether every track has its part of the keys and boxes."""
    tracks, rows = len(kept["names"]), len(kept["keys"])
    return (all(len(kept[name]) == tracks for name in ("classes", "lengths", "starts"))
            and kept["boxes_xywh"].shape == (rows, 4)
            and bool((kept["lengths"] >= 0).all() and (kept["starts"] >= 0).all()
                     and (kept["starts"] <= rows - kept["lengths"]).all()))


def _class_of(kept: Arrays, rows: dict[str, int], video: str) -> str:
    return str(kept["classes"][rows[video]])


def _read(store: FrameStore, kept: Arrays, rows: dict[str, int], video: str) -> Video:
    first = int(kept["starts"][rows[video]])
    part = slice(first, first + int(kept["lengths"][rows[video]]))
    boxes = kept["boxes_xywh"][part].astype(np.float64)
    return make_video(video, store, tuple(kept["keys"][part].tolist()), boxes,
                         absent=np.asarray(np.isnan(boxes).any(axis=1)), object_class=_class_of(kept, rows, video))
