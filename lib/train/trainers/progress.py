"""What a training run says of itself: running means of its metrics, an estimate of its duration, and a line per minute
where there is no terminal."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Mapping
from typing import Any

import torch

from ...utils.progress import LINE_EVERY_S, duration
from ..distributed import Group

ESTIMATE_AFTER_S = 20.0  # seconds of steps that the estimate is made from; the first steps are slower


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

    def own_means(self) -> dict[str, float]:
        """:meth:`means` of this process alone. Waits for the device."""
        return means_of(self.state(Group.single()))

    def postfix(self) -> dict[str, str]:
        """The metrics that a progress bar shows, of this process. Waits for the device."""
        means = self.own_means()
        shown = {name: f"{means[name]:.3f}" for name in ("total", "iou") if name in means}
        return shown | {"samples/s": f"{means['samples_per_s']:.1f}", "wait": f"{means['data_wait']:.0%}"}


def means_of(state: Mapping[str, Any]) -> dict[str, float]:
    """The means of what :meth:`Meter.state` returned."""
    seconds = max(1e-9, state["seconds"])
    means = {name: value / max(1, state["batches"]) for name, value in state["sums"].items()}
    return means | {"samples_per_s": state["samples"] / seconds, "data_wait": state["waited"] / seconds}


class ProgressLines:
    """Prints progress of ``steps`` optimizer steps.

    With a terminal there is a progress bar already, and only the estimate is printed. Output into a file gets a line
    per minute as well, so that a run can be told from one that hangs.
    """

    def __init__(self, steps: int, is_terminal: bool | None = None):
        self.steps = steps
        self.is_terminal = sys.stderr.isatty() if is_terminal is None else is_terminal
        self._first: tuple[int, float] | None = None  # step and time that the rate is measured from
        self._last_line = time.monotonic()
        self._estimated = False

    def step_done(self, step: int, epoch: int, epochs: int, read_metrics: Callable[[], Mapping[str, float]]) -> None:
        """Report after ``step`` of all steps of the training (not of the epoch).

        ``read_metrics`` waits for the device, and is called only when a line is printed.
        """
        now = time.monotonic()
        if self._first is None:
            # The first step includes the start of the loader processes.
            self._first = (step, now)
            return
        first_step, first_time = self._first
        # Wall time per step since the first one, so that waiting for data and saving are counted.
        left_s = (now - first_time) / (step - first_step) * (self.steps - step) if step > first_step else 0.0
        if not self._estimated and now - first_time > ESTIMATE_AFTER_S and step < self.steps:
            self._estimated = True
            print(f"the remaining {self.steps - step} steps will take about {duration(left_s)}, not counting "
                  "validation", flush=True)
        elif not self.is_terminal and now - self._last_line > LINE_EVERY_S:
            self._last_line = now
            metrics = read_metrics()
            loss = f"loss {metrics['total']:.4f}, IoU {metrics['iou']:.4f}, " if "total" in metrics else ""
            print(f"epoch {epoch}/{epochs}, step {step} of {self.steps}: {loss}"
                  f"{metrics['samples_per_s']:.1f} samples/s, about {duration(left_s)} left", flush=True)
