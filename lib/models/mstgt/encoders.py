"""The two encoders that give MSTGT its name (Pan et al., Neurocomputing 657, 2025): multi-scale visual cues, computed
from the template once per video, and spatio-temporal guidance, the recurrent part of the tracker."""

from __future__ import annotations

import torch
from torch import nn
from torch.nn import functional as F

from ..layers.attention import ATTENTIONS
from ..layers.block import NORM_EPS, AttentionBlock

PATCHES = (18, 16, 14)  # px, in the order of the tokens; the published weights depend on it
POOL = 3


class VisualCueEncoder(nn.Module):
    """A few tokens that represent the template at several patch sizes; runs once per video.

    (B, 3, T, T) template -> (B, n, C); n = 4 + 4 + 9 = 17 at 128 px. Three patch embeddings of 14, 16 and 18 px, each
    averaged over 3x3 neighbors, then a linear layer.
    """

    def __init__(self, dim: int, template_size: int):
        super().__init__()
        # The largest patches give the smallest map, which must still hold one pooling window.
        if template_size // max(PATCHES) < POOL:
            raise ValueError(f"a template of {template_size} px is too small: "
                             f"{POOL} patches of {max(PATCHES)} px need {POOL * max(PATCHES)}")
        self.embeddings = nn.ModuleDict({str(p): nn.Conv2d(3, dim, kernel_size=p, stride=p) for p in PATCHES})
        self.proj = nn.Linear(dim, dim, bias=False)

    def forward(self, template: torch.Tensor) -> torch.Tensor:
        # Pooling keeps a few tokens per scale: they join every frame's attention, so their number counts.
        maps = (F.avg_pool2d(self.embeddings[str(p)](template), POOL) for p in PATCHES)
        return self.proj(torch.cat([m.flatten(2) for m in maps], dim=2).transpose(1, 2))


class GuidanceEncoder(nn.Module):
    """Computes guidance tokens from the state (``prompt``), and the next state (``update``).

    The state S has the shape (B, Nz, C): tokens on the grid of the template. Before the first frame it equals the
    template. The module itself stores no state.

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
