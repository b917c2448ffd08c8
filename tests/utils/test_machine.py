"""What a process does with its memory."""

from __future__ import annotations

import platform
import subprocess
import sys

import pytest

CODE = """
import resource, torch
from lib.utils.machine import keep_freed_memory
if {keep}:
    keep_freed_memory()
torch.ones(1)
def page_faults():
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    for _ in range(10):
        torch.ones(25_000_000)  # 100 MB
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before
page_faults()
print(page_faults())
"""


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="for glibc alone")
def test_freed_memory_is_used_again():
    """Without being handed out page by page: 100 MB are 24 000 pages, or 50 large ones. Not every time: now and then a
    small buffer lies where a large one was."""
    given_back, kept = (int(subprocess.run([sys.executable, "-c", CODE.format(keep=keep)], capture_output=True,
                                           text=True, check=True).stdout) for keep in (False, True))
    assert given_back >= 10 * 25 and kept < given_back / 2
