"""Feature mixing: the cells that are written, what is written, and what is left alone."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch._subclasses.fake_tensor import FakeTensorMode

from mstgt.models.mstgt import MSTGT, HiViTSpec
from mstgt.models.mstgt.mixing import MixPartner, hidden_share, mix, mix_mask, target_cells

GRID = 4
OWN = (0.125, 0.25, 0.25, 0.5)  # column 0, rows 0 and 1
OTHER = (0.75, 0.875, 0.5, 0.25)  # row 3, columns 2 and 3
coordinates = st.floats(-0.3, 1.3)
sides = st.floats(0, 1.2)
boxes = st.tuples(coordinates, coordinates, sides, sides)


def partner(box=OTHER, own=OWN, active=True, frames: int = 1, **options) -> MixPartner:
    def repeat(b):
        return torch.tensor(b, dtype=torch.float64).float().expand(frames, 1, 4)
    return MixPartner(torch.zeros(frames, 1, 3, 8, 8), repeat(box), repeat(own), torch.tensor([active]), **options)


def maps() -> tuple[torch.Tensor, torch.Tensor]:
    """Two maps (1, 4, 4, 2), all 100 but for the targets' cells."""
    own, other = torch.full((2, 1, GRID, GRID, 2), 100.0)
    own[0, 0, 0], own[0, 1, 0] = torch.tensor([1.0, 5]), torch.tensor([3.0, 11])
    other[0, 3, 2], other[0, 3, 3] = torch.tensor([0.0, 2]), torch.tensor([4.0, 10])
    return own, other


def test_mask_of_the_cells_inside_a_box():
    assert target_cells(torch.tensor(OWN), GRID).nonzero().tolist() == [[0, 0], [1, 0]]
    assert target_cells(torch.tensor(OTHER), GRID).nonzero().tolist() == [[3, 2], [3, 3]]
    thin = target_cells(torch.tensor([0.55, 0.5, 0.02, 1.0]), GRID)
    assert thin.nonzero().tolist() == [[r, 2] for r in range(GRID)]


@pytest.mark.parametrize("box", [(0.5, 0.5, 0, 0.5), (1.4, 0.5, 0.2, 0.2), (0.5, -0.5, 0.5, 0.3),
                                 (float("nan"),) * 4, (0, 0, 0, 0)])
def test_boxes_that_cover_no_cell(box):
    assert not target_cells(torch.tensor(box), GRID).any()
    assert not mix_mask(partner(box), GRID).any() and not mix_mask(partner(own=box), GRID).any()


# own target: channels (1, 3) and (5, 11): means 2 and 8, deviations 1 and 3; all of it: mean 5, variance
# (16 + 4 + 0 + 36) / 4 = 14. Partner: (0, 4) and (2, 10): means 2 and 6, deviations 2 and 4; mean 4, variance
# (16 + 0 + 4 + 36) / 4 = 14, so that its deviation is the own one and `global` only moves it by 1.
@pytest.mark.parametrize(("norm", "expected"), [
    ("none", [[0, 2], [4, 10]]),
    ("global", [[1, 3], [5, 11]]),
    ("channel", [[1, 5], [3, 11]]),
])
def test_mixed_cells_are_partner_features_normalized_to_the_sample(norm, expected):
    own, other = maps()
    mixed = mix(own, other, partner(norm=norm))
    torch.testing.assert_close(mixed[0, 3, 2:], torch.tensor(expected, dtype=torch.float32))
    mixed[0, 3, 2:] = own[0, 3, 2:]
    assert torch.equal(mixed, own)


def test_global_normalization_scales_the_partner_features():
    own, other = maps()
    mixed = mix(own, (other - 4) * 10 + 50, partner(norm="global"))
    torch.testing.assert_close(mixed[0, 3, 2:], torch.tensor([[1.0, 3], [5, 11]]))


@pytest.mark.parametrize("norm", ["global", "channel"])
def test_mixed_targets_have_the_mean_and_deviation_of_the_samples_target(norm):
    torch.manual_seed(0)
    own, other = torch.randn(3, 8, 8, 16) * 3 + 1, torch.randn(3, 8, 8, 16) * 0.2 - 5
    given_ = partner((0.25, 0.25, 0.4, 0.5), (0.75, 0.75, 0.45, 0.4), frames=3, norm=norm)
    mixed = mix(own, other, given_)
    cells, target = (target_cells(b[0, 0], 8) for b in (given_.boxes, given_.own))
    for n in range(3):
        written, truth = mixed[n][cells], own[n][target]
        axes = (0,) if norm == "channel" else (0, 1)
        torch.testing.assert_close(written.mean(axes), truth.mean(axes), rtol=1e-4, atol=1e-4)
        torch.testing.assert_close(written.std(axes, unbiased=False), truth.std(axes, unbiased=False),
                                   rtol=1e-4, atol=1e-4)


def test_a_single_mixed_cell_has_the_mean_of_the_sample_and_a_bounded_gradient():
    own, other = (m.requires_grad_() for m in maps())
    mixed = mix(own, other, partner((0.625, 0.875, 0.2, 0.2), norm="channel"))
    torch.testing.assert_close(mixed[0, 3, 2], torch.tensor([2.0, 8]))
    mixed.sum().backward()
    assert other.grad[0, 3, 2].tolist() == [1, 1] and other.grad.sum() == 2


