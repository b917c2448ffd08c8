"""Need for Speed at 30 frames a second (Galoogahi et al., ICCV 2017).

``sequences/<video>/00001.jpg`` and ``anno/nfs_<video>.txt`` (x, y, w, h); the ranges are in ``nfs30.csv``.
"""

from __future__ import annotations

from ..store import FrameStore
from ..video import VideoSet
from .frame_ranges import read_frame_range_set


def nfs(store: FrameStore) -> VideoSet:
    """NFS-30, 100 videos."""
    return read_frame_range_set("nfs", store, "nfs30.csv", "anno/nfs_<video>.txt")
