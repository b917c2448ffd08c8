"""The last steps of a sample, on the device: flip, grey, brightness, normalising. Joint for all frames of a sample;
the frames of its partner have their own.
"""

from __future__ import annotations

from collections.abc import Mapping

import torch

from ...models.mstgt.mixing import MixPartner
from ...models.picture import PerChannel, mask_background, to_input

LUMA = (0.299, 0.587, 0.114)  # of R, G, B; ITU-R BT.601


def augment_and_normalize(pictures: torch.Tensor, flip: torch.Tensor, grey: torch.Tensor, brightness: torch.Tensor,
           mean: PerChannel, std: PerChannel, mask: tuple[torch.Tensor, float] | None = None) -> torch.Tensor:
    """Pictures (..., B, H, W, 3) uint8 -> network input (..., B, 3, H, W).

    flip, grey (B,) bool; brightness (..., B) factors. ``mask``: boxes (..., B, 4), flipped already, and the strength
    with which they are marked.
    """
    x = pictures.float()
    x = torch.where(flip[:, None, None, None], x.flip(-2), x)
    luma = sum(weight * channel for weight, channel in zip(LUMA, x.split(1, dim=-1), strict=True))
    x = torch.where(grey[:, None, None, None], luma, x)
    x = (x * brightness[..., None, None, None]).clamp(0, 255)
    return to_input(x if mask is None else mask_background(x, *mask), mean, std)


def augment_and_normalize_template(batch: Mapping[str, torch.Tensor], mean: PerChannel, std: PerChannel,
                    strength: float) -> torch.Tensor:
    """The templates of a batch as the network takes them, (B, 3, T, T); ``strength`` is MODEL.TEMPLATE_MASK."""
    flip, size = batch["flip"], batch["template"].shape[-2]
    mask = flip_boxes(batch["template_box"], flip, size), strength
    return augment_and_normalize(batch["template"], flip, batch["grey"], batch["brightness"][0], mean, std, mask)


def flip_boxes(boxes_cxcywh: torch.Tensor, flip: torch.Tensor, size: int) -> torch.Tensor:
    """Boxes (..., B, 4) as a share of a crop of ``size`` px, mirrored where ``flip`` (B,).

    A pixel u goes to size - 1 - u, so a centre c goes to (size - 1) / size - c.
    """
    cx, rest = boxes_cxcywh[..., :1], boxes_cxcywh[..., 1:]
    return torch.cat([torch.where(flip[:, None], (size - 1) / size - cx, cx), rest], dim=-1)


def augment_and_normalize_partner(batch: Mapping[str, torch.Tensor], own_boxes: torch.Tensor, mean: PerChannel,
                   std: PerChannel, max_occlusion: float, norm: str) -> MixPartner | None:
    """The partners of a batch as the network takes them; None where the batch has none.

    ``own_boxes`` (N, B, 4) are those of the samples, flipped already; ``max_occlusion`` and ``norm`` as in the
    configuration.
    """
    if "partner_search" not in batch:
        return None
    flip = batch["partner_flip"]
    searches = augment_and_normalize(batch["partner_search"], flip, batch["partner_grey"], batch["partner_brightness"],
                                     mean, std)
    boxes = flip_boxes(batch["partner_boxes"], flip, searches.shape[-1])
    return MixPartner(searches, boxes, own_boxes, batch["partner_active"], max_occlusion, norm)
