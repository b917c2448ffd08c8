"""Several targets in one video: each has the boxes that it has alone."""

from __future__ import annotations

import copy

import numpy as np
import pytest
import torch

from mstgt import MultiTracker
from mstgt.config import load_config
from mstgt.models.mstgt import build_model
from mstgt.test.tracker import Tracker
from mstgt.test.tracker.torch_engine import TorchEngine

CFG = load_config("MSTGT", "MSTGT-demo-128")
NOISE = np.random.default_rng(0).integers(0, 256, (120, 200, 3), np.uint8)
IMAGES = [np.ascontiguousarray(NOISE[:, 2 * t : 2 * t + 160]) for t in range(6)]
BOXES = [(100, 60, 30, 24), (20, 20, 50, 50), (60, 40, 20, 30)]


@pytest.fixture(scope="module")
def engine() -> TorchEngine:
    torch.manual_seed(0)
    return TorchEngine(build_model(CFG), CFG)


def alone(engine, box, images) -> np.ndarray:
    tracker = Tracker(engine)
    tracker.init(images[0], box)
    return np.array([tracker.update(image)[0] for image in images[1:]])


def test_every_target_has_the_boxes_that_it_has_alone(engine):
    tracker = MultiTracker(engine)
    ids = [tracker.add(IMAGES[0], box) for box in BOXES]
    assert ids == [1, 2, 3]
    found = [tracker.update(image) for image in IMAGES[1:]]
    for target_id, box in zip(ids, BOXES, strict=True):
        boxes = np.array([results[target_id][0] for results in found])
        assert np.abs(boxes - alone(engine, box, IMAGES)).max() < 1e-3
    assert all(0 < score < 1 for results in found for _, score in results.values())


def test_targets_come_and_go(engine):
    tracker = MultiTracker(Tracker(engine))
    assert tracker.update(IMAGES[0]) == {}
    first = tracker.add(IMAGES[0], BOXES[0])
    tracker.update(IMAGES[1])
    second = tracker.add(IMAGES[1], BOXES[1])
    assert set(tracker.update(IMAGES[2])) == {first, second}
    tracker.remove(first)
    results = tracker.update(IMAGES[3])
    assert set(results) == {second}
    assert np.abs(results[second][0] - alone(engine, BOXES[1], IMAGES[1:4])[-1]).max() < 1e-3
    assert tracker.add(IMAGES[3], BOXES[0]) == 3  # an id is never given twice


@pytest.mark.parametrize("make_copy", [copy.copy, copy.deepcopy])
def test_a_copy_goes_on_by_itself(engine, make_copy):
    tracker = MultiTracker(engine)
    for box in BOXES[:2]:
        tracker.add(IMAGES[0], box)
    twin = make_copy(tracker)
    twin.remove(1)
    assert twin.add(IMAGES[0], BOXES[2]) == 3 and set(twin.update(IMAGES[1])) == {2, 3}
    boxes = tracker.update(IMAGES[1])
    assert set(boxes) == {1, 2}
    boxes[1][0][:] = 0  # the caller's to change
    assert np.abs(tracker.update(IMAGES[2])[1][0] - alone(engine, BOXES[0], IMAGES[:3])[-1]).max() < 1e-3


def test_bad_calls_are_refused_and_change_nothing(engine):
    tracker = MultiTracker(engine)
    target_id = tracker.add(IMAGES[0], BOXES[0])
    with pytest.raises(ValueError, match="80 x 60 px.*160 x 120 px"):
        tracker.update(IMAGES[0][::2, ::2].copy())
    with pytest.raises(ValueError, match="box"):
        tracker.add(IMAGES[0], (1, 2, 3))
    with pytest.raises(ValueError, match="device: options go with an experiment's name"):
        MultiTracker(engine, device="cpu")
    with pytest.raises(ValueError, match="at least 1 and at most 1024, not 1000000"):
        MultiTracker("MSTGT-nano-128", threads=10**6)
    with pytest.raises(ValueError, match=r"no target \[1\]; there are: 1"):
        tracker.remove([1])
    with pytest.raises(ValueError, match="no target 7; there are: 1"):
        tracker.remove(7)
    assert set(tracker.update(IMAGES[1])) == {target_id}
