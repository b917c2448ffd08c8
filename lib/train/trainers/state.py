"""The folder of a training run: writing, finding and reading its checkpoints and log records.

    <save_dir>/checkpoints/train/mstgt/<config>/
        config.yaml                       the resolved configuration
        metrics.jsonl                     log records, one JSON object per line
        training.png                      the curves, after every validation
        MSTGT_ep0012.pth.tar              after 12 epochs; the last few and TEST.EPOCH are kept
        MSTGT_best.pth.tar                the epoch with the best validation IoU
        MSTGT_ep0012_step000350.pth.tar   350 steps into the 13th epoch; removed when the epoch is done

A checkpoint is a dict:

    net, ema      weights, and their moving average where the run keeps one
    optimizer, scaler
    epoch, step   epochs finished, and optimizer steps of the next one
    meter, best   sums over those steps; epoch and IoU of the best validation
    config, code, world   resolved settings, git commit, number of processes

It holds no state of random number generators, because none is needed: every sample is drawn with a generator seeded by
(seed, epoch, index), and every step seeds torch with (seed, rank, step). The learning rate depends on the step alone.
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

from ...config.paths import checkpoint_path, list_checkpoints
from ...config.schema import MAX_COUNT
from ...models.mstgt.checkpoint import load_file
from ...utils.errors import UserError, explain_os_error
from ...utils.files import atomic_path, locked, write_text

LOCK_WAIT_S = 15.0  # loader processes of a killed run hold its folder until they notice, within seconds
METRICS = "metrics.jsonl"
BEST = "MSTGT_best.pth.tar"
_STEP_NAME = re.compile(r"MSTGT_ep(\d{4,})_step(\d{6,})\.pth\.tar")
_NUMBERS = {"batches": int, "samples": int, "unreadable": int, "seconds": float, "waited": float}  # of a meter


def _is_meter(value: dict[str, Any]) -> bool:
    return isinstance(value.get("sums"), dict) and all(isinstance(v, float) for v in value["sums"].values()) \
        and all(isinstance(value.get(name), (kind, int)) for name, kind in _NUMBERS.items())


def _is_best(value: dict[str, Any] | None) -> bool:
    return value is None or all(isinstance(value.get(name), (int, float)) for name in ("epoch", "iou"))


# Entry of a checkpoint -> its type and a further condition. Everything is checked before anything is loaded, so that a
# checkpoint of another program fails with a message and not halfway.
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


class ResumeError(UserError):
    """A run cannot be resumed as it is; a new one can be started in its place."""


@contextlib.contextmanager
def lock_run_folder(folder: Path) -> Iterator[None]:
    """Within the block, no other process trains in ``folder``; temporary files of a killed run are removed first.

    Raises :class:`UserError` if another process trains there.
    """
    with explain_os_error(f"cannot write {folder}"):
        folder.parent.mkdir(parents=True, exist_ok=True)
    with locked(folder.with_name(f".{folder.name}.lock"), wait_s=LOCK_WAIT_S) as locked_here:
        if not locked_here:
            raise UserError(f"another process trains in {folder}; wait for its end, or train in another folder")
        # Temporary files have names that begin with a dot; nobody else can be writing them now.
        for leftover in folder.glob(".*"):
            shutil.rmtree(leftover) if leftover.is_dir() else leftover.unlink()
        yield


def save_checkpoint(path: Path, content: dict[str, Any]) -> None:
    """Write a checkpoint: whole, or not at all."""
    with atomic_path(path) as temporary, open(temporary, "wb") as file:
        try:
            torch.save(content, file)
        except RuntimeError as error:  # PyTorch's writer reports a full disk in this way
            raise OSError(errno.ENOSPC, f"{os.strerror(errno.ENOSPC)}, or the writer failed ({error})") from error


def read_checkpoint(path: Path) -> dict[str, Any]:
    """A training checkpoint of this project. Raises :class:`UserError` if it is truncated or something else."""
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
    """The content of the newest readable checkpoint, or None. Unreadable ones are logged and skipped."""
    # A run that was killed while it wrote leaves a good checkpoint before the broken one.
    for path in reversed(list_resumable(folder)):
        try:
            content = read_checkpoint(path)
        except UserError as error:
            _log.warning("%s; trying the one before it", error)
            continue
        return content
    return None


def prune_checkpoints(folder: Path, epoch: int, keep: int, spared: int) -> None:
    """Remove checkpoints that are no longer needed after ``epoch``.

    Those within epochs are removed, and of those at the end of epochs all but the last ``keep`` (0: keep all) and the
    one of epoch ``spared``.
    """
    # The checkpoint at the end of the epoch replaces those within it.
    for path in folder.glob("*.pth.tar"):
        if _STEP_NAME.fullmatch(path.name):
            path.unlink(missing_ok=True)
    for old in list_checkpoints(folder)[:-keep] if keep else []:
        if old != checkpoint_path(folder, spared) and old != checkpoint_path(folder, epoch):
            old.unlink(missing_ok=True)


def link_best_checkpoint(folder: Path, epoch: int) -> None:
    """Make the checkpoint of ``epoch`` available as the best one, as a hard link that takes no disk space."""
    with tempfile.TemporaryDirectory(prefix=".best.", dir=folder) as temporary:
        # Link under another name first and rename: the old best file is replaced in one operation.
        link = Path(temporary) / BEST
        try:
            os.link(checkpoint_path(folder, epoch), link)
        except OSError:  # a file system without hard links
            save_checkpoint(folder / BEST, load_file(checkpoint_path(folder, epoch)))
        else:
            os.replace(link, folder / BEST)


def remove_older_steps(folder: Path, newest: Path) -> None:
    """Remove the checkpoints within the epoch of the checkpoint ``newest``, except for itself."""
    prefix = newest.name.partition("_step")[0] + "_step"
    for old in list_resumable(folder):
        if old != newest and old.name.startswith(prefix):
            old.unlink(missing_ok=True)


def append_record(folder: Path, record: dict[str, Any]) -> None:
    """Append a log record as a line of JSON."""
    path = folder / METRICS
    with explain_os_error(f"cannot write {path}"), open(path, "a", encoding="utf-8") as file:
        file.write(json.dumps(record) + "\n")


def truncate_records(folder: Path, global_step: int, epoch: int | None = None) -> None:
    """Remove the log records after ``global_step``, and truncated ones: a run resumed there writes them again.

    epoch  finished epochs: the record of a later epoch is removed even if all of its steps are done
    """
    path = folder / METRICS
    kept = []
    truncated = 0
    # Read with replacement: a truncated line may end within a character.
    for line in path.read_text(encoding="utf-8", errors="replace").splitlines() if path.is_file() else ():
        try:
            record = json.loads(line)
            is_later_epoch = epoch is not None and "step" not in record and record["epoch"] > epoch
            if record["global_step"] <= global_step and not is_later_epoch:
                kept.append(line + "\n")
        except (ValueError, KeyError, TypeError, RecursionError):
            truncated += 1  # written by a process that was killed meanwhile
    if truncated:
        _log.warning("%s: %d truncated line(s) are removed", path, truncated)
    if epoch and not kept:  # within the first epoch there may be none yet
        _log.warning("%s has no records of the %d steps so far: the curves will start here", path, global_step)
    if path.is_file():
        write_text(path, "".join(kept))
