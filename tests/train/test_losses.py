"""The loss and its targets against hand-computed values."""

from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from mstgt.models.mstgt import Prediction
from mstgt.train.losses import TrackingLoss, center_heatmap, focal_loss, gaussian_radius


def radius_by_hand(w: float, h: float, o: float = 0.7) -> int:
    b, c = h + w, w * h * (1 - o) / (1 + o)
    r1 = (b + math.sqrt(b * b - 4 * c)) / 2
    b, c = 2 * (h + w), (1 - o) * w * h
    r2 = (b + math.sqrt(b * b - 16 * c)) / 2
    b, c = -2 * o * (h + w), (o - 1) * w * h
    r3 = (b + math.sqrt(b * b - 16 * o * c)) / 2
    return max(0, math.floor(min(r1, r2, r3)))


@given(st.floats(0.1, 16), st.floats(0.1, 16))
def test_gaussian_radius_equals_a_hand_computed_one(w, h):
    got = gaussian_radius(torch.tensor([w], dtype=torch.float64), torch.tensor([h], dtype=torch.float64))
    assert got.item() == radius_by_hand(w, h)


def test_heatmap_of_a_small_box_is_one_cell():
    heat = center_heatmap(torch.tensor([[0.3, 0.7, 0.05, 0.05]]), 16)[0, 0]
    assert heat[11, 5] == 1 and heat.sum() == 1  # 0.7 * 16 = 11.2, 0.3 * 16 = 4.8


def test_heatmap_of_a_large_box_is_a_gaussian_cut_at_its_radius():
    box = torch.tensor([[0.5, 0.5, 0.6, 0.6]])
    r = radius_by_hand(9.6, 9.6)
    heat = center_heatmap(box, 16)[0, 0]
    assert r >= 1
    sigma = (2 * r + 1) / 6
    assert heat[8, 8] == 1
    assert heat[8, 8 + r].item() == pytest.approx(math.exp(-r * r / (2 * sigma**2)), rel=1e-5)
    assert heat[8, 8 + r + 1] == 0 and torch.equal(heat, heat.T)


def test_centers_outside_the_region_are_clamped_to_its_border():
    heat = center_heatmap(torch.tensor([[1.2, -0.3, 0.05, 0.05]]), 16)[0, 0]
    assert heat[0, 15] == 1


def test_focal_loss_equals_a_hand_computed_value():
    target = torch.tensor([[[[1.0, 0.5], [0.0, 0.0]]]])
    score = torch.tensor([[[[0.8, 0.3], [0.1, 0.2]]]])
    expected = -(0.2**2 * math.log(0.8) + 0.5**4 * 0.3**2 * math.log(0.7)
                 + 0.1**2 * math.log(0.9) + 0.2**2 * math.log(0.8))
    assert focal_loss(score, target).item() == pytest.approx(expected, rel=1e-5)
    assert focal_loss(score, torch.zeros_like(score)).item() > 0  # no positive: undivided


def perfect(boxes: torch.Tensor, grid: int = 16) -> Prediction:
    score = torch.full((len(boxes), 1, grid, grid), 1e-4)
    size, offset = torch.full((len(boxes), 2, grid, grid), 0.5), torch.zeros(len(boxes), 2, grid, grid)
    for i, (cx, cy, w, h) in enumerate(boxes.tolist()):
        x, y = round(cx * grid), round(cy * grid)
        score[i, 0, y, x] = 1 - 1e-4
        size[i, :, y, x] = torch.tensor([w, h])
        offset[i, :, y, x] = torch.tensor([cx * grid - x, cy * grid - y])
    return Prediction(score, size, offset)


def test_the_loss_of_a_perfect_prediction_is_zero():
    boxes = torch.tensor([[0.4, 0.6, 0.05, 0.04], [0.2, 0.3, 0.03, 0.05]])
    parts = TrackingLoss()(perfect(boxes), boxes)
    assert parts["total"].item() < 5e-4 and parts["iou"].item() == pytest.approx(1, abs=1e-4)


def test_the_total_is_the_weighted_sum_of_the_parts():
    boxes = torch.tensor([[0.4, 0.6, 0.2, 0.2]])
    parts = TrackingLoss(giou=2, l1=5, focal=1)(perfect(boxes + 0.05), boxes)
    expected = 2 * parts["giou"] + 5 * parts["l1"] + parts["focal"]
    assert parts["total"].item() == pytest.approx(expected.item())
    assert parts["l1"].item() == pytest.approx(0.05, rel=1e-4)


def test_absent_targets_add_to_the_score_loss_only():
    torch.manual_seed(0)
    score, size, offset = torch.rand(3, 1, 8, 8), torch.rand(3, 2, 8, 8), torch.rand(3, 2, 8, 8)
    prediction, boxes = Prediction(score, size, offset), torch.rand(3, 4) * 0.4 + 0.3
    loss = TrackingLoss()
    everywhere = loss(prediction, boxes, torch.ones(3, dtype=torch.bool))
    for name, value in loss(prediction, boxes).items():
        assert everywhere[name].item() == pytest.approx(value.item(), rel=1e-5)
    boxes[2] = 0  # an empty box must not spoil the others
    present = torch.tensor([True, True, False])
    both = loss(Prediction(*(part[:2] for part in prediction)), boxes[:2])
    with_absent = loss(prediction, boxes, present)
    for name in ("giou", "l1", "iou"):
        assert with_absent[name].item() == pytest.approx(both[name].item(), rel=1e-5)
    lower = loss(Prediction(torch.cat([score[:2], score[2:] / 10]), size, offset), boxes, present)
    assert lower["focal"] < with_absent["focal"]
