"""The challenges of a video: those that its dataset annotates, else some that can be measured on its boxes.

    sequences, measured = with_attributes(sequences)

Measured ones follow the definitions of LaSOT (Fan et al., CVPR 2019, attribute table), over the frames where the target
is visible; they are not the dataset's own lists, and reports say so:

    absent_frames    the target is out of view or fully hidden in some frame
    scale_change     the box's area leaves the range of 0.5 to 2 times that of the first
    aspect_change    the same for its width over its height
    fast_motion      the centre moves further between two frames than the box is large (√ of its area)
    low_resolution   the box's area is below 1000 px² in some frame
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import numpy as np

from lib.data.sequence import Sequence

SMALL_AREA = 1000  # px²
MEASURED = ("absent_frames", "scale_change", "aspect_change", "fast_motion", "low_resolution")


def with_attributes(sequences: Mapping[str, Sequence]) -> tuple[dict[str, Sequence], bool]:
    """The sequences with attributes, and whether these were measured because no video is annotated with any."""
    if any(s.attributes for s in sequences.values()):
        return dict(sequences), False
    return {name: replace(s, attributes=measured_attributes(s)) for name, s in sequences.items()}, True


def measured_attributes(sequence: Sequence) -> tuple[str, ...]:
    """The names of ``MEASURED`` that hold for a video."""
    visible = sequence.visible[:sequence.annotated]
    if not visible.any():
        return ("absent_frames",)
    boxes = sequence.boxes_xywh[:sequence.annotated][visible]
    area, aspect = boxes[:, 2] * boxes[:, 3], boxes[:, 2] / boxes[:, 3]
    step = np.linalg.norm(np.diff(boxes[:, :2] + boxes[:, 2:] / 2, axis=0), axis=1)
    adjoining = np.diff(np.flatnonzero(visible)) == 1
    holds = (not visible.all(), _leaves_range(area / area[0]), _leaves_range(aspect / aspect[0]),
             bool((adjoining & (step > np.sqrt(area[:-1]))).any()), bool((area < SMALL_AREA).any()))
    return tuple(name for name, here in zip(MEASURED, holds, strict=True) if here)


def _leaves_range(ratio: np.ndarray) -> bool:
    return bool(((ratio < 0.5) | (ratio > 2)).any())
