"""Multi-scale spatio-temporal guidance encoder: the recurrent part of the tracker (MSTGT, Pan et al., Neurocomputing
657, 2025).

The state S is (B, Nz, C), tokens on the template's grid; before the first frame it is the template itself.
``prompt`` reads it, ``update`` makes the next one. Neither keeps anything.
"""

from __future__ import annotations

import torch
from torch import nn
from torch.nn import functional as F

from ..layers.attention import ATTENTIONS
from ..layers.block import NORM_EPS, AttentionBlock


class GuidanceEncoder(nn.Module):
    """grid_z: side of the template's grid; attention: ``grouped`` (as published), ``global``, or ``none``: the state
    stays the template, and there is no block (to measure what the recurrence is worth)."""

    def __init__(self, dim: int, num_heads: int, grid_z: int, attention: str = "grouped"):
        super().__init__()
        self.grid = grid_z
        self.recurrent = attention != "none"
        if self.recurrent:
            self.norm = nn.LayerNorm(dim, eps=NORM_EPS)
            self.block = AttentionBlock(dim, num_heads, mlp_ratio=4.0, attention=ATTENTIONS[attention])
        self.proj = nn.Linear(dim, dim, bias=False)

    def prompt(self, state: torch.Tensor) -> torch.Tensor:
        """The guidance tokens for the main stage: S averaged over 2x2 cells. (B, Nz, C) -> (B, Nz / 4, C)."""
        grid = state.transpose(1, 2).unflatten(2, (self.grid, self.grid))
        return self.proj(F.avg_pool2d(grid, 2).flatten(2).transpose(1, 2))

    def update(self, template: torch.Tensor, search: torch.Tensor, state: torch.Tensor) -> torch.Tensor:
        """The state after a frame: the first Nz outputs of the block on [template, search, state].

        (B, Nz, C), (B, Nx, C), (B, Nz, C) -> (B, Nz, C).
        """
        if not self.recurrent:
            return state
        tokens = self.norm(torch.cat([template, search, state], dim=1))
        return self.block(tokens, query_slice=slice(template.shape[1]))
