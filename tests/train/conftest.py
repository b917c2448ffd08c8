"""Small videos in memory and on disk."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

from mstgt.data.store import FolderStore
from mstgt.data.video import StoredFrames, Video, VideoSet
from mstgt.train.data.loader import DistributedBatchSampler, TrackingDataset, make_loader
from mstgt.train.data.processing import CropSettings, Processing
from mstgt.train.data.sampler import CausalSampler

PROCESSING = Processing(CropSettings(64, 2.0, 0, 0), CropSettings(128, 4.0, 3.5, 0.5), (2.0, 6.0), border_prob=0.05)


class MemoryFrames:
    """Frames that tell their index by their gray level."""

    def __init__(self, count: int, width: int = 160, height: int = 120):
        self.count, self.shape = count, (height, width, 3)

    def __len__(self) -> int:
        return self.count

    def read(self, index: int, reduce: int = 1, rows: int | None = None) -> np.ndarray:
        return np.full((*(-(-side // reduce) for side in self.shape[:2]), 3), index % 256, np.uint8)

    def where(self, index: int) -> str:
        return f"memory {index}"


def memory_video(name: str, count: int, hidden: tuple[int, ...] = ()) -> Video:
    boxes = np.tile([40.0, 30, 30, 24], (count, 1)) + np.arange(count)[:, None] * [0.5, 0.2, 0, 0]
    visible = np.ones(count, bool)
    visible[list(hidden)] = False
    return Video(name, MemoryFrames(count), boxes, visible)


def memory_set(*videos: Video, name: str = "memory", **options) -> VideoSet:
    table = {v.name: v for v in videos}
    return VideoSet(name, tuple(table), table.__getitem__, **options)


def batches(videos, workers: int, epoch: int = 1, mixes=None) -> list:
    sampler = CausalSampler([videos], [1], 2, 200, partners=True)
    samples = TrackingDataset(sampler, PROCESSING, 8, epochs=2, seed=3, mixes=mixes)
    order = DistributedBatchSampler(8, 4)
    order.epoch = epoch
    return list(make_loader(samples, order, workers))


def second_epoch(epoch: int) -> bool:
    return epoch == 2


@pytest.fixture
def disk_set(tmp_path) -> VideoSet:
    """Four JPEG videos of a textured square that moves; frame 00000003.jpg of the last one is broken."""
    rng = np.random.default_rng(0)
    videos = []
    for v in range(4):
        keys = []
        background, patch = rng.integers(0, 256, (2, 120, 160, 3), np.uint8)
        boxes = np.array([[20.0 + 3 * t, 30 + 2 * t, 30, 24] for t in range(8)])
        for t, (x, y, w, h) in enumerate(boxes.astype(int)):
            image = background.copy()
            image[y : y + h, x : x + w] = patch[:h, :w]
            key = f"video{v}/{t + 1:08d}.jpg"
            (tmp_path / key).parent.mkdir(exist_ok=True)
            cv2.imwrite(str(tmp_path / key), image)
            keys.append(key)
        videos.append(Video(f"video{v}", StoredFrames(FolderStore(tmp_path), tuple(keys)), boxes, np.ones(8, bool)))
    (tmp_path / "video3" / "00000003.jpg").write_bytes(b"torn")
    return memory_set(*videos, name="disk")
