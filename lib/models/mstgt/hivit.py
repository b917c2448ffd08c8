"""HiViT backbone (Zhang et al., *HiViT: A Simpler and More Efficient Design of Hierarchical Vision Transformer*,
ICLR 2023), split into the two parts that a tracker runs at different times:

    forward_stem    image -> tokens at stride 16. Only MLP blocks and merges: no stride-16 cell depends on its
                    neighbors, so the template is computed once per video.
    forward_blocks  stage 3, the attention blocks, on any concatenation of tokens.

Parameter names are those of the pretrained HiViT files.
"""

from __future__ import annotations

import torch
from torch import nn
from torch.utils.checkpoint import checkpoint

from ...config.backbones import HiViTSpec
from ..layers.attention import ALL
from ..layers.block import NORM_EPS, AttentionBlock, MlpBlock

STRIDE = 16


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


class HiViT(nn.Module):
    """The backbone, with a learned position embedding for the template and one for the search region.

    grid_z, grid_x  sides of the two stride-16 grids
    drop_path       stochastic depth of the last block; rises linearly from 0 over all residual blocks

    ``grad_checkpointing = True`` recomputes the attention blocks in the backward pass to save memory.
    """

    grad_checkpointing = False
    frozen_stages = 0  # looked at by backbones with a convolutional stem (LiteViT)

    def __init__(self, spec: HiViTSpec, grid_z: int, grid_x: int, drop_path: float = 0.0):
        super().__init__()
        d1, d2, d3 = spec.depths
        # A stem stage of depth d holds 2 d MLP blocks: HiViT replaces attention by a second MLP there.
        last = max(1, 2 * d1 + 2 * d2 + d3 - 1)
        rates = (drop_path * i / last for i in range(last + 1))
        dim = spec.dim // 4
        self.patch_embed = PatchEmbed(dim)
        blocks: list[nn.Module] = []
        for depth in (d1, d2):
            blocks += [MlpBlock(dim, spec.stem_mlp_ratio, next(rates)) for _ in range(2 * depth)]
            blocks.append(PatchMerge(dim))
            dim *= 2
        # Stem and attention blocks are one list, because the pretrained files number them through.
        self.stem_length = len(blocks)
        blocks += [AttentionBlock(dim, spec.num_heads, spec.main_mlp_ratio, next(rates)) for _ in range(d3)]
        self.blocks = nn.ModuleList(blocks)
        self.pos_embed_z = nn.Parameter(torch.zeros(1, grid_z**2, dim))
        self.pos_embed_x = nn.Parameter(torch.zeros(1, grid_x**2, dim))
        nn.init.trunc_normal_(self.pos_embed_z, std=0.02)
        nn.init.trunc_normal_(self.pos_embed_x, std=0.02)

    def forward_stem(self, image: torch.Tensor) -> torch.Tensor:
        """(B, 3, H, W) -> (B, H/16, W/16, C), before position embedding."""
        x = self.patch_embed(image)
        for block in self.blocks[: self.stem_length]:
            x = block(x)
        return x

    def forward_blocks(self, tokens: torch.Tensor, query_slice: slice = ALL) -> torch.Tensor:
        """(B, N, C) -> (B, N, C), or those tokens of it that ``query_slice`` names."""
        blocks = self.blocks[self.stem_length :]
        for block in blocks:
            # Nothing after the last block uses the other tokens, so only the wanted ones are computed there.
            wanted = query_slice if block is blocks[-1] else ALL
            if self.grad_checkpointing and self.training:
                tokens = checkpoint(block, tokens, wanted, use_reentrant=False)
            else:
                tokens = block(tokens, wanted)
        return tokens
