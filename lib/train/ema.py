"""Exponential moving average of a network's weights."""

from __future__ import annotations

import copy

import torch
from torch import nn


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
