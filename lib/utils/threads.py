"""How many threads compute one frame, and how they wait for one another."""

from __future__ import annotations

import os


def given_threads() -> int | None:
    """What the environment variable OMP_NUM_THREADS says; None where it says nothing."""
    given = os.environ.get("OMP_NUM_THREADS", "")
    return int(given) if given.isdecimal() and int(given) else None


def available_cores() -> int:
    """The cores that this process may use."""
    if hasattr(os, "sched_getaffinity"):  # Linux
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def default_threads() -> int:
    """The threads that compute one frame unless somebody says otherwise: OMP_NUM_THREADS, else two.

    A frame of a small network is too short for more.
    """
    return given_threads() or min(2, available_cores())
