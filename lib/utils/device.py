"""Devices by name, what they are fast in, and how a process sets itself up for one."""

from __future__ import annotations

import contextlib
import ctypes
import os
import platform
import re
import sys
from typing import TYPE_CHECKING, Any

from .errors import UserError

if TYPE_CHECKING:  # imported in the functions that need it: commands read names from here before they load PyTorch
    import torch

KEPT_BYTES = 1 << 30  # larger buffers are returned to the system as before
_DEVICE_NAME = re.compile(r"cpu|mps|cuda(:[0-9]{1,4})?")
_TRIM_THRESHOLD, _MMAP_THRESHOLD = -1, -3  # M_… of malloc.h


def check_device_name(name: Any) -> Any:
    """``name``. Raises :class:`UserError` where it cannot be the name of a device. Needs no PyTorch."""
    if name is not None and not (isinstance(name, str) and _DEVICE_NAME.fullmatch(name)):
        raise UserError(f"unknown device {name!r:.60}: give cpu, cuda, cuda:N or mps")
    return name


def resolve_device(device: str | torch.device | None) -> str:
    """The name of ``device``; None stands for a CUDA GPU where there is one, else the CPU.

    Raises :class:`UserError` where there is no such device.
    """
    # str() of a torch.device is its name; anything else that is no text is refused by its own.
    name = check_device_name(str(device) if type(device).__module__ == "torch" else device)
    if name == "cpu":
        return name
    if name == "mps":
        # Apple GPUs were not at hand: this path is guarded, and not tested.
        if not _has_apple_gpu():
            raise UserError("no device mps: this machine has no Apple GPU that PyTorch can use; give cpu")
        return "mps"
    count = _count_cuda_gpus()
    if name is None:
        return "cuda" if count else "cpu"
    if int(name.partition(":")[2] or 0) >= count:
        raise UserError(f"no device {name}: PyTorch finds {count or 'no'} CUDA GPU{'s' * (count != 1)} on this "
                        "machine; give cpu")
    return name


# PyTorch is imported only where a GPU comes into question, because that takes seconds.
def _has_apple_gpu() -> bool:
    if sys.platform != "darwin":
        return False
    import torch

    return torch.backends.mps.is_available()


def _count_cuda_gpus() -> int:
    if not _may_have_gpu():
        return 0
    import torch

    return torch.cuda.device_count() if torch.cuda.is_available() else 0


def _may_have_gpu() -> bool:
    """Whether it is worth asking PyTorch for a GPU, which takes as long as importing it."""
    if "torch" in sys.modules:
        return True
    if os.environ.get("CUDA_VISIBLE_DEVICES") in ("", "-1") or sys.platform == "darwin":
        return False
    if not sys.platform.startswith("linux"):
        return True
    # The device files of NVIDIA's driver, of its driver for Jetson, of AMD's, and of a GPU seen through WSL.
    return any(os.path.exists(path) for path in ("/dev/nvidiactl", "/dev/nvmap", "/dev/kfd", "/dev/dxg"))


def device_name(device: str | torch.device) -> str:
    """Return the name of a GPU, or of the machine's processor."""
    import torch

    if torch.device(device).type == "cuda":
        return torch.cuda.get_device_name(device)
    with contextlib.suppress(OSError), open("/proc/cpuinfo", encoding="utf-8") as file:
        for line in file:
            if line.startswith("model name"):
                return line.split(":", 1)[1].strip()
    return "CPU"


def slowness(name: str, device: torch.device) -> str:
    """Return what to say of a device that is not fast in the precision ``name``."""
    if device.type == "cuda":
        return f"this GPU has no {name}, and takes longer than in fp32"
    return f"this CPU has no instructions for {name}, and takes many times as long as in fp32"


def is_fast_in(dtype: torch.dtype, device: torch.device) -> bool:
    """Return whether ``device`` multiplies matrices in ``dtype`` at least as fast as in fp32, which is always fast.

    GPUs are fast in fp16; in bf16 some are. CPUs are never fast in fp16; in bf16 those with AVX-512 or its like are.
    """
    import torch

    if dtype == torch.float32:
        return True
    if device.type == "cuda":
        return dtype != torch.bfloat16 or torch.cuda.is_bf16_supported(including_emulation=False)
    # PyTorch has no public function for this.
    return (dtype == torch.bfloat16 and torch.backends.mkldnn.is_available()
            and torch.ops.mkldnn._is_mkldnn_bf16_supported())


def set_up(device: torch.device, tf32: bool = False) -> None:
    """Set up this process for networks on ``device``.

    On a GPU fp32 means fp32, also in convolutions, where cuDNN uses TF32 by default; with ``tf32`` both matrix products
    and convolutions use TF32. On a CPU freed memory is kept.
    """
    import torch

    torch.set_float32_matmul_precision("high" if tf32 else "highest")
    torch.backends.cudnn.allow_tf32 = tf32
    if device.type == "cpu":
        keep_freed_memory()


def keep_freed_memory() -> None:
    """Let this process reuse the memory that it frees; has an effect only with glibc.

    By default glibc returns large buffers to the system when they are freed, and the system hands them out again page
    by page, zeroed. A network's step on a CPU frees and allocates the same buffers every time, which takes a noticeable
    share of the step on some machines. In return, the memory of the process stays at its peak.
    """
    if platform.libc_ver()[0] == "glibc":
        mallopt = ctypes.CDLL(None).mallopt
        mallopt(_MMAP_THRESHOLD, KEPT_BYTES)
        mallopt(_TRIM_THRESHOLD, -1)  # never
