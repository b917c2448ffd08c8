"""A limit on the memory that may be asked for, so that a bomb is a failing test and not a dead machine."""

from __future__ import annotations

import contextlib
import resource
from collections.abc import Iterator
from pathlib import Path

ROOM = 1 << 30  # bytes beyond what the process has when it begins


@contextlib.contextmanager
def bounded(room: int = ROOM) -> Iterator[None]:
    """While it lasts, asking for more than ``room`` further bytes of address space is a MemoryError."""
    pages = int(Path("/proc/self/statm").read_text().split()[0])
    before = resource.getrlimit(resource.RLIMIT_AS)
    resource.setrlimit(resource.RLIMIT_AS, (pages * resource.getpagesize() + room, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_AS, before)
