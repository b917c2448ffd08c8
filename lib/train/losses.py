"""The tracking loss: GIoU, L1 and Gaussian focal loss, with weights 2, 5 and 1 by default.

Focal loss and radius follow CornerNet (Law and Deng, ECCV 2018) and CenterNet (Zhou et al., 2019), in the form that
trackers of this family use: the radius lacks CornerNet's divisor 2a, and published numbers depend on it.
"""

from __future__ import annotations

from typing import cast

import torch
from torch import nn
from torch.nn import functional as F
from torchvision.ops import box_convert, box_iou, generalized_box_iou

from ..models.mstgt.head import Prediction

MIN_OVERLAP = 0.7  # IoU that a center within the Gaussian's radius still gives
ALPHA = 2  # exponent of the focal weight
BETA = 4  # exponent that lowers the penalty near the center


def gaussian_radius(width: torch.Tensor, height: torch.Tensor, overlap: float = MIN_OVERLAP) -> torch.Tensor:
    """Radius in cells within which a center still gives IoU >= overlap, floored, at least 0. Sides in cells."""
    # The three cases of CornerNet: both corners inside, both outside, or one of each. The smallest radius is safe.
    total = width + height
    area = width * height
    c1 = area * (1 - overlap) / (1 + overlap)
    r1 = (total + (total**2 - 4 * c1).clamp(min=0).sqrt()) / 2
    r2 = (2 * total + ((2 * total) ** 2 - 16 * (1 - overlap) * area).clamp(min=0).sqrt()) / 2
    b3 = -2 * overlap * total
    r3 = (b3 + (b3**2 - 16 * overlap * (overlap - 1) * area).clamp(min=0).sqrt()) / 2
    return torch.minimum(torch.minimum(r1, r2), r3).floor().clamp(min=0)


def center_heatmap(boxes_cxcywh: torch.Tensor, grid: int) -> torch.Tensor:
    """Targets of the center score: (N, 4) boxes as a share of the region -> (N, 1, grid, grid) in [0, 1].

    1 at the cell of the rounded center, a Gaussian of sigma (2r + 1) / 6 around it, 0 beyond r cells on either axis.
    """
    cells = boxes_cxcywh.float() * grid
    center = cells[:, :2].round().clamp(0, grid - 1)
    radius = gaussian_radius(cells[:, 2], cells[:, 3])[:, None]
    axis = torch.arange(grid, device=cells.device)
    # A Gaussian whose 6 sigma is the diameter, as in CornerNet's code.
    sigma = (2 * radius + 1) / 6

    def profile(at: torch.Tensor) -> torch.Tensor:
        distance = axis - at[:, None]
        return torch.exp(-(distance**2) / (2 * sigma**2)) * (distance.abs() <= radius)

    # The Gaussian is separable: rows times columns.
    return (profile(center[:, 1])[:, :, None] * profile(center[:, 0])[:, None, :])[:, None]


def focal_loss(score: torch.Tensor, target: torch.Tensor) -> torch.Tensor:
    """Gaussian focal loss, summed and divided by the number of positives (undivided where there is none).

    score (N, 1, G, G) in (0, 1), target as :func:`center_heatmap` gives it.
    """
    positive = target.eq(1).to(score.dtype)
    # Cells that are not the center are penalized less the nearer they are to it (target close to 1).
    gain = (score.log() * (1 - score) ** ALPHA * positive).sum()
    cost = ((1 - score).log() * score**ALPHA * (1 - target) ** BETA * (1 - positive)).sum()
    return -(gain + cost) / positive.sum().clamp(min=1)


def distillation_loss(prediction: Prediction, teacher: Prediction) -> tuple[torch.Tensor, torch.Tensor]:
    """How far a prediction is from that of a teacher (Hinton et al., 2015), for score and boxes: two scalars.

    Score: the Kullback-Leibler divergence of each cell's score from the teacher's, summed over the cells. Boxes: the
    mean difference of center and sides, as shares of the region, weighted by the teacher's score, since only where that
    is high does a box mean anything. Both are means over the regions, and 0 where the predictions are equal.
    """
    wanted = teacher.score
    score = (F.binary_cross_entropy(prediction.score, wanted, reduction="sum")
             - F.binary_cross_entropy(wanted, wanted, reduction="sum")) / len(wanted)
    grid = wanted.shape[-1]
    difference = torch.cat([prediction.size - teacher.size, (prediction.offset - teacher.offset) / grid], dim=1).abs()
    box = (wanted * difference.mean(dim=1, keepdim=True)).sum() / wanted.sum().clamp(min=1)
    return score, box


