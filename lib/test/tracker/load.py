"""A tracker by the name of its experiment, on the device and runtime of choice.

This module must not import torch at its top: on a CPU with OpenVINO and a converted network in the cache, a tracker is
ready in a fraction of the time that ``import torch`` takes.
"""

from __future__ import annotations

import argparse
import inspect
import logging
import os
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any

from ...config import SHIPPED, find_experiment, load_config, load_paths, script_name
from ...config.arguments import BACKENDS, PRECISIONS
from ...config.paths import WEIGHTS_SUFFIX, checkpoint_path, list_checkpoints, run_folder
from ...utils.device import resolve_device
from ...utils.errors import UserError, unknown_name
from .engine import TrackerEngine, TrackerInputError
from .tracker import Tracker

_log = logging.getLogger(__name__)
THREAD_LIMIT = 1024  # OpenMP ends the process where it cannot start as many as it is told to


def load_tracker(config: str, script: str = "MSTGT", checkpoint: str | Path | None = None,
                 overrides: Sequence[str] = (), device: str | None = None, **options: Any) -> Tracker:
    """A tracker ready for ``init``.

    config      an experiment's name, such as "MSTGT-nano-128"
    checkpoint  a file (ours, or one of the published code); default: what :func:`find_checkpoint` finds
    overrides   settings such as "TEST.SEARCH_FACTOR=4.5"
    device      "cpu", "cuda", "cuda:1", "mps"; default: a CUDA GPU where there is one
    options     backend, precision, threads, compile, cuda_graph: those of :func:`load_engine`

    Raises :class:`TypeError` for an option of another name, and :class:`UserError` for a value that cannot be.
    """
    known = [name for function in (load_tracker, load_engine) for name in inspect.signature(function).parameters
             if name not in ("config", "cfg", "options")]
    for name in options:
        if name not in known:
            raise TypeError(unknown_name("option", name, set(known)))
    if not isinstance(config, str):
        raise TrackerInputError("load_tracker takes an experiment's name, such as 'MSTGT-nano-128', "
                                f"not {config!r:.100}")
    if not isinstance(script, str):
        raise TrackerInputError(f"script is the name of a folder of experiments, such as 'MSTGT', not {script!r:.100}")
    if not isinstance(overrides, list | tuple) or not all(isinstance(override, str) for override in overrides):
        raise TrackerInputError(f"overrides is a list of settings, such as ['TEST.SEARCH_FACTOR=4.5'], "
                                f"not {overrides!r:.100}")
    if not isinstance(checkpoint, str | os.PathLike | None):
        raise TrackerInputError(f"checkpoint is the path of a file, not {checkpoint!r:.100}")
    cfg = load_config(script, config, overrides)
    if checkpoint is None:
        checkpoint = find_checkpoint(script, config, cfg, load_paths(mode="test").save_dir)
    return Tracker(load_engine(cfg, checkpoint, device, **options))


def load_engine(cfg: Any, checkpoint: str | Path, device: str | None = None, backend: str = "auto",
                precision: str = "fp32", threads: int | None = None, compile: bool = False,
                cuda_graph: bool = False) -> TrackerEngine:
    """The engine that many trackers may share, with the weights of ``checkpoint``.

    backend     what executes the network: "torch", "openvino", "onnx" (ONNX Runtime), or "auto": OpenVINO on an x86 CPU
                where it is installed, else PyTorch
    precision   "fp32", "bf16", "fp16" (PyTorch on a GPU)
    threads     how many threads compute a frame on a CPU; default: chosen by the runtime's engine
    compile, cuda_graph  as :class:`mstgt.test.tracker.torch_engine.TorchEngine` has them; PyTorch only

    Raises :class:`UserError` where the device is not there or the runtime cannot do what is asked for.
    """
    if threads is not None and (not isinstance(threads, int) or not 1 <= threads <= THREAD_LIMIT):
        raise TrackerInputError(f"threads is a whole number of at least 1 and at most {THREAD_LIMIT}, not "
                                f"{threads!r:.100}")
    if precision not in PRECISIONS:
        raise unknown_name("precision", precision, PRECISIONS)
    device = resolve_device(device)
    chosen = resolve_backend(backend, device, precision, compile or cuda_graph)
    engine = _build_engine(chosen, cfg, checkpoint, device, precision, threads, compile, cuda_graph,
                           fall_back=backend == "auto")
    # With the backend that was chosen, not "auto": the copy in another process must give the same boxes.
    engine.rebuild = partial(load_engine, cfg, checkpoint, device, engine.backend, precision, threads, compile,
                             cuda_graph)
    return engine


