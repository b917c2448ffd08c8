"""The package as a wheel: it holds all it needs, and works apart from the clone, from any folder."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from mstgt.command_line import PROGRAMS, usage
from tests.processes import environment

tomllib = pytest.importorskip("tomllib")  # Python 3.11
ROOT = Path(__file__).resolve().parents[1]
SETTINGS = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["setuptools"]

# Runs in a folder of its own, with nothing but the installed package on its path.
TRY_IT = """
import sys
from pathlib import Path
import numpy as np
import mstgt
from mstgt import load_tracker
from mstgt.command_line import main
from mstgt.config import load_paths
from mstgt.visualize.video_writer import VideoWriter

assert Path(mstgt.__file__).is_relative_to(sys.argv[1]), mstgt.__file__
assert load_paths().save_dir == Path.cwd() / "output" and load_paths().data_dir == Path.cwd() / "data"
rng = np.random.default_rng(0)
ground = np.kron(rng.integers(60, 140, (15, 20, 3), np.uint8), np.ones((8, 8, 1), np.uint8))
frames = []
for i in range(10):
    frame = ground.copy()
    frame[40:72, 20 + 2 * i : 52 + 2 * i] = 230, 40, 30
    frame[48:64, 28 + 2 * i : 44 + 2 * i] = 250, 240, 30
    frames.append(frame)
tracker = load_tracker("MSTGT-nano-128", device="cpu")
tracker.init(frames[0], (20, 40, 32, 32))
for i, frame in enumerate(frames[1:], 1):
    box, score = tracker.update(frame)
    assert abs(box - [20 + 2 * i, 40, 32, 32]).max() < 8, (i, box)
with VideoWriter("a.mp4", 25, (160, 120)) as video:
    for frame in frames[:4]:
        video.add(frame)
sys.argv = ["mstgt", "track", "a.mp4", "--init_box", "20", "40", "32", "32", "--device", "cpu"]
main()
"""


def test_every_folder_with_code_is_in_the_wheel():
    folders = {path.parent.relative_to(ROOT / "lib") for path in (ROOT / "lib").rglob("*.py")}
    expected = {".".join(["mstgt", *folder.parts]) for folder in folders}
    assert expected <= set(SETTINGS["packages"]), "add the new folder to [tool.setuptools] packages in pyproject.toml"


def test_every_data_file_is_in_the_wheel():
    kinds = SETTINGS["package-data"]
    for path in (ROOT / "lib").rglob("*"):
        if path.is_file() and path.suffix not in (".py", ".pyc") and path.name != "local.py":
            package = ".".join(["mstgt", *path.parent.relative_to(ROOT / "lib").parts])
            assert any(path.match(kind) for kind in kinds.get(package, ())), f"{path}: not in the package data"


def test_every_program_is_a_command():
    programs = {path.stem for path in (ROOT / "tracking").glob("*.py")} - {"__init__"}
    assert {module for module, _ in PROGRAMS.values()} == programs
    assert all(f"  {name} " in usage() for name in PROGRAMS)


def test_the_wheel_tracks_apart_from_the_clone(tmp_path):
    pytest.importorskip("setuptools", minversion="70.1")  # which builds wheels by itself
    source = tmp_path / "source"
    for name in ("lib", "tracking", "experiments", "pretrained_networks"):
        shutil.copytree(ROOT / name, source / name, ignore=shutil.ignore_patterns("__pycache__", "*.pth*"))
    for name in ("pyproject.toml", "README.md"):
        shutil.copy(ROOT / name, source / name)
    installed = subprocess.run(
        [sys.executable, "-m", "pip", "install", "--no-deps", "--no-build-isolation", "--no-index", "--no-compile",
         "--target", str(tmp_path / "site"), str(source)], capture_output=True, text=True, cwd=tmp_path, check=False)
    assert installed.returncode == 0, installed.stdout + installed.stderr
    shutil.rmtree(source)
    assert sorted(path.name for path in (tmp_path / "site").iterdir() if not path.name.endswith("-info")) == [
        "bin", "mstgt"], "nothing else is put on the path"
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    done = subprocess.run([sys.executable, "-c", TRY_IT, str(tmp_path / "site")], cwd=elsewhere, capture_output=True,
                          text=True, env=environment(PYTHONPATH=str(tmp_path / "site")), check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    results = elsewhere / "output" / "video_demo" / "a"
    assert sorted(path.name for path in results.iterdir()) == ["boxes.csv", "film.mp4", "sheet.png"]
    assert str(results / "boxes.csv") in done.stdout
