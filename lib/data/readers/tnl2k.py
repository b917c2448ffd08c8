"""TNL2K test (Wang et al., CVPR 2021): ``<video>/imgs/*.jpg`` (or png) and ``<video>/groundtruth.txt`` (x, y, w, h).

A target out of view has a box without area. The language descriptions are not read.
"""

from __future__ import annotations

from functools import partial

from ..frame_names import frame_keys
from ..store import FrameStore
from ..video import Video, VideoSet, make_video, require_videos
from .annotation import read_box_rows


def tnl2k(store: FrameStore) -> VideoSet:
    """The test videos: every folder with a ``groundtruth.txt`` (700 when complete)."""
    names = tuple(n for n in store.list() if store.exists(f"{n}/groundtruth.txt"))
    videos = VideoSet("tnl2k", names, partial(_read_video, store))
    return require_videos(videos, store, "<video>/groundtruth.txt with <video>/imgs/")


def _read_video(store: FrameStore, video: str) -> Video:
    boxes_xywh = read_box_rows(store, f"{video}/groundtruth.txt")
    return make_video(video, store, frame_keys(store, f"{video}/imgs", len(boxes_xywh), digits=5), boxes_xywh)
