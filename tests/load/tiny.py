"""A tracker and videos so small that a thousand of them are nothing."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np

from mstgt.config import load_config
from mstgt.models.mstgt import MSTGT, HiViTSpec
from mstgt.test.tracker.torch_engine import TorchEngine


def tiny_engine(device: str) -> TorchEngine:
    """An untrained network of 0.1 M parameters."""
    cfg = load_config("MSTGT", "MSTGT-nano-128", ["TEST.SEARCH_SIZE=64", "DATA.SEARCH.SIZE=64"])
    network = MSTGT(HiViTSpec(32, (1, 1, 2), 2), 64, 64, head_channels=8, prior_prob=0.08)
    return TorchEngine(network.eval(), cfg, device)


def write_videos(root: Path, count: int, frames: int = 3) -> list[str]:
    """``count`` videos of images of 64 x 48; their names."""
    rng = np.random.default_rng(0)
    noise = rng.integers(0, 256, (48, 64, 3), np.uint8)
    image = cv2.imencode(".jpg", cv2.GaussianBlur(noise, (5, 5), 2))[1].tobytes()
    names = [f"video{number:04d}" for number in range(count)]
    for name in names:
        (root / name / "img").mkdir(parents=True)
        (root / name / "groundtruth.txt").write_text("20,14,12,10\n" * frames)
        for frame in range(frames):
            (root / name / "img" / f"{frame + 1:04d}.jpg").write_bytes(image)
    return names
