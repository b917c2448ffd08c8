"""The challenges of a video: those that its dataset annotates, else some that can be measured on its boxes.

    videos, measured = with_attributes(videos)
    videos, measured = with_attributes(videos, read_attributes(Path("lasot_attributes.csv")))

A table of attributes is a CSV file: ``video`` and the attributes' names in the first line, then a line a video with its
name and 0 or 1 for each. The lists that LaSOT, OTB and UAV123 publish can be converted to it.

Measured ones follow the definitions of LaSOT (Fan et al., CVPR 2019, attribute table), over the frames where the target
is visible; they are not the dataset's own lists, and reports say so:

    absent_frames    the target is out of view or fully hidden in some frame
    scale_change     the box's area leaves the range of 0.5 to 2 times that of the first
    aspect_change    the same for its width over its height
    fast_motion      the center moves further between two frames than the box is large (√ of its area)
    low_resolution   the box's area is below 1000 px² in some frame
"""

from __future__ import annotations

import csv
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import numpy as np

from ...data.video import Video
from ...untrusted.limits import refuse_size
from ...utils.errors import UserError
from ...utils.files import decode_text

SMALL_AREA = 1000  # px²
MAX_BYTES = 16 << 20  # of a table
MEASURED = ("absent_frames", "scale_change", "aspect_change", "fast_motion", "low_resolution")


def read_attributes(path: Path) -> dict[str, tuple[str, ...]]:
    """The attributes of every video of a table. Raises :class:`UserError` naming the line that is no part of one."""
    try:
        refuse_size(path.stat().st_size, str(path), MAX_BYTES)
        rows = list(csv.reader(decode_text(path.read_bytes()).splitlines()))
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise UserError(f"cannot read the attributes {path}: {error}") from error
    names = [cell.strip() for cell in rows[0]] if rows else []
    if names[:1] != ["video"] or len(names) < 2 or not all(names):
        raise UserError(f"{path}, line 1: expected video,<attribute>,<attribute>, …")
    table: dict[str, tuple[str, ...]] = {}
    for number, row in enumerate(rows[1:], start=2):
        video, *flags = [cell.strip() for cell in row] or [""]
        if not row:
            continue
        if len(flags) != len(names) - 1 or set(flags) - {"0", "1"} or video in table:
            raise UserError(f"{path}, line {number}: expected a video that is new and {len(names) - 1} times 0 or 1, "
                            f"got {','.join(row)[:80]}")
        table[video] = tuple(name for name, flag in zip(names[1:], flags, strict=True) if flag == "1")
    return table


def with_attributes(videos: Mapping[str, Video],
                    table: Mapping[str, tuple[str, ...]] | None = None) -> tuple[dict[str, Video], bool]:
    """The videos with attributes, and whether these were measured because no video is annotated with any.

    ``table`` takes precedence over the dataset's own attributes. Raises :class:`UserError` where it lacks a video.
    """
    if table is not None:
        missing = [name for name in videos if name not in table]
        if missing:
            raise UserError(f"the table of attributes lacks {len(missing)} of {len(videos)} videos, such as "
                            f"{missing[0]}")
        return {name: replace(video, attributes=table[name]) for name, video in videos.items()}, False
    if any(video.attributes for video in videos.values()):
        return dict(videos), False
    return {name: replace(video, attributes=measured_attributes(video)) for name, video in videos.items()}, True


def measured_attributes(video: Video) -> tuple[str, ...]:
    """The names of ``MEASURED`` that hold for a video."""
    visible = video.visible[:video.annotated]
    if not visible.any():
        return ("absent_frames",)
    boxes = video.boxes_xywh[:video.annotated][visible]
    area = boxes[:, 2] * boxes[:, 3]
    aspect = boxes[:, 2] / boxes[:, 3]
    centers = boxes[:, :2] + boxes[:, 2:] / 2
    step = np.linalg.norm(np.diff(centers, axis=0), axis=1)
    # A jump while the target is out of view is not fast motion: only consecutive frames are compared.
    consecutive = np.diff(np.flatnonzero(visible)) == 1
    holds = {
        "absent_frames": not visible.all(),
        "scale_change": _leaves_range(area / area[0]),
        "aspect_change": _leaves_range(aspect / aspect[0]),
        "fast_motion": bool((consecutive & (step > np.sqrt(area[:-1]))).any()),
        "low_resolution": bool((area < SMALL_AREA).any()),
    }
    return tuple(name for name in MEASURED if holds[name])


def _leaves_range(ratio: np.ndarray) -> bool:
    return bool(((ratio < 0.5) | (ratio > 2)).any())
