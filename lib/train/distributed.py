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

from ..utils.errors import UserError


@dataclass(frozen=True)
class Group:
    """rank of world processes, and this one's device."""

    rank: int
    world: int
    device: torch.device

    @classmethod
    def single(cls) -> Group:
        """A group of one, on the CPU."""
        return cls(0, 1, torch.device("cpu"))

    @property
    def is_main_process(self) -> bool:
        """Whether this process writes files and speaks."""
        return self.rank == 0

    def sum(self, values: torch.Tensor) -> torch.Tensor:
        """The sum of ``values`` over the processes."""
        if self.world == 1:
            return values
        values = values.to(self.device)
        dist.all_reduce(values)
        return values

    def all_reduce_any(self, flags: Sequence[bool]) -> list[bool]:
        """Of each flag, whether it is set in any process."""
        if self.world == 1:
            return list(flags)
        values = torch.tensor(flags, dtype=torch.uint8, device=self.device)
        dist.all_reduce(values, dist.ReduceOp.MAX)
        return [bool(v) for v in values.tolist()]


@dataclass(frozen=True)
class Launch:
    """How torchrun is to start the processes.

    endpoint      host:port where several nodes meet, the same on all of them; None: one node
    node_rank     which node this is, where the nodes are numbered by hand; None: by arrival
    max_restarts  how often all processes are started again after one has failed
    """

    nproc_per_node: int
    nodes: str = "1"
    endpoint: str | None = None
    node_rank: int | None = None
    max_restarts: int = 0

    def arguments(self) -> list[str]:
        """torchrun's command line, without the script."""
        common = [f"--nproc_per_node={self.nproc_per_node}", f"--max_restarts={self.max_restarts}"]
        if self.endpoint is None:
            return ["--standalone", *common]
        common.append(f"--nnodes={self.nodes}")
        if self.node_rank is None:
            return [*common, "--rdzv_backend=c10d", f"--rdzv_endpoint={self.endpoint}", "--rdzv_id=mstgt"]
        host, _, port = self.endpoint.rpartition(":")
        return [*common, f"--node_rank={self.node_rank}", f"--master_addr={host}", f"--master_port={port}"]


def launched() -> bool:
    """Whether torchrun started this process."""
    return "LOCAL_RANK" in os.environ


def restarted() -> bool:
    """Whether torchrun started this process again, after a failure."""
    return int(os.environ.get("TORCHELASTIC_RESTART_COUNT", "0")) > 0


def launch(script: str, arguments: Sequence[str], how: Launch) -> int:
    """Run ``script`` with ``arguments`` under torchrun on this node; the exit status."""
    # slow to import, and only wanted here
    from torch.distributed.elastic.multiprocessing import SignalException
    from torch.distributed.elastic.multiprocessing.errors import ChildFailedError
    from torch.distributed.run import parse_args, run

    if torch.cuda.is_available() and how.nproc_per_node > torch.cuda.device_count():
        raise UserError(f"--nproc_per_node {how.nproc_per_node} is more than the {torch.cuda.device_count()} GPUs here")
    if not torch.cuda.is_available():
        os.environ.setdefault("OMP_NUM_THREADS", str(max(1, torch.get_num_threads() // how.nproc_per_node)))
    # torchrun would let the processes that it starts again meet in the store of those that died, among their addresses
    os.environ.setdefault("TORCH_DISABLE_SHARE_RDZV_TCP_STORE", "1")
    sys.stdout.flush()
    try:
        run(parse_args([*how.arguments(), script, *arguments]))
    except ChildFailedError as error:
        rank, failure = error.get_first_failure()
        raise UserError(f"process {rank} ended with exit status {failure.exitcode}; its message is above") from error
    except SignalException as error:
        return 128 + int(error.sigval)
    return 0


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
