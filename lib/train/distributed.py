"""One process model: the same file runs alone, or many times under torchrun.

``launch`` turns a plain ``python tracking/train.py --mode multiple`` into a torchrun of the same command; ``Group``
tells a process which of how many it is and on what device it works.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

import torch
import torch.distributed as dist

from lib.utils.errors import UserError


@dataclass(frozen=True)
class Group:
    """rank of world processes, and this one's device."""

    rank: int
    world: int
    device: torch.device

    @property
    def leads(self) -> bool:
        """Whether this process writes files and speaks."""
        return self.rank == 0

    def mean(self, values: torch.Tensor) -> torch.Tensor:
        """The mean of ``values`` over the processes."""
        if self.world > 1:
            dist.all_reduce(values)
            values /= self.world
        return values


def launched() -> bool:
    """Whether torchrun started this process."""
    return "LOCAL_RANK" in os.environ


def launch(script: str, arguments: Sequence[str], nproc_per_node: int) -> None:
    """Replace this process by a torchrun of ``script`` with ``arguments`` on this machine."""
    if torch.cuda.is_available() and nproc_per_node > torch.cuda.device_count():
        raise UserError(f"--nproc_per_node {nproc_per_node} is more than the {torch.cuda.device_count()} GPUs here")
    if not torch.cuda.is_available():
        share = max(1, torch.get_num_threads() // nproc_per_node)
        os.environ.setdefault("OMP_NUM_THREADS", str(share))
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone", f"--nproc_per_node={nproc_per_node}",
               script, *arguments]
    sys.stdout.flush()
    os.execv(sys.executable, command)


@contextmanager
def process_group() -> Iterator[Group]:
    """The group that this process belongs to; a group of one without torchrun."""
    gpu = torch.cuda.is_available()
    if not launched():
        yield Group(0, 1, torch.device("cuda" if gpu else "cpu"))
        return
    device = torch.device("cuda", int(os.environ["LOCAL_RANK"])) if gpu else torch.device("cpu")
    if gpu:
        torch.cuda.set_device(device)
    dist.init_process_group("nccl" if gpu else "gloo")
    try:
        yield Group(dist.get_rank(), dist.get_world_size(), device)
    finally:
        dist.destroy_process_group()
