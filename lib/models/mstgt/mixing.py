"""Feature mixing: copies targets of other videos into the search map as distractors (token-level feature mixing of
DATr, Zhao et al., WACV 2024, arXiv 2309.08264; the "mixed data sampling" of MSTGT).

    cells = stem(searches)                                  # (N, G, G, C), stride 16, before position embedding
    cells = mix(cells, stem(partner.searches), partner)     # the same with the partners' targets written into it

A *partner* is another video with search crops of its own. In every frame, the cells of the partner's target are copied
into the sample's search map, at their position in the partner's map; the sample's label does not change. Before that,
their features are normalized to the mean and standard deviation of the cells of the own target:

    global   one mean and deviation over all cells of the target and all channels
    channel  one per channel, over the cells of the target. A target of a single cell has deviation 0, and then all
             cells of the partner become equal to that cell
    none     features are not changed

A frame is skipped if the copied cells would hide more than ``max_occlusion`` of the own target, or if one of the two
targets has no cell in the grid.

Gradients: the statistics are constants (detached). Copied cells pass their gradient to the partner's features, the own
features under them get none, and everywhere else values and gradients are those without mixing.

Everything is computed with masks and sums of fixed shape: without a loop over the batch, and without waiting for the
device.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch

MIN_DEVIATION = 1e-3  # partner cells that deviate less are equal up to rounding: shifted to the own mean, not scaled
# DA.norm_type -> the axes of (N, G, G, C) that the statistics are taken over
NORMS: dict[str, tuple[int, ...] | None] = {"global": (1, 2, 3), "channel": (1, 2), "none": None}


@dataclass
class MixPartner:
    """The partners of a batch of B samples with T frames. Boxes are cx, cy, w, h as fractions of their crop.

    searches       (T, B, 3, S, S) search regions of the partners, normalized
    boxes          (T, B, 4) the partners' targets in them
    own            (T, B, 4) the samples' own targets in their search regions
    active         (B,) bool: whether a sample has a partner
    max_occlusion  maximum fraction of an own target that may be hidden
    norm           ``global``, ``channel`` or ``none``
    """

    searches: torch.Tensor
    boxes: torch.Tensor
    own: torch.Tensor
    active: torch.Tensor
    max_occlusion: float = 0.5
    norm: str = "global"


def target_cells(boxes_cxcywh: torch.Tensor, grid: int) -> torch.Tensor:
    """The cells of a target: boxes (..., 4) -> (..., G, G) bool, rows first.

    A cell belongs to a box if its center lies in the box. On an axis where the box is too thin to contain a cell
    center, the cell that contains the center of the box is taken. Boxes without area, outside the grid or with values
    that are not finite have no cell.
    """
    first = torch.arange(grid, device=boxes_cxcywh.device)

    def axis(center: torch.Tensor, side: torch.Tensor) -> torch.Tensor:
        center = center[..., None] * grid
        half = side[..., None] * grid / 2
        contained = (first + 0.5 >= center - half) & (first + 0.5 < center + half)
        # Thin boxes contain no cell center; NaN compares as False and so has no cell at all.
        return (contained | (first == center.floor())) & (half > 0)

    cx, cy, w, h = boxes_cxcywh.unbind(-1)
    return axis(cy, h)[..., :, None] & axis(cx, w)[..., None, :]


def hidden_share(cells: torch.Tensor, boxes_cxcywh: torch.Tensor) -> torch.Tensor:
    """The fraction of a box that ``cells`` cover: (..., G, G) bool, (..., 4) -> (...).

    Only the part of the box within the grid counts; the result is 1 if there is none.
    """
    grid = cells.shape[-1]
    first = torch.arange(grid, device=cells.device)

    def overlap(center: torch.Tensor, side: torch.Tensor) -> torch.Tensor:
        low = (center - side / 2)[..., None] * grid
        high = (center + side / 2)[..., None] * grid
        return (torch.minimum(high, first + 1) - torch.maximum(low, first)).clamp(min=0)

    cx, cy, w, h = boxes_cxcywh.unbind(-1)
    # The area of the box in every cell, as an outer product of its overlaps with rows and columns.
    area = overlap(cy, h)[..., :, None] * overlap(cx, w)[..., None, :]
    total = area.sum((-2, -1))
    return torch.where(total > 0, (area * cells).sum((-2, -1)) / total, 1.0)


def mix_mask(partner: MixPartner, grid: int) -> torch.Tensor:
    """The cells that mixing replaces: (T, B, G, G) bool, all False in skipped frames."""
    cells = target_cells(partner.boxes, grid)
    has_own_cells = target_cells(partner.own, grid).any(-1).any(-1)
    allowed = partner.active & has_own_cells & (hidden_share(cells, partner.own) <= partner.max_occlusion)
    return cells & allowed[..., None, None]


def mix(own: torch.Tensor, other: torch.Tensor, partner: MixPartner) -> torch.Tensor:
    """Copy the partners' targets into the search maps.

    own, other  (T * B, G, G, C) feature maps of the samples and of the partners, frame-major
    returns     the mixed maps, of the same shape and type as ``own``
    """
    grid = own.shape[1]
    replaced = mix_mask(partner, grid).flatten(0, 1)
    axes = NORMS[partner.norm]
    if axes is not None:
        # A distractor with other feature statistics could be told from the target by them alone.
        mean, deviation = statistics(own, target_cells(partner.own, grid).flatten(0, 1), axes)
        other_mean, other_deviation = statistics(other, target_cells(partner.boxes, grid).flatten(0, 1), axes)
        scale = torch.where(other_deviation > MIN_DEVIATION,
                            deviation / other_deviation.clamp(min=MIN_DEVIATION), 1.0)
        other = (other.float() - other_mean) * scale + mean
    return torch.where(replaced[..., None], other.to(own.dtype), own)


@torch.no_grad()
def statistics(features: torch.Tensor, cells: torch.Tensor, axes: tuple[int, ...]) -> tuple[torch.Tensor, torch.Tensor]:
    """Mean and population standard deviation over ``cells`` and ``axes``; 0 without cells.

    features (N, G, G, C); cells (N, G, G) bool. The results are float32 with length 1 on ``axes``.
    """
    features = features.float()  # sums of squares lose too much in bf16
    weight = cells[..., None].float().expand_as(features)
    count = weight.sum(axes, keepdim=True).clamp(min=1)
    mean = (features * weight).sum(axes, keepdim=True) / count
    variance = ((features - mean).square() * weight).sum(axes, keepdim=True) / count
    return mean, variance.sqrt()
