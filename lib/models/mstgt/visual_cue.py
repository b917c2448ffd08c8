"""Multi-scale visual cue encoder: a few tokens that represent the template at several patch sizes.

Three patch embeddings of 14, 16 and 18 px, each averaged over 3x3 neighbors, then a linear layer (MSTGT, Pan et al.,
Neurocomputing 657, 2025). Runs once per video.
"""

from __future__ import annotations

import torch
from torch import nn
from torch.nn import functional as F

PATCHES = (18, 16, 14)  # px, in the order of the tokens; the published weights depend on it
POOL = 3


class VisualCueEncoder(nn.Module):
    """(B, 3, T, T) template -> (B, n, C); n = 4 + 4 + 9 = 17 at 128 px."""

    def __init__(self, dim: int, template_size: int):
        super().__init__()
        # The largest patches give the smallest map, which must still hold one pooling window.
        if template_size // max(PATCHES) < POOL:
            raise ValueError(f"a template of {template_size} px is too small: "
                             f"{POOL} patches of {max(PATCHES)} px need {POOL * max(PATCHES)}")
        self.embeddings = nn.ModuleDict({str(p): nn.Conv2d(3, dim, kernel_size=p, stride=p) for p in PATCHES})
        self.proj = nn.Linear(dim, dim, bias=False)

    def forward(self, template: torch.Tensor) -> torch.Tensor:
        # Pooling keeps a few tokens per scale: they join every frame's attention, so their number counts.
        maps = (F.avg_pool2d(self.embeddings[str(p)](template), POOL) for p in PATCHES)
        return self.proj(torch.cat([m.flatten(2) for m in maps], dim=2).transpose(1, 2))
