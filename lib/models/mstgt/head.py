"""CENTER head: predicts a center score map, offsets and sizes (the head of OSTrack, Ye et al., ECCV 2022, after
CenterNet, Zhou et al., 2019).

Another head gets an entry in ``HEADS`` and in the choices of ``MODEL.HEAD.TYPE`` (``mstgt.config.schema``), and returns
a :class:`Prediction`, which the loss, the tracker and the exports read.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import NamedTuple

import torch
from torch import nn

CLAMP = 1e-4  # keeps the logarithms of the focal loss finite


class Prediction(NamedTuple):
    """Output of the network for one search region, on a grid of G x G cells, in fp32.

    score   (B, 1, G, G) center score in [1e-4, 1 - 1e-4]
    size    (B, 2, G, G) w, h as fractions of the search region, in [1e-4, 1 - 1e-4]; of a narrow one above 1 where the
            target is larger than it
    offset  (B, 2, G, G) x, y of the center within its cell, in cells
    """

    score: torch.Tensor
    size: torch.Tensor
    offset: torch.Tensor

    def decode_boxes(self, window: torch.Tensor | None = None) -> tuple[torch.Tensor, torch.Tensor]:
        """The box at the best cell, (B, 4) cx, cy, w, h as fractions of the region, and the score there (B,).

        ``window`` (G, G), all >= 0, weights the scores for the choice of the cell; the returned score is unweighted.
        """
        b, _, grid, _ = self.score.shape
        score = self.score.flatten(1)
        best = (score if window is None else score * window.flatten()).argmax(dim=1, keepdim=True)
        # Gather instead of indexing: works on batches, compiles, exports to ONNX, and does not wait for the device.
        at = best[:, None].expand(b, 2, 1)
        offset = self.offset.flatten(2).gather(2, at).squeeze(2)
        size = self.size.flatten(2).gather(2, at).squeeze(2)
        # Cells are numbered row by row: x is the remainder, y the quotient.
        row = best // grid
        # the column without a remainder, an operation that not every version of OpenVINO can convert
        cell = torch.cat([best - row * grid, row], dim=1)
        return torch.cat([(cell + offset) / grid, size], dim=1), score.gather(1, best).squeeze(1)


def _branch(dim: int, channels: int, outputs: int) -> nn.Sequential:
    widths = [dim, channels, channels // 2, channels // 4, channels // 8]
    layers: list[nn.Module] = [
        nn.Sequential(nn.Conv2d(a, b, kernel_size=3, padding=1), nn.BatchNorm2d(b), nn.ReLU())
        for a, b in zip(widths, widths[1:], strict=False)
    ]
    return nn.Sequential(*layers, nn.Conv2d(widths[-1], outputs, kernel_size=1))


class CenterHead(nn.Module):
    """(B, C, G, G) -> :class:`Prediction`. Two convolutional branches: one for the score, one for offset and size.

    prior_prob  0: the published initialization (Xavier, zero-mean score). A value p in (0, 1): every score starts at p
                with small weights in the last layer (Lin et al., *Focal Loss*, ICCV 2017, section 4.1), which training
                from scratch needs.
    """

    def __init__(self, dim: int, channels: int = 256, prior_prob: float = 0.0):
        super().__init__()
        self.center = _branch(dim, channels, 1)
        self.box = _branch(dim, channels, 4)
        for p in self.parameters():
            if p.dim() > 1:
                nn.init.xavier_uniform_(p)
        if prior_prob:
            # sigmoid(center_bias) = prior_prob
            center_bias = -math.log((1 - prior_prob) / prior_prob)
            for branch, bias in ((self.center, center_bias), (self.box, 0.0)):
                last = branch[-1]
                assert isinstance(last, nn.Conv2d) and last.bias is not None
                nn.init.normal_(last.weight, std=0.01)
                nn.init.constant_(last.bias, bias)

    def forward(self, features: torch.Tensor) -> Prediction:
        # Head outputs are cast to fp32: bf16 resolves offsets to 1/256 of a cell at best, and scores near 1 not at all.
        score = torch.sigmoid(self.center(features).float()).clamp(CLAMP, 1 - CLAMP)
        offset, size = self.box(features).float().split(2, dim=1)
        return Prediction(score, torch.sigmoid(size).clamp(CLAMP, 1 - CLAMP), offset)


HEADS: dict[str, Callable[[int, int, float], nn.Module]] = {"CENTER": CenterHead}  # dim, channels, prior_prob
