"""Running means of a training's metrics."""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import Any

import torch

from ..distributed import Group


class Meter:
    """Sums metrics over the batches of an epoch, without waiting for the device at every step.

    The sums are those of this process; :meth:`state` and :meth:`means` are those of all processes.

    unreadable  samples that met an unreadable frame
    waited      seconds without a batch to work on
    """

    def __init__(self, state: Mapping[str, Any] | None = None):
        """``state``: what :meth:`state` returned, to continue from; given to the main process only."""
        state = state or {"sums": {}, "batches": 0, "samples": 0, "unreadable": 0, "seconds": 0.0, "waited": 0.0}
        # Tensors on the device while training: reading them as numbers would wait for the device.
        self._sums: dict[str, Any] = dict(state["sums"])
        self._batches: int = state["batches"]
        self._samples: int = state["samples"]
        self.unreadable: int = state["unreadable"]
        self.waited: float = state["waited"]
        self._started = time.monotonic() - state["seconds"]

    def add(self, parts: Mapping[str, torch.Tensor], samples: int) -> None:
        """Count one batch of ``samples`` samples with the scalars ``parts``."""
        for name, value in parts.items():
            # fp64: an epoch has many thousand batches.
            self._sums[name] = self._sums.get(name, 0.0) + value.detach().double()
        self._batches += 1
        self._samples += samples

    def state(self, group: Group) -> dict[str, Any]:
        """Everything as numbers, summed over the group. All processes of the group must call it."""
        names = list(self._sums)
        values = [*self._sums.values(), self._batches, self._samples, self.unreadable]
        # One collective call for all of them.
        sums = group.sum(torch.tensor([float(v) for v in values], dtype=torch.float64)).tolist()
        batches, samples, unreadable = (int(v) for v in sums[len(names):])
        return {"sums": dict(zip(names, sums, strict=False)), "batches": batches, "samples": samples,
                "unreadable": unreadable, "seconds": time.monotonic() - self._started, "waited": self.waited}

    def means(self, group: Group) -> dict[str, float]:
        """The mean of every metric, ``samples_per_s`` (of all processes) and ``data_wait``, the fraction of the time
        spent waiting for batches. All processes of the group must call it."""
        return means_of(self.state(group))

    def summary(self) -> str:
        """The means of this process in a line, for a progress bar; "" before the first batch. Waits for the device."""
        if not self._batches:
            return ""
        means = means_of(self.state(Group.single()))
        loss = f"loss {means['total']:.3f}, IoU {means['iou']:.3f}, " if "total" in means else ""
        return f"{loss}{means['samples_per_s']:.1f} samples/s, wait {means['data_wait']:.0%}"


def means_of(state: Mapping[str, Any]) -> dict[str, float]:
    """The means of what :meth:`Meter.state` returned."""
    seconds = max(1e-9, state["seconds"])
    means = {name: value / max(1, state["batches"]) for name, value in state["sums"].items()}
    return means | {"samples_per_s": state["samples"] / seconds, "data_wait": state["waited"] / seconds}
