"""The commands that are disturbed: what each one reads, how it is called, and what it leaves when nobody disturbs it.

A run has a folder to itself, ``here``: datasets under ``data``, what it writes under ``out``. ``end_state`` is what two
runs must agree on: every file by name, and of each all that does not tell the time.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

CONFIG = "MSTGT-demo-128"
SETTINGS = ("TRAIN.EPOCH=2", "TRAIN.BATCH_SIZE=2", "TRAIN.NUM_WORKER=0", "TRAIN.DROP_PATH_RATE=0.2",
            "TRAIN.PRINT_INTERVAL=1", "TRAIN.EMA_DECAY=0.9", "DATA.TRAIN.SAMPLE_PER_EPOCH=8",
            "DATA.VAL.SAMPLE_PER_EPOCH=2", "DATA.SEARCH.SIZE=64", "DATA.SEARCH.NUMBER=1", "TEST.SEARCH_SIZE=64",
            "TEST.EPOCH=2", "MODEL.HEAD.NUM_CHANNELS=8")
OVERRIDES = [word for pair in SETTINGS for word in ("--set", pair)]
SYNTHETIC = ["--train", "2", "--val", "1", "--test", "2", "--frames", "4", "--size", "64x64"]
CHECKPOINTS = Path("out/checkpoints/train/mstgt") / CONFIG
RESULTS = Path("out/test/tracking_results/mstgt")
CLOCKS = ("seconds", "samples_per_s", "data_wait")


@dataclass(frozen=True)
class Command:
    """A command under test.

    arguments  of the call, from the run's folder
    needs      what lies in the folder before: parts of the finished runs of other commands, ``<command>/<path>``
    again      arguments that are added when the command was refused for what an earlier run of its own has left
    """

    script: str
    arguments: Callable[[Path], list[str]]
    needs: tuple[str, ...] = ()
    again: tuple[str, ...] = ()


def _where(here: Path) -> list[str]:
    return ["--data_dir", str(here / "data"), "--save_dir", str(here / "out")]


def _train(here: Path) -> list[str]:
    return ["--config", CONFIG, *_where(here), "--checkpoint_every", "1", *OVERRIDES]


def _test(dataset: str, *more: str) -> Callable[[Path], list[str]]:
    return lambda here: ["--tracker_param", CONFIG, "--dataset", dataset, "--threads", "1", "--num_gpus", "0",
                         "--allow_missing", *more, *_where(here), *OVERRIDES]


def _pack(ending: str) -> Callable[[Path], list[str]]:
    return lambda here: [str(here / "data/synthetic"), str(here / f"out/set.{ending}"), "--overwrite"]


def _batch(here: Path) -> list[str]:
    return ["--config", CONFIG, "--data_dir", str(here / "data"), "--out", str(here / "out/batch.png"), *OVERRIDES]


def _compare(here: Path) -> list[str]:
    return [CONFIG, f"{CONFIG}_first", "--dataset", "synthetic", *_where(here), "--resamples", "50",
            "--json", str(here / "out/scores.json")]


def _submit(here: Path) -> list[str]:
    return ["--dataset", "got10k", "--tracker_param", CONFIG, "--allow_missing", *_where(here)]


_DATA, _RUN = "synthetic/data/synthetic", f"train/{CHECKPOINTS}"
COMMANDS: dict[str, Command] = {
    "synthetic": Command("make_synthetic.py", lambda here: ["--out", str(here / "data/synthetic"), *SYNTHETIC,
                                                            "--workers", "1"], again=("--overwrite",)),
    "train": Command("train.py", _train, (_DATA,)),
    "index": Command("show_batch.py", _batch, (_DATA,)),
    "test": Command("test.py", _test("synthetic"), (_DATA, _RUN), ("--overwrite",)),
    "test_first": Command("test.py", _test("synthetic", "--epoch", "1", "--run", "first"), (_DATA, _RUN)),
    "test_hidden": Command("test.py", _test("got10k"), ("hidden/data/got10k", _RUN)),
    "test_zip": Command("test.py", _test("synthetic"), ("pack_zip/out/set.zip=data/synthetic.zip", _RUN)),
    "test_lmdb": Command("test.py", _test("synthetic"), ("pack_lmdb/out/set.lmdb=data/synthetic.lmdb", _RUN)),
    "score": Command("compare.py", _compare, (_DATA, f"test/{RESULTS}", f"test_first/{RESULTS}")),
    "pack_zip": Command("pack_dataset.py", _pack("zip"), (_DATA,)),
    "pack_lmdb": Command("pack_dataset.py", _pack("lmdb"), (_DATA,)),
    "submit": Command("pack_submission.py", _submit, ("hidden/data/got10k", f"test_hidden/{RESULTS}")),
}


def end_state(here: Path) -> dict[str, Any]:
    """All files under ``here`` by name, with what is to be the same in every run."""
    files = sorted(p for p in here.rglob("*") if p.is_file() or p.is_symlink())
    return {str(p.relative_to(here)): _content(p) for p in files if not _is_lock(p)}


def _is_lock(path: Path) -> bool:
    return path.name.endswith(".lock") and path.is_file() and not path.stat().st_size


def _content(path: Path) -> Any:
    if path.is_symlink():
        return f"link to {os.readlink(path)}"
    if path.name.endswith(".pth.tar"):
        return _hash(_timeless(torch.load(path, weights_only=True)))
    if path.suffix == ".npz":
        with np.load(path) as arrays:
            return _hash({name: arrays[name] for name in arrays.files if name not in ("states", "seconds")})
    if path.name == "metrics.jsonl":
        return _hash([_timeless(json.loads(line)) for line in path.read_text().splitlines()])
    if path.suffix == ".json":
        return _hash(_timeless(json.loads(path.read_text())))
    if path.name.endswith("_time.txt"):
        return len(path.read_text().splitlines())
    if path.suffix == ".sha256":
        return [line for line in path.read_text().splitlines() if not line.endswith("_time.txt")]
    if path.name == "training.png" or "submissions" in path.parts:  # speed is drawn there; times are packed there
        return path.stat().st_size > 1000
    return hashlib.sha256(path.read_bytes()).hexdigest()


def _timeless(value: Any) -> Any:
    """``value`` without its clocks, and without digests of what holds clocks."""
    if isinstance(value, dict):
        return {k: _timeless(v) for k, v in value.items() if k not in (*CLOCKS, "meter", "fps", "sha256")}
    return [_timeless(v) for v in value] if isinstance(value, list | tuple) else value


def _hash(value: Any) -> str:
    digest = hashlib.sha256()

    def add(part: Any) -> None:
        if isinstance(part, dict):
            for key in part:
                add(key)
                add(part[key])
        elif isinstance(part, list | tuple):
            for item in part:
                add(item)
        elif isinstance(part, torch.Tensor | np.ndarray):
            digest.update(np.ascontiguousarray(part).tobytes())
        else:
            digest.update(repr(part).encode())
    add(value)
    return digest.hexdigest()


def copy(source: Path, target: Path) -> None:
    """A file or a folder, made anew where the parents are not there; links between files are kept."""
    target.parent.mkdir(parents=True, exist_ok=True)
    if source.is_dir():
        linked: dict[int, str] = {}

        def copy_file(one: str, other: str) -> None:
            inode = os.stat(one).st_ino
            if inode in linked:
                os.link(linked[inode], other)
            else:
                shutil.copy2(one, other)
                linked[inode] = other
        shutil.copytree(source, target, dirs_exist_ok=True, copy_function=copy_file)
    else:
        shutil.copy2(source, target)
