"""MOTChallenge ground truth (``gt/gt.txt``): ``frame,id,x,y,w,h,considered,class,visibility``, one row per box.

    tracks = mot_tracks(store, "MOT17-02/gt/gt.txt")                    # (1, 2, 5)
    boxes_xywh, first = mot_boxes(store, "MOT17-02/gt/gt.txt", 5)       # (N, 4) from frame ``first`` on

Frames and ids count from 1. Rows whose seventh column is 0 are not considered (distractors, static persons).
"""

from __future__ import annotations

from functools import lru_cache

import numpy as np

from ...utils.errors import UserError
from ..store import FrameStore, MtimeKey
from .annotation import parse_rows

MAX_NUMBER = 1_000_000  # of frames and ids


def mot_tracks(store: FrameStore, key: str) -> tuple[int, ...]:
    """Return the ids of the targets, in rising order."""
    rows = _rows(store, key, store.mtime_key(key))
    return tuple(int(track) for track in np.unique(rows[:, 1]))


def mot_boxes(store: FrameStore, key: str, track: int) -> tuple[np.ndarray, int]:
    """Return (N, 4) boxes of a target from its first frame to its last one, NaN where it has no box, and the number
    of its first frame."""
    rows = _rows(store, key, store.mtime_key(key))
    own = rows[rows[:, 1] == track]
    frames = own[:, 0].astype(int)
    first = int(frames.min())
    boxes_xywh = np.full((int(frames.max()) - first + 1, 4), np.nan)
    boxes_xywh[frames - first] = own[:, 2:6]
    return boxes_xywh, first


def mot_last_frame(store: FrameStore, key: str) -> int:
    """Return the number of the last frame in which any target has a box."""
    return int(_rows(store, key, store.mtime_key(key))[:, 0].max())


@lru_cache(maxsize=2)  # a file holds many targets, which are read one after the other
def _rows(store: FrameStore, key: str, _mtime_key: MtimeKey | None) -> np.ndarray:
    """Return the considered rows. Raises :class:`UserError` for numbers that cannot be frames or ids."""
    where = store.where(key)
    rows = parse_rows(store.read(key), where, columns=(6, 7, 8, 9, 10), header=True)
    numbers = rows[:, :2]
    valid = ((numbers >= 0) & (numbers <= MAX_NUMBER) & (numbers % 1 == 0)).all(axis=1)
    if not valid.all():
        row = int(np.flatnonzero(~valid)[0])
        raise UserError(f"{where}, row {row + 1}: frame and id must be whole numbers, not {rows[row, 0]:g} and "
                        f"{rows[row, 1]:g}")
    if rows.shape[1] > 6:
        rows = rows[rows[:, 6] != 0]
    return rows
