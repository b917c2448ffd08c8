"""Batches of samples. Sample ``index`` of ``epoch`` is a function of (seed, epoch, index) and of nothing else.

A frame that cannot be read costs its sample another draw; what went wrong is listed in the batch under ``unreadable``.

In the epochs of feature mixing (:func:`mixing_active`) every sample comes with a partner, drawn from random numbers of
its own: the rest of the sample is what it would be without. In other epochs no partner is read.
"""

from __future__ import annotations

import gc
import signal
from collections.abc import Callable, Iterator
from typing import Any

import cv2
import numpy as np
import torch
from torch.utils.data import DataLoader, Dataset, Sampler

from ...utils.errors import UserError
from .processing import Processing
from .sampler import CausalSampler, SampledFrames

REDRAWS = 10  # unreadable draws in a row before a sample is given up
PARTNER_STREAM = 1  # what the random numbers of a partner are seeded with, beside its sample's key
NEGATIVE_STREAM = 2  # the same for negatives
NEGATIVE_BOX = (0.5, 0.5, 0.25, 0.25)  # stands for the box of a target that is absent; no loss looks at it

# what a batch stacks: (B, ...), and frame by frame (N, B, ...). Partners are there in epochs of feature mixing only.
PER_SAMPLE = ("template", "template_box", "flip", "grey", "partner_flip", "partner_grey", "partner_active")
PER_FRAME = ("search", "boxes", "present", "brightness", "partner_search", "partner_boxes", "partner_brightness")

Batch = dict[str, Any]


def mixing_active(epoch: int, cfg: Any) -> bool:
    """Whether ``epoch`` (from 1) mixes features: every DA.imix_interval-th epoch after DA.imix_epoch.

    These are the epochs imix_epoch + k * imix_interval with k = 1, 2, …: after epoch 1 with an interval of 11 they are
    12, 23, 34 and so on.
    """
    after = epoch - cfg.DA.imix_epoch
    return bool(cfg.DA.imix) and after > 0 and after % cfg.DA.imix_interval == 0


class TrackingDataset(Dataset):
    """Samples by (epoch, index).

    curriculum  share of all epochs over which the difficulty rises from 0 to 1; 0: always 1
    negatives   probability that the target is absent from search regions of a sample: each of them then shows, with
                probability 0.5 and at least one does, another video of the same class where there is one. Batches then
                have ``present`` (N, B) bool
    mixes       says of an epoch whether its samples have partners; None: never. The sampler must be ready for them
    """

    def __init__(self, sampler: CausalSampler, processing: Processing, per_epoch: int, epochs: int, seed: int,
                 curriculum: float = 0.0, mixes: Callable[[int], bool] | None = None, negatives: float = 0.0):
        self.sampler, self.processing, self.mixes = sampler, processing, mixes
        self.per_epoch, self.seed, self.negatives = per_epoch, seed, negatives
        self.ramp = curriculum * epochs * per_epoch

    def __len__(self) -> int:
        return self.per_epoch

    def __getitem__(self, key: tuple[int, int]) -> dict[str, Any]:
        epoch, index = key
        rng = np.random.default_rng([self.seed, epoch, index])
        seen = (epoch - 1) * self.per_epoch + index
        difficulty = min(1.0, seen / self.ramp) if self.ramp else 1.0
        unreadable: list[str] = []
        own, sample = _readable(lambda: self.sampler.draw(rng, difficulty), lambda draw: self.processing(draw, rng),
                                unreadable)
        if self.mixes is not None and self.mixes(epoch):
            other = np.random.default_rng([self.seed, epoch, index, PARTNER_STREAM])
            _, partner = _readable(lambda: self.sampler.draw_partner(own, other),
                                   lambda draw: self.processing.partner(draw, len(own.searches), other), unreadable)
            sample |= partner
        if self.negatives:
            self._make_negative(own, sample, np.random.default_rng([self.seed, epoch, index, NEGATIVE_STREAM]),
                                unreadable)
        return sample | {"unreadable": unreadable}

    def _make_negative(self, own: SampledFrames, sample: dict[str, Any], rng: np.random.Generator,
                       unreadable: list[str]) -> None:
        """Replace search regions of ``sample`` by those of another video, and say which in ``present``."""
        count = len(own.searches)
        sample["present"] = np.ones(count, bool)
        if rng.random() >= self.negatives:
            return
        other, partner = _readable(lambda: self.sampler.draw_partner(own, rng),
                                   lambda draw: self.processing.partner(draw, count, rng), unreadable)
        if other is None:
            return
        absent = rng.random(count) < 0.5
        absent[rng.integers(count)] = True
        sample["search"][absent] = partner["partner_search"][absent]
        sample["boxes"][absent] = NEGATIVE_BOX
        sample["present"] = ~absent


