"""Stores: where the bytes of a dataset come from. Readers ask a store for keys and do not use paths.

    store = open_store(paths.dataset("lasot"), "lasot")
    store.read("airplane-1/groundtruth.txt")

A key is a relative path with forward slashes, ``GOT-10k_Train_000001/00000001.jpg``. This module opens the stores and
holds that of a folder on disk; those of archives are in ``mstgt.data.stores`` and serve the same keys. Stores can be
used in worker processes: they can be pickled, and each process opens the files for itself.

No key leads out of the root. Links in a folder are followed, because frames are often kept on other disks; archives
hold no links. Only regular files of at most ``MAX_FILE_BYTES`` are read.
"""

from __future__ import annotations

import os
import stat
from glob import escape
from pathlib import Path
from typing import Protocol

from ..untrusted.limits import leads_out, refuse_size
from ..utils.errors import UserError, explain_os_error

MtimeKey = tuple[int, int]  # size in bytes and time of the last change in ns
ARCHIVE_SUFFIXES = (".zip", ".lmdb")
WHAT_TO_DO = ("name the folder that holds the datasets with --data_dir, or write it down once with "
              "python tracking/create_default_local_file.py")
_MADE_BY = {"synthetic": "make it with python tracking/make_synthetic.py"}  # datasets that a command makes


class FrameStore(Protocol):
    """The bytes of a dataset, by key."""

    root: Path  # the folder, or the archive

    def __hash__(self) -> int: ...

    def read(self, key: str) -> bytes:
        """Return the bytes of ``key``. Raises :class:`UserError` that names the key if it cannot be read."""

    def exists(self, key: str) -> bool:
        """Return whether there is a file (not a folder) ``key``."""

    def list(self, prefix: str = "") -> list[str]:
        """Return the sorted names (not whole keys) directly in the folder ``prefix``; [] if there is no such folder."""

    def where(self, key: str) -> str:
        """Return how to name ``key`` in messages."""

    def mtime_key(self, key: str) -> MtimeKey | None:
        """Return size and time of the file or folder ``key``, or of its archive; None if there is no ``key``.

        The value of a folder changes with the names in it, not with the contents of its files.
        """


def join(*parts: str) -> str:
    """A key from its parts; empty parts vanish."""
    return "/".join(part for part in parts if part)


def fingerprint(store: FrameStore, *keys: str) -> tuple[MtimeKey | None, ...]:
    """Size and time of every file that a video is read from; changes when one of them does."""
    return tuple([store.mtime_key(key) for key in keys])


def open_store(root: str | Path, name: str | None = None) -> FrameStore:
    """The store of the dataset at ``root``. Raises :class:`UserError` when there is none.

    name  of the dataset, for the message; None: a folder that the user gave
    ``root`` is a folder (one that holds ``data.mdb`` is an LMDB), a ``.zip`` or an ``.lmdb``. Where there is nothing or
    an empty folder, the archives beside it serve: ``<root>.zip`` with ``<root>.<part>.zip``, else ``<root>.lmdb``.
    """
    # Imported here: these modules build on this one.
    from .stores.lmdb_store import LmdbStore
    from .stores.zip_store import ZipStore

    root = Path(root)
    if FolderStore(root).list():
        return LmdbStore(root) if (root / "data.mdb").is_file() else FolderStore(root)
    if root.is_file() and root.suffix in ARCHIVE_SUFFIXES:
        return ZipStore(root) if root.suffix == ".zip" else LmdbStore(root)
    beside = escape(root.name)
    archives = [p for pattern in (".zip", ".*.zip") for p in sorted(root.parent.glob(beside + pattern)) if p.is_file()]
    if archives:
        return ZipStore(*archives)
    packed = root.with_name(f"{root.name}.lmdb")
    if packed.exists():
        return LmdbStore(packed)
    if root.is_dir():
        return FolderStore(root)
    archives_beside = f"(nor {root.name}.zip or {root.name}.lmdb)"
    if name is None and root.exists():
        raise UserError(f"{root} is no folder, .zip or .lmdb; give a folder of videos")
    if name is None:
        raise UserError(f"no folder {root} {archives_beside}; give a folder of videos")
    what_to_do = f"{_MADE_BY[name]}, or {WHAT_TO_DO}" if name in _MADE_BY else WHAT_TO_DO
    if root.exists():
        raise UserError(f"dataset {name!r}: {root} is no folder, .zip or .lmdb; {what_to_do}")
    raise UserError(f"no dataset {name!r}: there is no folder {root} {archives_beside}; {what_to_do}")


def require_photos(root: Path) -> None:
    """Raise :class:`UserError` where the folder of a set of photographs is not there."""
    if not root.exists():
        raise UserError(f"no folder {root}: give a folder with photographs, or write a set with "
                        "python tracking/make_photos.py")


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
    """Open without blocking if ``path`` is a named pipe."""
    return os.open(path, flags | getattr(os, "O_NONBLOCK", 0))


def file_mtime_key(path: str | Path) -> MtimeKey:
    """Return size and time of an archive. Raises :class:`UserError` if there is none."""
    with explain_os_error(f"cannot read {path}"):
        state = os.stat(path)
    return state.st_size, state.st_mtime_ns
