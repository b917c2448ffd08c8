"""Where the bytes of a dataset come from. Readers ask a store for keys and never touch paths themselves.

A key is a relative path with forward slashes, ``GOT-10k_Train_000001/00000001.jpg``.
"""

from __future__ import annotations

from pathlib import Path
from typing import Protocol

from lib.utils.errors import UserError


class FrameStore(Protocol):
    """The bytes of a dataset, by key."""

    def read(self, key: str) -> bytes:
        """The bytes under ``key``. Raises :class:`UserError` naming the key when it cannot be read."""

    def exists(self, key: str) -> bool:
        """Whether ``key`` is there (a file, not a folder)."""

    def list(self, prefix: str = "") -> list[str]:
        """The sorted names (not whole keys) directly under the folder ``prefix``; [] where there is none."""

    def where(self, key: str) -> str:
        """How to name ``key`` to a person."""


class FolderStore:
    """A plain folder on disk."""

    def __init__(self, root: str | Path):
        self.root = Path(root)

    def read(self, key: str) -> bytes:
        try:
            return (self.root / key).read_bytes()
        except OSError as error:
            raise UserError(f"cannot read {self.where(key)}: {error.strerror or error}") from error

    def exists(self, key: str) -> bool:
        return (self.root / key).is_file()

    def list(self, prefix: str = "") -> list[str]:
        folder = self.root / prefix
        return sorted(p.name for p in folder.iterdir()) if folder.is_dir() else []

    def where(self, key: str) -> str:
        return str(self.root / key)
