"""The two linear layers of a transformer block (Vaswani et al., NeurIPS 2017), with GELU between them.

Written here and not taken from timm: importing timm also imports torchvision, its whole model collection and wandb,
which takes seconds. Parameter names are timm's, so that pretrained files fit.
"""

from __future__ import annotations

import torch
from torch import nn


class Mlp(nn.Module):
    """fc2(GELU(fc1(x))) on (..., C) -> (..., C), with ``hidden`` channels in between."""

    def __init__(self, dim: int, hidden: int):
        super().__init__()
        self.fc1 = nn.Linear(dim, hidden)
        self.act = nn.GELU()
        self.fc2 = nn.Linear(hidden, dim)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.fc2(self.act(self.fc1(x)))
