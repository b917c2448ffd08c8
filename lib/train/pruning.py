"""A smaller network from a trained one: hidden channels that the others can replace are removed.

    weights = prune(small, trained, forward)      # forward(trained) runs the trained network on some samples

Hidden channels are those between the two linear layers of an MLP. So the second layer can be fitted again to whatever
channels are left, and its error follows from the second moments of the channels alone. Channels are removed one by one,
each time the one whose removal costs least (Optimal Brain Surgeon, Hassibi and Stork, NeurIPS 1992, on channels in
place of weights). Every layer is fitted for itself, and their errors add up; training goes on from there.
"""

from __future__ import annotations

import logging
from collections.abc import Callable

import torch
from torch import nn

from ..models.layers.transformer import Mlp
from ..models.mstgt import MSTGT
from ..utils.errors import UserError

_log = logging.getLogger(__name__)
RIDGE = 1e-6  # penalty of the fit, relative to the mean square of each channel
MAX_ROWS = 30_000  # places of one forward pass that are measured; more would tell nothing new


@torch.no_grad()
def prune(network: MSTGT, trained: MSTGT, forward: Callable[[MSTGT], object]) -> dict[str, torch.Tensor]:
    """Weights of ``network``, which is ``trained`` with fewer hidden channels in some of its MLPs.

    forward  runs a network on samples of what it will see, as often as is needed

    Raises :class:`UserError` where the two differ in anything else.
    """
    layers = _removals(network, trained)
    moments = second_moments(trained.eval(), [f"{mlp}.fc2" for mlp in layers], forward)
    weights = dict(trained.state_dict())
    for mlp, keep in layers.items():
        second = f"{mlp}.fc2"
        kept, fitted, constant, error = fit_to_fewer(moments[second], weights[f"{second}.weight"].T.double(), keep)
        _log.info("%s: %d of %d channels explain all but %.2g of the variance", mlp, keep,
                  weights[f"{second}.weight"].shape[1], error)
        for name in (f"{mlp}.fc1.weight", f"{mlp}.fc1.bias"):
            weights[name] = weights[name][kept]
        weights[f"{second}.weight"] = fitted.T.float()
        weights[f"{second}.bias"] = weights[f"{second}.bias"] + constant.float()
    return weights


def _removals(network: nn.Module, trained: nn.Module) -> dict[str, int]:
    """{MLP that has fewer hidden channels in ``network``: how many}."""
    own, given = network.state_dict(), trained.state_dict()
    found = {}
    for mlp in (name for name, module in trained.named_modules() if isinstance(module, Mlp)):
        weight = f"{mlp}.fc2.weight"
        if weight in own and own[weight].shape[1] < given[weight].shape[1]:
            found[mlp] = own[weight].shape[1]
    # Everything else is taken over as it is.
    hidden = tuple(f"{mlp}." for mlp in found)
    shapes, given_shapes = ({name: tuple(value.shape) for name, value in each.items() if not name.startswith(hidden)}
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
        rows = inputs[0].flatten(0, -2)
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
