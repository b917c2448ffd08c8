"""How many threads compute a frame on a CPU.

Two threads are almost twice as fast as one on a quiet machine. Beside another busy process they are slower than one:
each layer of the network ends when the slower thread is done, and one of them shares its core. No fixed number is right
for both, so :class:`ThreadChoice` measures while it tracks.
"""

from __future__ import annotations

import contextlib
import os
import statistics
from collections import deque
from collections.abc import Iterator

SPIN_COUNT = "20000"
TRAINING_SPIN_COUNT = "2000"
SMALL_NETWORK_BYTES = 64 << 20  # a frame of a smaller network is too short for more than two threads
MAX_THREADS = 8
PROBE_EVERY = 50  # calls between two tries of the number that is not in use
FIRST_CALLS = 3  # with each number, before the choice
RECENT = 3  # calls whose median counts: a single slow call changes nothing


def limit_spinning(count: str = SPIN_COUNT) -> None:
    """Make OpenMP's threads sleep soon while they wait; call it before PyTorch is imported.

    GNU's OpenMP, which PyTorch's wheels for Linux use, lets a waiting thread spin 300,000 times. On a busy machine it
    takes the core from the thread that it waits for: tracking became 20 times slower. With 20,000 a quiet machine loses
    less than a tenth. ``OMP_WAIT_POLICY=PASSIVE``, which never spins, would cost it a factor of 2.5. The operators of a
    training step are so large that ``TRAINING_SPIN_COUNT`` costs nothing on a quiet machine; beside a busy process it
    makes training twice as fast as ``SPIN_COUNT``.
    """
    # What the user says stays.
    if "OMP_WAIT_POLICY" not in os.environ and os.environ.get("GOMP_SPINCOUNT") in (None, SPIN_COUNT):
        os.environ["GOMP_SPINCOUNT"] = count


def given_threads() -> int | None:
    """What the environment variable OMP_NUM_THREADS says; None where it says nothing."""
    given = os.environ.get("OMP_NUM_THREADS", "")
    return int(given) if given.isdecimal() and int(given) else None


def available_cores() -> int:
    """The cores that this process may use."""
    if hasattr(os, "sched_getaffinity"):  # Linux
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def quiet_threads(network_bytes: int) -> int:
    """How many threads are fastest for a network of this size on a machine that does nothing else."""
    return min(available_cores(), 2 if network_bytes < SMALL_NETWORK_BYTES else MAX_THREADS)


def default_threads() -> int:
    """OMP_NUM_THREADS, else the fastest number for a small network on a quiet machine."""
    return given_threads() or quiet_threads(0)


@contextlib.contextmanager
def torch_threads(count: int) -> Iterator[None]:
    """Let PyTorch compute with ``count`` threads, and afterwards with as many as before.

    The number belongs to the whole process, and the caller's own computations go on with theirs.
    """
    import torch  # imported here: OpenVINO's engine needs this module and no torch

    before = torch.get_num_threads()
    if count != before:
        torch.set_num_threads(count)
    try:
        yield
    finally:
        if count != before:
            torch.set_num_threads(before)


class ThreadChoice:
    """Chooses between two numbers of threads by how long recent calls took.

        choice = ThreadChoice(2, 1)
        threads = choice.current()
        ...                                     # one call with that many threads
        choice.record(threads, seconds)

    The number whose last ``RECENT`` calls have the lower median is used, and the other one tried in every
    ``PROBE_EVERY``-th call. Another process that slows calls down is noticed after two of them; a machine that becomes
    quiet again after two tries, that is within a second of tracking. The tries cost a quiet machine less than 2 %.
    """

    def __init__(self, *options: int):
        self._recent: dict[int, deque[float]] = {}
        self._calls = 0
        # Without an alternative there is nothing to measure.
        self.options = tuple(dict.fromkeys(options))

    def current(self) -> int:
        """The number of threads for the next call."""
        if len(self.options) == 1:
            return self.options[0]
        if self._calls < FIRST_CALLS * len(self.options):
            return self.options[self._calls // FIRST_CALLS]
        best = min(self.options, key=lambda threads: statistics.median(self._recent[threads]))
        if self._calls % PROBE_EVERY == 0:
            return next(threads for threads in self.options if threads != best)
        return best

    def record(self, threads: int, seconds: float) -> None:
        """Take note of a call's duration (of one video's share of it, where calls are of different size)."""
        first = self._calls % FIRST_CALLS == 0 and self._calls < FIRST_CALLS * len(self.options)
        self._calls += 1
        if len(self.options) == 1 or first:  # the first call with a number allocates memory and selects kernels
            return
        self._recent.setdefault(threads, deque(maxlen=RECENT)).append(seconds)
