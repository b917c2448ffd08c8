"""From a configuration to a run: network, loaders, optimizer, trainer. What ``tracking/train.py`` calls."""

from __future__ import annotations

import contextlib
import logging
import warnings
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import torch
from torch import nn
from torch.nn.parallel import DistributedDataParallel
from torch.utils.data import DataLoader

from ..config import SHIPPED, Paths, config_from_text, dump_config, flatten
from ..data.readers import read_training_set
from ..models.layers.inverted_residual import LITE0_STAGES
from ..models.mstgt import MSTGT, build_model
from ..models.mstgt.checkpoint import load_pretrained
from ..utils.errors import UserError
from ..utils.files import write_text
from ..utils.machine import is_fast_in, set_up, slowness
from ..visualize.training_curves import PICTURE
from .actors.mstgt import MSTGTActor
from .data.loader import DistributedBatchSampler, TrackingDataset, make_loader, mixing_active
from .data.processing import CropSettings, Processing
from .data.sampler import CausalSampler
from .distributed import Group
from .losses import TrackingLoss
from .optim import make_optimizer
from .trainers.interruption import CheckpointInterval
from .trainers.state import claim, cut_metrics, list_resumable, newest_checkpoint, read_checkpoint
from .trainers.trainer import Trainer

_log = logging.getLogger(__name__)

# settings that a run may change when it goes on: they decide how fast it is and what it says, not what it learns
FREE = frozenset(f"TRAIN.{name}" for name in (
    "NUM_WORKER", "PRINT_INTERVAL", "KEEP_CHECKPOINTS", "COMPILE", "CHECKPOINT_ACTIVATIONS", "VAL_EPOCH_INTERVAL"))

MetricsLogger = Callable[[dict[str, Any]], object]


def make_processing(cfg: Any) -> Processing:
    """The crops of training samples."""
    template, search = (
        CropSettings(part.SIZE, part.FACTOR, part.CENTER_JITTER, part.SCALE_JITTER)
        for part in (cfg.DATA.TEMPLATE, cfg.DATA.SEARCH)
    )
    return Processing(template, search, tuple(cfg.DA.sfactor), cfg.DA.border_prob)


def make_dataset(cfg: Any, paths: Paths, mode: str) -> TrackingDataset:
    """The samples of ``mode``, "TRAIN" or "VAL". Raises :class:`UserError` naming a dataset that is not there."""
    part = cfg.DATA[mode]
    sets = [read_training_set(name, paths.dataset) for name in part.DATASETS_NAME]
    mixes = partial(mixing_active, cfg=cfg) if mode == "TRAIN" and cfg.DA.imix else None
    negatives = cfg.DA.negative_prob if mode == "TRAIN" else 0.0
    sampler = CausalSampler(sets, part.DATASETS_RATIO, cfg.DATA.SEARCH.NUMBER, cfg.DATA.MAX_SAMPLE_INTERVAL,
                            partners=mixes is not None or negatives > 0)
    curriculum = cfg.DATA.CURRICULUM if mode == "TRAIN" else 0.0
    seed = cfg.TRAIN.SEED + (mode == "VAL")
    return TrackingDataset(sampler, make_processing(cfg), part.SAMPLE_PER_EPOCH, cfg.TRAIN.EPOCH, seed, curriculum,
                           mixes, negatives)


def make_network(cfg: Any, paths: Paths) -> MSTGT:
    """The network with its starting weights: pre-trained where the configuration names a file."""
    torch.manual_seed(cfg.TRAIN.SEED)
    network = build_model(cfg)
    if cfg.MODEL.PRETRAIN_FILE:
        path = paths.pretrained_dir / cfg.MODEL.PRETRAIN_FILE
        shipped = SHIPPED / cfg.MODEL.PRETRAIN_FILE
        load_pretrained(network, path if path.is_file() or not shipped.is_file() else shipped)
    return network


def make_trainer(cfg: Any, paths: Paths, folder: Path, group: Group, loggers: Sequence[MetricsLogger] = (),
                 every: CheckpointInterval | None = None) -> Trainer:
    """A trainer at its first step; see :class:`Trainer` for ``loggers`` and ``every``."""
    set_up(group.device, cfg.TRAIN.TF32)
    network = make_network(cfg, paths).to(group.device)
    network.backbone.grad_checkpointing = cfg.TRAIN.CHECKPOINT_ACTIVATIONS
    network.backbone.frozen_stages = cfg.TRAIN.FROZEN_STAGES if cfg.TRAIN.STEM_MULTIPLIER else len(LITE0_STAGES)
    loaders = [_make_loader(cfg, paths, mode, group) for mode in ("TRAIN", "VAL")]
    loss = TrackingLoss(cfg.TRAIN.GIOU_WEIGHT, cfg.TRAIN.L1_WEIGHT, cfg.TRAIN.FOCAL_WEIGHT)
    actor = MSTGTActor(network, loss, cfg.DATA.MEAN, cfg.DATA.STD, group.device,
                       choose_precision(cfg.TRAIN.PRECISION, group.device), cfg.DA.imix_occrate, cfg.DA.norm_type,
                       cfg.MODEL.TEMPLATE_MASK)
    trainer = Trainer(cfg, network, actor, make_optimizer(network, cfg), *loaders, folder, group, loggers, every)
    trainer.actor = actor.of(_wrap(network, group, cfg.TRAIN.COMPILE))
    return trainer


