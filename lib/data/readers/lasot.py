"""LaSOT (Fan et al., CVPR 2019) and its extension (IJCV 2021): ``<class>/<class>-<n>/``, or ``<class>-<n>/`` at once.

A video folder holds ``img/00000001.jpg``, ``groundtruth.txt`` (x, y, w, h), ``full_occlusion.txt`` and
``out_of_view.txt`` (one flag per frame, in one line). A frame with either flag set is not ``visible``.
"""

from __future__ import annotations

from functools import partial

from ..frame_names import frame_keys
from ..store import FrameStore, MtimeKey, fingerprint
from ..video import Video, VideoSet, make_video, require_videos, split_present
from .annotation import LASOT_ABSENCE, read_absence, read_box_rows
from .split_lists import read_names


def lasot_test(store: FrameStore) -> VideoSet:
    """The 280 test videos."""
    return _split("lasot", store, "lasot_test.txt")


def lasot_train(name: str, store: FrameStore) -> VideoSet:
    """The 1120 training videos."""
    return _split(name, store, "lasot_train.txt")


def lasot_extension_subset(store: FrameStore) -> VideoSet:
    """The 150 videos of the extension, of 15 other classes."""
    return _split("lasot_extension_subset", store, "lasot_extension_subset.txt")


def _split(name: str, store: FrameStore, spec_file: str) -> VideoSet:
    names = read_names(spec_file)
    folders = {}
    for video in names:
        candidates = (f"{_class(video)}/{video}", video)
        found = next((f for f in candidates if store.exists(f"{f}/groundtruth.txt")), None)
        if found is not None:
            folders[video] = found
    here, missing = split_present(names, folders)
    videos = VideoSet(name, here, partial(_read_video, store, folders), missing, class_of=_class,
                      fingerprint=partial(_fingerprint, store, folders))
    return require_videos(videos, store, f"<class>/<class>-<n>/groundtruth.txt, such as {_class(names[0])}/{names[0]}")


def _class(video: str) -> str:
    return video.rpartition("-")[0]


def _fingerprint(store: FrameStore, folders: dict[str, str], video: str) -> tuple[MtimeKey | None, ...]:
    files = ("img", "groundtruth.txt", *LASOT_ABSENCE)
    return fingerprint(store, *(f"{folders[video]}/{file}" for file in files))


def _read_video(store: FrameStore, folders: dict[str, str], video: str) -> Video:
    folder = folders[video]
    boxes_xywh = read_box_rows(store, f"{folder}/groundtruth.txt")
    return make_video(video, store, frame_keys(store, f"{folder}/img", len(boxes_xywh)), boxes_xywh,
                         absent=read_absence(store, folder), object_class=_class(video))
