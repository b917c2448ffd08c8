"""The last steps of a sample, on the device: flip, grey, brightness, normalising. Joint for all frames of a sample;
the frames of its partner have their own.
"""

from __future__ import annotations

from collections.abc import Mapping

import torch

from ...models.mstgt.mixing import Partner
from ...models.picture import PerChannel, mark_box, to_input

LUMA = (0.299, 0.587, 0.114)  # of R, G, B; ITU-R BT.601


def finish(pictures: torch.Tensor, flip: torch.Tensor, grey: torch.Tensor, brightness: torch.Tensor,
           mean: PerChannel, std: PerChannel, mark: tuple[torch.Tensor, float] | None = None) -> torch.Tensor:
    """Pictures (..., B, H, W, 3) uint8 -> network input (..., B, 3, H, W).

    flip, grey (B,) bool; brightness (..., B) factors. ``mark``: boxes (..., B, 4), flipped already, and the strength
    with which they are marked.
    """
    x = pictures.float()
    x = torch.where(flip[:, None, None, None], x.flip(-2), x)
    luma = sum(weight * channel for weight, channel in zip(LUMA, x.split(1, dim=-1), strict=True))
    x = torch.where(grey[:, None, None, None], luma, x)
    x = (x * brightness[..., None, None, None]).clamp(0, 255)
    return to_input(x if mark is None else mark_box(x, *mark), mean, std)


def finish_template(batch: Mapping[str, torch.Tensor], mean: PerChannel, std: PerChannel,
                    strength: float) -> torch.Tensor:
    """The templates of a batch as the network takes them, (B, 3, T, T); ``strength`` is MODEL.TEMPLATE_MARK."""
    flip, size = batch["flip"], batch["template"].shape[-2]
    mark = flip_boxes(batch["template_box"], flip, size), strength
    return finish(batch["template"], flip, batch["grey"], batch["brightness"][0], mean, std, mark)


def flip_boxes(boxes_cxcywh: torch.Tensor, flip: torch.Tensor, size: int) -> torch.Tensor:
    """Boxes (..., B, 4) as a share of a crop of ``size`` px, mirrored where ``flip`` (B,).

    A pixel u goes to size - 1 - u, so a centre c goes to (size - 1) / size - c.
    """
    cx, rest = boxes_cxcywh[..., :1], boxes_cxcywh[..., 1:]
    return torch.cat([torch.where(flip[:, None], (size - 1) / size - cx, cx), rest], dim=-1)


def finish_partner(batch: Mapping[str, torch.Tensor], own_boxes: torch.Tensor, mean: PerChannel,
                   std: PerChannel, occrate: float, norm: str) -> Partner | None:
    """The partners of a batch as the network takes them; None where the batch has none.

    ``own_boxes`` (N, B, 4) are those of the samples, flipped already; ``occrate`` and ``norm`` as in the configuration.
    """
    if "partner_search" not in batch:
        return None
    flip = batch["partner_flip"]
    searches = finish(batch["partner_search"], flip, batch["partner_grey"], batch["partner_brightness"], mean, std)
    boxes = flip_boxes(batch["partner_boxes"], flip, searches.shape[-1])
    return Partner(searches, boxes, own_boxes, batch["partner_active"], occrate, norm)
