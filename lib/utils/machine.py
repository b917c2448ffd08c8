"""The machine: what to call it, what it is fast in, and how a process sets it up."""

from __future__ import annotations

import contextlib
import ctypes
import platform

import torch

KEPT_BYTES = 1 << 30  # a buffer of more is given back to the system as before
_TRIM_THRESHOLD, _MMAP_THRESHOLD = -1, -3  # M_… of malloc.h


def device_name(device: str | torch.device) -> str:
    """The name of a GPU, or of the machine's processor."""
    if torch.device(device).type == "cuda":
        return torch.cuda.get_device_name(device)
    with contextlib.suppress(OSError), open("/proc/cpuinfo", encoding="utf-8") as file:
        for line in file:
            if line.startswith("model name"):
                return line.split(":", 1)[1].strip()
    return "CPU"


def slowness(name: str, device: torch.device) -> str:
    """What to say of a device that is not fast in the precision ``name``."""
    if device.type == "cuda":
        return f"this GPU has no {name}, and takes longer than in fp32"
    return f"this CPU has no instructions for {name}, and takes many times as long as in fp32"


def is_fast_in(dtype: torch.dtype, device: torch.device) -> bool:
    """Whether ``device`` multiplies matrices in ``dtype`` at least as fast as in fp32, which is always fast.

    GPUs are fast in fp16; in bf16 some are. CPUs are never fast in fp16; in bf16 those with AVX-512 or its like are.
    """
    if dtype == torch.float32:
        return True
    if device.type == "cuda":
        return dtype != torch.bfloat16 or torch.cuda.is_bf16_supported(including_emulation=False)
    # by its private name: there is no public one
    return (dtype == torch.bfloat16 and torch.backends.mkldnn.is_available()
            and torch.ops.mkldnn._is_mkldnn_bf16_supported())


def set_up(device: torch.device, tf32: bool = False) -> None:
    """Settings of this process, from now on, for networks on ``device``.

    fp32 is fp32 on a GPU, in convolutions too, which cuDNN by itself rounds to TF32; or with ``tf32`` it is TF32 in
    both. On a CPU freed memory is kept.
    """
    torch.set_float32_matmul_precision("high" if tf32 else "highest")
    torch.backends.cudnn.allow_tf32 = tf32
    if device.type == "cpu":
        keep_freed_memory()


def keep_freed_memory() -> None:
    """Let this process keep what it frees for its next buffers; only where the C library is glibc.

    Left alone, glibc returns large buffers to the system when they are freed, and the system hands them out again page
    by page, zeroed. A network's step on a CPU frees and takes the same buffers every time, and on some machines that
    costs as much as a part of the network. What the process holds stays at its peak in return.
    """
    if platform.libc_ver()[0] == "glibc":
        mallopt = ctypes.CDLL(None).mallopt
        mallopt(_MMAP_THRESHOLD, KEPT_BYTES)
        mallopt(_TRIM_THRESHOLD, -1)  # never
