"""Pre-norm residual blocks: attention + MLP, and MLP alone (HiViT, Zhang et al., ICLR 2023)."""

from __future__ import annotations

import torch
from torch import nn

from .attention import ALL, Attention
from .drop_path import DropPath
from .mlp import Mlp

NORM_EPS = 1e-6


class AttentionBlock(nn.Module):
    """x + attention(norm1(x)), then x + mlp(norm2(x)). (B, N, C) -> (B, N, C).

    ``query_slice``: the tokens that are wanted; only they are returned. Of the other tokens, only what the wanted ones
    need (keys and values) is computed.
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
        # All tokens are normalized, because all of them are keys; the rest of the block runs on the wanted ones.
        x = x[:, query_slice] + self.drop_path(self.attn(self.norm1(x), query_slice))
        return x + self.drop_path(self.mlp(self.norm2(x)))


class MlpBlock(nn.Module):
    """x + mlp(norm2(x)) on (..., C). Every position is computed on its own."""

    def __init__(self, dim: int, mlp_ratio: float, drop_path: float = 0.0):
        super().__init__()
        # Named norm2 as in the pretrained HiViT files, whose MLP blocks are attention blocks without attention.
        self.norm2 = nn.LayerNorm(dim, eps=NORM_EPS)
        self.mlp = Mlp(dim, int(dim * mlp_ratio))
        self.drop_path = DropPath(drop_path)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x + self.drop_path(self.mlp(self.norm2(x)))
