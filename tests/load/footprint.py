"""What a process holds: memory, open files, shared memory; and whether that grows."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

import numpy as np

PAGE = os.sysconf("SC_PAGE_SIZE")
MORE_MB, MORE_SHARE = 8, 0.05  # by so much memory may grow after the warm-up: allocators keep some of what they free
MORE_FILES = 4  # pipes to whoever is there just now


@dataclass(frozen=True)
class Footprint:
    """Resident memory in MB, and open files."""

    rss_mb: float
    files: int

    @classmethod
    def of(cls, pid: int) -> Footprint:
        """That of a process; OSError where it has gone."""
        pages = int(Path(f"/proc/{pid}/statm").read_text().split()[1])
        return cls(pages * PAGE / 1e6, len(os.listdir(f"/proc/{pid}/fd")))


def shared_memory(pids: set[int]) -> list[str]:
    """The names in /dev/shm that speak of one of these processes."""
    return [name for name in os.listdir("/dev/shm") if any(f"_{pid}_" in name for pid in pids)]


def assert_flat(footprints: list[Footprint], what: str, warm_up: float = 0.25) -> str:
    """After the first ``warm_up`` of the footprints nothing grows: the median of the last fifth against that of the
    first fifth that follows. Gives both in words."""
    warm = footprints[int(len(footprints) * warm_up):]
    part = max(1, len(warm) // 5)
    begin, end = (Footprint(float(np.median([f.rss_mb for f in some])), int(np.median([f.files for f in some])))
                  for some in (warm[:part], warm[-part:]))
    said = f"{what}: {begin.rss_mb:.1f} MB and {begin.files} files, in the end {end.rss_mb:.1f} MB and {end.files}"
    assert end.rss_mb <= begin.rss_mb * (1 + MORE_SHARE) + MORE_MB, said
    assert end.files <= begin.files + MORE_FILES, said
    return said
