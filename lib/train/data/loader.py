"""Batches of samples. Sample ``index`` of ``epoch`` is a function of (seed, epoch, index) and of nothing else.

A frame that cannot be read costs its sample another draw; what went wrong is listed in the batch under ``unreadable``.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import cv2
import numpy as np
import torch
from torch.utils.data import DataLoader, Dataset, Sampler

from lib.train.data.processing import Processing
from lib.train.data.sampler import CausalSampler
from lib.utils.errors import UserError

REDRAWS = 10  # unreadable draws in a row before a sample is given up

Batch = dict[str, Any]


class Samples(Dataset):
    """Samples by (epoch, index).

    curriculum  share of all epochs over which the difficulty rises from 0 to 1; 0: always 1
    """

    def __init__(self, sampler: CausalSampler, processing: Processing, per_epoch: int, epochs: int, seed: int,
                 curriculum: float = 0.0):
        self.sampler, self.processing = sampler, processing
        self.per_epoch, self.seed = per_epoch, seed
        self.ramp = curriculum * epochs * per_epoch

    def __len__(self) -> int:
        return self.per_epoch

    def __getitem__(self, key: tuple[int, int]) -> dict[str, Any]:
        epoch, index = key
        rng = np.random.default_rng([self.seed, epoch, index])
        seen = (epoch - 1) * self.per_epoch + index
        difficulty = min(1.0, seen / self.ramp) if self.ramp else 1.0
        unreadable: list[str] = []
        while True:
            draw = self.sampler.draw(rng, difficulty)
            try:
                return self.processing(draw, rng) | {"unreadable": unreadable}
            except UserError as error:
                unreadable.append(str(error))
                if len(unreadable) == REDRAWS:
                    raise


class EpochOrder(Sampler):
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
    """Stack samples; ``search`` and ``boxes`` become frame-major: (N, B, ...)."""
    def stack(name: str) -> torch.Tensor:
        return torch.from_numpy(np.stack([s[name] for s in samples]))

    return {
        "template": stack("template"),
        "search": stack("search").transpose(0, 1).contiguous(),
        "boxes": stack("boxes").transpose(0, 1).contiguous(),
        "brightness": stack("brightness").transpose(0, 1).contiguous(),
        "flip": stack("flip"),
        "grey": stack("grey"),
        "videos": [s["video"] for s in samples],
        "frames": [s["frames"].tolist() for s in samples],
        "unreadable": [message for s in samples for message in s["unreadable"]],
    }


def make_loader(samples: Samples, order: EpochOrder, workers: int, pin_memory: bool = False) -> DataLoader:
    """A loader over ``order``; set ``order.epoch`` before iterating.

    Workers are started for every epoch: they get the order's epoch with them, and their start costs little.
    """
    return DataLoader(samples, batch_sampler=order, num_workers=workers, collate_fn=collate, pin_memory=pin_memory,
                      worker_init_fn=_one_thread, prefetch_factor=4 if workers else None)


def _one_thread(_worker: int) -> None:
    cv2.setNumThreads(1)
    torch.set_num_threads(1)
