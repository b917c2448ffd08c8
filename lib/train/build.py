"""Builds network, loaders, optimizer and trainer from a configuration, and runs the training.

``tracking/train.py`` calls :func:`run_training`.
"""

from __future__ import annotations

import contextlib
import logging
import warnings
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any

import torch
from torch import nn
from torch.nn.parallel import DistributedDataParallel
from torch.utils.data import DataLoader

from ..config import Paths, config_from_text, dump_config, flatten, load_config
from ..config.paths import WEIGHTS_SUFFIX
from ..data.readers import read_training_set
from ..models.layers.convolution import LITE0_STAGES
from ..models.mstgt import MSTGT, build_model
from ..models.mstgt.backbones import LiteViT
from ..models.mstgt.checkpoint import load_model, load_pretrained
from ..utils.device import is_fast_in, set_up, slowness
from ..utils.errors import UserError
from ..utils.files import write_text
from ..visualize.training_curves import PLOT_FILE
from .actors.mstgt import MSTGTActor
from .data.loader import DistributedBatchSampler, TrackingDataset, make_loader, mixing_active
from .data.processing import CropSettings, Processing
from .data.sampler import CausalSampler
from .distributed import Group
from .losses import TrackingLoss
from .optim import WeightAverage, make_optimizer
from .trainers.interruption import CheckpointInterval
from .trainers.state import (
    ResumeError,
    list_resumable,
    lock_run_folder,
    newest_checkpoint,
    read_checkpoint,
    truncate_records,
)
from .trainers.trainer import MetricsLogger, Trainer

_log = logging.getLogger(__name__)

# Settings that may change when a run is resumed: they affect its speed and its output, not what it learns.
FREE = frozenset(f"TRAIN.{name}" for name in (
    "NUM_WORKER", "PRINT_INTERVAL", "KEEP_CHECKPOINTS", "COMPILE", "CHECKPOINT_ACTIVATIONS", "VAL_EPOCH_INTERVAL"))


# Settings of the crops, which a network and its teacher share.
SEEN_ALIKE = ("DATA.TEMPLATE.SIZE", "DATA.SEARCH.SIZE", "DATA.MEAN", "DATA.STD", "MODEL.TEMPLATE_MASK")


def make_processing(cfg: Any) -> Processing:
    """The crops and augmentations of training samples."""
    template = _crop_settings(cfg.DATA.TEMPLATE)
    search = _crop_settings(cfg.DATA.SEARCH)
    return Processing(template, search, tuple(cfg.DA.sfactor), cfg.DA.border_prob)


def _crop_settings(section: Any) -> CropSettings:
    return CropSettings(section.SIZE, section.FACTOR, section.CENTER_JITTER, section.SCALE_JITTER)


def make_dataset(cfg: Any, paths: Paths, mode: str) -> TrackingDataset:
    """The samples of ``mode``, "TRAIN" or "VAL". Raises :class:`UserError` naming a dataset that is missing."""
    part = cfg.DATA[mode]
    is_training = mode == "TRAIN"
    sets = [read_training_set(name, paths.dataset) for name in part.DATASETS_NAME]
    # Validation measures the plain task: full difficulty, no mixing, the target always present.
    mixes = partial(mixing_active, cfg=cfg) if is_training and cfg.DA.imix else None
    negatives = cfg.DA.negative_prob if is_training else 0.0
    curriculum = cfg.DATA.CURRICULUM if is_training else 0.0
    # Another seed, or validation would repeat the random numbers of the first epoch.
    seed = cfg.TRAIN.SEED if is_training else cfg.TRAIN.SEED + 1
    sampler = CausalSampler(sets, part.DATASETS_RATIO, cfg.DATA.SEARCH.NUMBER, cfg.DATA.MAX_SAMPLE_INTERVAL,
                            partners=mixes is not None or negatives > 0)
    return TrackingDataset(sampler, make_processing(cfg), part.SAMPLE_PER_EPOCH, cfg.TRAIN.EPOCH, seed, curriculum,
                           mixes, negatives)


def make_network(cfg: Any, paths: Paths) -> MSTGT:
    """The network with its initial weights: pretrained ones if the configuration names a file."""
    # All processes start from the same weights.
    torch.manual_seed(cfg.TRAIN.SEED)
    network = build_model(cfg)
    if cfg.MODEL.PRETRAIN_FILE:
        load_pretrained(network, paths.pretrained(cfg.MODEL.PRETRAIN_FILE))
    return network


