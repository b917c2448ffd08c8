"""Patch embedding, and patch merging that halves the grid (HiViT, Zhang et al., ICLR 2023)."""

from __future__ import annotations

import torch
from torch import nn

from .block import NORM_EPS


class PatchEmbed(nn.Module):
    """Patches of ``stride`` px through a linear layer and LayerNorm.

    (B, 3, H, W) -> (B, H/stride, W/stride, C), channels last.
    """

    def __init__(self, dim: int, stride: int = 4):
        super().__init__()
        self.proj = nn.Conv2d(3, dim, kernel_size=stride, stride=stride)
        self.norm = nn.LayerNorm(dim, eps=NORM_EPS)

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        return self.norm(self.proj(image).permute(0, 2, 3, 1))


class PatchMerge(nn.Module):
    """Merges 2x2 neighbors: (B, H, W, C) -> (B, H/2, W/2, 2C)."""

    def __init__(self, dim: int):
        super().__init__()
        self.norm = nn.LayerNorm(4 * dim, eps=NORM_EPS)
        self.reduction = nn.Linear(4 * dim, 2 * dim, bias=False)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        b, h, w, c = x.shape
        # The four are concatenated column by column: (row 0, col 0), (row 1, col 0), (row 0, col 1), (row 1, col 1).
        # The pretrained weights depend on this order.
        x = x.view(b, h // 2, 2, w // 2, 2, c).permute(0, 1, 3, 4, 2, 5).reshape(b, h // 2, w // 2, 4 * c)
        return self.reduction(self.norm(x))
