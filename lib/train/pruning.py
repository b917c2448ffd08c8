"""A smaller network from a trained one: hidden channels that the others can replace are removed.

    weights = prune(small, trained, forward)      # forward(trained) runs the trained network on some samples

Hidden channels are those between the two linear layers of an MLP, and those of an inverted residual of the
convolutional stem. What comes out of them is linear in them. So the layer behind them can be fitted again to whatever
channels are left, and its error follows from the second moments of the channels alone. Channels are removed one by one,
each time the one whose removal costs least (Optimal Brain Surgeon, Hassibi and Stork, NeurIPS 1992, on channels in
place of weights). Every layer is fitted for itself, and their errors add up; training goes on from there.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import nn

from ..models.layers.convolution import ConvNorm, InvertedResidual
from ..models.layers.transformer import Mlp
from ..models.mstgt import MSTGT
from ..utils.errors import UserError

_log = logging.getLogger(__name__)
RIDGE = 1e-6  # penalty of the fit, relative to the mean square of each channel
MAX_ROWS = 30_000  # places of one forward pass that are measured; more would tell nothing new


@dataclass(frozen=True)
class _Hidden:
    """Hidden channels of a trained network that the smaller one has fewer of.

    keep     how many stay
    second   the layer behind them, linear or a 1 x 1 convolution
    own      parameters and buffers whose first axis they are
    offset   what takes up the constant that is left, and by which factor: a bias, or the mean of a batch norm
    """

    keep: int
    second: str
    own: tuple[str, ...]
    offset: tuple[str, float]


@torch.no_grad()
def prune(network: MSTGT, trained: MSTGT, forward: Callable[[MSTGT], object]) -> dict[str, torch.Tensor]:
    """Weights of ``network``, which is ``trained`` with fewer hidden channels in some of its layers.

    forward  runs a network on samples of what it will see, as often as is needed

    Raises :class:`UserError` where the two differ in anything else.
    """
    layers = _removals(network, trained)
    moments = second_moments(trained.eval(), [layer.second for layer in layers.values()], forward)
    weights = dict(trained.state_dict())
    for name, layer in layers.items():
        second = f"{layer.second}.weight"
        weight = weights[second]
        kept, fitted, constant, error = fit_to_fewer(moments[layer.second], weight.flatten(1).T.double(), layer.keep)
        _log.info("%s: %d of %d channels explain all but %.2g of the variance", name, layer.keep, weight.shape[1],
                  error)
        for own in layer.own:
            weights[own] = weights[own][kept]
        weights[second] = fitted.T.float().reshape(len(weight), layer.keep, *weight.shape[2:])
        offset, sign = layer.offset
        weights[offset] = weights[offset] + sign * constant.float()
    return weights


def _removals(network: nn.Module, trained: nn.Module) -> dict[str, _Hidden]:
    """Where ``network`` has fewer hidden channels, by the name of the module."""
    own, given = network.state_dict(), trained.state_dict()
    found = {}
    for name, module in trained.named_modules():
        if isinstance(module, Mlp):
            second, offset = f"{name}.fc2", (f"{name}.fc2.bias", 1.0)
        elif isinstance(module, InvertedResidual) and isinstance(module.expand, ConvNorm):
            # The batch norm behind it subtracts its mean.
            second, offset = f"{name}.project.0", (f"{name}.project.1.running_mean", -1.0)
        else:
            continue
        weight = f"{second}.weight"
        if weight in own and (keep := own[weight].shape[1]) < given[weight].shape[1]:
            before = tuple(each for each, value in given.items() if value.dim() and each.startswith(
                (f"{name}.fc1.", f"{name}.expand.", f"{name}.depthwise.")))
            found[name] = _Hidden(keep, second, before, offset)
    # Everything else is taken over as it is.
    changed = {each for layer in found.values() for each in (*layer.own, f"{layer.second}.weight")}
    shapes, given_shapes = ({name: tuple(value.shape) for name, value in each.items() if name not in changed}
                            for each in (own, given))
    for name in sorted(shapes.keys() | given_shapes):
        if shapes.get(name) != given_shapes.get(name):
            raise UserError(f"{name} has the shape {given_shapes.get(name, 'none')} in the trained network and "
                            f"{shapes.get(name, 'none')} in the smaller one: only hidden channels may be fewer")
    if not found:
        raise UserError("nothing to remove: the network has as many hidden channels as the trained one")
    return found


def second_moments(network: MSTGT, layers: list[str], forward: Callable[[MSTGT], object]) -> dict[str, torch.Tensor]:
    """For each of the layers, the mean of x x^T in fp64, where x are its n input channels and a one: (n + 1, n + 1)."""
    sums: dict[str, torch.Tensor] = {}
    counts = dict.fromkeys(layers, 0)

    def measure(name: str, inputs: tuple[torch.Tensor]) -> None:
        x = inputs[0].movedim(1, -1) if inputs[0].dim() == 4 else inputs[0]  # channels of a feature map come second
        rows = x.flatten(0, -2)
        if len(rows) > MAX_ROWS:
            rows = rows[torch.linspace(0, len(rows) - 1, MAX_ROWS, device=rows.device).long()]
        rows = torch.cat([rows, rows.new_ones(len(rows), 1)], dim=1).double()
        sums[name] = sums.get(name, 0) + rows.T @ rows
        counts[name] += len(rows)

    hooks = [network.get_submodule(name).register_forward_pre_hook(
        lambda module, inputs, name=name: measure(name, inputs)) for name in layers]
    try:
        forward(network)
    finally:
        for hook in hooks:
            hook.remove()
    return {name: total / counts[name] for name, total in sums.items()}


def fit_to_fewer(moments: torch.Tensor, weight: torch.Tensor, keep: int
                 ) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor, float]:
    """Choose ``keep`` of the n channels that a linear map takes, and fit the map to them.

    moments  (n + 1, n + 1) fp64, of the channels and a one (:func:`second_moments`)
    weight   (n, m) fp64, of the map without its bias

    Returns the numbers of the channels, ascending; the new weight (keep, m); what is to be added to the bias (m,); and
    the squared error as a share of the variance of what comes out.
    """
    n = len(weight)
    squares = moments.diagonal()
    # A channel that is always 0 needs a penalty as well, or there is no inverse.
    moments = moments + RIDGE * torch.diag(squares.clamp(min=RIDGE * float(squares.mean())))
    inverse = torch.linalg.inv(moments)
    # The last row is the constant, which costs nothing and always stays.
    full = torch.cat([weight, weight.new_zeros(1, weight.shape[1])])
    map_left = full.clone()
    removed = torch.zeros(n + 1, dtype=torch.bool)
    for _ in range(n - keep):
        # The error that the removal of a channel adds, after the map has been fitted to the others.
        cost = map_left.square().sum(dim=1) / inverse.diagonal()
        cost[removed] = torch.inf
        cost[n] = torch.inf
        worst = int(cost.argmin())
        step = inverse[:, worst] / inverse[worst, worst]
        map_left -= torch.outer(step, map_left[worst])
        inverse -= torch.outer(step, inverse[worst])
        removed[worst] = True
        # Its row is zero now up to rounding, which must not grow.
        map_left[worst] = 0
        inverse[worst] = inverse[:, worst] = 0
        inverse[worst, worst] = 1
    left = (~removed).nonzero()[:, 0]
    # Once more in one go: rounding errors of the single steps add up.
    solution = torch.linalg.solve(moments[left][:, left], moments[left][:, :n] @ weight)
    difference = full.clone()
    difference[left] -= solution
    mean = moments[n, :n] @ weight
    variance = ((moments[:n, :n] @ weight) * weight).sum() - mean.square().sum()
    error = ((moments @ difference) * difference).sum() / variance
    return left[:-1], solution[:-1], solution[-1], float(error)