def _readable(draw: Callable[[], SampledFrames | None], process: Callable[[Any], dict[str, Any]],
              unreadable: list[str]) -> tuple[Any, dict[str, Any]]:
    """A draw and what is made of it; draws that cannot be read are passed over and named in ``unreadable``."""
    before = len(unreadable)
    while True:
        drawn = draw()
        try:
            return drawn, process(drawn)
        except UserError as error:
            unreadable.append(str(error))
            if len(unreadable) - before == REDRAWS:
                raise


class DistributedBatchSampler(Sampler):
    """The keys (epoch, index) of one process: index = rank, rank + world, …; the last incomplete batch is left out."""

    def __init__(self, per_epoch: int, batch_size: int, rank: int = 0, world: int = 1):
        self.per_epoch, self.batch_size, self.rank, self.world = per_epoch, batch_size, rank, world
        self.epoch, self.first_step = 1, 0

    def __len__(self) -> int:
        return self.per_epoch // (self.batch_size * self.world)

    def __iter__(self) -> Iterator[list[tuple[int, int]]]:
        for step in range(self.first_step, len(self)):
            first = step * self.batch_size * self.world
            yield [(self.epoch, first + i * self.world + self.rank) for i in range(self.batch_size)]


def collate(samples: list[dict[str, Any]]) -> Batch:
    """Stack samples by ``PER_SAMPLE`` and ``PER_FRAME``; names, frame numbers and messages become lists."""
    def stack(name: str) -> torch.Tensor:
        return torch.from_numpy(np.stack([s[name] for s in samples]))

    batch: Batch = {name: stack(name) for name in PER_SAMPLE if name in samples[0]}
    batch |= {name: stack(name).transpose(0, 1).contiguous() for name in PER_FRAME if name in samples[0]}
    if "partner_video" in samples[0]:
        batch["partner_videos"] = [s["partner_video"] for s in samples]
    return batch | {
        "videos": [s["video"] for s in samples],
        "frames": [s["frames"].tolist() for s in samples],
        "unreadable": [message for s in samples for message in s["unreadable"]],
    }


def make_loader(samples: TrackingDataset, order: DistributedBatchSampler, workers: int,
                pin_memory: bool = False) -> DataLoader:
    """A loader over ``order``; set ``order.epoch`` before iterating.

    Workers are started for every epoch: they get the order's epoch with them, and their start costs little. OpenCV's
    threads are stopped in this process first: a forked worker waits forever for threads that stayed behind.
    """
    if workers:
        cv2.setNumThreads(1)
    return DataLoader(samples, batch_sampler=order, num_workers=workers, collate_fn=collate, pin_memory=pin_memory,
                      worker_init_fn=_begin_worker, prefetch_factor=4 if workers else None)


def _begin_worker(_worker: int) -> None:
    """One thread; no end by a SIGTERM that torchrun or a cluster sends to everything it started: the training process
    takes its last batch and saves first; and what that process left for its garbage collector stays as it is: a film's
    decoder, say, would wait forever for threads that stayed behind. A worker whose training process is gone ends by
    itself."""
    gc.freeze()
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    cv2.setNumThreads(1)
    torch.set_num_threads(1)
