"""When the training process must stop or save: SIGTERM, and the interval between checkpoints.

Its loader processes ignore SIGTERM (``mstgt.train.data.loader``); for the workers of an evaluation see
``mstgt.test.evaluation.worker``.
"""

from __future__ import annotations

import contextlib
import os
import re
import signal
import threading
import time
from collections.abc import Iterator

from ...utils.errors import UserError

_SECONDS = {"s": 1.0, "m": 60.0, "h": 3600.0}


class TrainingInterrupted(Exception):
    """Training was asked to stop. Everything up to the last step is saved."""


class StopWhileWaiting(Exception):
    """SIGTERM arrived inside :meth:`StopRequest.interrupts`."""


class StopRequest:
    """Whether SIGTERM has arrived."""

    def __init__(self) -> None:
        self.requested = False
        self._raise = False
        self._pid = os.getpid()

    def on_signal(self, *_signal: object) -> None:
        """The signal handler."""
        # A forked loader process inherits the handler until it has installed its own: nothing to stop there.
        if os.getpid() != self._pid:
            return
        self.requested = True
        if self._raise:
            raise StopWhileWaiting

    @contextlib.contextmanager
    def interrupts(self, enabled: bool = True) -> Iterator[None]:
        """Raise :class:`StopWhileWaiting` if SIGTERM arrives within the block (or has arrived before).

        For waits that may never end, such as the one for a batch: nobody would look at ``requested`` meanwhile.
        """
        # The flag is set before the check, so that a signal between the two is not lost.
        self._raise = enabled
        try:
            if enabled and self.requested:
                raise StopWhileWaiting
            yield
        finally:
            self._raise = False


@contextlib.contextmanager
def catch_sigterm() -> Iterator[StopRequest]:
    """Within the block, SIGTERM does not end the process; it sets ``requested`` of the object that is returned."""
    stop = StopRequest()
    if threading.current_thread() is not threading.main_thread():
        yield stop  # Python allows signal handlers in the main thread only
        return
    # The handler only sets a flag: a step that is cut in two could not be resumed exactly.
    before = signal.signal(signal.SIGTERM, stop.on_signal)
    try:
        yield stop
    finally:
        signal.signal(signal.SIGTERM, before)


class CheckpointInterval:
    """Says when another ``steps`` steps or ``seconds`` seconds have passed; never if both are None."""

    def __init__(self, steps: int | None = None, seconds: float | None = None):
        self.steps = steps
        self.seconds = seconds
        self._last = time.monotonic()

    @classmethod
    def parse(cls, text: str) -> CheckpointInterval:
        """``500`` is steps; ``90s``, ``15m`` and ``2h`` are time; ``never`` is never. Raises :class:`UserError`."""
        if text == "never":
            return cls()
        match = re.fullmatch(r"(\d{1,9})([smh]?)", text, re.ASCII)
        if not match or int(match[1]) == 0:
            raise UserError(f"{text!r} is not an interval: give steps (500), a time (90s, 15m, 2h) or never")
        number = int(match[1])
        unit = match[2]
        return cls(seconds=number * _SECONDS[unit]) if unit else cls(steps=number)

    def due(self, step: int) -> bool:
        """Whether to save after optimizer step ``step``."""
        # Counted from the start of the training, so that a resumed run saves at the same steps.
        if self.steps is not None:
            return step % self.steps == 0
        if self.seconds is None or time.monotonic() - self._last < self.seconds:
            return False
        self._last = time.monotonic()
        return True
