"""From uint8 pictures to the network's input."""

from __future__ import annotations

from collections.abc import Sequence

import torch


def to_input(pictures: torch.Tensor, mean: Sequence[float] | torch.Tensor,
             std: Sequence[float] | torch.Tensor) -> torch.Tensor:
    """(..., H, W, 3) RGB in 0..255, uint8 or float -> (..., 3, H, W) float, normalised per channel.

    Nothing waits for the device where ``mean`` and ``std`` are tensors on it.
    """
    mean_ = torch.as_tensor(mean, device=pictures.device) * 255
    std_ = torch.as_tensor(std, device=pictures.device) * 255
    return ((pictures.float() - mean_) / std_).movedim(-1, -3).contiguous()
