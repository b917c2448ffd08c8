"""Stochastic depth (Huang et al., *Deep Networks with Stochastic Depth*, ECCV 2016)."""

from __future__ import annotations

import torch
from torch import nn


class DropPath(nn.Module):
    """In training, sets the residual branch of a sample to zero with probability ``rate``; (B, ...) -> (B, ...).

    Kept branches are divided by 1 - rate, so that the expectation is the same as in evaluation.
    """

    def __init__(self, rate: float):
        super().__init__()
        self.rate = rate

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        if not self.rate or not self.training:
            return x
        keep = 1 - self.rate
        # One draw for all tokens and channels of a sample: the block is there for a sample or it is not.
        per_sample = (x.shape[0],) + (1,) * (x.dim() - 1)
        return x * x.new_empty(per_sample).bernoulli_(keep).div_(keep)
