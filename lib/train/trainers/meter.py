"""Running means of what a step reports, without waiting for the device at every step."""

from __future__ import annotations

import time

import torch


class Meter:
    """Means over steps of the loss parts, samples a second since the first step."""

    def __init__(self) -> None:
        self._sums: dict[str, torch.Tensor] = {}
        self._steps, self._samples = 0, 0
        self._started = time.monotonic()

    def add(self, parts: dict[str, torch.Tensor], samples: int) -> None:
        """Count one step of ``samples`` samples."""
        for name, value in parts.items():
            value = value.detach().double()
            self._sums[name] = self._sums[name] + value if name in self._sums else value
        self._steps += 1
        self._samples += samples

    def means(self) -> dict[str, float]:
        """The mean of every part, and ``samples_per_s``; empty before the first step."""
        if not self._steps:
            return {}
        means = {name: float(s) / self._steps for name, s in self._sums.items()}
        return means | {"samples_per_s": self._samples / max(1e-9, time.monotonic() - self._started)}

    def postfix(self) -> dict[str, str]:
        """What a progress bar shows."""
        means = self.means()
        return {k: f"{means[k]:.3f}" for k in ("total", "iou") if k in means} | (
            {"samples/s": f"{means['samples_per_s']:.1f}"} if means else {})
