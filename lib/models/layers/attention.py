"""Self-attention: the ordinary kind and the grouped kind of the guidance encoder.

Both hold the same parameters (``qkv`` with bias, ``proj``), so a checkpoint fits either.
"""

from __future__ import annotations

import torch
from torch import nn
from torch.nn import functional as F

ALL = slice(None)


class Attention(nn.Module):
    """Multi-head self-attention over all tokens (Vaswani et al., NeurIPS 2017).

    (B, N, C) -> (B, N, C). ``num_heads`` divides C; scale 1/sqrt(C / num_heads). Queries are restricted to
    ``query_slice``; keys and values use all tokens. ``attend`` is the attention operator on queries, keys and values,
    each (B, heads, tokens, C / heads).
    """

    attend = staticmethod(F.scaled_dot_product_attention)

    def __init__(self, dim: int, num_heads: int):
        super().__init__()
        if dim % num_heads:
            raise ValueError(f"{num_heads} heads do not divide {dim} channels")
        self.num_heads = num_heads
        self.qkv = nn.Linear(dim, 3 * dim)
        self.proj = nn.Linear(dim, dim)

    def forward(self, x: torch.Tensor, query_slice: slice = ALL) -> torch.Tensor:
        b, n, c = x.shape
        q, k, v = self.qkv(x).view(b, n, 3, self.num_heads, c // self.num_heads).permute(2, 0, 3, 1, 4)
        return self.proj(self.attend(q[:, :, query_slice], k, v).transpose(1, 2).flatten(2))


class GroupedAttention(Attention):
    """Attention inside groups of three tokens, as the published MSTGT implementation computes it.

    (B, N, C) -> (B, N, C), N a multiple of 3. The channels split into two halves of ``num_heads / 2`` heads each.
    The N tokens are cut into three runs of M = N/3; token j of every run forms the group {j, j+M, j+2M}, and
    attention runs inside that group. The result of a half has the layout (group j, head, group member, channel) and is
    re-read in exactly this order as (N, C/2): tokens and heads come out shuffled. That is how the published code
    lays it out, and its weights depend on it. A group makes three consecutive tokens of the result; with
    ``query_slice`` only the groups that make these tokens are computed.
    """

    HALVES, GROUP = 2, 3

    def __init__(self, dim: int, num_heads: int):
        super().__init__(dim, num_heads)
        if num_heads % self.HALVES:
            raise ValueError(f"grouped attention needs an even number of heads, not {num_heads}")

    def forward(self, x: torch.Tensor, query_slice: slice = ALL) -> torch.Tensor:
        b, n, c = x.shape
        if n % self.GROUP:
            raise ValueError(f"grouped attention needs a token count that 3 divides, not {n}")
        d, heads = c // self.num_heads, self.num_heads // self.HALVES
        start, stop = _place(query_slice.start, n, 0), _place(query_slice.stop, n, n)
        first, last = start // self.GROUP, -(-stop // self.GROUP)
        runs = x.unflatten(1, (self.GROUP, -1))[:, :, first:last]
        # (q|k|v, B, half, group, head, member, channel)
        qkv = self.qkv(runs).unflatten(3, (3, self.HALVES, heads, d)).permute(3, 0, 4, 2, 5, 1, 6)
        q, k, v = qkv.reshape(3, -1, self.GROUP, d)
        weights = torch.softmax((q * d**-0.5) @ k.transpose(1, 2), dim=-1)
        mixed = (weights @ v).view(b, self.HALVES, -1, c // self.HALVES)  # the shuffling re-read
        mixed = mixed.transpose(1, 2).flatten(2)
        return self.proj(mixed[:, start - first * self.GROUP : stop - first * self.GROUP])


def _place(end: int | None, n: int, default: int) -> int:
    """An end of a slice of ``n`` tokens; ``slice.indices`` cannot be compiled by every supported PyTorch."""
    if end is None:
        return default
    return max(end + n, 0) if end < 0 else min(end, n)


ATTENTIONS: dict[str, type[Attention]] = {"grouped": GroupedAttention, "global": Attention}
