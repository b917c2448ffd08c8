"""From uint8 pictures to the network's input."""

from __future__ import annotations

from collections.abc import Sequence

import torch

PerChannel = Sequence[float] | torch.Tensor
MASK_COLOR = (255.0, 0.0, 255.0)  # RGB: magenta, which few pictures hold


def to_input(pictures: torch.Tensor, mean: PerChannel, std: PerChannel) -> torch.Tensor:
    """(..., H, W, 3) RGB in 0..255, uint8 or float -> (..., 3, H, W) float, normalised per channel.

    Nothing waits for the device where ``mean`` and ``std`` are tensors on it.
    """
    mean_ = torch.as_tensor(mean, device=pictures.device) * 255
    std_ = torch.as_tensor(std, device=pictures.device) * 255
    return ((pictures.float() - mean_) / std_).movedim(-1, -3).contiguous()


def mask_background(pictures: torch.Tensor, boxes_cxcywh: torch.Tensor, strength: float) -> torch.Tensor:
    """Template crops (..., S, S, 3) in 0..255 with all that lies outside the target's box mixed with magenta.

    A square crop does not say how high and how wide the target in it is, nor what belongs to it; this does, at no cost
    per frame. boxes (..., 4) as shares of the crop (:meth:`mstgt.geometry.crop.Crop.to_crop`); a pixel whose centre
    lies outside is ``strength`` parts of magenta. -> the same shape, float.
    """
    size = pictures.shape[-2]
    places = torch.arange(size, device=pictures.device) / size  # a pixel u lies at u / S, a centre at (S - 1) / 2S
    center, half = boxes_cxcywh[..., None, :2], boxes_cxcywh[..., None, 2:] / 2
    x, y = ((places[:, None] - center).abs() <= half).unbind(-1)  # (..., S) each
    inside = (y[..., :, None] & x[..., None, :])[..., None]
    colour = torch.tensor(MASK_COLOR, device=pictures.device)
    return torch.where(inside, pictures.float(), torch.lerp(pictures.float(), colour, strength))
