"""VOT short-term challenges: ``<video>/groundtruth.txt`` with polygons of four corners or boxes.

The frames are in the video's folder (until 2017), in ``color/`` (since 2018) or in ``imgs/``. ``list.txt`` names the
videos where there is one. A polygon becomes the smallest upright box around it: the challenge's own evaluation with
restarts is not what this project does, one-pass evaluation is.
"""

from __future__ import annotations

from functools import partial

from ..store import FrameStore
from ..video import Video, VideoSet, require_videos, split_present
from .folder import read_video_folder
from .got10k import read_list


def vot(store: FrameStore) -> VideoSet:
    """The videos that ``list.txt`` names, else every folder with a ``groundtruth.txt``."""
    present = [n for n in store.list() if store.exists(f"{n}/groundtruth.txt")]
    names = read_list(store, "list.txt") if store.exists("list.txt") else present
    here, missing = split_present(names, present)
    videos = VideoSet("vot", here, partial(_read_video, store), missing)
    return require_videos(videos, store, "<video>/groundtruth.txt")


def _read_video(store: FrameStore, video: str) -> Video:
    return read_video_folder(store, video, "groundtruth.txt", video)
