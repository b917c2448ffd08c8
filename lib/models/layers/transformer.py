"""The layers of a vision transformer: self-attention, the ordinary kind and the grouped kind of the guidance encoder;
stochastic depth, MLP, and two pre-norm residual blocks, attention + MLP and MLP alone (HiViT, Zhang et al., ICLR 2023).

Both kinds of attention hold the same parameters (``qkv`` with bias, ``proj``), so a checkpoint fits either.

Written here and not taken from timm: importing timm also imports torchvision, its whole model collection and wandb,
which takes seconds. Parameter names are timm's, so that pretrained files fit.
"""

from __future__ import annotations

import torch
from torch import nn
from torch.nn import functional as F

ALL = slice(None)
NORM_EPS = 1e-6


def attend(q: torch.Tensor, k: torch.Tensor, v: torch.Tensor) -> torch.Tensor:
    """softmax(q k^T / sqrt(d)) v on (B, heads, tokens, d); queries may be fewer than keys and values.

    Uses PyTorch's fused attention, except for training in bf16 on a CPU. There, the backward pass of the fused kernel
    runs in small fp32 blocks; plain matrix products in bf16 take a quarter of its time (87 tokens, Zen 4).
    """
    if q.device.type == "cpu" and q.dtype == torch.bfloat16 and q.requires_grad:
        return attend_with_matrix_products(q, k, v)
    return F.scaled_dot_product_attention(q, k, v)


def attend_with_matrix_products(q: torch.Tensor, k: torch.Tensor, v: torch.Tensor) -> torch.Tensor:
    """:func:`attend` as two batched products and a softmax, keeping the whole attention matrix in memory."""
    batch, heads, _, channels = q.shape
    # One batch axis, so that the scale can be a part of the product (alpha) and needs no operator of its own.
    queries = q.flatten(0, 1)
    keys = k.flatten(0, 1)
    values = v.flatten(0, 1)
    unused = q.new_empty(())  # baddbmm adds beta * this, and beta is 0
    scores = torch.baddbmm(unused, queries, keys.transpose(1, 2), beta=0, alpha=channels**-0.5)
    return torch.bmm(scores.softmax(dim=-1), values).unflatten(0, (batch, heads))


