"""AdamW with the backbone's own rate, and the learning rate of every step."""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import nn

from ..utils.errors import UserError

STEM = "backbone.features."  # how the names of a convolutional stem's parameters begin


def make_optimizer(network: nn.Module, cfg: Any) -> torch.optim.AdamW:
    """Two groups: the head at ``TRAIN.LR``, all else at ``TRAIN.LR * TRAIN.BACKBONE_MULTIPLIER``.

    As in the published code, whose names put the cue and guidance encoders under ``backbone``. A convolutional stem is
    a third group at ``TRAIN.STEM_MULTIPLIER`` times the second's rate, without weight decay; none at 0.
    """
    named = dict(network.named_parameters())
    head = [p for n, p in named.items() if n.startswith("head.")]
    stem = [p for n, p in named.items() if n.startswith(STEM)]
    rest = [p for n, p in named.items() if not n.startswith(("head.", STEM))]
    scale = cfg.TRAIN.BACKBONE_MULTIPLIER
    groups = [{"params": head, "scale": 1.0}, {"params": rest, "scale": scale}]
    if stem and cfg.TRAIN.STEM_MULTIPLIER:
        groups.append({"params": stem, "scale": scale * cfg.TRAIN.STEM_MULTIPLIER, "weight_decay": 0.0})
    return torch.optim.AdamW(groups, lr=cfg.TRAIN.LR, weight_decay=cfg.TRAIN.WEIGHT_DECAY, fused=True)


def lr_factor(step: int, steps_per_epoch: int, cfg: Any) -> float:
    """The factor of ``TRAIN.LR`` at optimizer step ``step`` (from 0): linear warm-up, then step or cosine schedule."""
    warm = min(1.0, (step + 1) / cfg.TRAIN.WARMUP_STEPS) if cfg.TRAIN.WARMUP_STEPS else 1.0
    if cfg.TRAIN.SCHEDULER.TYPE == "cosine":
        return warm * 0.5 * (1 + math.cos(math.pi * min(1.0, step / (steps_per_epoch * cfg.TRAIN.EPOCH))))
    dropped = step >= steps_per_epoch * cfg.TRAIN.LR_DROP_EPOCH
    return warm * (cfg.TRAIN.SCHEDULER.DECAY_RATE if dropped else 1.0)


def load_optimizer(optimizer: torch.optim.Optimizer, state: dict[str, Any]) -> None:
    """Take over the moments of each parameter from what ``state_dict`` gave (one that never had a gradient has none);
    the settings stay the optimizer's own.

    Raises :class:`UserError` where they are not those of its parameters.
    """
    own, moments = optimizer.state_dict()["param_groups"], state["state"]
    parameters = [p for group in optimizer.param_groups for p in group["params"]]
    fits = moments.keys() <= set(range(len(parameters))) and all(
        isinstance(moment, dict) and all(
            isinstance(moment.get(name), torch.Tensor) and moment[name].shape == shape
            for name, shape in (("exp_avg", parameters[i].shape), ("exp_avg_sq", parameters[i].shape),
                                ("step", torch.Size())))
        for i, moment in moments.items())
    if not fits:
        raise UserError("the checkpoint's optimizer is not that of this network; train anew with --resume none")
    optimizer.load_state_dict({"state": moments, "param_groups": own})


def set_lr(optimizer: torch.optim.Optimizer, lr: float) -> None:
    """Give every group ``lr`` times its own scale."""
    for group in optimizer.param_groups:
        group["lr"] = lr * group["scale"]
