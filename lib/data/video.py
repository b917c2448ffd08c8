"""A video with its boxes, as every reader gives it and as training and testing take it.

    videos = read_training_set("GOT10K_votval", root)    # a VideoSet
    video = videos[0]                                    # a Video; its annotation is parsed here, not before
    image = video.frames.read(0)                         # (H, W, 3) uint8 RGB

Readers put a video together with :func:`make_video`.

The rule for an annotation that is not as long as its video: rows beyond the last frame are ignored, frames beyond the
last row have NaN boxes and are invisible. Both are said in ``Video.notes``, and ``Video.annotated`` holds how
many frames the annotation covers, so that an evaluation leaves the others out. Where the numbers in the frames' names
show that a frame is missing in between (0004.jpg, 0006.jpg), every other frame keeps its own row, and
``Video.missing_names`` names the missing one. A video without any image on disk (an
annotation-only download) has as many frames as its annotation has rows, under the names that the dataset gives them.

The rule for boxes: NaN, sides of zero or below, and boxes outside the image are taken as they are; the first two are
invisible. A box with numbers beyond 1 000 000 px, or sides below 0.001 px, becomes NaN, which ``Video.notes`` say.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Hashable, Iterable, Iterator
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, Protocol

import numpy as np

from ..geometry.boxes import MAX_PX, MIN_PX, usable_boxes
from ..untrusted.limits import check_name, check_names
from ..utils.errors import UserError, warn_once
from .frame_names import image_keys, missing_frames
from .images import decode_full_depth, decode_image, may_be_deep, shrink, stretch, value_range
from .store import WHAT_TO_DO, FrameStore

_log = logging.getLogger(__name__)

VIDEO_SUFFIXES = (".mp4", ".avi", ".mov", ".mkv", ".webm")


class Frames(Protocol):
    """The images of a video."""

    def __len__(self) -> int: ...

    def read(self, index: int, reduce: int = 1, rows: int | None = None) -> np.ndarray:
        """Frame ``index`` as (H, W, 3) uint8 RGB.

        reduce  in {1, 2, 4, 8}: by how much both sides shrink, rounded up
        rows    how many of the image's first rows are wanted, in pixels before reducing; None: all. A reader may
                leave out the others
        """

    def where(self, index: int) -> str:
        """The path of frame ``index``, for messages."""


@dataclass(frozen=True)
class StoredFrames:
    """Frames kept as encoded images in a store. Those of more than 8 bits are stretched over the range of the first."""

    store: FrameStore
    keys: tuple[str, ...]

    def __len__(self) -> int:
        return len(self.keys)

    def read(self, index: int, reduce: int = 1, rows: int | None = None) -> np.ndarray:
        try:
            data = self.store.read(self.keys[index])
        except UserError as error:
            without_images = self._no_images()
            if without_images is None:
                raise
            raise without_images from error
        if not may_be_deep(data):
            return decode_image(data, self.where(index), reduce, rows)
        image = shrink(self._to_8_bits(decode_full_depth(data, self.where(index), upright=False)), reduce)
        return image if rows is None else image[:-(-rows // reduce)]

    def where(self, index: int) -> str:
        return self.store.where(self.keys[index])

    def _no_images(self) -> UserError | None:
        """An error if the folder of the frames has no image at all; None if only some are missing."""
        folder = self.keys[0].rpartition("/")[0]
        if image_keys(self.store, folder):
            return None
        files = [name for place in (folder, folder.rpartition("/")[0]) for name in self.store.list(place)]
        videos = [name for name in files if name.lower().endswith(VIDEO_SUFFIXES)]
        advice = f"the frames of {videos[0]} must be single images there, as of ffmpeg -i {videos[0]} %08d.jpg" \
            if videos else "fetch them, or put them there"
        return UserError(f"there are no images in {self.store.where(folder)}: {advice}")

    def _to_8_bits(self, image: np.ndarray) -> np.ndarray:
        return image if image.dtype == np.uint8 else stretch(image, *self._range)

    @cached_property
    def _range(self) -> tuple[float, float]:
        """The lowest and the highest value of the first frame."""
        warn_once(_log, "frames of more than 8 bits are stretched to 8 bits, over the range of their video's first "
                        "frame")
        return value_range(decode_full_depth(self.store.read(self.keys[0]), self.where(0), upright=False))


@dataclass(frozen=True)
class Video:
    """One video and what is known of its target.

    boxes_xywh     (N, 4) float64, pixels: x, y of the top-left corner, w, h as the dataset annotates them (not shifted
                   where it counts from 1); NaN rows where the box is not known (hidden ground truth, frames outside
                   the annotation)
    visible        (N,) bool: the target is in view and its box is valid
    visible_ratio  (N,) float in [0, 1], the unoccluded share of the target; None where the dataset has none
    object_class   the class name; None where the dataset has none
    attributes     the names of the challenges that the video is annotated with
    difficulty     how hard the video is, in [0, 1]; None where the dataset does not say
    size_wh        width and height of the frames in pixels, where the annotation gives them
    annotated      how many leading frames the annotation covers; None = all of them
    notes          what a reader of scores should know about the annotation, one line each
    missing_rows   rows of the annotation whose frame is not on disk, counted from 0; they are left out of all arrays
    missing_names  the names that these frames would have
    """

    name: str
    frames: Frames
    boxes_xywh: np.ndarray
    visible: np.ndarray
    visible_ratio: np.ndarray | None = None
    object_class: str | None = None
    attributes: tuple[str, ...] = ()
    difficulty: float | None = None
    size_wh: tuple[int, int] | None = None
    annotated: int | None = None
    notes: tuple[str, ...] = ()
    missing_rows: tuple[int, ...] = ()
    missing_names: tuple[str, ...] = ()

    def __len__(self) -> int:
        return len(self.frames)

    def __post_init__(self) -> None:
        n = len(self.frames)
        if self.boxes_xywh.shape != (n, 4) or self.visible.shape != (n,):
            raise ValueError(f"{self.name}: {n} frames, boxes {self.boxes_xywh.shape}, visible {self.visible.shape}")


@dataclass(frozen=True)
class VideoSet:
    """A dataset split: names at once, videos parsed when asked for. The names come from files and folders, and name
    result files: :class:`UserError` for one that could not, or that would name a file somewhere else.

    ``missing`` names the videos that the split should have and that are not on disk.
    ``difficulty_of`` gives the difficulty of a video without parsing its boxes; None where no video has one.
    ``class_of`` does the same for the class of its target.
    ``fingerprint`` gives a value that changes when the files of a video change.
    ``notes`` says what was ignored, one line each.
    """

    name: str
    video_names: tuple[str, ...]
    load: Callable[[str], Video] = field(repr=False)
    missing: tuple[str, ...] = ()
    difficulty_of: Callable[[str], float | None] | None = field(default=None, repr=False)
    class_of: Callable[[str], str | None] | None = field(default=None, repr=False)
    fingerprint: Callable[[str], Hashable] | None = field(default=None, repr=False)
    notes: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        check_name(self.name, "the dataset's name")
        check_names(self.video_names, f"{self.name}: the video")

    def __len__(self) -> int:
        return len(self.video_names)

    def __getitem__(self, index: int) -> Video:
        return self.load(self.video_names[index])

    def __iter__(self) -> Iterator[Video]:
        return (self.load(name) for name in self.video_names)


def split_present(names: Iterable[str], present: Iterable[str]) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """``names`` separated into those in ``present`` and those that are missing, both in the order of ``names``."""
    names, present = tuple(names), set(present)
    return tuple(n for n in names if n in present), tuple(n for n in names if n not in present)


def require_videos(videos: VideoSet, store: FrameStore, looked_for: str) -> VideoSet:
    """``videos``, or a :class:`UserError` that says where they were looked for when not one is there."""
    if not len(videos):
        raise UserError(f"no videos of {videos.name!r} in {store.where('')}: looked for {looked_for}; {WHAT_TO_DO}")
    return videos


def make_video(name: str, store: FrameStore, keys: tuple[str, ...], boxes_xywh: np.ndarray, *,
               absent: np.ndarray | None = None, visible_ratio: np.ndarray | None = None, first_only: bool = False,
               first_number: int | None = None, notes: tuple[str, ...] = (), **known: Any) -> Video:
    """A ``Video`` from what was read, fitted to its number of frames by the rules of this module.

    absent         (rows,) flags, non-zero where the target is out of view or fully hidden
    visible_ratio  (rows,) share of the target that is not occluded
    first_only     the dataset gives only the first box (its ground truth is hidden): a short annotation is expected
    first_number   the number in the name of the first row's frame, where the annotation says it
    """
    missing_rows, missing_names = missing_frames(keys, len(boxes_xywh), first_only, first_number)
    if missing_rows and len(boxes_xywh) > len(keys):
        # The row of a missing frame goes, so that the frames behind the gap are not compared with their neighbors'.
        absent, visible_ratio = (
            flags if flags is None or len(flags) != len(boxes_xywh) else np.delete(flags, missing_rows)
            for flags in (absent, visible_ratio))
        boxes_xywh = np.delete(boxes_xywh, missing_rows, axis=0)
    frames, rows = len(keys), len(boxes_xywh)
    if rows > frames:
        notes += (f"the annotation has {rows} rows for {frames} frames: the last {rows - frames} are ignored",)
    elif rows < frames and not first_only:
        notes += (f"the annotation has {rows} rows for {frames} frames: the last {frames - rows} are not scored",)
    boxes = fit_rows(boxes_xywh, frames)
    visible = usable_boxes(boxes)
    out_of_range = (boxes[:, 2:] > 0).all(axis=1) & ~visible & ~np.isnan(boxes).any(axis=1)
    out_of_range |= (np.abs(boxes) > MAX_PX).any(axis=1)
    if out_of_range.any():
        boxes[out_of_range] = np.nan
        notes += (f"{int(out_of_range.sum())} boxes with numbers beyond {MAX_PX:.0f} px or sides below {MIN_PX} px are "
                  f"taken as not known (the first in row {int(np.flatnonzero(out_of_range)[0]) + 1})",)
    for label, flags in (("absence flags", absent), ("visible ratios", visible_ratio)):
        if flags is not None and len(flags) != rows:
            notes += (f"{len(flags)} {label} for {rows} rows of annotation",)
    if absent is not None:
        visible &= ~(np.nan_to_num(fit_rows(absent, frames)) > 0)
    if visible_ratio is not None:
        visible_ratio = np.nan_to_num(fit_rows(visible_ratio, frames))
    return Video(name=name, frames=StoredFrames(store, keys), boxes_xywh=boxes, visible=visible,
                 visible_ratio=visible_ratio, annotated=rows if rows < frames else None, notes=notes,
                 missing_rows=missing_rows, missing_names=missing_names, **known)


def fit_rows(values: np.ndarray, frames: int) -> np.ndarray:
    """Make per-frame ``values`` as long as the video: cut what is over, fill the rest with NaN."""
    missing = max(0, frames - len(values))
    return np.concatenate([values[:frames], np.full((missing, *values.shape[1:]), np.nan)])