class Attention(nn.Module):
    """Multi-head self-attention over all tokens (Vaswani et al., NeurIPS 2017).

    (B, N, C) -> (B, N, C). ``num_heads`` divides C; scale 1/sqrt(C / num_heads). Queries are restricted to
    ``query_slice``; keys and values use all tokens, and those of a ``context`` as well: (B, M, 2 C), the
    :meth:`keys_values` of M tokens that are not among the N. The attribute ``attend`` is the operator on queries, keys
    and values, each (B, heads, tokens, C / heads); other code may replace it on an instance.
    """

    attend = staticmethod(attend)

    def __init__(self, dim: int, num_heads: int):
        super().__init__()
        if dim % num_heads:
            raise ValueError(f"the number of channels ({dim}) must be a multiple of the number of heads ({num_heads})")
        self.num_heads = num_heads
        self.qkv = nn.Linear(dim, 3 * dim)
        self.proj = nn.Linear(dim, dim)

    def forward(self, x: torch.Tensor, query_slice: slice = ALL, context: torch.Tensor | None = None) -> torch.Tensor:
        q, k, v = self._by_head(self.qkv(x), x.shape[2])
        if context is not None:
            more_k, more_v = self._by_head(context, x.shape[2])
            k, v = torch.cat([more_k, k], dim=2), torch.cat([more_v, v], dim=2)
        # Only the wanted tokens need queries; every token still takes part as key and value.
        mixed = self.attend(q[:, :, query_slice], k, v)
        return self.proj(mixed.transpose(1, 2).flatten(2))

    def keys_values(self, x: torch.Tensor) -> torch.Tensor:
        """What x is to other tokens: (B, N, C) -> (B, N, 2 C), keys and values."""
        return self.qkv(x)[..., x.shape[2]:]

    def _by_head(self, x: torch.Tensor, dim: int) -> torch.Tensor:
        """(B, N, parts * dim) -> (parts, B, heads, N, dim / heads)."""
        return x.unflatten(2, (-1, self.num_heads, dim // self.num_heads)).permute(2, 0, 3, 1, 4)


class GroupedAttention(Attention):
    """Attention inside groups of three tokens, as the published MSTGT implementation computes it.

    (B, N, C) -> (B, N, C), N a multiple of 3. The channels are split into two halves of ``num_heads / 2`` heads each.
    The N tokens are cut into three runs of M = N/3; token j of every run forms the group {j, j+M, j+2M}, and
    attention runs inside that group. The result of one half has the layout (group j, head, group member, channel) and
    is reinterpreted in exactly this order as (N, C/2), which shuffles tokens and heads. The published code lays it out
    this way and its weights depend on it. A group yields three consecutive output tokens; with ``query_slice``, only
    the groups of the wanted tokens are computed.
    """

    HALVES = 2
    GROUP = 3

    def __init__(self, dim: int, num_heads: int):
        super().__init__(dim, num_heads)
        if num_heads % self.HALVES:
            raise ValueError(f"grouped attention needs an even number of heads, not {num_heads}")

    def forward(self, x: torch.Tensor, query_slice: slice = ALL, context: torch.Tensor | None = None) -> torch.Tensor:
        b, n, c = x.shape
        if context is not None:
            raise ValueError("grouped attention has no groups for a context")
        if n % self.GROUP:
            raise ValueError(f"grouped attention needs a number of tokens that is a multiple of 3, not {n}")
        d = c // self.num_heads
        heads = self.num_heads // self.HALVES
        # The groups that yield the output tokens start:stop.
        start = _slice_end(query_slice.start, n, default=0)
        stop = _slice_end(query_slice.stop, n, default=n)
        first = start // self.GROUP
        last = -(-stop // self.GROUP)  # rounded up
        runs = x.unflatten(1, (self.GROUP, -1))[:, :, first:last]
        # (q|k|v, B, half, group, head, member, channel)
        qkv = self.qkv(runs).unflatten(3, (3, self.HALVES, heads, d)).permute(3, 0, 4, 2, 5, 1, 6)
        # Groups are tiny (3 x 3 scores), so plain batched products beat any fused attention kernel.
        q, k, v = qkv.reshape(3, -1, self.GROUP, d)
        weights = torch.softmax((q * d**-0.5) @ k.transpose(1, 2), dim=-1)
        # Reinterpret (group, head, member, channel) as (token, channel): this is the shuffle of the published code.
        mixed = (weights @ v).view(b, self.HALVES, -1, c // self.HALVES)
        mixed = mixed.transpose(1, 2).flatten(2)
        return self.proj(mixed[:, start - first * self.GROUP : stop - first * self.GROUP])


def _slice_end(end: int | None, n: int, default: int) -> int:
    """One end of a slice of ``n`` tokens as a number from 0 to n.

    Does what ``slice.indices`` does, which not every supported PyTorch version can compile.
    """
    if end is None:
        return default
    return max(end + n, 0) if end < 0 else min(end, n)


ATTENTIONS: dict[str, type[Attention]] = {"grouped": GroupedAttention, "global": Attention}


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

    def forward(self, x: torch.Tensor, query_slice: slice = ALL, context: torch.Tensor | None = None) -> torch.Tensor:
        # All tokens are normalized, because all of them are keys; the rest of the block runs on the wanted ones.
        x = x[:, query_slice] + self.drop_path(self.attn(self.norm1(x), query_slice, context))
        return x + self.drop_path(self.mlp(self.norm2(x)))

    def keys_values(self, x: torch.Tensor) -> torch.Tensor:
        """The ``context`` that the tokens x (B, N, C) are to this block: (B, N, 2 C)."""
        return self.attn.keys_values(self.norm1(x))


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
