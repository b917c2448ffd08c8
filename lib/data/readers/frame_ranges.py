"""OTB, UAV123 and NFS: a table says which frames of a recording are a video, and one annotation file belongs to each.

    OTB-100  Wu et al., TPAMI 2015: ``<video>/img/0001.jpg``, ``<video>/groundtruth_rect.txt``. David starts at frame
             300, and Tiger1 leaves out five frames. Videos with several targets have a name for each (``Jogging_1``,
             ``Jogging_2`` from ``groundtruth_rect.1.txt``, …).
    UAV123   Mueller et al., ECCV 2016: ``data_seq/UAV123/<video>/000001.jpg``, ``anno/UAV123/<part>.txt``. Long
             recordings are cut into parts (``bird1_1`` … ``bird1_3``). Rows of NaN mark frames where the target is out
             of view.
    NFS-30   Galoogahi et al., ICCV 2017, at 30 frames per second: ``sequences/<video>/00001.jpg``,
             ``anno/nfs_<video>.txt``.

All annotations are rows of x, y, w, h. The tables are in ``lib/data/specs``.
"""

from __future__ import annotations

from functools import partial

from ...utils.errors import UserError
from ..frame_names import image_keys
from ..store import FrameStore
from ..video import Video, VideoSet, make_video, require_videos, split_present
from .annotation import read_box_rows
from .split_lists import FrameRange, read_frame_ranges


def otb(store: FrameStore) -> VideoSet:
    """OTB-100, 100 targets."""
    return _read_set("otb", store, "otb100.csv", "<video>/groundtruth_rect.txt, such as Car4/")


def uav123(store: FrameStore) -> VideoSet:
    """UAV123, 123 targets."""
    return _read_set("uav", store, "uav123.csv", "anno/UAV123/<video>.txt")


def nfs(store: FrameStore) -> VideoSet:
    """NFS-30, 100 videos."""
    return _read_set("nfs", store, "nfs30.csv", "anno/nfs_<video>.txt")


def _read_set(name: str, store: FrameStore, spec_file: str, looked_for: str) -> VideoSet:
    """The videos of a table; a video is there when its annotation file is."""
    ranges = {r.name: r for r in read_frame_ranges(spec_file)}
    here, missing = split_present(ranges, [r.name for r in ranges.values() if store.exists(r.annotation)])
    videos = VideoSet(name, here, partial(_read_video, store, ranges), missing)
    return require_videos(videos, store, looked_for)


def _read_video(store: FrameStore, ranges: dict[str, FrameRange], video: str) -> Video:
    spec = ranges[video]
    boxes_xywh = read_box_rows(store, spec.annotation)
    keys = spec.keys()
    notes: tuple[str, ...] = ()
    on_disk = set(image_keys(store, spec.frames))
    while on_disk and keys and keys[-1] not in on_disk:  # a shortened copy: its end is cut off
        keys = keys[:-1]
    if not keys:
        raise UserError(f"{store.where(spec.frames)}: none of the frames of {video} is there (first: {spec.keys()[0]})")
    if len(keys) < len(spec.keys()):
        notes = (f"{len(keys)} of the {len(spec.keys())} frames are on disk",)
    return make_video(spec.name, store, keys, boxes_xywh[spec.skip_first:], notes=notes, object_class=spec.object_class)
