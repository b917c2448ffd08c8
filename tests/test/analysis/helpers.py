"""Videos and benchmarks made of boxes."""

import numpy as np

from mstgt.data.video import Video, VideoSet
from mstgt.test.evaluation import absent_frames
from mstgt.test.evaluation.benchmarks import Benchmark

BOX = [10.0, 10.0, 10.0, 10.0]
NAN = [np.nan] * 4


def sequence(boxes, name="v", **known):
    boxes = np.array(boxes, float)
    visible = known.pop("visible", np.isfinite(boxes).all(1) & (boxes[:, 2:] > 0).all(1))
    return Video(name, range(len(boxes)), boxes, np.array(visible), **known)


def benchmark(*sequences, rule=absent_frames.DROP, expected=None):
    by_name = {s.name: s for s in sequences}
    return Benchmark("b", VideoSet("b", tuple(by_name), by_name.__getitem__), expected or len(by_name), rule), by_name