def _build_engine(backend: str, cfg: Any, checkpoint: str | Path, device: str, precision: str, threads: int | None,
                  compile: bool, cuda_graph: bool, fall_back: bool) -> TrackerEngine:
    # The runtimes are imported where they are used: each takes its time, and none but PyTorch needs to be installed.
    if backend == "openvino":
        from ...export.openvino_engine import load_openvino_engine

        try:
            return load_openvino_engine(cfg, checkpoint, precision, threads)
        except UserError as error:
            if not fall_back:
                raise
            # Nobody asked for OpenVINO. A corrupt checkpoint is reported by PyTorch's engine in the same words.
            _log.warning("%s; using PyTorch", error)
    if backend == "onnx":
        from ...export.onnx_engine import load_cached_onnx_engine

        return load_cached_onnx_engine(cfg, checkpoint, device, threads)
    assert backend in ("torch", "openvino"), f"{backend} is in BACKENDS, but nothing here builds its engine"

    from ...models.mstgt.checkpoint import load_model
    from .torch_engine import TorchEngine

    return TorchEngine(load_model(cfg, checkpoint), cfg, device, precision, compile, cuda_graph, threads)


def resolve_backend(backend: str, device: str, precision: str = "fp32", graph: bool = False) -> str:
    """The runtime that ``backend`` stands for on ``device``; ``graph``: whether PyTorch is to compile or record.

    Raises :class:`UserError` for an unknown name and for what the runtime cannot do.
    """
    if backend not in BACKENDS:
        raise unknown_name("backend", backend, BACKENDS)
    if backend == "torch":
        return backend
    from ...export.openvino_engine import PRECISION_HINTS, is_openvino_available

    if backend == "auto":
        # "auto" refuses nothing: what OpenVINO cannot do, PyTorch does.
        suits = device == "cpu" and precision in PRECISION_HINTS and not graph
        return "openvino" if suits and is_openvino_available() else "torch"
    if graph:
        raise UserError(f"only PyTorch compiles or records CUDA graphs, not the backend {backend}")
    if backend == "openvino" and device != "cpu":
        raise UserError(f"the backend openvino runs on the CPU, not on {device}")
    if backend == "onnx" and (precision != "fp32" or device == "mps"):
        raise UserError(f"the backend onnx computes in fp32 on a CPU or a CUDA GPU, not in {precision} on {device}")
    return backend


def given_checkpoint(args: argparse.Namespace) -> str | Path | None:
    """What a command's --checkpoint says, else the checkpoint that its --save_dir holds; None where neither is given.

    ``args`` has script, config, overrides, checkpoint and save_dir.
    """
    if args.checkpoint is not None or args.save_dir is None:
        return args.checkpoint
    cfg = load_config(args.script, args.config, args.overrides)
    return find_checkpoint(args.script, args.config, cfg, load_paths(save_dir=args.save_dir, mode="test").save_dir)


def find_checkpoint(script: str, config: str, cfg: Any, save_dir: Path, epoch: int | None = None,
                    epoch_flag: str = "TEST.EPOCH") -> Path:
    """The checkpoint that training leaves after ``epoch`` epochs, by default TEST.EPOCH.

    epoch_flag  what chooses the epoch, as messages name it

    Where no epoch is asked for and that one is not there: the newest of the experiment's run, which may be trained for
    fewer epochs, with a warning; where it was never trained here, the weights that come with the project.
    Raises :class:`UserError` saying how to get it when it is not there.
    """
    name = find_experiment(script, config).stem
    folder = run_folder(save_dir, script_name(script), name)
    path = checkpoint_path(folder, epoch or cfg.TEST.EPOCH)
    if not path.is_file():
        shipped = SHIPPED / (name + WEIGHTS_SUFFIX)
        trained = list_checkpoints(folder)
        # An epoch that --set gives is asked for as well; that of the experiment's file is only where training ends.
        if epoch is None and cfg.TEST.EPOCH == load_config(script, config).TEST.EPOCH:
            if trained:
                _log.warning("%s has no checkpoint of epoch %d (TEST.EPOCH); taking the newest, %s (%s chooses)",
                             folder, cfg.TEST.EPOCH, trained[-1].name, epoch_flag)
                return trained[-1]
            if shipped.is_file():
                return shipped
        others = [p.name for p in trained]
        there = f" (there: {', '.join(others[-3:])}; {epoch_flag} chooses)" if others else ""
        came_with_it = f", such as the one that comes with the project, {shipped}" if shipped.is_file() else ""
        raise UserError(f"no checkpoint {path}{there}; train it with `python tracking/train.py --script {script} "
                        f"--config {name}` or give the file of a checkpoint{came_with_it}")
    return path