def freeze_stem(network: MSTGT, cfg: Any) -> None:
    """Let the stages of a convolutional stem that are not trained get no gradient (``TRAIN.FROZEN_STAGES``)."""
    if isinstance(network.backbone, LiteViT):
        # With STEM_MULTIPLIER 0 the optimizer leaves the stem out, so that no stage of it needs a gradient.
        network.backbone.features.freeze(cfg.TRAIN.FROZEN_STAGES if cfg.TRAIN.STEM_MULTIPLIER else len(LITE0_STAGES))


def make_trainer(cfg: Any, paths: Paths, folder: Path, group: Group, loggers: Sequence[MetricsLogger] = (),
                 every: CheckpointInterval | None = None) -> Trainer:
    """A trainer at its first step; see :class:`Trainer` for ``loggers`` and ``every``."""
    set_up(group.device, cfg.TRAIN.TF32)
    network = make_network(cfg, paths).to(group.device)
    network.backbone.grad_checkpointing = cfg.TRAIN.CHECKPOINT_ACTIVATIONS
    freeze_stem(network, cfg)
    train = training_loader(cfg, make_dataset(cfg, paths, "TRAIN"), group)
    val = training_loader(cfg, make_dataset(cfg, paths, "VAL"), group) if cfg.DATA.VAL.DATASETS_NAME else None
    actor = make_actor(cfg, group.device, make_teacher(cfg, paths))
    optimizer = make_optimizer(network, cfg)
    # Before the network is wrapped and compiled: the average is a copy of the plain module.
    ema = WeightAverage(network, cfg.TRAIN.EMA_DECAY) if cfg.TRAIN.EMA_DECAY else None
    model = _wrap(network, group, cfg)
    return Trainer(cfg, network, actor, optimizer, train, val, folder, group, model, ema, loggers, every)


def make_teacher(cfg: Any, paths: Paths) -> MSTGT | None:
    """The trained network whose predictions are learned as well (TRAIN.TEACHER), or None.

    Raises :class:`UserError` where it takes other crops than the network that is trained.
    """
    name = cfg.TRAIN.TEACHER
    if not name:
        return None
    other = load_config("MSTGT", name)
    own, its = flatten(cfg), flatten(other)
    for key in SEEN_ALIKE:
        if own[key] != its[key]:
            raise UserError(f"TRAIN.TEACHER={name} has {key} {its[key]}, and what it is to teach has {own[key]}: both "
                            "see the same crops; make them equal with --set")
    return load_model(other, paths.pretrained(f"{name}{WEIGHTS_SUFFIX}")).eval().requires_grad_(False)


def make_actor(cfg: Any, device: torch.device, teacher: MSTGT | None = None) -> MSTGTActor:
    """The actor that runs a network on batches and computes the loss."""
    loss = TrackingLoss(cfg.TRAIN.GIOU_WEIGHT, cfg.TRAIN.L1_WEIGHT, cfg.TRAIN.FOCAL_WEIGHT, cfg.TRAIN.TEACHER_WEIGHT)
    precision = choose_precision(cfg.TRAIN.PRECISION, device)
    return MSTGTActor(loss, cfg.DATA.MEAN, cfg.DATA.STD, device, precision, cfg.DA.imix_occrate, cfg.DA.norm_type,
                      cfg.MODEL.TEMPLATE_MASK, teacher.to(device) if teacher is not None else None)


def choose_precision(name: str, device: torch.device) -> torch.dtype | None:
    """The autocast type for TRAIN.PRECISION; None: fp32 throughout.

    Raises :class:`UserError` if the GPU does not support it. A CPU that is slow in it gets a warning.
    """
    if name == "auto":
        name = "bf16" if is_fast_in(torch.bfloat16, device) else "fp32"
    dtype = {"fp32": None, "bf16": torch.bfloat16, "fp16": torch.float16}[name]
    if dtype is not None and not is_fast_in(dtype, device):
        if device.type == "cuda":
            raise UserError(f"TRAIN.PRECISION={name}: this GPU has no {name}; take fp16 or auto")
        _log.warning("TRAIN.PRECISION=%s: %s, which auto would choose", name, slowness(name, device))
    return dtype


def training_loader(cfg: Any, samples: TrackingDataset, group: Group) -> DataLoader:
    """Batches of samples; each process of the group gets its part of every batch."""
    batch_sampler = DistributedBatchSampler(len(samples), cfg.TRAIN.BATCH_SIZE, group.rank, group.world)
    return make_loader(samples, batch_sampler, cfg.TRAIN.NUM_WORKER, pin_memory=group.device.type == "cuda")


