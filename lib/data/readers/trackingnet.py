"""TrackingNet test (Müller et al., ECCV 2018): ``TEST/frames/<video>/0.jpg`` … and ``TEST/anno/<video>.txt``.

Only the first box is known; frames are numbered from 0 without leading zeros. The root may be ``TEST`` itself.
"""

from __future__ import annotations

from functools import partial

from lib.data.readers.annotation import parse_rows
from lib.data.readers.common import frame_keys, join, make_sequence, require_videos
from lib.data.sequence import Sequence, VideoSet
from lib.data.store import FrameStore


def trackingnet_test(store: FrameStore) -> VideoSet:
    """The 511 test videos."""
    prefix = "TEST" if store.list("TEST") or not store.list("anno") else ""
    names = tuple(n[:-4] for n in store.list(join(prefix, "anno")) if n.endswith(".txt"))
    frames = set(store.list(join(prefix, "frames")))
    here = tuple(n for n in names if n in frames)
    videos = VideoSet("trackingnet", here, partial(_read_video, store, prefix),
                      tuple(n for n in names if n not in frames))
    return require_videos(videos, store, f"{join(prefix, 'anno/<video>.txt')} with {join(prefix, 'frames/<video>/')}")


def _read_video(store: FrameStore, prefix: str, video: str) -> Sequence:
    truth = join(prefix, f"anno/{video}.txt")
    boxes_xywh = parse_rows(store.read(truth), store.where(truth), columns=(4,))
    keys = frame_keys(store, join(prefix, "frames", video), len(boxes_xywh), digits=1, first=0)
    return make_sequence(video, store, keys, boxes_xywh, first_only=True)
