"""Running means of what the steps of an epoch report, without waiting for the device at every step."""

from __future__ import annotations

import time
from typing import Any

import torch

from ..distributed import Group


class Meter:
    """Sums over the batches of this process; ``state`` and ``means`` are those of all processes."""

    def __init__(self, state: dict[str, Any] | None = None):
        """``state``: what :meth:`state` gave to go on from, in the process that leads."""
        state = state or {"sums": {}, "batches": 0, "samples": 0, "unreadable": 0, "seconds": 0.0, "waited": 0.0}
        self._sums: dict[str, Any] = dict(state["sums"])
        self._batches, self._samples, self.unreadable = state["batches"], state["samples"], state["unreadable"]
        self.waited = state["waited"]  # seconds in which there was no batch to work on
        self._started = time.monotonic() - state["seconds"]

    def add(self, parts: dict[str, torch.Tensor], samples: int) -> None:
        """Count one batch of ``samples`` samples."""
        for name, value in parts.items():
            self._sums[name] = self._sums.get(name, 0.0) + value.detach().double()
        self._batches += 1
        self._samples += samples

    def state(self, group: Group) -> dict[str, Any]:
        """Everything, as numbers. All processes of the group must call it."""
        names = list(self._sums)
        values = [*self._sums.values(), self._batches, self._samples, self.unreadable]
        sums = group.sum(torch.tensor([float(v) for v in values], dtype=torch.float64)).tolist()
        batches, samples, unreadable = (int(v) for v in sums[len(names):])
        return {"sums": dict(zip(names, sums, strict=False)), "batches": batches, "samples": samples,
                "unreadable": unreadable, "seconds": time.monotonic() - self._started, "waited": self.waited}

    def means(self, group: Group) -> dict[str, float]:
        """The mean of every part, ``samples_per_s`` (of all processes) and ``data_wait``, the share of the time spent
        waiting for batches. All processes of the group must call it."""
        return means_of(self.state(group))

    def postfix(self) -> dict[str, str]:
        """What a progress bar shows: the figures of this process."""
        means = means_of(self.state(Group.single()))
        return {k: f"{means[k]:.3f}" for k in ("total", "iou") if k in means} | {
            "samples/s": f"{means['samples_per_s']:.1f}", "wait": f"{means['data_wait']:.0%}"}


def means_of(state: dict[str, Any]) -> dict[str, float]:
    """The means of what :meth:`Meter.state` gave."""
    seconds = max(1e-9, state["seconds"])
    return {name: value / max(1, state["batches"]) for name, value in state["sums"].items()} | {
        "samples_per_s": state["samples"] / seconds, "data_wait": state["waited"] / seconds}
