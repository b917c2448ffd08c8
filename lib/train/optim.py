"""AdamW with a learning rate per part of the network, the learning rate schedule, and the average of the weights."""

from __future__ import annotations

import copy
import math
from typing import Any

import torch
from torch import nn

from ..models.mstgt.checkpoint import STEM_PREFIX
from .trainers.state import ResumeError

HEAD_PREFIX = "head."


def make_optimizer(network: nn.Module, cfg: Any) -> torch.optim.AdamW:
    """AdamW with two groups: the head at ``TRAIN.LR``, the rest at ``TRAIN.LR * TRAIN.BACKBONE_MULTIPLIER``.

    The cue and guidance encoders belong to the rest, as in the published code, where their names begin with
    ``backbone``. A convolutional stem is a third group without weight decay, at ``TRAIN.STEM_MULTIPLIER`` times the
    second group's rate; if that is 0, the stem is not in the optimizer.
    """
    named = dict(network.named_parameters())
    head = [p for n, p in named.items() if n.startswith(HEAD_PREFIX)]
    stem = [p for n, p in named.items() if n.startswith(STEM_PREFIX)]
    rest = [p for n, p in named.items() if not n.startswith((HEAD_PREFIX, STEM_PREFIX))]
    scale = cfg.TRAIN.BACKBONE_MULTIPLIER
    # "scale" is ours: set_lr multiplies the schedule's learning rate by it.
    groups: list[dict[str, Any]] = [{"params": head, "scale": 1.0}, {"params": rest, "scale": scale}]
    if stem and cfg.TRAIN.STEM_MULTIPLIER:
        groups.append({"params": stem, "scale": scale * cfg.TRAIN.STEM_MULTIPLIER, "weight_decay": 0.0})
    # fused: one kernel for all parameters, on CPUs too
    return torch.optim.AdamW(groups, lr=cfg.TRAIN.LR, weight_decay=cfg.TRAIN.WEIGHT_DECAY, fused=True)


def lr_factor(step: int, steps_per_epoch: int, cfg: Any) -> float:
    """The learning rate at optimizer step ``step`` (from 0) as a multiple of ``TRAIN.LR``.

    Linear warm-up, then a step or cosine schedule. It depends on the step alone, so that a resumed run continues it.
    """
    warmup = min(1.0, (step + 1) / cfg.TRAIN.WARMUP_STEPS) if cfg.TRAIN.WARMUP_STEPS else 1.0
    if cfg.TRAIN.SCHEDULER.TYPE == "cosine":
        return warmup * 0.5 * (1 + math.cos(math.pi * min(1.0, step / (steps_per_epoch * cfg.TRAIN.EPOCH))))
    is_dropped = step >= steps_per_epoch * cfg.TRAIN.LR_DROP_EPOCH
    return warmup * (cfg.TRAIN.SCHEDULER.DECAY_RATE if is_dropped else 1.0)


def load_optimizer(optimizer: torch.optim.Optimizer, state: dict[str, Any]) -> None:
    """Load the moments of all parameters from a ``state_dict``; settings such as the weight decay stay as they are.

    Raises :class:`ResumeError` if the moments do not fit the parameters.
    """
    moments = state["state"]
    parameters = [p for group in optimizer.param_groups for p in group["params"]]
    # A parameter that never had a gradient has no moments.
    known = moments.keys() <= set(range(len(parameters)))
    if not known or not all(_moments_fit(moment, parameters[i]) for i, moment in moments.items()):
        raise ResumeError("the optimizer in the checkpoint does not fit this network")
    optimizer.load_state_dict({"state": moments, "param_groups": optimizer.state_dict()["param_groups"]})


def _moments_fit(moments: Any, parameter: torch.Tensor) -> bool:
    shapes = {"exp_avg": parameter.shape, "exp_avg_sq": parameter.shape, "step": torch.Size()}
    return isinstance(moments, dict) and all(
        isinstance(moments.get(name), torch.Tensor) and moments[name].shape == shape
        for name, shape in shapes.items())


def set_lr(optimizer: torch.optim.Optimizer, lr: float) -> None:
    """Set the learning rate of every group to ``lr`` times its scale."""
    for group in optimizer.param_groups:
        group["lr"] = lr * group["scale"]


class WeightAverage:
    """Keeps ``module``, a copy of a network whose weights and buffers are averages over the training steps.

    decay  per step: average = decay * average + (1 - decay) * current value
    """

    def __init__(self, network: nn.Module, decay: float):
        self.module = copy.deepcopy(network).eval().requires_grad_(False)
        self.decay = decay

    @torch.no_grad()
    def update(self, network: nn.Module) -> None:
        """Take in the weights of ``network`` after a step."""
        averages = []
        values = []
        # Buffers are averaged as well: the statistics of batch norm must fit the averaged weights.
        current = network.state_dict()
        for name, average in self.module.state_dict().items():
            if average.is_floating_point():
                averages.append(average)
                values.append(current[name])
            else:
                average.copy_(current[name])  # counters of batch norm
        # One operator for all tensors: a loop over them costs more than the arithmetic.
        torch._foreach_lerp_(averages, values, weight=1 - self.decay)
