"""Runs a network on a batch and returns the losses."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import nn

from ...models.mstgt import MSTGT
from ..data.batch import Batch
from ..data.transforms import (
    augment_and_normalize_partner,
    augment_and_normalize_search,
    augment_and_normalize_template,
    flip_boxes,
)
from ..losses import TrackingLoss


class MSTGTActor:
    """Takes a batch from the loader through augmentation, network and loss.

    loss           :class:`TrackingLoss`, always computed in fp32
    mean, std      per channel, in [0, 1]
    precision      run the network in bf16 or fp16 where that is safe (autocast); None: fp32
    max_occlusion  of feature mixing (:mod:`mstgt.models.mstgt.mixing`), used for batches with partners
    norm           likewise
    template_mask_strength  fraction of magenta over the background of the template (MODEL.TEMPLATE_MASK)
    teacher        a trained network whose predictions are learned as well, in evaluation mode; None: there is none
    """

    def __init__(self, loss: TrackingLoss, mean: Sequence[float], std: Sequence[float], device: torch.device,
                 precision: torch.dtype | None = None, max_occlusion: float = 0.5, norm: str = "global",
                 template_mask_strength: float = 0.0, teacher: MSTGT | None = None):
        self.loss = loss
        self.teacher = teacher
        # Tensors on the device, so that normalizing does not copy from the host in every step.
        self.mean = torch.tensor(mean, device=device)
        self.std = torch.tensor(std, device=device)
        self.device = device
        self.precision = precision
        self.max_occlusion = max_occlusion
        self.norm = norm
        self.template_mask_strength = template_mask_strength

    def __call__(self, network: nn.Module, batch: Batch) -> dict[str, torch.Tensor]:
        """Scalars: the parts of the loss, ``total`` to be minimized, and ``iou``. Without the teacher in evaluation.

        ``network`` is an MSTGT or a wrapper that is called in the same way.
        """
        # The copy overlaps with the host's work if the loader has pinned the batch.
        batch = batch.to(self.device, non_blocking=True)
        template = augment_and_normalize_template(batch, self.mean, self.std, self.template_mask_strength)
        search = augment_and_normalize_search(batch, self.mean, self.std)
        boxes = flip_boxes(batch.boxes, batch.flip, search.shape[-1])
        partner = augment_and_normalize_partner(batch.partner, boxes, self.mean, self.std, self.max_occlusion,
                                                self.norm)
        with torch.autocast(self.device.type, self.precision, enabled=self.precision is not None):
            prediction = network(template, search, partner)
        # Outputs are frame-major (frame 0 of all samples first), and so are the flattened boxes.
        present = batch.present.flatten() if batch.present is not None else None
        parts: dict[str, torch.Tensor] = self.loss(prediction, boxes.flatten(0, 1), present)
        if self.teacher is None or not network.training:
            return parts
        with torch.no_grad(), torch.autocast(self.device.type, self.precision, enabled=self.precision is not None):
            wanted = self.teacher(template, search, partner)
        return self.loss.with_teacher(parts, prediction, wanted)
