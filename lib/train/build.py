"""From a configuration to a run: network, loaders, optimizer, trainer. What ``tracking/train.py`` calls."""

from __future__ import annotations

import logging
import random
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn
from torch.nn.parallel import DistributedDataParallel

from lib.config import Paths, dump_config
from lib.data.readers import read_training_set
from lib.models.mstgt import MSTGT, build_model
from lib.models.mstgt.checkpoint import load_pretrained
from lib.train.actors.mstgt import MSTGTActor
from lib.train.data.loader import EpochOrder, Samples, make_loader, mixing_active
from lib.train.data.processing import CropSettings, Processing
from lib.train.data.sampler import CausalSampler
from lib.train.distributed import Group
from lib.train.losses import TrackingLoss
from lib.train.optim import make_optimizer
from lib.train.trainers.state import newest_checkpoint, read_checkpoint
from lib.train.trainers.trainer import Trainer
from lib.utils.errors import UserError
from lib.utils.files import write_text
from lib.utils.runs import list_checkpoints

_log = logging.getLogger(__name__)

Listener = Callable[[dict[str, Any]], object]


def make_processing(cfg: Any) -> Processing:
    """The crops of training samples."""
    template, search = (
        CropSettings(part.SIZE, part.FACTOR, part.CENTER_JITTER, part.SCALE_JITTER)
        for part in (cfg.DATA.TEMPLATE, cfg.DATA.SEARCH)
    )
    return Processing(template, search, tuple(cfg.DA.sfactor), cfg.DA.border_prob)


def make_samples(cfg: Any, paths: Paths, half: str) -> Samples:
    """The samples of ``half``, "TRAIN" or "VAL". Raises :class:`UserError` naming a dataset that is not there."""
    part = cfg.DATA[half]
    sets = [read_training_set(name, paths.dataset) for name in part.DATASETS_NAME]
    mixes = partial(mixing_active, cfg=cfg) if half == "TRAIN" and cfg.DA.imix else None
    sampler = CausalSampler(sets, part.DATASETS_RATIO, cfg.DATA.SEARCH.NUMBER, cfg.DATA.MAX_SAMPLE_INTERVAL,
                            partners=mixes is not None)
    curriculum = cfg.DATA.CURRICULUM if half == "TRAIN" else 0.0
    seed = cfg.TRAIN.SEED + (half == "VAL")
    return Samples(sampler, make_processing(cfg), part.SAMPLE_PER_EPOCH, cfg.TRAIN.EPOCH, seed, curriculum, mixes)


def make_network(cfg: Any, paths: Paths) -> MSTGT:
    """The network with its starting weights: pre-trained where the configuration names a file."""
    seed_everything(cfg.TRAIN.SEED)
    network = build_model(cfg)
    if cfg.MODEL.PRETRAIN_FILE:
        load_pretrained(network, paths.pretrained_dir / cfg.MODEL.PRETRAIN_FILE)
    return network


def make_trainer(cfg: Any, paths: Paths, folder: Path, group: Group, listeners: Sequence[Listener] = ()) -> Trainer:
    """A trainer at its first step; see :class:`Trainer` for ``listeners``."""
    network = make_network(cfg, paths).to(group.device)
    loaders = []
    for half in ("TRAIN", "VAL"):
        if half == "VAL" and not cfg.DATA.VAL.DATASETS_NAME:
            loaders.append(None)
            continue
        samples = make_samples(cfg, paths, half)
        order = EpochOrder(len(samples), cfg.TRAIN.BATCH_SIZE, group.rank, group.world)
        loaders.append(make_loader(samples, order, cfg.TRAIN.NUM_WORKER, pin_memory=group.device.type == "cuda"))
    wrapped: nn.Module = network
    if group.world > 1:
        devices = [group.device] if group.device.type == "cuda" else None
        wrapped = DistributedDataParallel(network, device_ids=devices)
    loss = TrackingLoss(cfg.TRAIN.GIOU_WEIGHT, cfg.TRAIN.L1_WEIGHT, cfg.TRAIN.FOCAL_WEIGHT)
    actor = MSTGTActor(wrapped, loss, cfg.DATA.MEAN, cfg.DATA.STD, group.device, cfg.TRAIN.AMP,
                       cfg.DA.imix_occrate, cfg.DA.norm_type)
    seed_everything(cfg.TRAIN.SEED + group.rank)
    return Trainer(cfg, network, actor, make_optimizer(network, cfg), *loaders, folder, group, listeners)


def run_training(cfg: Any, paths: Paths, folder: Path, resume: str, group: Group,
                 listeners: Sequence[Listener] = ()) -> None:
    """Train to the last epoch.

    resume  ``auto`` goes on from the newest checkpoint in ``folder`` where there is one, ``none`` starts anew and
            puts an earlier run aside, anything else is the path of a checkpoint
    """
    state = _find_state(folder, resume)
    if state is not None:
        _check_same(state, cfg, folder)
    trainer = make_trainer(cfg, paths, folder, group, listeners)
    if state is not None:
        trainer.load_state(state)
    if group.leads:
        write_text(folder / "config.yaml", dump_config(cfg))
        _announce(trainer, group, resumed=state is not None)
    trainer.fit()


def put_aside(folder: Path) -> None:
    """Rename the folder of an earlier run so that a new one can begin in its place; nothing is deleted."""
    if not folder.exists():
        return
    number = 1
    while (old := folder.with_name(f"{folder.name}.old{number}")).exists():
        number += 1
    folder.rename(old)
    print(f"the earlier run is kept in {old}")


def seed_everything(seed: int) -> None:
    """Seed Python, NumPy and torch."""
    random.seed(seed)
    np.random.seed(seed)
    torch.manual_seed(seed)


def _find_state(folder: Path, resume: str) -> dict[str, Any] | None:
    if resume == "none":
        return None
    if resume != "auto":
        return read_checkpoint(Path(resume))
    state = newest_checkpoint(folder)
    if state is None and list_checkpoints(folder):
        raise UserError(f"no checkpoint in {folder} can be read; --resume none starts anew and keeps them aside")
    return state


def _check_same(state: dict[str, Any], cfg: Any, folder: Path) -> None:
    old, new = state["config"].splitlines(), dump_config(cfg).splitlines()
    changed = [line.strip() for line in new if line not in old]
    if changed:
        raise UserError(f"the run in {folder} had another configuration (now: {'; '.join(changed[:4])}); "
                        "give the same settings, or --resume none to start anew")


def _announce(trainer: Trainer, group: Group, resumed: bool) -> None:
    parameters = sum(p.numel() for p in trainer.network.parameters())
    device = torch.cuda.get_device_name() if group.device.type == "cuda" else f"CPU, {torch.get_num_threads()} threads"
    print(f"{'resuming after epoch ' + str(trainer.epoch) if resumed else 'training'}: {parameters / 1e6:.2f} M "
          f"parameters, {trainer.cfg.TRAIN.EPOCH} epochs of {trainer.steps} steps, batch "
          f"{trainer.cfg.TRAIN.BATCH_SIZE} x {group.world} on {device}; writing to {trainer.folder}", flush=True)
