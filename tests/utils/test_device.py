"""How a process is set up for networks: what fp32 means on a GPU, and what becomes of freed memory."""

from __future__ import annotations

import platform
import subprocess
import sys

import pytest
import torch

from mstgt.utils.device import resolve_device, set_up
from mstgt.utils.errors import UserError

CODE = """
import resource, torch
from mstgt.utils.device import keep_freed_memory
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


@pytest.mark.parametrize("tf32", [False, True])
def test_fp32_is_fp32_in_products_and_convolutions_unless_tf32_is_asked_for(tf32, monkeypatch):
    monkeypatch.setattr(torch.backends.cudnn, "allow_tf32", not tf32)
    before = torch.get_float32_matmul_precision()
    try:
        set_up(torch.device("cuda"), tf32)
        assert torch.get_float32_matmul_precision() == ("high" if tf32 else "highest")
        assert torch.backends.cudnn.allow_tf32 is tf32
    finally:
        torch.set_float32_matmul_precision(before)


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="for glibc alone")
def test_freed_memory_is_used_again():
    """Without being handed out page by page: 100 MB are 24 000 pages, or 50 large ones. Not every time: now and then a
    small buffer lies where a large one was."""
    given_back, kept = (int(subprocess.run([sys.executable, "-c", CODE.format(keep=keep)], capture_output=True,
                                           text=True, check=True).stdout) for keep in (False, True))
    assert given_back >= 10 * 25 and kept < given_back / 2


def test_a_device_of_pytorch_is_a_device():
    assert resolve_device(torch.device("cpu")) == "cpu"
    with pytest.raises(UserError, match="unknown device 'meta'"):
        resolve_device(torch.device("meta"))
