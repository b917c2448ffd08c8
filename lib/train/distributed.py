"""Distributed training: the same script runs as a single process or several times under torchrun.

:func:`launch` runs a command under torchrun; :class:`Group` tells a process its rank, the number of processes and its
device.
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


@dataclass(frozen=True)
class Launch:
    """How torchrun starts the processes.

    endpoint      host:port of the rendezvous, the same on all nodes; None: a single node
    node_rank     the number of this node if nodes are numbered by hand; None: in order of arrival
    max_restarts  how often all processes are restarted after one of them has failed
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
            # standalone takes a free port, so that runs on one machine do not meet each other's processes.
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
    # Imported here because it is slow and only the launcher needs it.
    from torch.distributed.elastic.multiprocessing import SignalException
    from torch.distributed.elastic.multiprocessing.errors import ChildFailedError
    from torch.distributed.run import parse_args, run

    if torch.cuda.is_available() and how.nproc_per_node > torch.cuda.device_count():
        raise UserError(f"{how.nproc_per_node} processes per node are more than the {torch.cuda.device_count()} GPUs "
                        "of this machine")
    if not torch.cuda.is_available():
        # torchrun would give each process one thread. Without GPUs, the processes share the cores.
        os.environ.setdefault("OMP_NUM_THREADS", str(max(1, torch.get_num_threads() // how.nproc_per_node)))
    # By default, torchrun lets restarted processes reuse the rendezvous store of the failed ones, which still holds
    # their addresses.
    os.environ.setdefault("TORCH_DISABLE_SHARE_RDZV_TCP_STORE", "1")
    # What was printed so far must stand before the output of the processes.
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
        # Before the group is made: NCCL takes the current GPU, which is the first one in every process otherwise.
        torch.cuda.set_device(device)
    dist.init_process_group("nccl" if gpu else "gloo")
    try:
        yield Group(dist.get_rank(), dist.get_world_size(), device)
    finally:
        dist.destroy_process_group()
