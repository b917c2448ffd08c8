"""One batch -> the network folded over its frames -> losses and figures."""

from __future__ import annotations

import copy
from collections.abc import Sequence

import torch
from torch import nn

from ..data.loader import Batch
from ..data.transforms import (
    augment_and_normalize,
    augment_and_normalize_partner,
    augment_and_normalize_template,
    flip_boxes,
)
from ..losses import TrackingLoss


class MSTGTActor:
    """Runs ``network`` (an MSTGT, or a wrapper with its call) on batches of the loader.

    precision      run the network in bf16 or fp16 where that is safe (autocast); None: fp32. Losses stay in fp32
    max_occlusion, norm     of feature mixing (:mod:`mstgt.models.mstgt.mixing`), which batches with partners get
    template_mask_strength  share of magenta over the background of the template (MODEL.TEMPLATE_MASK)
    """

    def __init__(self, network: nn.Module, loss: TrackingLoss, mean: Sequence[float], std: Sequence[float],
                 device: torch.device, precision: torch.dtype | None = None, max_occlusion: float = 0.5,
                 norm: str = "global", template_mask_strength: float = 0.0):
        self.network, self.loss, self.precision = network, loss, precision
        self.max_occlusion, self.norm = max_occlusion, norm
        self.template_mask_strength = template_mask_strength
        self.mean, self.std = (torch.tensor(values, device=device) for values in (mean, std))
        self.device = device

    def of(self, network: nn.Module) -> MSTGTActor:
        """The same with other weights."""
        other = copy.copy(self)
        other.network = network
        return other

    def __call__(self, batch: Batch) -> dict[str, torch.Tensor]:
        """The parts of the loss, ``total`` to be minimised, and ``iou``."""
        on = {k: v.to(self.device, non_blocking=True) for k, v in batch.items() if isinstance(v, torch.Tensor)}
        template = augment_and_normalize_template(on, self.mean, self.std, self.template_mask_strength)
        search = augment_and_normalize(on["search"], on["flip"], on["grey"], on["brightness"][1:], self.mean, self.std)
        boxes = flip_boxes(on["boxes"], on["flip"], search.shape[-1])
        partner = augment_and_normalize_partner(on, boxes, self.mean, self.std, self.max_occlusion, self.norm)
        with torch.autocast(self.device.type, self.precision, enabled=self.precision is not None):
            prediction = self.network(template, search, partner)
        present = on["present"].flatten() if "present" in on else None
        return self.loss(prediction, boxes.flatten(0, 1), present)
