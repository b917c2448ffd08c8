"""A run's folder: checkpoints written atomically, found again, and refused by name when torn.

    <save_dir>/checkpoints/train/mstgt/<config>/
        config.yaml                       the resolved configuration
        metrics.jsonl                     a line a report
        training.png                      the curves, after every validation
        MSTGT_ep0012.pth.tar              after 12 epochs: the last few, TEST.EPOCH's
        MSTGT_best.pth.tar                the one with the best validation IoU
        MSTGT_ep0012_step000350.pth.tar   350 steps into the 13th epoch: the newest only, gone when the epoch is done

A checkpoint is a dict:

    net, ema      weights, and their moving average where the run keeps one
    optimizer, scaler
    epoch, step   epochs finished, and optimizer steps of the next one
    meter, best   sums over those steps; epoch and IoU of the best validation
    config, code, world   resolved settings, git commit, number of processes

There is no random state in it, and none is missing: every sample is drawn with random numbers seeded by (seed, epoch,
index), and every step of every process seeds torch with (seed, rank, step) before it begins. The learning rate is a
function of the step, too.
"""

from __future__ import annotations

import contextlib
import errno
import json
import logging
import os
import re
import shutil
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import torch

from ...config.schema import MAX_COUNT
from ...models.mstgt.checkpoint import load_file
from ...utils.checkpoint_paths import checkpoint_path, list_checkpoints
from ...utils.errors import UserError
from ...utils.files import atomic_path, locked, write_text

PATIENCE_S = 15.0  # for as long the loaders of a killed run, which find out within seconds, may hold its folder
METRICS = "metrics.jsonl"
BEST = "MSTGT_best.pth.tar"
_STEP_NAME = re.compile(r"MSTGT_ep(\d{4,})_step(\d{6,})\.pth\.tar")
_NUMBERS = {"batches": int, "samples": int, "unreadable": int, "seconds": float, "waited": float}  # of a meter


def _is_meter(value: dict[str, Any]) -> bool:
    return isinstance(value.get("sums"), dict) and all(isinstance(v, float) for v in value["sums"].values()) \
        and all(isinstance(value.get(name), (kind, int)) for name, kind in _NUMBERS.items())


def _is_best(value: dict[str, Any] | None) -> bool:
    return value is None or all(isinstance(value.get(name), (int, float)) for name in ("epoch", "iou"))


# entry of a checkpoint: its type, and what else must hold
_ENTRIES: dict[str, tuple[Any, Callable[[Any], bool]]] = {
    "net": (dict, lambda v: all(isinstance(name, str) for name in v)),
    "optimizer": (dict, lambda v: isinstance(v.get("state"), dict)),
    "epoch": (int, lambda v: 0 <= v <= MAX_COUNT),
    "step": (int, lambda v: 0 <= v <= MAX_COUNT),
    "meter": (dict, _is_meter),
    "config": (str, lambda v: True),
    "ema": (dict | None, lambda v: v is None or all(isinstance(name, str) for name in v)),
    "scaler": (dict, lambda v: True),
    "best": (dict | None, _is_best),
    "world": (int, lambda v: 1 <= v <= MAX_COUNT),
}

_log = logging.getLogger(__name__)


@contextlib.contextmanager
def claim(folder: Path) -> Iterator[None]:
    """Nobody else trains in ``folder`` while it lasts; what a killed run left half-written there is removed.

    Raises :class:`UserError` where another process does.
    """
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UserError(f"cannot write {folder}: {error.strerror or error}") from error
    with locked(folder.with_name(f".{folder.name}.lock"), wait_s=PATIENCE_S) as alone:
        if not alone:
            raise UserError(f"another process trains in {folder}; wait for its end, or give another --save_dir")
        for leftover in folder.glob(".*"):
            shutil.rmtree(leftover) if leftover.is_dir() else leftover.unlink()
        yield


def save_checkpoint(path: Path, content: dict[str, Any]) -> None:
    """Write a checkpoint atomically."""
    with atomic_path(path) as temporary, open(temporary, "wb") as file:
        try:
            torch.save(content, file)
        except RuntimeError as error:  # torch's writer reports a full disk in this way, too
            raise OSError(errno.ENOSPC, f"{os.strerror(errno.ENOSPC)}, or the writer failed ({error})") from error


