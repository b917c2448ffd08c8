"""Converted networks, kept between runs: a folder of entries that any number of processes share.

    entry = cached_entry({"weights": "6f1c…", "openvino": "2026.4"}, build)

An entry is a folder whose name is the hash of what it was made from. ``build`` fills it under a temporary name; it is
renamed when it is complete, so that a reader sees a whole entry or none. The folder is ``mstgt`` in the user's cache
folder (``XDG_CACHE_HOME``, by default ``~/.cache``), or what the environment variable ``MSTGT_CACHE`` says. When its
entries take more than ``MAX_BYTES``, those that were not used for longest are removed.

The source files that decide what a converted network computes are part of the hash (:func:`network_code`): a new
converter belongs there.
"""

from __future__ import annotations

import contextlib
import functools
import hashlib
import json
import logging
import os
import shutil
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from ..config import flatten
from ..utils.errors import UserError
from ..utils.files import locked, new_folder

MAX_BYTES = 3 << 30  # a dozen small networks and a few of 300 MB
STALE_S = 24 * 3600.0  # a temporary folder that old belongs to a process that was killed
_log = logging.getLogger(__name__)


class CacheError(UserError):
    """The cache's folder cannot be written."""


def cache_dir() -> Path:
    """Where converted networks are kept."""
    if given := os.environ.get("MSTGT_CACHE"):
        return Path(given)
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "mstgt"


def entry_key(made_from: Mapping[str, str]) -> str:
    """The name of the entry that is made from these values."""
    return hashlib.sha256(json.dumps(made_from, sort_keys=True).encode()).hexdigest()[:32]


def cached_entry(made_from: Mapping[str, str], build: Callable[[Path], object]) -> Path:
    """The folder of the entry that is made from these values; ``build(folder)`` fills it where there is none yet.

    Of several processes that need the same new entry, one builds it and the others wait. Raises :class:`CacheError`
    where the cache cannot be written.
    """
    entry = cache_dir() / entry_key(made_from)
    if not entry.is_dir():
        _build_entry(entry, build)
    with contextlib.suppress(OSError):  # a read-only cache can be used as well
        os.utime(entry)
    return entry


def discard_entry(entry: Path) -> None:
    """Remove an entry, such as one that turned out to be corrupt."""
    # Renamed first: nobody may read an entry while it is being taken apart.
    renamed = entry.with_name(f".removed-{entry.name}-{os.getpid()}-{time.monotonic_ns()}")
    with contextlib.suppress(OSError):
        entry.rename(renamed)
        shutil.rmtree(renamed, ignore_errors=True)


def network_settings(cfg: Any) -> str:
    """The settings that a converted network depends on, as text."""
    relevant = ("MODEL.", "DATA.MEAN", "DATA.STD", "DATA.TEMPLATE.SIZE", "DATA.SEARCH.SIZE", "TEST.TEMPLATE_SIZE",
                "TEST.SEARCH_SIZE", "TEST.NARROW_SIZE")
    return repr(sorted((key, value) for key, value in flatten(cfg).items() if key.startswith(relevant)))


@functools.cache
def network_code() -> str:
    """A hash of the source files that converted networks are made by: a changed network is converted again."""
    package = Path(__file__).resolve().parents[1]
    files = [*(package / "models").rglob("*.py"), package / "config/backbones.py",
             package / "export/openvino_convert.py", package / "export/onnx_export.py"]
    digest = hashlib.sha256()
    for file in sorted(files):
        digest.update(file.read_bytes())
    return digest.hexdigest()


def _build_entry(entry: Path, build: Callable[[Path], object]) -> None:
    try:
        entry.parent.mkdir(parents=True, exist_ok=True)
        with locked(entry.parent / f".{entry.name}.lock"):
            if entry.is_dir():  # another process built it while this one waited
                return
            with new_folder(entry, f".part-{entry.name}-") as temporary:
                build(temporary)
        _limit_size(entry.parent, keep=entry)
    except OSError as error:
        raise CacheError(f"cannot write the cache {entry.parent}: {error.strerror or error}; "
                        "name another folder with the environment variable MSTGT_CACHE") from error


def _limit_size(folder: Path, keep: Path) -> None:
    """Remove the entries that were not used for longest until the rest fits; and what killed processes left."""
    entries = []
    for path in folder.iterdir():
        with contextlib.suppress(OSError):
            used = path.stat().st_mtime
            if path.name.startswith("."):
                if path.is_dir() and time.time() - used > STALE_S:
                    shutil.rmtree(path, ignore_errors=True)
            elif path.is_dir():
                entries.append((used, path, sum(file.stat().st_size for file in path.iterdir())))
    total = sum(size for _, _, size in entries)
    for _, path, size in sorted(entries):
        if total <= MAX_BYTES:
            break
        if path != keep:
            _log.info("removing %s from the cache of converted networks", path)
            discard_entry(path)
            total -= size
