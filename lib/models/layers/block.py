"""Pre-norm residual blocks: attention + MLP, and MLP alone (HiViT, Zhang et al., ICLR 2023)."""

from __future__ import annotations

import torch
from timm.layers import DropPath, Mlp
from torch import nn

from .attention import ALL, Attention

NORM_EPS = 1e-6


class AttentionBlock(nn.Module):
    """x + attention(norm1(x)), then + mlp(norm2(.)). (B, N, C) -> (B, N, C).

    ``query_slice``: only these tokens are wanted and come out; of the others no more is computed than these need.
    """

    def __init__(self, dim: int, num_heads: int, mlp_ratio: float, drop_path: float = 0.0,
                 attention: type[Attention] = Attention):
        super().__init__()
        self.norm1 = nn.LayerNorm(dim, eps=NORM_EPS)
        self.attn = attention(dim, num_heads)
        self.norm2 = nn.LayerNorm(dim, eps=NORM_EPS)
        self.mlp = Mlp(dim, int(dim * mlp_ratio))
        self.drop_path = DropPath(drop_path)

    def forward(self, x: torch.Tensor, query_slice: slice = ALL) -> torch.Tensor:
        x = x[:, query_slice] + self.drop_path(self.attn(self.norm1(x), query_slice))
        return x + self.drop_path(self.mlp(self.norm2(x)))


class MlpBlock(nn.Module):
    """x + mlp(norm2(x)) on (..., C): sees one position at a time."""

    def __init__(self, dim: int, mlp_ratio: float, drop_path: float = 0.0):
        super().__init__()
        self.norm2 = nn.LayerNorm(dim, eps=NORM_EPS)
        self.mlp = Mlp(dim, int(dim * mlp_ratio))
        self.drop_path = DropPath(drop_path)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x + self.drop_path(self.mlp(self.norm2(x)))