class TrackingLoss(nn.Module):
    """Computes the parts of the loss and their weighted sum.

    giou, l1, focal  weights of the parts
    teacher          weight of the difference to a teacher, beside these; its parts are weighted as l1 and focal
    """

    def __init__(self, giou: float = 2.0, l1: float = 5.0, focal: float = 1.0, teacher: float = 1.0):
        super().__init__()
        self.weights = {"giou": giou, "l1": l1, "focal": focal}
        self.teacher_weight = teacher

    def with_teacher(self, parts: dict[str, torch.Tensor], prediction: Prediction, teacher: Prediction
                     ) -> dict[str, torch.Tensor]:
        """``parts`` with the difference to the teacher's prediction as ``teacher`` (unweighted) and in the total."""
        own, wanted = (Prediction(*(part.float() for part in each)) for each in (prediction, teacher))
        score, box = distillation_loss(own, wanted)
        difference = self.weights["focal"] * score + self.weights["l1"] * box
        return parts | {"teacher": difference, "total": parts["total"] + self.teacher_weight * difference}

    def forward(self, prediction: Prediction, boxes_cxcywh: torch.Tensor,
                present: torch.Tensor | None = None) -> dict[str, torch.Tensor]:
        """Scalars ``total``, ``giou``, ``l1``, ``focal`` (unweighted parts) and ``iou`` (mean, no gradient).

        boxes_cxcywh (N, 4): the true boxes in the order of the prediction's first axis.
        present (N,) bool: whether the target is in the search region; None: in all of them. Where it is absent, the
        center score should be 0 in all cells, and the box parts and ``iou`` ignore the region.
        """
        prediction = Prediction(*(part.float() for part in prediction))
        predicted = prediction.decode_boxes()[0]
        predicted_xyxy = box_convert(predicted, "cxcywh", "xyxy")
        true_xyxy = box_convert(boxes_cxcywh, "cxcywh", "xyxy")
        score = prediction.score
        heatmap = center_heatmap(boxes_cxcywh, score.shape[-1])
        if present is not None:
            return self._with_absent(predicted, predicted_xyxy, boxes_cxcywh, true_xyxy, score, heatmap, present)
        parts = {
            # Not torchvision's generalized_box_iou_loss: its boolean indexing makes the host wait for a GPU.
            "giou": 1 - generalized_box_iou(predicted_xyxy, true_xyxy).diagonal().mean(),
            "l1": (predicted - boxes_cxcywh).abs().mean(),
            "focal": focal_loss(score, heatmap),
        }
        total = cast(torch.Tensor, sum(self.weights[name] * value for name, value in parts.items()))
        with torch.no_grad():
            iou = box_iou(predicted_xyxy, true_xyxy).diagonal().mean()
        return parts | {"total": total, "iou": iou}

    def _with_absent(self, predicted: torch.Tensor, predicted_xyxy: torch.Tensor, boxes_cxcywh: torch.Tensor,
                     true_xyxy: torch.Tensor, score: torch.Tensor, heatmap: torch.Tensor,
                     present: torch.Tensor) -> dict[str, torch.Tensor]:
        """:meth:`forward` where the target may be absent; the box parts are means over the regions that have it."""
        weight = present.to(score.dtype)
        count = weight.sum().clamp(min=1)
        giou = 1 - generalized_box_iou(predicted_xyxy, true_xyxy).diagonal()
        l1 = (predicted - boxes_cxcywh).abs().mean(dim=1)
        # Where the target is absent, GIoU may be NaN. torch.where removes it; NaN times 0 would stay NaN.
        parts = {
            "giou": torch.where(present, giou, 0.0).sum() / count,
            "l1": (l1 * weight).sum() / count,
            "focal": focal_loss(score, heatmap * weight[:, None, None, None]),
        }
        total = cast(torch.Tensor, sum(self.weights[name] * value for name, value in parts.items()))
        with torch.no_grad():
            overlap = box_iou(predicted_xyxy, true_xyxy).diagonal()
            iou = torch.where(present, overlap, 0.0).sum() / count
        return parts | {"total": total, "iou": iou}
