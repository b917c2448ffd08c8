"""The last steps of a sample, on the device: flip, grayscale, brightness, normalization.

They are the same for all frames of a sample; the frames of its partner have their own.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch

from ...geometry.crop import MASK_COLOR
from ...models.mstgt.mixing import MixPartner
from .batch import Batch, PartnerBatch

PerChannel = Sequence[float] | torch.Tensor
LUMA = (0.299, 0.587, 0.114)  # weights of R, G, B; ITU-R BT.601


def augment_and_normalize(images: torch.Tensor, flip: torch.Tensor, gray: torch.Tensor, brightness: torch.Tensor,
                          mean: PerChannel, std: PerChannel,
                          mask: tuple[torch.Tensor, float] | None = None) -> torch.Tensor:
    """Images (..., B, H, W, 3) uint8 -> network input (..., B, 3, H, W) float32.

    flip, gray   (B,) bool
    brightness   (..., B) factors
    mask         boxes (..., B, 4), already flipped, and the fraction of magenta mixed into everything outside them
    """
    per_sample = (..., None, None, None)
    # Flip while the pixels are still bytes, and go to separate color planes before the arithmetic: on a CPU this
    # moves a quarter of the memory and runs every operator on contiguous planes.
    flipped = torch.where(flip[per_sample], images.flip(-2), images)
    x = flipped.movedim(-1, -3).to(torch.float32, memory_format=torch.contiguous_format)
    red, green, blue = (channel * weight for weight, channel in zip(LUMA, x.split(1, dim=-3), strict=True))
    x = torch.where(gray[per_sample], red + green + blue, x)
    x = x.mul_(brightness[per_sample]).clamp_(0, 255)
    if mask is not None:
        boxes, strength = mask
        x = mask_background(x.movedim(-3, -1), boxes, strength).movedim(-1, -3)
    mean_255 = torch.as_tensor(mean, device=x.device)[:, None, None] * 255
    std_255 = torch.as_tensor(std, device=x.device)[:, None, None] * 255
    return x.sub_(mean_255).div_(std_255).contiguous()


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
    color = torch.tensor(MASK_COLOR, device=images.device)
    return torch.where(inside, images.float(), torch.lerp(images.float(), color, strength))


def augment_and_normalize_template(batch: Batch, mean: PerChannel, std: PerChannel, strength: float) -> torch.Tensor:
    """The templates of a batch as network input (B, 3, T, T); ``strength`` is MODEL.TEMPLATE_MASK."""
    boxes = flip_boxes(batch.template_box, batch.flip, batch.template.shape[-2])
    return augment_and_normalize(batch.template, batch.flip, batch.gray, batch.brightness[0], mean, std,
                                 (boxes, strength))


def augment_and_normalize_search(batch: Batch, mean: PerChannel, std: PerChannel) -> torch.Tensor:
    """The search regions of a batch as network input (N, B, 3, S, S)."""
    # The first row of the brightness factors belongs to the template.
    return augment_and_normalize(batch.search, batch.flip, batch.gray, batch.brightness[1:], mean, std)


def augment_and_normalize_partner(partner: PartnerBatch | None, own_boxes: torch.Tensor, mean: PerChannel,
                                  std: PerChannel, max_occlusion: float, norm: str) -> MixPartner | None:
    """The partners of a batch as network input; None if the batch has none.

    own_boxes            (N, B, 4) boxes of the samples' own targets, already flipped
    max_occlusion, norm  DA.imix_occrate and DA.norm_type
    """
    if partner is None:
        return None
    searches = augment_and_normalize(partner.search, partner.flip, partner.gray, partner.brightness, mean, std)
    boxes = flip_boxes(partner.boxes, partner.flip, searches.shape[-1])
    return MixPartner(searches, boxes, own_boxes, partner.active, max_occlusion, norm)


def flip_boxes(boxes_cxcywh: torch.Tensor, flip: torch.Tensor, size: int) -> torch.Tensor:
    """Mirror boxes (..., B, 4), fractions of a crop of ``size`` px, where ``flip`` (B,) is set.

    Pixel u goes to size - 1 - u, and so a center c goes to (size - 1) / size - c.
    """
    cx = boxes_cxcywh[..., :1]
    rest = boxes_cxcywh[..., 1:]
    mirrored = (size - 1) / size - cx
    return torch.cat([torch.where(flip[:, None], mirrored, cx), rest], dim=-1)
