"""The last steps of a sample, on the device: flip, grey, brightness, normalising. Joint for all frames of a sample."""

from __future__ import annotations

from collections.abc import Sequence

import torch

from lib.models.picture import to_input

LUMA = (0.299, 0.587, 0.114)  # ITU-R BT.601


def finish(pictures: torch.Tensor, flip: torch.Tensor, grey: torch.Tensor, brightness: torch.Tensor,
           mean: Sequence[float], std: Sequence[float]) -> torch.Tensor:
    """Pictures (..., B, H, W, 3) uint8 -> network input (..., B, 3, H, W).

    flip, grey (B,) bool; brightness (..., B) factors.
    """
    x = pictures.float()
    x = torch.where(flip[:, None, None, None], x.flip(-2), x)
    luma = (x * torch.tensor(LUMA, device=x.device)).sum(-1, keepdim=True)
    x = torch.where(grey[:, None, None, None], luma, x)
    return to_input((x * brightness[..., None, None, None]).clamp(0, 255), mean, std)


def flip_boxes(boxes_cxcywh: torch.Tensor, flip: torch.Tensor, size: int) -> torch.Tensor:
    """Boxes (..., B, 4) as a share of a crop of ``size`` px, mirrored where ``flip`` (B,).

    A pixel u goes to size - 1 - u, so a centre c goes to (size - 1) / size - c.
    """
    cx, rest = boxes_cxcywh[..., :1], boxes_cxcywh[..., 1:]
    return torch.cat([torch.where(flip[:, None], (size - 1) / size - cx, cx), rest], dim=-1)
