"""Distributed training: the same script runs as a single process or several times under torchrun (:mod:`.launch`).

:class:`Group` tells a process its rank, the number of processes and its device.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

import torch
import torch.distributed as dist

from ..utils.device import resolve_device
from ..utils.errors import UserError
from .launch import check_group_device, launched


@dataclass(frozen=True)
class Group:
    """The processes that train together: ``rank`` of ``world``, and this one's device."""

    rank: int
    world: int
    device: torch.device

    @classmethod
    def single(cls) -> Group:
        """A group of one, on the CPU."""
        return cls(0, 1, torch.device("cpu"))

    @property
    def is_main_process(self) -> bool:
        """Whether this process writes files and prints."""
        return self.rank == 0

    @property
    def is_single_process(self) -> bool:
        """Whether there are no other processes."""
        return self.world == 1

    def sum(self, values: torch.Tensor) -> torch.Tensor:
        """The sum of ``values`` over the processes. All of them must call it."""
        if self.is_single_process:
            return values
        # NCCL reduces tensors on GPUs only.
        values = values.to(self.device)
        dist.all_reduce(values)
        return values

    def all_reduce_any(self, flags: Sequence[bool]) -> list[bool]:
        """For each flag, whether it is set in any process. All of them must call it."""
        if self.is_single_process:
            return list(flags)
        # One collective call for all flags: in each of them, every process waits for all others.
        values = torch.tensor(flags, dtype=torch.uint8, device=self.device)
        dist.all_reduce(values, dist.ReduceOp.MAX)
        return [bool(v) for v in values.tolist()]


@contextmanager
def process_group(device: str | None = None) -> Iterator[Group]:
    """The group that this process belongs to; a group of one without torchrun.

    device  what ``--device`` names; None: a GPU if there is one, else the CPU. Under torchrun ``cuda`` stands for the
            GPU of this process's local rank.

    Raises :class:`UserError` where the device is not there, or is no device for processes under torchrun.
    """
    if not launched():
        alone = torch.device(resolve_device(device))
        if alone.index is not None:
            torch.cuda.set_device(alone)  # for what asks for the current device: its name, what it is fast in
        yield Group(0, 1, alone)
        return
    own = _own_device(device)
    if own.type == "cuda":
        # Before the group is made: NCCL takes the current GPU, which is the first one in every process otherwise.
        torch.cuda.set_device(own)
    dist.init_process_group("nccl" if own.type == "cuda" else "gloo")
    try:
        yield Group(dist.get_rank(), dist.get_world_size(), own)
    finally:
        dist.destroy_process_group()


def _own_device(name: str | None) -> torch.device:
    """The device of this process under torchrun: the CPU, or the GPU of its local rank."""
    check_group_device(name)
    if resolve_device(name) == "cpu":
        return torch.device("cpu")
    rank = int(os.environ["LOCAL_RANK"])
    if rank >= torch.cuda.device_count():
        raise UserError(f"process {rank} of this machine has no GPU of its own: PyTorch finds "
                        f"{torch.cuda.device_count()}; start at most as many processes, or give --device cpu")
    return torch.device("cuda", rank)
