"""Batches of samples. Sample ``index`` of ``epoch`` depends on (seed, epoch, index) and on nothing else.

If a frame cannot be read, its sample is drawn again and the message goes into the batch (``Batch.unreadable``).

In the epochs of feature mixing (:func:`mixing_active`) every sample comes with a partner. Partners have their own
random numbers, so that the sample itself is the same with and without mixing. In other epochs no partner is read.

Loader processes ignore SIGTERM: the trainer takes its last batches, saves, and ends them.
"""

from __future__ import annotations

import gc
import logging
import multiprocessing.util
import os
import shutil
import signal
import sys
from collections.abc import Callable, Iterator
from typing import Any

import cv2
import numpy as np
import torch
from torch.utils.data import DataLoader, Dataset, Sampler

from ...utils.errors import UserError, warn_once
from .batch import Batch, PartnerBatch
from .processing import Processing
from .sampler import CausalSampler, SampledFrames

_log = logging.getLogger(__name__)

SHARED_MEMORY = "/dev/shm"
PAGE_BYTES = 4096
MAX_REDRAWS = 10  # unreadable draws before a sample fails
PARTNER_STREAM = 1  # appended to the seed of a sample for the random numbers of its partner
NEGATIVE_STREAM = 2  # likewise for search regions without the target
NEGATIVE_BOX = (0.5, 0.5, 0.25, 0.25)  # placeholder for the box of an absent target; the loss ignores it

SampleKey = tuple[int, int]  # (epoch from 1, index from 0): samples differ between epochs


def mixing_active(epoch: int, cfg: Any) -> bool:
    """Whether ``epoch`` (from 1) mixes features: the epochs imix_epoch + k * imix_interval with k = 1, 2, …

    With DA.imix_epoch = 1 and DA.imix_interval = 11 these are 12, 23, 34 and so on.
    """
    after = epoch - cfg.DA.imix_epoch
    return bool(cfg.DA.imix) and after > 0 and after % cfg.DA.imix_interval == 0


class TrackingDataset(Dataset):
    """Samples, indexed by (epoch, index).

    per_epoch   samples per epoch
    epochs      number of epochs of the training
    curriculum  fraction of all epochs over which the difficulty rises from 0 to 1; 0: always 1
    mixes       whether the samples of an epoch have partners; None: never. The sampler must have been built with
                ``partners``
    negatives   probability of a sample with absent targets: each of its search regions is then replaced with
                probability 0.5, and at least one of them is, by one of another video (of the same class if there is
                one) or by a part of the same frame without the target. Batches then have ``present``
    """

    def __init__(self, sampler: CausalSampler, processing: Processing, per_epoch: int, epochs: int, seed: int,
                 curriculum: float = 0.0, mixes: Callable[[int], bool] | None = None, negatives: float = 0.0):
        self.sampler = sampler
        self.processing = processing
        self.per_epoch = per_epoch
        self.seed = seed
        self.mixes = mixes
        self.negatives = negatives
        self.curriculum_samples = curriculum * epochs * per_epoch

    def __len__(self) -> int:
        return self.per_epoch

    def __getitem__(self, key: SampleKey) -> dict[str, Any]:
        epoch, index = key
        # A generator per sample: the number of workers and the order in which they run do not matter.
        rng = np.random.default_rng([self.seed, epoch, index])
        samples_before = (epoch - 1) * self.per_epoch + index
        difficulty = min(1.0, samples_before / self.curriculum_samples) if self.curriculum_samples else 1.0
        unreadable: list[str] = []
        while True:
            own = self.sampler.draw(rng, difficulty)
            try:
                sample = self.processing(own, rng)
                break
            except UserError as error:
                _note_unreadable(unreadable, error)
        if self.mixes is not None and self.mixes(epoch):
            partner_rng = np.random.default_rng([self.seed, epoch, index, PARTNER_STREAM])
            sample |= self._draw_partner(own, partner_rng, unreadable)[1]
        if self.negatives:
            negative_rng = np.random.default_rng([self.seed, epoch, index, NEGATIVE_STREAM])
            self._make_negative(own, sample, negative_rng, unreadable)
        return sample | {"unreadable": unreadable}

    def _draw_partner(self, own: SampledFrames, rng: np.random.Generator,
                      unreadable: list[str]) -> tuple[SampledFrames | None, dict[str, Any]]:
        """Another video for the sample ``own`` and its search regions; None (and zeros) if there is none."""
        while True:
            drawn = self.sampler.draw_partner(own, rng)
            try:
                return drawn, self.processing.partner(drawn, len(own.searches), rng)
            except UserError as error:
                _note_unreadable(unreadable, error)

    def _make_negative(self, own: SampledFrames, sample: dict[str, Any], rng: np.random.Generator,
                       unreadable: list[str]) -> None:
        """Replace search regions of ``sample`` by those of another video, and say which in ``present``."""
        count = len(own.searches)
        sample["present"] = np.ones(count, bool)
        if rng.random() >= self.negatives:
            return
        other, partner = self._draw_partner(own, rng, unreadable)
        if other is None:
            return
        absent = rng.random(count) < 0.5
        absent[rng.integers(count)] = True
        # The own frame, beside the target, is the harder one: it holds what a lost tracker follows.
        beside, found = self.processing.without_target(own, rng)
        found &= rng.random(count) < 0.5
        sample["search"][absent & ~found] = partner["partner_search"][absent & ~found]
        sample["search"][absent & found] = beside[absent & found]
        sample["boxes"][absent] = NEGATIVE_BOX
        sample["present"] = ~absent