def _wrap(network: nn.Module, group: Group, cfg: Any) -> nn.Module:
    """What is called in training: ``network``, distributed if there are several processes, compiled on request."""
    model: nn.Module = network
    if not group.is_single_process:
        devices = [group.device] if group.device.type == "cuda" else None
        # Harmless: the strides of 1 x 1 convolutions describe the same memory layout in two ways.
        warnings.filterwarnings("ignore", message="Grad strides do not match bucket view strides")
        # The guidance block takes part from the second search frame of a sample on. DistributedDataParallel raises an
        # error for parameters without a gradient unless it is told to look for them, which takes time.
        model = DistributedDataParallel(network, device_ids=devices,
                                        find_unused_parameters=cfg.DATA.SEARCH.NUMBER == 1)
    # Compiled after wrapping: the compiler then splits the graph where DistributedDataParallel exchanges gradients.
    if cfg.TRAIN.COMPILE:
        model.compile()
    return model


def run_training(cfg: Any, paths: Paths, folder: Path, resume: str, group: Group, loggers: Sequence[MetricsLogger] = (),
                 every: CheckpointInterval | None = None) -> None:
    """Train to the last epoch. Raises :class:`TrainingInterrupted` after SIGTERM, when everything is saved.

    resume  ``auto``: continue from the newest checkpoint in ``folder`` if there is one; ``none``: start a new run
            and rename the folder of an earlier one; anything else: the path of a checkpoint to continue from
    """
    # Found and compared before anything is built: a wrong setting is reported at once.
    state = _find_checkpoint(folder, resume)
    if state is not None:
        _check_same_config(state, cfg, folder)
    trainer = make_trainer(cfg, paths, folder, group, loggers, every)
    # One process holds the lock and writes; the others only train.
    with lock_run_folder(folder) if group.is_main_process else contextlib.nullcontext():
        if group.is_main_process and resume == "none":
            archive_run(folder)
        if state is not None:
            trainer.load_state(state)
        elif group.is_main_process:
            truncate_records(folder, 0, 0)  # an earlier run may have ended before its first checkpoint
        if group.is_main_process:
            write_text(folder / "config.yaml", dump_config(cfg))
            _print_start(trainer, group, resumed=state is not None)
        trainer.fit()
    if group.is_main_process:
        print(f"curves: {folder / PLOT_FILE}")


def archive_run(folder: Path) -> None:
    """Rename the folder of an earlier run so that a new run can use the name. Nothing is deleted."""
    if not folder.exists():
        return
    number = 1
    while (old := folder.with_name(f"{folder.name}.old{number}")).exists():
        number += 1
    folder.rename(old)
    print(f"the earlier run is kept in {old}", flush=True)


def _find_checkpoint(folder: Path, resume: str) -> dict[str, Any] | None:
    if resume == "none":
        return None
    if resume != "auto":
        return read_checkpoint(Path(resume))
    state = newest_checkpoint(folder)
    # A new run would write over what may still be of use.
    if state is None and list_resumable(folder):
        raise ResumeError(f"no checkpoint in {folder} can be read")
    return state


def _check_same_config(state: dict[str, Any], cfg: Any, folder: Path) -> None:
    old, new = flatten(config_from_text(state["config"])), flatten(cfg)
    fixed = [key for key in new if key not in FREE and not key.startswith("TEST.")]
    changed = [f"{key} {old[key]} -> {new[key]}" for key in fixed if old[key] != new[key]]
    if changed:
        raise ResumeError(f"the run in {folder} has another configuration ({'; '.join(changed[:4])})")


def _print_start(trainer: Trainer, group: Group, resumed: bool) -> None:
    cfg = trainer.cfg.TRAIN
    start = "training"
    if resumed:
        steps = f" and {trainer.step} steps" if trainer.step else ""
        start = f"resuming after epoch {trainer.epoch}{steps}"
    parameters = sum(p.numel() for p in trainer.network.parameters())
    device = f"CPU, {torch.get_num_threads()} threads"
    if group.device.type == "cuda":
        device = torch.cuda.get_device_name(group.device)
    elif group.device.type == "mps":
        device = "mps"
    accumulate = f" x {cfg.ACCUMULATE}" if cfg.ACCUMULATE > 1 else ""
    precision = str(trainer.actor.precision or torch.float32).removeprefix("torch.")
    print(f"{start}: {parameters / 1e6:.2f} M parameters, {cfg.EPOCH} epochs of {trainer.steps} steps, batch "
          f"{cfg.BATCH_SIZE} x {group.world}{accumulate} on {device} in {precision}; writing to {trainer.folder}",
          flush=True)