def read_checkpoint(path: Path) -> dict[str, Any]:
    """A training checkpoint of this project. Raises :class:`UserError` when it is torn or something else."""
    content = load_file(path)
    missing = [k for k in _ENTRIES if not isinstance(content, dict) or k not in content]
    if missing:
        raise UserError(f"{path} cannot be resumed: it lacks {', '.join(missing)}")
    invalid = [name for name, (kind, holds) in _ENTRIES.items()
               if not (isinstance(content[name], kind) and holds(content[name]))]
    if invalid:
        raise UserError(f"{path} cannot be resumed: its {', '.join(invalid)} cannot have been written by this project")
    return content


def step_path(folder: Path, epoch: int, step: int) -> Path:
    """The checkpoint written ``step`` steps after the end of ``epoch``."""
    return folder / f"MSTGT_ep{epoch:04d}_step{step:06d}.pth.tar"


def list_resumable(folder: Path) -> list[Path]:
    """Every checkpoint that training can go on from, oldest first."""
    found = [(int(m[1]), int(m[2]), p) for p in folder.glob("*.pth.tar") if (m := _STEP_NAME.fullmatch(p.name))]
    found += [(int(p.name[8:].partition(".")[0]), 0, p) for p in list_checkpoints(folder)]
    return [path for _, _, path in sorted(found)]


def newest_checkpoint(folder: Path) -> dict[str, Any] | None:
    """The content of the newest readable checkpoint; torn ones are named and passed over."""
    for path in reversed(list_resumable(folder)):
        try:
            content = read_checkpoint(path)
        except UserError as error:
            _log.warning("%s; trying the one before it", error)
            continue
        return content
    return None


def prune(folder: Path, epoch: int, keep: int, spared: int) -> None:
    """After ``epoch``: remove step checkpoints, and all but the last ``keep`` epochs' (0: none) and ``spared``'s."""
    for path in folder.glob("*.pth.tar"):
        if _STEP_NAME.fullmatch(path.name):
            path.unlink(missing_ok=True)
    for old in list_checkpoints(folder)[:-keep] if keep else []:
        if old != checkpoint_path(folder, spared) and old != checkpoint_path(folder, epoch):
            old.unlink(missing_ok=True)


def remember_best(folder: Path, epoch: int) -> None:
    """Give the checkpoint of ``epoch`` the name of the best as well (a link: it takes no room)."""
    with tempfile.TemporaryDirectory(prefix=".best.", dir=folder) as temporary:
        link = Path(temporary) / BEST
        try:
            os.link(checkpoint_path(folder, epoch), link)
        except OSError:  # a file system without links
            save_checkpoint(folder / BEST, load_file(checkpoint_path(folder, epoch)))
        else:
            os.replace(link, folder / BEST)


def append_metrics(folder: Path, figures: dict[str, Any]) -> None:
    """Add a line of figures."""
    path = folder / METRICS
    try:
        with open(path, "a", encoding="utf-8") as file:
            file.write(json.dumps(figures) + "\n")
    except OSError as error:
        raise UserError(f"cannot write {path}: {error.strerror or error}") from error


def cut_metrics(folder: Path, global_step: int, epoch: int | None = None) -> None:
    """Forget the lines after ``global_step``, and torn ones: a run that is resumed there will write them again.

    epoch  epochs finished there: the summary of a later one is forgotten too, though its steps may all be done
    """
    path = folder / METRICS
    kept, torn = [], 0
    for line in path.read_text(encoding="utf-8", errors="replace").splitlines() if path.is_file() else ():
        try:
            figures = json.loads(line)
            if figures["global_step"] <= global_step and not _is_summary_after(figures, epoch):
                kept.append(line + "\n")
        except (ValueError, KeyError, TypeError, RecursionError):
            torn += 1
    if torn:
        _log.warning("%s: %d torn line(s) are left out", path, torn)
    if global_step and not kept:
        _log.warning("%s has no figures of the %d steps so far: curves will lack them", path, global_step)
    if path.is_file():
        write_text(path, "".join(kept))


def _is_summary_after(figures: dict[str, Any], epoch: int | None) -> bool:
    return epoch is not None and "step" not in figures and figures["epoch"] > epoch
