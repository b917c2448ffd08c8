"""Commands that tests start: their environment, waiting, and processes as /proc shows them. One that ends while it is
looked at counts as gone."""

from __future__ import annotations

import contextlib
import os
import time
from collections.abc import Callable
from pathlib import Path


def environment(*others: str, **more: str) -> dict[str, str]:
    """The caller's, with ``more``, without the variables of MSTGT and those that begin with one of ``others``."""
    return {k: v for k, v in os.environ.items() if not k.startswith(("MSTGT_", *others))} | more


def until(condition: Callable[[], object], seconds: float = 90) -> None:
    """Return when ``condition()`` holds; an assertion fails where it does not in ``seconds``."""
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, f"waited {seconds} s in vain"
        time.sleep(0.005)


def children(pid: int) -> list[int]:
    """The child processes of a process that is there, of whichever of its threads."""
    found: list[int] = []
    for thread in Path(f"/proc/{pid}/task").iterdir():
        with contextlib.suppress(FileNotFoundError, ProcessLookupError):  # the thread has ended
            found += map(int, (thread / "children").read_text().split())
    return found


def command_line(pid: int) -> str:
    """Empty for a process that has ended."""
    try:
        return Path(f"/proc/{pid}/cmdline").read_text()
    except (FileNotFoundError, ProcessLookupError):
        return ""


def _stat(pid: int) -> list[str]:
    """The fields of a process's stat from its state on; [] for one that has ended, waited for or not."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except (FileNotFoundError, ProcessLookupError):
        return []
    return fields if fields[0] not in ("Z", "X") else []


def is_alive(pid: int) -> bool:
    """False for a process that has ended, waited for or not."""
    return bool(_stat(pid))


def session_members(session: int) -> list[int]:
    """The living processes of a session: what a run has started, and what that has started."""
    pids = [int(entry.name) for entry in Path("/proc").iterdir() if entry.name.isdigit()]
    return [pid for pid in pids if (fields := _stat(pid)) and int(fields[3]) == session]
