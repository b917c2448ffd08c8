"""The backbones by name: the values of MODEL.BACKBONE.TYPE. Importing this list does not import PyTorch."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class HiViTSpec:
    """Size of a HiViT backbone (Zhang et al., ICLR 2023).

    dim        channels C at stride 16 (C/4 at stride 4, C/2 at stride 8)
    depths     blocks of the three stages; the first two (the stem) hold twice that many MLP blocks, the third that
               many attention blocks
    num_heads  of the attention blocks
    """

    dim: int
    depths: tuple[int, int, int]
    num_heads: int
    stem_mlp_ratio: float = 3.0
    main_mlp_ratio: float = 4.0


@dataclass(frozen=True)
class LiteSpec(HiViTSpec):
    """A :class:`HiViTSpec` with the convolutional stem; its ``depths`` are (0, 0, number of attention blocks).

    stem_hidden  hidden channels of the stem's inverted residuals, in their order; empty: those of EfficientNet-Lite0
    """

    stem_hidden: tuple[int, ...] = ()


BACKBONES: dict[str, HiViTSpec] = {
    "lite_nano": LiteSpec(192, (0, 0, 4), 4),
    "lite_mini": LiteSpec(192, (0, 0, 8), 4),
    # lite_nano without the hidden channels that the others can replace (tracking/pretrain.py --method prune): in the
    # attention blocks, and in the stem as well.
    "lite_slim": LiteSpec(192, (0, 0, 4), 4, main_mlp_ratio=0.5),
    "lite_thin": LiteSpec(192, (0, 0, 4), 4, main_mlp_ratio=0.5,
                          stem_hidden=(32, 48, 112, 72, 176, 120, 352, 352, 240, 496, 496)),
    "hivit_nano": HiViTSpec(192, (1, 1, 4), 4),  # nano and mini are not among the published HiViT sizes
    "hivit_mini": HiViTSpec(192, (1, 1, 8), 4),
    "hivit_tiny": HiViTSpec(384, (1, 1, 10), 6),
    "hivit_small": HiViTSpec(384, (2, 2, 20), 6),
    "hivit_base": HiViTSpec(512, (2, 2, 20), 8),
}
