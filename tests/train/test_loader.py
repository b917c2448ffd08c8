"""Batches: (seed, epoch, index) decides a sample, whatever the workers; partners, negatives, unreadable frames."""

from __future__ import annotations

import contextlib
import dataclasses
import gc
import multiprocessing
import os
import pickle
import types
from multiprocessing.reduction import ForkingPickler

import cv2
import numpy as np
import pytest
import torch

from mstgt.config import load_config
from mstgt.data.video import Video
from mstgt.train.data import loader
from mstgt.train.data.batch import Batch, PartnerBatch
from mstgt.train.data.loader import DistributedBatchSampler, TrackingDataset, make_loader, mixing_active
from mstgt.train.data.sampler import CausalSampler, SampledFrames
from tests.train.conftest import PROCESSING, batches, memory_set, memory_video, second_epoch


def assert_equal(a: Batch | PartnerBatch, b: Batch | PartnerBatch) -> None:
    for field in dataclasses.fields(a):
        one, other = getattr(a, field.name), getattr(b, field.name)
        if isinstance(one, torch.Tensor):
            assert torch.equal(one, other), field.name
        elif isinstance(one, PartnerBatch):
            assert_equal(one, other)
        else:
            assert one == other, field.name


@pytest.mark.parametrize("epoch", [1, 2])
def test_samples_do_not_depend_on_the_number_of_workers(disk_set, epoch):
    alone, many = (batches(disk_set, workers, epoch, second_epoch) for workers in (0, 2))
    for a, b in zip(alone, many, strict=True):
        assert_equal(a, b)
        assert (a.partner is not None) == (epoch == 2)
    assert not torch.equal(alone[0].search, batches(disk_set, 0, epoch=3)[0].search)


def test_batches_are_sent_without_shared_memory(disk_set):
    """A worker cannot be blocked by a full /dev/shm: the batch is in the message itself."""
    batch = batches(disk_set, 0, 2, second_epoch)[0]
    message = bytes(ForkingPickler.dumps(batch))
    assert len(message) > batch.search.numel() + batch.partner.search.numel()
    assert_equal(batch, pickle.loads(message))


def test_no_loader_processes_where_shared_memory_is_too_small(disk_set, monkeypatch, caplog):
    monkeypatch.setattr(loader.shutil, "disk_usage", lambda _path: types.SimpleNamespace(free=65536))
    assert [batch.videos for batch in batches(disk_set, 2)] == [batch.videos for batch in batches(disk_set, 0)]
    assert "/dev/shm" in caplog.text and "TRAIN.NUM_WORKER" in caplog.text


class Garbage:
    """Refers to itself, so that only the collector ends it."""

    def __init__(self, ended: list[int]):
        self.itself, self.ended = self, ended

    def __del__(self):
        self.ended.append(os.getpid())


def test_loader_processes_do_not_collect_garbage_of_the_training_process(disk_set):
    """What it holds may be of no use in a fork: a decoder whose threads stayed behind, say, is never ended there."""
    class Collecting(TrackingDataset):
        def __getitem__(self, key):
            gc.collect()
            return super().__getitem__(key) | {"unreadable": [f"{len(ended)} ended"]}

    ended: list[int] = []
    samples = Collecting(CausalSampler([disk_set], [1], 2, 200), PROCESSING, 8, epochs=1, seed=3)
    with without_collector():
        Garbage(ended)
        batches_ = make_loader(samples, DistributedBatchSampler(8, 4), 1)
        said = [message for batch in batches_ for message in batch.unreadable]
        assert said == ["0 ended"] * 8 and ended == []
    gc.collect()
    assert ended == [os.getpid()]


@contextlib.contextmanager
def without_collector():
    gc.disable()
    try:
        yield
    finally:
        gc.enable()


def test_a_sample_with_an_unreadable_frame_is_drawn_again_and_reported(disk_set):
    videos = memory_set(disk_set[3], disk_set[0])
    messages = [m for e in range(1, 5) for b in batches(videos, 0, e) for m in b.unreadable]
    assert messages and all("video3/00000003.jpg" in m for m in messages)


