"""From uint8 images to network input."""

from __future__ import annotations

from collections.abc import Sequence

import torch

PerChannel = Sequence[float] | torch.Tensor
MASK_COLOR = (255.0, 0.0, 255.0)  # RGB: magenta, which is rare in images


def to_input(images: torch.Tensor, mean: PerChannel, std: PerChannel) -> torch.Tensor:
    """(..., H, W, 3) RGB in 0..255, uint8 or float -> (..., 3, H, W) float, normalized per channel.

    If ``mean`` and ``std`` are tensors on the device, the host does not wait for it.
    """
    mean_ = torch.as_tensor(mean, device=images.device) * 255
    std_ = torch.as_tensor(std, device=images.device) * 255
    return ((images.float() - mean_) / std_).movedim(-1, -3).contiguous()


def mask_background(images: torch.Tensor, boxes_cxcywh: torch.Tensor, strength: float) -> torch.Tensor:
    """Mix magenta into the background of template crops (..., S, S, 3) in 0..255; returns floats of the same shape.

    A square crop does not show the height and width of the target, nor what belongs to it. The mask does, at no cost
    per frame.

    boxes_cxcywh  (..., 4) fractions of the crop (:meth:`mstgt.geometry.crop.Crop.to_crop`)
    strength      fraction of magenta in pixels whose center lies outside the box
    """
    size = images.shape[-2]
    # Crop coordinates: pixel u lies at u / S, so the center of the crop is (S - 1) / (2 S).
    positions = torch.arange(size, device=images.device) / size
    center = boxes_cxcywh[..., None, :2]
    half = boxes_cxcywh[..., None, 2:] / 2
    x, y = ((positions[:, None] - center).abs() <= half).unbind(-1)  # (..., S) each
    inside = (y[..., :, None] & x[..., None, :])[..., None]
    colour = torch.tensor(MASK_COLOR, device=images.device)
    return torch.where(inside, images.float(), torch.lerp(images.float(), colour, strength))
