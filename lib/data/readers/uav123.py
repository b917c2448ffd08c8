"""UAV123 (Mueller et al., ECCV 2016): ``data_seq/UAV123/<video>/000001.jpg`` and ``anno/UAV123/<part>.txt``.

Long recordings are cut into parts (``bird1_1`` … ``bird1_3``) by the ranges of ``uav123.csv``. Rows of NaN mark frames
where the target is out of view.
"""

from __future__ import annotations

from ..store import FrameStore
from ..video import VideoSet
from .frame_ranges import read_frame_range_set


def uav123(store: FrameStore) -> VideoSet:
    """UAV123, 123 targets."""
    return read_frame_range_set("uav", store, "uav123.csv", "anno/UAV123/<video>.txt")
