"""How training is started: what is checked before, and whether by hand or under torchrun.

    check_training(cfg, paths, resume="auto")      # UserError naming what is missing

:func:`launch` runs a command under torchrun; :func:`launched` tells a process whether that has happened. PyTorch is
imported by :func:`launch` alone: commands check their arguments before.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ..config import Paths
from ..utils.device import check_device_name, resolve_device
from ..utils.errors import UserError


def check_training(cfg: Any, paths: Paths, resume: str) -> None:
    """Raise :class:`UserError` where the checkpoint to resume, the weights to start from or a dataset is missing.

    Only the places are looked at. What is in them is read when the training is built (:mod:`.build`).
    """
    from ..data.readers import require_training_set  # imported here: it loads NumPy and OpenCV

    if resume not in ("auto", "none") and not Path(resume).is_file():
        raise UserError(f"--resume {resume}: there is no such file; give a checkpoint, auto or none")
    if cfg.MODEL.PRETRAIN_FILE:
        paths.pretrained(cfg.MODEL.PRETRAIN_FILE)  # raises where it is missing
    for name in (*cfg.DATA.TRAIN.DATASETS_NAME, *cfg.DATA.VAL.DATASETS_NAME):
        require_training_set(name, paths.dataset)


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


def check_group_device(name: str | None) -> None:
    """Raise :class:`UserError` where the device ``name`` is none that several processes can train on."""
    check_device_name(name)
    if name not in (None, "cpu", "cuda"):
        raise UserError(f"--device {name}: under torchrun each process takes a CUDA GPU of its own; give cuda or cpu")


def launch(script: str, arguments: Sequence[str], how: Launch, device: str | None = None) -> int:
    """Run ``script`` with ``arguments`` under torchrun on this node; the exit status.

    device  what ``--device`` names

    Raises :class:`UserError` where the device is not there, or there are fewer GPUs than processes.
    """
    # Imported here because it is slow and only the launcher needs it.
    import torch
    from torch.distributed.elastic.multiprocessing import SignalException
    from torch.distributed.elastic.multiprocessing.errors import ChildFailedError
    from torch.distributed.run import parse_args, run

    check_group_device(device)
    on_gpus = resolve_device(device) == "cuda"
    if on_gpus and how.nproc_per_node > torch.cuda.device_count():
        raise UserError(f"{how.nproc_per_node} processes per node are more than the {torch.cuda.device_count()} GPUs "
                        "of this machine; --device cpu trains on the CPU")
    if not on_gpus:
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
