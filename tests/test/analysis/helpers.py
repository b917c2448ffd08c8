"""Videos and benchmarks made of boxes."""

import numpy as np

from lib.data.sequence import Sequence, VideoSet
from lib.test.evaluation import rules
from lib.test.evaluation.benchmarks import Benchmark

BOX = [10.0, 10.0, 10.0, 10.0]
NAN = [np.nan] * 4


def sequence(boxes, name="v", **known):
    boxes = np.array(boxes, float)
    visible = known.pop("visible", np.isfinite(boxes).all(1) & (boxes[:, 2:] > 0).all(1))
    return Sequence(name, range(len(boxes)), boxes, np.array(visible), **known)


def benchmark(*sequences, rule=rules.DROP, expected=None):
    by_name = {s.name: s for s in sequences}
    return Benchmark("b", VideoSet("b", tuple(by_name), by_name.__getitem__), expected or len(by_name), rule), by_name
