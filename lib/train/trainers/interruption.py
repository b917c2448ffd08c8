"""When a run must stop or save: SIGTERM, and the clock of ``--checkpoint_every``."""

from __future__ import annotations

import contextlib
import re
import signal
import threading
import time
from collections.abc import Callable, Iterator

from ...utils.errors import UserError

_UNITS = {"s": 1.0, "m": 60.0, "h": 3600.0}


class TrainingInterrupted(Exception):
    """Training was asked to stop; everything up to this step is saved."""


@contextlib.contextmanager
def catch_sigterm() -> Iterator[Callable[[], bool]]:
    """While it lasts, SIGTERM ends nothing; the function it gives says whether one has come."""
    asked = threading.Event()
    if threading.current_thread() is not threading.main_thread():
        yield asked.is_set
        return
    before = signal.signal(signal.SIGTERM, lambda *_: asked.set())
    try:
        yield asked.is_set
    finally:
        signal.signal(signal.SIGTERM, before)


class CheckpointInterval:
    """Says when another ``steps`` steps or ``seconds`` seconds are over; never, where both are None."""

    def __init__(self, steps: int | None = None, seconds: float | None = None):
        self.steps, self.seconds = steps, seconds
        self._last = time.monotonic()

    @classmethod
    def parse(cls, text: str) -> CheckpointInterval:
        """``500`` is steps; ``90s``, ``15m`` and ``2h`` are time; ``never`` is never."""
        if text == "never":
            return cls()
        match = re.fullmatch(r"(\d{1,9})([smh]?)", text, re.ASCII)
        if not match or int(match[1]) == 0:
            raise UserError(f"--checkpoint_every {text}: give steps (500), a time (90s, 15m, 2h) or never")
        number, unit = int(match[1]), match[2]
        return cls(seconds=number * _UNITS[unit]) if unit else cls(steps=number)

    def due(self, step: int) -> bool:
        """Whether to save after ``step``."""
        if self.steps is not None:
            return step % self.steps == 0
        if self.seconds is None or time.monotonic() - self._last < self.seconds:
            return False
        self._last = time.monotonic()
        return True
