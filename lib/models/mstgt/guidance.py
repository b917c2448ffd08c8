"""Multi-scale spatio-temporal guidance encoder: the recurrent part of the tracker (MSTGT, Pan et al., Neurocomputing
657, 2025).

The state S has the shape (B, Nz, C): tokens on the grid of the template. Before the first frame it equals the template.
``prompt`` computes the guidance tokens from it, ``update`` the next state. The module itself stores no state.
"""

from __future__ import annotations

import torch
from torch import nn
from torch.nn import functional as F

from ..layers.attention import ATTENTIONS
from ..layers.block import NORM_EPS, AttentionBlock


class GuidanceEncoder(nn.Module):
    """Computes guidance tokens from the state, and the next state.

    grid_z     side of the template's grid
    attention  ``grouped`` (as published), ``global``, or ``none``: the state stays the template and there is no block
               (an ablation that measures the value of the recurrence)
    """

    def __init__(self, dim: int, num_heads: int, grid_z: int, attention: str = "grouped"):
        super().__init__()
        self.grid = grid_z
        self.recurrent = attention != "none"
        if self.recurrent:
            self.norm = nn.LayerNorm(dim, eps=NORM_EPS)
            self.block = AttentionBlock(dim, num_heads, mlp_ratio=4.0, attention=ATTENTIONS[attention])
        self.proj = nn.Linear(dim, dim, bias=False)

    def prompt(self, state: torch.Tensor) -> torch.Tensor:
        """The guidance tokens for the attention blocks: S averaged over 2x2 cells. (B, Nz, C) -> (B, Nz / 4, C)."""
        grid = state.transpose(1, 2).unflatten(2, (self.grid, self.grid))
        return self.proj(F.avg_pool2d(grid, 2).flatten(2).transpose(1, 2))

    def update(self, template: torch.Tensor, search: torch.Tensor, state: torch.Tensor) -> torch.Tensor:
        """The state after a frame, from the template, the frame's search tokens and the state before it.

        (B, Nz, C), (B, Nx, C), (B, Nz, C) -> (B, Nz, C).
        """
        if not self.recurrent:
            return state
        # The order matters: the first Nz output tokens become the state, and grouped attention groups tokens by
        # their position.
        tokens = self.norm(torch.cat([template, search, state], dim=1))
        # Only the new state's tokens are computed in full; the others serve as keys and values.
        return self.block(tokens, query_slice=slice(template.shape[1]))
