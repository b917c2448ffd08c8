"""The machine: its devices by name, what they are fast in, how a process sets itself up for one, and how many threads
compute a frame.

Two threads are almost twice as fast as one on a quiet machine. Beside another busy process they are slower than one:
each layer of the network ends when the slower thread is done, and one of them shares its core. No fixed number is right
for both, so :class:`ThreadChoice` measures while it tracks.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import platform
import re
import statistics
import sys
from collections import deque
from typing import TYPE_CHECKING, Any

from .errors import UserError

if TYPE_CHECKING:  # imported in the functions that need it: commands read names from here before they load PyTorch
    import torch

KEPT_BYTES = 1 << 30  # larger buffers are returned to the system as before
SPIN_COUNT = "20000"
SMALL_NETWORK_BYTES = 64 << 20  # a frame of a smaller network is too short for more than two threads
MAX_THREADS = 8
PROBE_EVERY = 50  # calls between two tries of the number that is not in use
FIRST_CALLS = 3  # with each number, before the choice
RECENT = 3  # calls whose median counts: a single slow call changes nothing
_DEVICE_NAME = re.compile(r"cpu|mps|cuda(:[0-9]{1,4})?")
_TRIM_THRESHOLD, _MMAP_THRESHOLD = -1, -3  # M_… of malloc.h


def check_device_name(name: object) -> None:
    """Raise :class:`UserError` where ``name`` cannot be the name of a device. Needs no PyTorch."""
    if name is not None and not (isinstance(name, str) and _DEVICE_NAME.fullmatch(name)):
        raise UserError(f"unknown device {name!r:.60}: give cpu, cuda, cuda:N or mps")


def resolve_device(device: str | torch.device | None) -> str:
    """The name of ``device``; None stands for a CUDA GPU where there is one, else the CPU.

    Raises :class:`UserError` where there is no such device.
    """
    # str() of a torch.device is its name; anything else that is no text is refused by its own.
    name: Any = str(device) if type(device).__module__ == "torch" else device
    check_device_name(name)
    if name == "cpu":
        return name
    if name is None and not _may_have_gpu():
        return "cpu"
    # Imported only where a GPU comes into question, because it takes seconds.
    import torch

    if name == "mps":
        # Apple GPUs were not at hand: this path is guarded, and not tested.
        if not torch.backends.mps.is_available():
            raise UserError("no device mps: this machine has no Apple GPU that PyTorch can use; give cpu")
        return "mps"
    count = torch.cuda.device_count() if torch.cuda.is_available() else 0
    if name is None:
        return "cuda" if count else "cpu"
    if int(name.partition(":")[2] or 0) >= count:
        raise UserError(f"no device {name}: PyTorch finds {count or 'no'} CUDA GPU{'s' * (count != 1)} on this "
                        "machine; give cpu")
    return name


def _may_have_gpu() -> bool:
    """Whether it is worth asking PyTorch for a GPU, which takes as long as importing it."""
    if "torch" in sys.modules:
        return True
    if os.environ.get("CUDA_VISIBLE_DEVICES") in ("", "-1") or sys.platform == "darwin":
        return False
    if not sys.platform.startswith("linux"):
        return True
    # The device files of NVIDIA's driver, of AMD's, and of a GPU seen through WSL.
    return any(os.path.exists(path) for path in ("/dev/nvidiactl", "/dev/kfd", "/dev/dxg"))


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


def limit_spinning() -> None:
    """Make OpenMP's threads sleep soon while they wait; call it before PyTorch is imported.

    GNU's OpenMP, which PyTorch's wheels for Linux use, lets a waiting thread spin 300,000 times. On a busy machine it
    takes the core from the thread that it waits for: tracking became 20 times slower. With 20,000 a quiet machine loses
    less than a tenth. ``OMP_WAIT_POLICY=PASSIVE``, which never spins, would cost it a factor of 2.5.
    """
    if "OMP_WAIT_POLICY" not in os.environ:
        os.environ.setdefault("GOMP_SPINCOUNT", SPIN_COUNT)


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
