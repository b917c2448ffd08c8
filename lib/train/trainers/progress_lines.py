"""What a training run prints while it runs: an estimate of its duration, and a line per minute without a terminal."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Mapping

ESTIMATE_AFTER_S = 20.0  # seconds of steps that the estimate is made from; the first steps are slower
LINE_EVERY_S = 60.0


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


def duration(seconds: float) -> str:
    """``seconds`` in words: ``45 s``, ``12 min``, ``3 h 20 min``."""
    if seconds < 90:
        return f"{seconds:.0f} s"
    minutes = round(seconds / 60)
    if minutes < 90:
        return f"{minutes} min"
    return f"{minutes // 60} h {minutes % 60:02d} min"
