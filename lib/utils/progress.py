"""Progress with rate and remaining time: a bar in a terminal, now and then a line elsewhere."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterable, Iterator, MutableMapping
from typing import Any

from tqdm import tqdm

from .errors import one_line

# In the first seconds things warm up: a time left from their rate would be far off.
FIRST_LINE_S, LINE_EVERY_S = 20.0, 60.0


def progress(iterable: Iterable[Any] | None = None, shown: bool = True, details: Callable[[], str] | None = None,
             **options: Any) -> tqdm:
    """A ``tqdm`` bar where standard error is a terminal. Options are those of ``tqdm``.

    Elsewhere (a log file, a job of a cluster) it prints a line after ``FIRST_LINE_S`` seconds, after a minute, and then
    once a minute, so that a long run can be told from one that hangs. Both say how much time is left after those first
    seconds; the lines then give the rate since. Not ``shown``, it prints nothing. ``details`` is called when the
    bar is drawn or a line is printed, and gives what is said at its end.
    """
    if "desc" in options:
        options["desc"] = one_line(options["desc"])  # it may contain a file's name
    if shown and not sys.stderr.isatty():
        return _ProgressLines(iterable, details, **options)
    return _ProgressBar(iterable, details, disable=not shown, dynamic_ncols=True, smoothing=0.1, **options)


class _ProgressBar(tqdm):
    def __init__(self, iterable: Iterable[Any] | None, details: Callable[[], str] | None, **options: Any):
        self._details = details
        super().__init__(iterable, **options)

    @property
    def format_dict(self) -> MutableMapping[str, Any]:
        known = super().format_dict
        if self.total and known["elapsed"] < FIRST_LINE_S:
            known["bar_format"] = "{l_bar}{bar}| {n_fmt}/{total_fmt} [{elapsed}, {rate_fmt}{postfix}]"
        return known

    def display(self, *args: Any, **options: Any) -> None:
        if self._details:
            self.postfix = self._details()
        super().display(*args, **options)


class _ProgressLines(tqdm):
    """A disabled bar, which prints nothing, that counts all the same and prints lines."""

    def __init__(self, iterable: Iterable[Any] | None, details: Callable[[], str] | None, desc: str = "",
                 unit: str = "it", **options: Any):
        super().__init__(iterable, disable=True, **options)
        self.desc, self._unit, self._details = desc, unit, details
        self._start = time.monotonic()
        self._next_line = self._start + FIRST_LINE_S
        self._first_line: tuple[float, float] | None = None  # when it was printed, and how much was done then

    def __iter__(self) -> Iterator[Any]:
        for item in self.iterable:
            yield item
            self.update()

    def update(self, n: float | None = 1) -> None:
        self.n += n or 0
        now = time.monotonic()
        if now >= self._next_line:
            print(self._line(now), file=sys.stderr, flush=True)
            if self._first_line is None:
                self._first_line = now, self.n
            self._next_line = self._start + LINE_EVERY_S * (1 + (now - self._start) // LINE_EVERY_S)

    def _line(self, now: float) -> str:
        title = self.desc.removesuffix(": ") or "progress"  # tqdm's set_description adds a colon
        line = f"{title}: {self.n:.0f}"
        if self.total:
            line += f" of {self.total:.0f}"
        line += f" ({self._unit})"
        if self._first_line:
            then, done = self._first_line
            rate = (self.n - done) / (now - then)
            line += f", {rate:.3g} per second"
            if self.total and rate and self.n < self.total:
                line += f", about {duration((self.total - self.n) / rate)} left"
        details = self._details() if self._details else ""
        return f"{line}, {details}" if details else line


def duration(seconds: float) -> str:
    """``seconds`` in words: ``45 s``, ``12 min``, ``3 h 20 min``."""
    if seconds < 90:
        return f"{seconds:.0f} s"
    minutes = round(seconds / 60)
    if minutes < 90:
        return f"{minutes} min"
    return f"{minutes // 60} h {minutes % 60:02d} min"
