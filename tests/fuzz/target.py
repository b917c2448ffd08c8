"""What a fuzzed parser is, and the small things that the lists of them share."""

from __future__ import annotations

import functools
import random
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np

CONFIG = "MSTGT-demo-128"
ROWS = b"10,20,30,40\n11.5,20,30,40\n12.25,-3,30,40.125\n"


@dataclass(frozen=True)
class Target:
    """One parser.

    examples  valid inputs, made and not kept: nothing here comes from a real dataset
    read      reads bytes as a file in a folder: returns, or raises UserError, and nothing else
    named     what an error must say, so that a person finds the file
    tree      bytes of corrupt values where the bytes are JSON, YAML or a pickle, for damage to such bytes alone hardly
              ever gets past the syntax; None: only bytes are corrupted
    """

    examples: Callable[[], tuple[bytes, ...]]
    read: Callable[[bytes, Path], object]
    named: str
    tree: Callable[[random.Random], bytes] | None = None


def put(root: Path, files: dict[str, bytes]) -> None:
    """Write the files that are not there yet."""
    for name, data in files.items():
        if not (root / name).exists():
            (root / name).parent.mkdir(parents=True, exist_ok=True)
            (root / name).write_bytes(data)


@functools.cache
def sample_image() -> np.ndarray:
    """(24, 32, 3) uint8, soft noise."""
    noise = np.random.default_rng(0).integers(0, 256, (24, 32, 3), np.uint8)
    return cv2.GaussianBlur(noise, (5, 5), 2)


@functools.cache
def jpeg() -> bytes:
    """:func:`sample_image` as a JPEG."""
    return cv2.imencode(".jpg", sample_image())[1].tobytes()
