"""A tracker by the name of its experiment."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any

from ...config import SHIPPED, find_experiment, load_config, load_paths, script_name
from ...utils.checkpoint_paths import WEIGHTS_SUFFIX, checkpoint_path, list_checkpoints, run_folder
from ...utils.errors import UserError
from .engine import TrackerEngine, TrackerInputError
from .tracker import Tracker


def load_tracker(config: str, script: str = "MSTGT", checkpoint: str | Path | None = None,
                 overrides: Sequence[str] = (), device: str | None = None, **speed: Any) -> Tracker:
    """A tracker ready for ``init``.

    config      an experiment's name, such as "MSTGT-nano-128"
    checkpoint  a file (ours, or one of the published code); default: what :func:`find_checkpoint` finds
    overrides   settings such as "TEST.SEARCH_FACTOR=4.5"
    device      "cpu", "cuda", "cuda:1", …; default: a GPU where there is one
    speed       precision, compile, cuda_graph: those of :class:`TrackerEngine`
    """
    if not isinstance(config, str):
        raise TrackerInputError("load_tracker takes an experiment's name, such as 'MSTGT-nano-128', "
                                f"not {config!r:.100}")
    cfg = load_config(script, config, overrides)
    if checkpoint is None:
        checkpoint = find_checkpoint(script, config, cfg, load_paths(mode="test").save_dir)
    return Tracker(load_engine(cfg, checkpoint, device, **speed))


def load_engine(cfg: Any, checkpoint: str | Path, device: str | None = None, **speed: Any) -> TrackerEngine:
    """The engine that many trackers may share, with the weights of ``checkpoint``.

    ``speed``: precision, compile, cuda_graph, as :class:`TrackerEngine` has them.
    """
    import torch  # imported here, as below: other runtimes must not wait for it

    from ...models.mstgt import build_model
    from ...models.mstgt.checkpoint import load_network
    from .torch_engine import TorchEngine

    network = build_model(cfg)
    load_network(network, checkpoint)
    engine = TorchEngine(network, cfg, device or ("cuda" if torch.cuda.is_available() else "cpu"), **speed)
    engine.rebuild = partial(load_engine, cfg, checkpoint, device, **speed)
    return engine


def find_checkpoint(script: str, config: str, cfg: Any, save_dir: Path, epoch: int | None = None) -> Path:
    """The checkpoint that training leaves after ``epoch`` epochs, by default TEST.EPOCH.

    Where the experiment was never trained here and no epoch is asked for: the weights that come with the project.
    Raises :class:`UserError` saying how to get it when it is not there.
    """
    name = find_experiment(script, config).stem
    folder = run_folder(save_dir, script_name(script), name)
    path = checkpoint_path(folder, epoch or cfg.TEST.EPOCH)
    if not path.is_file():
        shipped = SHIPPED / (name + WEIGHTS_SUFFIX)
        if epoch is None and shipped.is_file() and not list_checkpoints(folder):
            return shipped
        others = [p.name for p in list_checkpoints(folder)]
        there = f" (there: {', '.join(others[-3:])}; choose with --epoch)" if others else ""
        raise UserError(f"no checkpoint {path}{there}; train it with `python tracking/train.py --script {script} "
                        f"--config {name}` or name a file with --checkpoint")
    return path
