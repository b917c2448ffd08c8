"""Where the bytes of a dataset come from. Readers ask a store for keys and never touch paths themselves.

A key is a relative path with forward slashes, ``GOT-10k_Train_000001/00000001.jpg``. A folder on disk is here; archives
are in ``mstgt.data.stores`` and serve the same keys. Every store is safe to use in worker processes: it can be pickled,
and it opens what it reads from again in each process.

No key leads out of the root. Links in a folder are followed wherever they lead, for people keep frames on other disks;
archives hold no links. Nothing is read but plain files of at most ``MAX_FILE_BYTES``.
"""

from __future__ import annotations

import os
import stat
from pathlib import Path
from typing import Protocol

from ..untrusted.limits import leads_out, refuse_size
from ..utils.errors import UserError

MtimeKey = tuple[int, int]  # size in bytes and time of the last change in ns


class FrameStore(Protocol):
    """The bytes of a dataset, by key."""

    root: Path  # the folder, or the archive

    def __hash__(self) -> int: ...

    def read(self, key: str) -> bytes:
        """The bytes under ``key``. Raises :class:`UserError` naming the key when it cannot be read."""

    def exists(self, key: str) -> bool:
        """Whether ``key`` is there (a file, not a folder)."""

    def list(self, prefix: str = "") -> list[str]:
        """The sorted names (not whole keys) directly under the folder ``prefix``; [] where there is none."""

    def where(self, key: str) -> str:
        """How to name ``key`` to a person."""

    def mtime_key(self, key: str) -> MtimeKey | None:
        """The state of the file or folder ``key``, or of the archive that would hold it; None where there is none.

        A folder's stamp changes with the names in it, not with the contents of its files.
        """


class FolderStore:
    """A plain folder on disk."""

    def __init__(self, root: str | Path):
        self.root = Path(root)

    def read(self, key: str) -> bytes:
        try:
            if leads_out(key):
                raise UserError(f"cannot read {key!r} of {self.root}: the name leads out of the dataset")
            with open(os.path.join(self.root, key), "rb", buffering=0, opener=_without_waiting) as file:
                state = os.fstat(file.fileno())
                if not stat.S_ISREG(state.st_mode):
                    raise UserError(f"cannot read {self.where(key)}: not a plain file; remove it")
                refuse_size(state.st_size, self.where(key))
                return file.read()
        except (OSError, ValueError) as error:  # ValueError: a zero byte in the name
            raise UserError(f"cannot read {self.where(key)}: {getattr(error, 'strerror', None) or error}") from error

    def exists(self, key: str) -> bool:
        return os.path.isfile(os.path.join(self.root, key))

    def list(self, prefix: str = "") -> list[str]:
        try:
            return sorted(os.listdir(os.path.join(self.root, prefix)))
        except (FileNotFoundError, NotADirectoryError, ValueError):
            return []
        except OSError as error:
            raise UserError(f"cannot read the folder {self.where(prefix)}: {error.strerror or error}") from error

    def where(self, key: str) -> str:
        return str(self.root / key)

    def mtime_key(self, key: str) -> MtimeKey | None:
        try:
            state = os.stat(os.path.join(self.root, key))
        except (OSError, ValueError):
            return None
        return state.st_size, state.st_mtime_ns


def _without_waiting(path: str, flags: int) -> int:
    """Open without waiting for the other end, if it is a pipe that somebody left among the files."""
    return os.open(path, flags | getattr(os, "O_NONBLOCK", 0))


def file_mtime_key(path: str | Path) -> MtimeKey:
    """The stamp of an archive. Raises :class:`UserError` when it cannot be looked at."""
    try:
        state = os.stat(path)
    except OSError as error:
        raise UserError(f"cannot read {path}: {error.strerror or error}") from error
    return state.st_size, state.st_mtime_ns
