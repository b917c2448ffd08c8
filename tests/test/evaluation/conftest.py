"""A tiny network's checkpoint, small videos on disk, and tracking/test.py as a function."""

from __future__ import annotations

import importlib.util
import sys
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch

from mstgt.config import load_config
from mstgt.models.mstgt import build_model

ROOT = Path(__file__).resolve().parents[3]
CONFIG = "MSTGT-demo-128"
COMMAND = ROOT / "tracking" / "test.py"
BOX = "40,30,24,20"


@pytest.fixture(scope="session")
def checkpoint(tmp_path_factory) -> Path:
    """Untrained weights of MSTGT-demo-128."""
    torch.manual_seed(0)
    path = tmp_path_factory.mktemp("weights") / "nano.pth.tar"
    torch.save({"net": build_model(load_config("MSTGT", CONFIG)).state_dict()}, path)
    return path


@pytest.fixture(scope="session")
def images() -> list[bytes]:
    """JPEG frames of a patch that moves over noise."""
    rng = np.random.default_rng(0)
    background, patch = (cv2.GaussianBlur(rng.integers(0, 256, (72, 96, 3), np.uint8), (5, 5), 1) for _ in range(2))
    made = []
    for t in range(8):
        image = background.copy()
        image[30 + t : 50 + t, 40 + t : 64 + t] = patch[:20, :24]
        made.append(cv2.imencode(".jpg", image)[1].tobytes())
    return made


@pytest.fixture(scope="session")
def put(images) -> Callable[[Path, dict[str, str | int]], None]:
    """Write files under a folder: a text by its name, or a number of frames by a pattern such as img/{:04d}.jpg.

    The frames count from 1, with ``{0`` in the pattern from 0.
    """
    def write(root: Path, files: dict[str, str | int]) -> None:
        for name, content in files.items():
            if isinstance(content, str):
                _write(root / name, content.encode())
                continue
            first = 0 if "{0" in name else 1
            for index in range(content):
                _write(root / name.format(first + index), images[index % len(images)])
    return write


def _write(path: Path, data: bytes) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data)


@pytest.fixture
def videos(put, tmp_path) -> Callable[..., Path]:
    """A folder of videos with the given numbers of frames: videos(a=3, b=9)."""
    def make(**frames: int) -> Path:
        for name, count in frames.items():
            put(tmp_path / "mine", {f"{name}/groundtruth.txt": f"{BOX}\n" * count, name + "/img/{:08d}.jpg": count})
        return tmp_path / "mine"
    return make


class Command:
    """tracking/test.py on the CPU with the tiny network; what it prints is kept."""

    def __init__(self, monkeypatch, capsys, caplog, checkpoint: Path, save_dir: Path):
        self.patch, self.capsys, self.caplog, self.save_dir = monkeypatch, capsys, caplog, save_dir
        self.fixed = ["--tracker_param", CONFIG, "--checkpoint", str(checkpoint), "--num_gpus", "0",
                      "--save_dir", str(save_dir)]
        spec = importlib.util.spec_from_file_location("tracking_test", COMMAND)
        self.module = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(self.module)
        self.said = ""

    def __call__(self, *arguments: str) -> int:
        words = [str(a) for a in arguments]
        threads = [] if "--threads" in words else ["--threads", "1"]
        self.patch.setattr(sys, "argv", ["test.py", *self.fixed, *threads, *words])
        self.caplog.clear()
        status = self.module.main()
        self.said = self.capsys.readouterr().out + "\n".join(self.caplog.messages)
        return status

    def folder(self, benchmark: str = "mine", run: str = "") -> Path:
        return self.save_dir / "test" / "tracking_results" / "mstgt" / (CONFIG + run) / benchmark

    def boxes(self, benchmark: str = "mine", run: str = "") -> dict[str, str]:
        """The files of boxes and scores, by name; without those that are being written."""
        return {p.name: p.read_text() for p in sorted(self.folder(benchmark, run).glob("[!.]*.txt"))
                if not p.name.endswith("_time.txt")}


@pytest.fixture
def command(monkeypatch, capsys, caplog, checkpoint, tmp_path) -> Command:
    for name in ("RANK", "LOCAL_RANK", "WORLD_SIZE", "MSTGT_DATA_DIR", "MSTGT_SAVE_DIR"):
        monkeypatch.delenv(name, raising=False)
    return Command(monkeypatch, capsys, caplog, checkpoint, tmp_path / "out")
