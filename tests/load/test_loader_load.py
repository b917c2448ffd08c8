"""Very many samples: loaders that are started for every epoch leave nothing behind, and hold no more in the end."""

from __future__ import annotations

import os

import numpy as np
import pytest

from mstgt.data.store import FolderStore
from mstgt.data.video import StoredFrames, Video, VideoSet
from mstgt.train.data.loader import DistributedBatchSampler, TrackingDataset, make_loader
from mstgt.train.data.processing import CropSettings, Processing
from mstgt.train.data.sampler import CausalSampler
from tests.load.footprint import Footprint, assert_flat, shared_memory
from tests.load.tiny import write_videos
from tests.processes import children

BATCH = 20
PROCESSING = Processing(CropSettings(32, 2.0, 0, 0), CropSettings(64, 4.0, 1.0, 0.1), (4.0, 4.0))


def videos(root) -> VideoSet:
    names = write_videos(root, 8, frames=6)
    boxes = np.tile([20.0, 14, 12, 10], (6, 1))
    keys = {name: tuple(f"{name}/img/{frame:04d}.jpg" for frame in range(1, 7)) for name in names}
    table = {name: Video(name, StoredFrames(FolderStore(root), keys[name]), boxes, np.ones(6, bool))
             for name in names}
    return VideoSet("tiny", tuple(names), table.__getitem__)


@pytest.mark.parametrize(("epochs", "per_epoch", "workers"), [
    (5, 300, 1), pytest.param(20, 5000, 2, marks=pytest.mark.nightly)])
def test_many_samples(tmp_path, epochs, per_epoch, workers):
    samples = TrackingDataset(CausalSampler([videos(tmp_path)], [1], 2, 200), PROCESSING, per_epoch, epochs, seed=1)
    order = DistributedBatchSampler(per_epoch, BATCH)
    loader = make_loader(samples, order, workers)
    before, parent, ours = set(children(os.getpid())), [], set()
    seen = 0
    for epoch in range(1, epochs + 1):
        order.epoch, worker = epoch, []
        for batch in loader:
            seen += len(batch)
            started = set(children(os.getpid())) - before
            ours |= started
            worker += [Footprint.of(pid) for pid in started if len(started) == workers][:1]
        parent.append(Footprint.of(os.getpid()))
        said = assert_flat(worker, "a worker")
    assert seen == epochs * per_epoch and len(ours) == epochs * workers
    print(said, assert_flat(parent, "the parent"), sep="\n")
    assert not set(children(os.getpid())) & ours and not shared_memory(ours)
