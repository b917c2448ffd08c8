"""Fewer hidden channels: which ones stay, and what the smaller network computes."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from mstgt.models.mstgt import MSTGT, HiViTSpec, LiteSpec
from mstgt.train.pruning import fit_to_fewer, prune
from mstgt.utils.errors import UserError

SMALL = LiteSpec(32, (0, 0, 2), 2, main_mlp_ratio=0.5, stem_hidden=(32, *[10] * 10))
LARGE = LiteSpec(32, (0, 0, 2), 2, main_mlp_ratio=1.0, stem_hidden=(32, *[20] * 10))


def network(spec: HiViTSpec) -> MSTGT:
    torch.manual_seed(0)
    return MSTGT(spec, 64, 128, head_channels=8).eval()


def with_every_hidden_channel_twice(small: MSTGT) -> MSTGT:
    """A network that computes what ``small`` does: both copies of a channel have half of its weight behind them."""
    large, own = network(LARGE), small.state_dict()
    state = large.state_dict()
    for name, value in state.items():
        given = own[name]
        if value.shape == given.shape:
            state[name] = given
        elif name.endswith(("fc2.weight", "project.0.weight")):
            state[name] = torch.cat([given, given], dim=1) / 2
        else:
            state[name] = torch.cat([given, given])
    large.load_state_dict(state)
    return large


def images() -> tuple[torch.Tensor, torch.Tensor]:
    return torch.randn(4, 3, 64, 64), torch.randn(2, 4, 3, 128, 128)


def test_pruning_a_network_with_duplicated_channels_restores_the_original():
    small = network(SMALL)
    large = with_every_hidden_channel_twice(small)
    other = network(SMALL)
    other.load_state_dict(prune(other, large, lambda each: each(*images())))
    unseen = images()
    for expected, got in zip(small(*unseen), other(*unseen), strict=True):
        torch.testing.assert_close(got, expected, rtol=0, atol=1e-3)
    # Each layer matters at this tolerance.
    for layer in (other.backbone.blocks[1].mlp.fc2, other.backbone.features.stages[1][0].project[0]):
        with torch.no_grad():
            layer.weight.mul_(0.5)
        assert (other(*unseen).score - small(*unseen).score).abs().max() > 1e-3
        with torch.no_grad():
            layer.weight.mul_(2)


def test_channels_that_others_cannot_replace_are_kept():
    """x2 = 3 x0 + 1, so one of them is needed; x1 is independent; nothing but a constant comes from x3."""
    torch.manual_seed(0)
    x = torch.randn(500, 2, dtype=torch.float64)
    x = torch.stack([x[:, 0], x[:, 1], 3 * x[:, 0] + 1, torch.full((500,), 0.5, dtype=torch.float64)], dim=1)
    weight = torch.randn(4, 6, dtype=torch.float64)
    rows = torch.cat([x, torch.ones(500, 1, dtype=torch.float64)], dim=1)
    kept, fitted, constant, error = fit_to_fewer(rows.T @ rows / 500, weight, keep=2)
    assert kept.tolist() in ([0, 1], [1, 2]) and error < 1e-6
    torch.testing.assert_close(x[:, kept] @ fitted + constant, x @ weight, rtol=0, atol=1e-3)


def test_the_channel_that_costs_least_is_removed():
    """Against all choices, each fitted by least squares."""
    torch.manual_seed(1)
    x = torch.randn(400, 5, dtype=torch.float64) @ torch.randn(5, 5, dtype=torch.float64)
    weight = torch.randn(5, 3, dtype=torch.float64)
    rows = torch.cat([x, torch.ones(400, 1, dtype=torch.float64)], dim=1)
    kept, _, _, error = fit_to_fewer(rows.T @ rows / 400, weight, keep=4)
    errors = {}
    for left in range(5):
        stay = [i for i in range(5) if i != left]
        inputs = rows[:, [*stay, 5]]
        residual = inputs @ torch.linalg.lstsq(inputs, x @ weight).solution - x @ weight
        errors[tuple(stay)] = float(residual.square().sum() / (x @ weight - (x @ weight).mean(0)).square().sum())
    assert tuple(kept.tolist()) == min(errors, key=errors.__getitem__)
    assert error == pytest.approx(min(errors.values()), rel=1e-3)


def test_pruning_to_a_network_that_is_not_smaller_is_an_error():
    large = network(LARGE)
    with pytest.raises(UserError, match="nothing to remove"):
        prune(network(LARGE), large, lambda each: each(*images()))
    with pytest.raises(UserError, match=r"backbone\.blocks\.1.* in the smaller one: only hidden channels may be fewer"):
        prune(network(replace(SMALL, depths=(0, 0, 1))), large, lambda each: each(*images()))
    with pytest.raises(UserError, match="only hidden channels may be fewer"):
        prune(large, network(SMALL), lambda each: each(*images()))