def choose_precision(name: str, device: torch.device) -> torch.dtype | None:
    """The type that autocast takes for TRAIN.PRECISION; None: fp32 throughout. Raises :class:`UserError` where the
    GPU has no bf16 and it was asked for by name; a CPU that is slow in what was asked for is told of."""
    if name == "auto":
        name = "bf16" if is_fast_in(torch.bfloat16, device) else "fp32"
    dtype = {"fp32": None, "bf16": torch.bfloat16, "fp16": torch.float16}[name]
    if dtype is not None and not is_fast_in(dtype, device):
        if device.type == "cuda":
            raise UserError(f"TRAIN.PRECISION={name}: this GPU has no {name}; take fp16 or auto")
        _log.warning("TRAIN.PRECISION=%s: %s, which auto would choose", name, slowness(name, device))
    return dtype


def _make_loader(cfg: Any, paths: Paths, mode: str, group: Group) -> DataLoader | None:
    if mode == "VAL" and not cfg.DATA.VAL.DATASETS_NAME:
        return None
    samples = make_dataset(cfg, paths, mode)
    order = DistributedBatchSampler(len(samples), cfg.TRAIN.BATCH_SIZE, group.rank, group.world)
    return make_loader(samples, order, cfg.TRAIN.NUM_WORKER, pin_memory=group.device.type == "cuda")


def _wrap(network: nn.Module, group: Group, compiled: bool) -> nn.Module:
    wrapped = network
    if group.world > 1:
        devices = [group.device] if group.device.type == "cuda" else None
        # of 1 x 1 convolutions, whose strides are the same memory order under two names
        warnings.filterwarnings("ignore", message="Grad strides do not match bucket view strides")
        wrapped = DistributedDataParallel(network, device_ids=devices)
    if compiled:
        wrapped.compile()
    return wrapped


def run_training(cfg: Any, paths: Paths, folder: Path, resume: str, group: Group, loggers: Sequence[MetricsLogger] = (),
                 every: CheckpointInterval | None = None) -> None:
    """Train to the last epoch. Raises :class:`TrainingInterrupted` when SIGTERM has come and all is saved.

    resume  ``auto`` goes on from the newest checkpoint in ``folder`` where there is one, ``none`` starts anew and
            puts an earlier run aside, anything else is the path of a checkpoint
    """
    state = _find_state(folder, resume)
    if state is not None:
        _check_same(state, cfg, folder)
    trainer = make_trainer(cfg, paths, folder, group, loggers, every)
    with claim(folder) if group.is_main_process else contextlib.nullcontext():
        if group.is_main_process and resume == "none":
            put_aside(folder)
        if state is not None:
            trainer.load_state(state)
        elif group.is_main_process:
            cut_metrics(folder, 0, 0)  # of a run that ended before it had saved anything
        if group.is_main_process:
            write_text(folder / "config.yaml", dump_config(cfg))
            _announce(trainer, group, resumed=state is not None)
        trainer.fit()
    if group.is_main_process:
        print(f"curves: {folder / PICTURE}")


def put_aside(folder: Path) -> None:
    """Rename the folder of an earlier run so that a new one can begin in its place; nothing is deleted."""
    if not folder.exists():
        return
    number = 1
    while (old := folder.with_name(f"{folder.name}.old{number}")).exists():
        number += 1
    folder.rename(old)
    print(f"the earlier run is kept in {old}", flush=True)


def _find_state(folder: Path, resume: str) -> dict[str, Any] | None:
    if resume == "none":
        return None
    if resume != "auto":
        return read_checkpoint(Path(resume))
    state = newest_checkpoint(folder)
    if state is None and list_resumable(folder):
        raise UserError(f"no checkpoint in {folder} can be read; --resume none starts anew and keeps them aside")
    return state


def _check_same(state: dict[str, Any], cfg: Any, folder: Path) -> None:
    old, new = flatten(config_from_text(state["config"])), flatten(cfg)
    changed = [f"{key} {old[key]} -> {new[key]}" for key in new if old[key] != new[key] and not _may_change(key)]
    if changed:
        raise UserError(f"the run in {folder} had another configuration ({'; '.join(changed[:4])}); "
                        "give the same settings, or --resume none to start anew")


def _may_change(key: str) -> bool:
    return key in FREE or key.startswith("TEST.")


def _announce(trainer: Trainer, group: Group, resumed: bool) -> None:
    parameters = sum(p.numel() for p in trainer.network.parameters())
    device = torch.cuda.get_device_name() if group.device.type == "cuda" else f"CPU, {torch.get_num_threads()} threads"
    cfg, precision = trainer.cfg.TRAIN, trainer.actor.precision
    steps = f" and {trainer.step} steps" if trainer.step else ""
    begin = f"resuming after epoch {trainer.epoch}{steps}" if resumed else "training"
    print(f"{begin}: {parameters / 1e6:.2f} M parameters, {cfg.EPOCH} epochs of {trainer.steps} steps, batch "
          f"{cfg.BATCH_SIZE} x {group.world}{f' x {cfg.ACCUMULATE}' if cfg.ACCUMULATE > 1 else ''} on {device} in "
          f"{str(precision or torch.float32).removeprefix('torch.')}; writing to {trainer.folder}", flush=True)
