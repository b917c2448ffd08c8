"""Writing files so that a reader sees the old content or the new, never half of it.

A file is written under a hidden name beside its own, ``.<name>.part-xxxxxxxx.<ending>``, and renamed when it is whole.
What a killed process leaves under such a name is removed by the next one that writes the same file; the writer's lock
on it tells it from what is being written just now.
"""

from __future__ import annotations

import codecs
import contextlib
import fcntl
import functools
import hashlib
import json
import math
import os
import re
import shutil
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from .errors import UserError, explain_os_error

_PART = re.compile(r"\..+\.part-[a-z0-9_]{8}(\..*)?")


@contextlib.contextmanager
def atomic_path(path: str | Path) -> Iterator[Path]:
    """Give a temporary path beside ``path``; on success it is synced and renamed to ``path``, else removed.

    The temporary name keeps the suffix of ``path`` (image and video writers choose their format by it).
    Raises :class:`UserError` when the disk is full or the folder cannot be written.
    """
    path = Path(path)
    temporary, handle = None, None
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        _remove_leftovers(path)
        handle, temporary = _begin(path)
        os.fchmod(handle, 0o666 & ~_umask())
        yield temporary
        with open(temporary, "rb") as file:
            os.fsync(file.fileno())
        os.replace(temporary, path)
    except OSError as error:
        reason = f"{path.parent} is not a folder" if isinstance(error, FileExistsError) else error.strerror or error
        raise UserError(f"cannot write {path}: {reason}") from error
    finally:
        if temporary is not None:
            temporary.unlink(missing_ok=True)
        if handle is not None:
            os.close(handle)


def _begin(path: Path) -> tuple[int, Path]:
    """A new file for what is to become ``path``, locked, and its name."""
    while True:
        handle, name = tempfile.mkstemp(prefix=_start(path), suffix=path.suffix, dir=path.parent)
        with contextlib.suppress(OSError):  # no locks here: then nobody removes it, either
            fcntl.flock(handle, fcntl.LOCK_EX)
        if os.fstat(handle).st_nlink:  # else another process took it for a leftover before it was locked
            return handle, Path(name)
        os.close(handle)


def _start(path: Path) -> str:
    return f".{path.stem}.part-"


def _remove_leftovers(path: Path) -> None:
    """Remove what killed processes have left of ``path``: files under its temporary names that nobody has locked."""
    for name in _parts(path.parent):
        if name.startswith(_start(path)) and Path(name).suffix == path.suffix:
            with contextlib.suppress(OSError):
                handle = os.open(path.parent / name, os.O_RDONLY | os.O_NOFOLLOW)
                try:
                    fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
                    os.unlink(path.parent / name)
                finally:
                    os.close(handle)


@functools.cache
def _parts(folder: Path) -> tuple[str, ...]:
    """The temporary names in ``folder`` when this process looked first: once, for there may be many files."""
    return tuple(filter(_PART.fullmatch, os.listdir(folder)))


@contextlib.contextmanager
def locked(path: str | Path, wait_s: float = math.inf) -> Iterator[bool]:
    """Keep other processes out of ``path``: a folder, or a file that is made where there is none.

    Waits until nobody else holds it, and gives True; or False when somebody still does after ``wait_s`` seconds.
    Where the file system has no locks it gives True and has no effect.
    Raises :class:`UserError` when ``path`` cannot be opened.
    """
    path = Path(path)
    with explain_os_error(f"cannot lock {path}"):
        handle = os.open(path, os.O_RDONLY) if path.is_dir() else os.open(path, os.O_RDWR | os.O_CREAT, 0o666)
    try:
        yield _lock(handle, wait_s)
    finally:
        os.close(handle)


def _lock(handle: int, wait_s: float) -> bool:
    deadline = time.monotonic() + wait_s
    while True:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | (fcntl.LOCK_NB if math.isfinite(wait_s) else 0))
        except BlockingIOError:
            if time.monotonic() >= deadline:
                return False
            time.sleep(0.1)
        except OSError:  # no locks here
            return True
        else:
            return True


@contextlib.contextmanager
def new_folder(path: Path, prefix: str) -> Iterator[Path]:
    """Give an empty folder beside ``path``, whose name begins with ``prefix``; on success it is renamed to ``path``,
    else removed. Raises OSError where the disk is full or the folder cannot be written."""
    temporary = Path(tempfile.mkdtemp(prefix=prefix, dir=path.parent))
    try:
        yield temporary
        temporary.chmod(0o755)
        temporary.rename(path)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


def write_bytes(path: str | Path, data: bytes) -> None:
    """Write ``data`` to ``path`` atomically."""
    with atomic_path(path) as temporary:
        temporary.write_bytes(data)


def write_text(path: str | Path, text: str) -> None:
    """Write ``text`` to ``path`` atomically, as UTF-8."""
    write_bytes(path, text.encode("utf-8"))


def write_json(path: str | Path, value: Any) -> None:
    """Write ``value`` to ``path`` atomically as indented JSON (NaN is refused: it is not JSON)."""
    write_text(path, json.dumps(value, indent=2, allow_nan=False) + "\n")


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask


def file_sha256(path: str | Path) -> str:
    """The SHA-256 of a file, in hex. Raises :class:`UserError` when it cannot be read."""
    with explain_os_error(f"cannot read {path}"), open(path, "rb") as file:
        digest = hashlib.sha256()
        while chunk := file.read(1 << 20):
            digest.update(chunk)
        return digest.hexdigest()


def decode_text(data: bytes, errors: str = "strict") -> str:
    """UTF-8, with or without a byte order mark, or UTF-16 with one, which PowerShell writes. Raises UnicodeError."""
    is_utf_16 = data.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE))
    return data.decode("utf-16" if is_utf_16 else "utf-8-sig", errors)