def _note_unreadable(unreadable: list[str], error: UserError) -> None:
    """Append the message of a draw whose frames cannot be read.

    Raises ``error`` where it is the sample's ``MAX_REDRAWS``-th: a broken disk must end the training and not slow it
    down.
    """
    unreadable.append(str(error))
    if len(unreadable) >= MAX_REDRAWS:
        raise error


class DistributedBatchSampler(Sampler):
    """Batches of keys (epoch, index) for one process: index = rank, rank + world, …

    Set ``epoch`` (from 1) before iterating, and ``first_step`` to start within the epoch. The last incomplete batch
    is dropped.
    """

    def __init__(self, per_epoch: int, batch_size: int, rank: int = 0, world: int = 1):
        self.per_epoch = per_epoch
        self.batch_size = batch_size
        self.rank = rank
        self.world = world
        self.epoch = 1
        self.first_step = 0

    def __len__(self) -> int:
        return self.per_epoch // (self.batch_size * self.world)

    def __iter__(self) -> Iterator[list[SampleKey]]:
        for step in range(self.first_step, len(self)):
            first = step * self.batch_size * self.world
            yield [(self.epoch, first + i * self.world + self.rank) for i in range(self.batch_size)]


def collate(samples: list[dict[str, Any]]) -> Batch:
    """Stack samples into a batch."""
    def per_sample(name: str) -> torch.Tensor:
        return torch.from_numpy(np.stack([sample[name] for sample in samples]))

    def per_frame(name: str) -> torch.Tensor:
        # (B, N, ...) -> (N, B, ...): the network steps through time with all samples at once.
        return per_sample(name).transpose(0, 1).contiguous()

    partner = None
    if "partner_search" in samples[0]:
        partner = PartnerBatch(
            search=per_frame("partner_search"),
            boxes=per_frame("partner_boxes"),
            flip=per_sample("partner_flip"),
            gray=per_sample("partner_gray"),
            brightness=per_frame("partner_brightness"),
            active=per_sample("partner_active"),
            videos=[sample["partner_video"] for sample in samples])
    return Batch(
        template=per_sample("template"),
        template_box=per_sample("template_box"),
        search=per_frame("search"),
        boxes=per_frame("boxes"),
        flip=per_sample("flip"),
        gray=per_sample("gray"),
        brightness=per_frame("brightness"),
        videos=[sample["video"] for sample in samples],
        frames=[sample["frames"].tolist() for sample in samples],
        unreadable=[message for sample in samples for message in sample["unreadable"]],
        present=per_frame("present") if "present" in samples[0] else None,
        partner=partner)


def make_loader(samples: TrackingDataset, batch_sampler: DistributedBatchSampler, workers: int,
                pin_memory: bool = False) -> DataLoader:
    """A loader over ``batch_sampler``; set ``batch_sampler.epoch`` before iterating."""
    workers = _usable_workers(workers)
    if workers:
        # OpenCV's thread pool does not survive a fork: a worker that used it would wait for threads that only exist
        # in the parent.
        cv2.setNumThreads(1)
    # Workers are started again for every epoch, because they receive a copy of the batch sampler with its epoch. The
    # start costs little.
    return DataLoader(samples, batch_sampler=batch_sampler, num_workers=workers, collate_fn=collate,
                      pin_memory=pin_memory, worker_init_fn=_init_worker, prefetch_factor=4 if workers else None)


def _usable_workers(workers: int) -> int:
    """``workers``, or 0 with a warning if shared memory is too small for the semaphores of their queues.

    Batches do not use shared memory (:mod:`batch`), but Python keeps every semaphore in a page of /dev/shm, and fails
    with a traceback from inside the DataLoader if there is no room.
    """
    try:
        free = shutil.disk_usage(SHARED_MEMORY).free
    except OSError:  # not Linux
        return workers
    # Three semaphores for each worker's queue, and a dozen for the common queue and events.
    if workers and free < PAGE_BYTES * (4 * workers + 16):
        warn_once(_log, f"shared memory ({SHARED_MEMORY}) has only {free // 1024} KB free, too little for loader "
                        "processes: samples are loaded in the training process, as with TRAIN.NUM_WORKER=0; a "
                        "container gets more with --shm-size=1g")
        return 0
    return workers


def _init_worker(_worker: int) -> None:
    """Set up a loader process."""
    # Objects that the parent left for its garbage collector must not be collected here: the destructor of a video
    # decoder, say, would wait for decoder threads that only exist in the parent.
    gc.freeze()
    # torchrun and clusters send SIGTERM to all processes. The trainer still takes its last batches and saves a
    # checkpoint; workers end with it.
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    # On Ctrl-C nobody reads the pipe any more. Without this, the worker would wait at its exit until its last batch has
    # been read, and the training process would wait for the worker.
    multiprocessing.util.Finalize(None, _exit_at_once, exitpriority=100)
    # One thread each: the workers themselves are the parallelism.
    cv2.setNumThreads(1)
    torch.set_num_threads(1)


def _exit_at_once() -> None:
    """End this process without the clean-up of queues; every batch that is wanted has been read by then."""
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(0)
