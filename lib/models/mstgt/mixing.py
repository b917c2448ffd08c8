"""Feature mixing: distractors written into the search map (token-level feature mixing of DATr, Zhao et al., WACV 2024,
arXiv 2309.08264; the "mixed data sampling" of MSTGT).

    cells = stem(searches)                                  # (N, G, G, C), stride 16, before position embedding
    cells = mix(cells, stem(partner.searches), partner)     # the same with the partners' targets written into it

A *partner* is another video with search crops of its own. Frame by frame the cells of the partner's target are copied
into the sample's search map, at the place that they have in the partner's map; the sample's label stays as it is.
Before that their features are brought to the mean and standard deviation of the own target's cells:

    global   one mean and deviation over all cells of the target and all channels
    channel  one for every channel, over the cells of the target. A target of a single cell has deviation 0: then the
             partner's cells all become that one cell
    none     features stay as they are

Nothing is written into a frame when the written cells would hide more than ``max_occlusion`` of the own target, or when
either target has no cell in the grid.

Gradients: the statistics are constants (detached). The written cells pass their gradient on to the partner's features,
the own features under them get none, and everywhere else both values and gradients are those without mixing.

All of it is masks and sums of fixed shape: no loop over the batch, and the host never waits for the device.
"""

from __future__ import annotations

from typing import NamedTuple

import torch

MIN_DEVIATION = 1e-3  # below it the partner's cells are alike: they are moved to the own mean and not stretched
NORMS: dict[str, tuple[int, ...] | None] = {"global": (1, 2, 3), "channel": (1, 2), "none": None}  # axes of statistics


class MixPartner(NamedTuple):
    """What a batch of B samples of T frames is mixed with. Boxes are cx, cy, w, h as a share of their crop.

    searches  (T, B, 3, S, S) the partners' search regions
    boxes     (T, B, 4) the partners' targets in them
    own       (T, B, 4) the samples' targets in their own search regions
    active    (B,) bool: whether a sample has a partner
    max_occlusion   the share of an own target that may be hidden
    norm      ``global``, ``channel`` or ``none``
    """

    searches: torch.Tensor
    boxes: torch.Tensor
    own: torch.Tensor
    active: torch.Tensor
    max_occlusion: float = 0.5
    norm: str = "global"


def target_cells(boxes_cxcywh: torch.Tensor, grid: int) -> torch.Tensor:
    """The cells of a target: (..., 4) -> (..., G, G) bool, rows first.

    A cell belongs to a box that holds the cell's middle, and on an axis where the box is thinner than that, the cell
    that holds the box's centre. Boxes without area, outside the grid or not finite have no cell.
    """
    first = torch.arange(grid, device=boxes_cxcywh.device)

    def axis(center: torch.Tensor, side: torch.Tensor) -> torch.Tensor:
        center, half = center[..., None] * grid, side[..., None] * grid / 2
        held = (first + 0.5 >= center - half) & (first + 0.5 < center + half)
        return (held | (first == center.floor())) & (half > 0)

    cx, cy, w, h = boxes_cxcywh.unbind(-1)
    return axis(cy, h)[..., :, None] & axis(cx, w)[..., None, :]


def hidden_share(cells: torch.Tensor, boxes_cxcywh: torch.Tensor) -> torch.Tensor:
    """How much of a box lies under ``cells``: (..., G, G) bool, (..., 4) -> (...), of the box's area in the grid.

    1 for a box that has no area in the grid.
    """
    grid = cells.shape[-1]
    first = torch.arange(grid, device=cells.device)

    def overlap(center: torch.Tensor, side: torch.Tensor) -> torch.Tensor:
        low, high = ((center + sign * side / 2)[..., None] * grid for sign in (-1, 1))
        return (torch.minimum(high, first + 1) - torch.maximum(low, first)).clamp(min=0)

    cx, cy, w, h = boxes_cxcywh.unbind(-1)
    area = overlap(cy, h)[..., :, None] * overlap(cx, w)[..., None, :]
    total = area.sum((-2, -1))
    return torch.where(total > 0, (area * cells).sum((-2, -1)) / total, 1.0)


def mix_mask(partner: MixPartner, grid: int) -> torch.Tensor:
    """The cells that mixing writes: (T, B, G, G) bool, nothing where a frame is skipped."""
    cells = target_cells(partner.boxes, grid)
    own = target_cells(partner.own, grid).any(-1).any(-1)
    allowed = partner.active & own & (hidden_share(cells, partner.own) <= partner.max_occlusion)
    return cells & allowed[..., None, None]


def mix(own: torch.Tensor, other: torch.Tensor, partner: MixPartner) -> torch.Tensor:
    """Write the partners' targets into the search maps: two times (T * B, G, G, C), frame-major -> the same."""
    grid = own.shape[1]
    pasted = mix_mask(partner, grid).flatten(0, 1)
    axes = NORMS[partner.norm]
    if axes is not None:
        mean, deviation = statistics(own, target_cells(partner.own, grid).flatten(0, 1), axes)
        other_mean, other_deviation = statistics(other, target_cells(partner.boxes, grid).flatten(0, 1), axes)
        stretch = torch.where(other_deviation > MIN_DEVIATION,
                              deviation / other_deviation.clamp(min=MIN_DEVIATION), 1.0)
        other = (other.float() - other_mean) * stretch + mean
    return torch.where(pasted[..., None], other.to(own.dtype), own)


@torch.no_grad()
def statistics(features: torch.Tensor, cells: torch.Tensor, axes: tuple[int, ...]) -> tuple[torch.Tensor, torch.Tensor]:
    """Mean and (population) standard deviation over ``cells`` and ``axes``, which keep length 1; 0 without cells.

    features (N, G, G, C); cells (N, G, G) bool; in float32 whatever the features are in.
    """
    features, weight = features.float(), cells[..., None].float().expand_as(features)
    count = weight.sum(axes, keepdim=True).clamp(min=1)
    mean = (features * weight).sum(axes, keepdim=True) / count
    variance = ((features - mean).square() * weight).sum(axes, keepdim=True) / count
    return mean, variance.sqrt()
