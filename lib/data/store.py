"""Where the bytes of a dataset come from. Readers ask a store for keys and never touch paths themselves.

A key is a relative path with forward slashes, ``GOT-10k_Train_000001/00000001.jpg``. A folder on disk is here; archives
are in ``lib.data.stores`` and serve the same keys. Every store is safe to use in worker processes: it can be pickled,
and it opens what it reads from again in each process.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Protocol

from lib.utils.errors import UserError

Stamp = tuple[int, int]  # size in bytes and time of the last change in ns


class FrameStore(Protocol):
    """The bytes of a dataset, by key."""

    root: Path  # the folder, or the archive

    def read(self, key: str) -> bytes:
        """The bytes under ``key``. Raises :class:`UserError` naming the key when it cannot be read."""

    def exists(self, key: str) -> bool:
        """Whether ``key`` is there (a file, not a folder)."""

    def list(self, prefix: str = "") -> list[str]:
        """The sorted names (not whole keys) directly under the folder ``prefix``; [] where there is none."""

    def where(self, key: str) -> str:
        """How to name ``key`` to a person."""

    def stamp(self, key: str) -> Stamp | None:
        """The state of the file or folder ``key``, or of the archive that would hold it; None where there is none.

        A folder's stamp changes with the names in it, not with the contents of its files.
        """


class FolderStore:
    """A plain folder on disk."""

    def __init__(self, root: str | Path):
        self.root = Path(root)

    def read(self, key: str) -> bytes:
        try:
            with open(os.path.join(self.root, key), "rb", buffering=0) as file:
                return file.read()
        except OSError as error:
            raise UserError(f"cannot read {self.where(key)}: {error.strerror or error}") from error

    def exists(self, key: str) -> bool:
        return os.path.isfile(os.path.join(self.root, key))

    def list(self, prefix: str = "") -> list[str]:
        try:
            return sorted(os.listdir(os.path.join(self.root, prefix)))
        except (FileNotFoundError, NotADirectoryError):
            return []
        except OSError as error:
            raise UserError(f"cannot read the folder {self.where(prefix)}: {error.strerror or error}") from error

    def where(self, key: str) -> str:
        return str(self.root / key)

    def stamp(self, key: str) -> Stamp | None:
        try:
            state = os.stat(os.path.join(self.root, key))
        except OSError:
            return None
        return state.st_size, state.st_mtime_ns


def file_stamp(path: str | Path) -> Stamp:
    """The stamp of an archive. Raises :class:`UserError` when it cannot be looked at."""
    try:
        state = os.stat(path)
    except OSError as error:
        raise UserError(f"cannot read {path}: {error.strerror or error}") from error
    return state.st_size, state.st_mtime_ns