@given(boxes, boxes, st.floats(0, 1))
def test_mixing_hides_at_most_max_occlusion_of_the_target(box, own, max_occlusion):
    cells = mix_mask(partner(box, own, max_occlusion=max_occlusion), GRID)[0, 0].numpy()
    fine = 64  # sample points a cell and axis
    points = (np.arange(GRID * fine) + 0.5) / (GRID * fine)
    inside = [np.abs(points - own[i]) <= own[2 + i] / 2 for i in (1, 0)]
    target = np.outer(*inside)
    hidden = target & np.kron(cells, np.ones((fine, fine), bool))
    tolerance = sum(2 / max(1, i.sum()) for i in inside)
    assert hidden.sum() <= (max_occlusion + tolerance) * target.sum()


def test_occlusion_equal_to_max_occlusion_is_allowed():
    own = (0.5, 0.5, 0.5, 0.5)  # rows and columns 1 and 2
    half, more = (0.5, 0.375, 1.0, 0.25), (0.5, 0.375, 1.0, 0.75)  # row 1; rows 0 to 2
    assert hidden_share(target_cells(torch.tensor(half), GRID), torch.tensor(own)) == 0.5
    assert mix_mask(partner(half, own), GRID).sum() == 4
    assert not mix_mask(partner(half, own, max_occlusion=0.49), GRID).any()
    assert not mix_mask(partner(more, own), GRID).any()


@pytest.mark.parametrize("norm", ["global", "channel", "none"])
def test_mixing_does_not_change_features_and_gradients_outside_the_mask(norm):
    torch.manual_seed(1)
    own, other, weight = torch.randn(3, 2, 8, 8, 6)
    own, other = own.requires_grad_(), other.requires_grad_()
    given_ = MixPartner(torch.zeros(1, 2, 3, 8, 8), torch.tensor([[[0.7, 0.7, 0.4, 0.3], [0.2, 0.6, 0.3, 0.3]]]),
                     torch.tensor([[[0.3, 0.3, 0.4, 0.4], [0.6, 0.3, 0.4, 0.4]]]), torch.tensor([True, True]),
                     norm=norm)
    cells = mix_mask(given_, 8).flatten(0, 1)
    assert cells.flatten(1).any(1).all()
    mixed = mix(own, other, given_)
    (mixed * weight).sum().backward()
    assert torch.equal(mixed[~cells], own[~cells]) and not torch.equal(mixed[cells], own[cells])
    assert torch.equal(own.grad[~cells], weight[~cells]) and not own.grad[cells].any()
    assert other.grad[cells].all() and not other.grad[~cells].any()


def test_samples_without_a_partner_are_not_mixed():
    torch.manual_seed(2)
    own, other = torch.randn(2, 4, 4, 4, 3)  # two frames of two samples, frame-major
    given_ = partner(frames=2)
    given_ = dataclasses.replace(given_, boxes=given_.boxes.expand(2, 2, 4), own=given_.own.expand(2, 2, 4),
                             active=torch.tensor([True, False]))
    mixed = mix(own, other, given_)
    changed = (mixed != own).flatten(1).any(1)
    assert changed.tolist() == [True, False, True, False]


def network(**options) -> MSTGT:
    torch.manual_seed(0)
    return MSTGT(HiViTSpec(16, (1, 1, 1), 2), 64, 128, head_channels=8, **options)


def network_inputs(active: bool) -> tuple[torch.Tensor, torch.Tensor, MixPartner]:
    torch.manual_seed(3)
    template, search, other = torch.randn(2, 3, 64, 64), torch.randn(2, 2, 3, 128, 128), torch.randn(2, 2, 3, 128, 128)
    one = torch.tensor([0.2, 0.2, 0.3, 0.3]).expand(2, 2, 4)
    return template, search, MixPartner(other, one, 1 - one, torch.tensor([active] * 2))


def test_an_active_partner_changes_the_output_and_an_inactive_one_does_not():
    model = network().eval()
    template, search, given_ = network_inputs(True)
    with torch.no_grad():
        plain, mixed = model(template, search), model(template, search, given_)
        idle = model(template, search, dataclasses.replace(given_, active=torch.tensor([False] * 2)))
    assert (plain.score - mixed.score).abs().max() > 1e-6
    for a, b in zip(plain, idle, strict=True):
        torch.testing.assert_close(a, b, rtol=1e-5, atol=1e-6)


def test_every_parameter_gets_a_gradient_with_mixing_as_without():
    model = network(attention="global")
    template, search, given_ = network_inputs(True)
    sum(p.square().sum() for p in model(template, search, given_)).backward()
    assert [n for n, p in model.named_parameters() if p.grad is None] == []


def test_mixing_never_waits_for_the_device():
    with FakeTensorMode():  # tensors without values: whatever asks for one fails
        own, other = torch.randn(2, 6, 8, 8, 4)
        given_ = MixPartner(torch.zeros(3, 2, 3, 8, 8), torch.rand(3, 2, 4), torch.rand(3, 2, 4),
                         torch.ones(2, dtype=torch.bool), norm="channel")
        assert mix(own, other, given_).shape == own.shape


def test_mixing_keeps_the_dtype_of_half_precision_features():
    own, other = (m.bfloat16() for m in maps())
    mixed = mix(own, other, partner(norm="channel"))
    assert mixed.dtype == torch.bfloat16 and mixed[0, 3, 2:].tolist() == [[1, 5], [3, 11]]
