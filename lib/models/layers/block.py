"""The blocks of a vision transformer: stochastic depth, MLP, and two pre-norm residual blocks, attention + MLP and MLP
alone (HiViT, Zhang et al., ICLR 2023).

Written here and not taken from timm: importing timm also imports torchvision, its whole model collection and wandb,
which takes seconds. Parameter names are timm's, so that pretrained files fit.
"""

from __future__ import annotations

import torch
from torch import nn

from .attention import ALL, Attention

NORM_EPS = 1e-6


class DropPath(nn.Module):
    """Stochastic depth (Huang et al., *Deep Networks with Stochastic Depth*, ECCV 2016); (B, ...) -> (B, ...).

    In training, sets the residual branch of a sample to zero with probability ``rate``. Kept branches are
    divided by 1 - rate, so that the expectation is the same as in evaluation.
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


class Mlp(nn.Module):
    """The two linear layers of a transformer block (Vaswani et al., NeurIPS 2017), with GELU between them.

    fc2(GELU(fc1(x))) on (..., C) -> (..., C), with ``hidden`` channels in between.
    """

    def __init__(self, dim: int, hidden: int):
        super().__init__()
        self.fc1 = nn.Linear(dim, hidden)
        self.act = nn.GELU()
        self.fc2 = nn.Linear(hidden, dim)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.fc2(self.act(self.fc1(x)))


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
