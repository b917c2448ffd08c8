"""Datasets that are a table of frame ranges plus one annotation file a video: OTB, UAV123 and NFS."""

from __future__ import annotations

from functools import partial

from ...utils.errors import UserError
from ..store import FrameStore
from ..video import Video, VideoSet
from .annotation import boxes_from_rows, parse_rows
from .common import image_keys, make_video, require_videos, split_present
from .split_lists import FrameRange, read_frame_ranges


def read_frame_range_set(name: str, store: FrameStore, spec_file: str, looked_for: str) -> VideoSet:
    """The videos of a table; a video is there when its annotation file is."""
    ranges = {r.name: r for r in read_frame_ranges(spec_file)}
    here, missing = split_present(ranges, [r.name for r in ranges.values() if store.exists(r.annotation)])
    videos = VideoSet(name, here, partial(_read_video, store, ranges), missing)
    return require_videos(videos, store, looked_for)


def _read_video(store: FrameStore, ranges: dict[str, FrameRange], video: str) -> Video:
    spec = ranges[video]
    rows = parse_rows(store.read(spec.annotation), store.where(spec.annotation), columns=(4,))
    keys = spec.keys()
    notes: tuple[str, ...] = ()
    on_disk = set(image_keys(store, spec.frames))
    while on_disk and keys and keys[-1] not in on_disk:  # a shortened copy: its end is cut off
        keys = keys[:-1]
    if not keys:
        raise UserError(f"{store.where(spec.frames)}: none of the frames of {video} is there (first: {spec.keys()[0]})")
    if len(keys) < len(spec.keys()):
        notes = (f"{len(keys)} of the {len(spec.keys())} frames are on disk",)
    return make_video(spec.name, store, keys, boxes_from_rows(rows)[spec.skip_first:], notes=notes,
                         object_class=spec.object_class)