def test_a_sample_is_the_same_with_and_without_mixing(disk_set):
    good = memory_set(*(disk_set[i] for i in range(3)))
    plain, mixed = batches(good, 0, 2), batches(good, 0, 2, second_epoch)
    for a, b in zip(plain, mixed, strict=True):
        assert_equal(a, dataclasses.replace(b, partner=None))
        partner = b.partner
        assert partner.search.shape == b.search.shape and partner.boxes.shape == b.boxes.shape
        assert partner.brightness.shape == (2, 4) and partner.active.all()
        assert all(own != other for own, other in zip(b.videos, partner.videos, strict=True))


def test_a_partner_with_an_unreadable_frame_is_drawn_again_and_the_sample_stays(disk_set):
    keys = [(2, index) for index in range(40)]
    sampler = CausalSampler([disk_set], [1], 2, 200, partners=True)
    plain, mixed = (TrackingDataset(sampler, PROCESSING, 40, 2, 3, mixes=mixes) for mixes in (None, second_epoch))
    more = 0
    for key in keys:
        a, b = plain[key], mixed[key]
        assert a["video"] == b["video"] and np.array_equal(a["search"], b["search"]) and b["partner_active"]
        assert b["unreadable"][: len(a["unreadable"])] == a["unreadable"]
        more += len(b["unreadable"]) - len(a["unreadable"])
    assert more > 0


def test_epochs_with_mixing_follow_the_interval():
    def active(*overrides: str) -> list[int]:
        cfg = load_config("MSTGT", "MSTGT-full-256", list(overrides))
        return [e for e in range(1, 40) if mixing_active(e, cfg)]
    assert active() == [12, 23, 34]
    assert active("DA.imix=false") == []
    assert active("DA.imix_epoch=35", "DA.imix_interval=1") == [36, 37, 38, 39]
    assert active("DA.imix_epoch=0", "DA.imix_interval=13") == [13, 26, 39]


def test_processes_get_disjoint_parts_of_an_epoch():
    orders = [DistributedBatchSampler(16, 2, rank, 2) for rank in range(2)]
    keys = [key for order in orders for batch in order for key in batch]
    assert sorted(i for _, i in keys) == list(range(16))


def test_negatives_replace_search_regions_and_nothing_else():
    videos = memory_set(*(memory_video(str(i), 30) for i in range(4)))
    sampler = CausalSampler([videos], [1], 2, 200, partners=True)
    plain, mixed = (TrackingDataset(sampler, PROCESSING, 40, 1, 0, negatives=share) for share in (0.0, 0.5))
    absent = 0
    for index in range(40):
        without, sample = plain[1, index], mixed[1, index]
        assert "present" not in without and sample["present"].shape == (2,)
        present = sample["present"]
        absent += int(not present.all())
        assert (sample["search"][present] == without["search"][present]).all()
        assert (sample["boxes"][present] == without["boxes"][present]).all()
        assert (sample["template"] == without["template"]).all()
    assert 10 < absent < 30


def test_negatives_from_the_same_frame_do_not_show_the_target():
    class OneWhiteTarget:
        def __len__(self):
            return 3

        def read(self, index, reduce=1, rows=None):
            image = np.full((240, 320, 3), 90, np.uint8)
            image[50:70, 40:70] = 255
            return image

    boxes = np.tile([40.0, 50, 30, 20], (3, 1))
    video = Video("v", OneWhiteTarget(), boxes, np.ones(3, bool))
    rng = np.random.default_rng(0)
    drawn = [PROCESSING.without_target(SampledFrames(video, 0, (1, 2)), rng) for _ in range(20)]
    crops = np.concatenate([crops[found] for crops, found in drawn])
    assert len(crops) > 30 and crops.max() == 90 and (crops.max((1, 2, 3)) == 90).all()
    # Where the target fills the image, no region is free of it.
    video.boxes_xywh[:] = 0, 0, 320, 240
    assert not PROCESSING.without_target(SampledFrames(video, 0, (1, 2)), rng)[1].any()


def test_loader_processes_use_one_thread():
    context = multiprocessing.get_context("fork")
    receiver, sender = context.Pipe(duplex=False)

    def report():
        cv2.setNumThreads(3)
        torch.set_num_threads(3)
        loader._init_worker(0)
        sender.send((cv2.getNumThreads(), torch.get_num_threads()))

    process = context.Process(target=report)
    process.start()
    assert receiver.poll(30) and receiver.recv() == (1, 1)
    process.join(30)
