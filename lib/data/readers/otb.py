"""OTB-100 (Wu et al., TPAMI 2015): ``<video>/img/0001.jpg`` and ``<video>/groundtruth_rect.txt`` (x, y, w, h).

The table ``otb100.csv`` says which frames the annotation covers (David starts at frame 300, Tiger1 leaves out five)
and gives the names of videos with several targets (``Jogging_1``, ``Jogging_2`` from ``groundtruth_rect.1.txt``, …).
"""

from __future__ import annotations

from ..store import FrameStore
from ..video import VideoSet
from .frame_ranges import read_frame_range_set


def otb(store: FrameStore) -> VideoSet:
    """OTB-100, 100 targets."""
    return read_frame_range_set("otb", store, "otb100.csv", "<video>/groundtruth_rect.txt, such as Car4/")
