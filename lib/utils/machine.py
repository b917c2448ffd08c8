"""What to call the machine that a figure was measured on."""

from __future__ import annotations

import contextlib

import torch


def device_name(device: str | torch.device) -> str:
    """The name of a GPU, or of the machine's processor."""
    if torch.device(device).type == "cuda":
        return torch.cuda.get_device_name(device)
    with contextlib.suppress(OSError), open("/proc/cpuinfo", encoding="utf-8") as file:
        for line in file:
            if line.startswith("model name"):
                return line.split(":", 1)[1].strip()
    return "CPU"
