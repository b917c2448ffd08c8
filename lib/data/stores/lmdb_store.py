"""A dataset in an LMDB file: key -> bytes, with a directory of the names and their checksums under a reserved key.

``tracking/pack_dataset.py`` writes it. The file is opened read-only without locks, once in each process and as late
as the first read; stores of the same file share it, for LMDB allows no second opening.

An LMDB file is trusted: the library maps it into memory and follows the numbers in its pages (SECURITY.md). The
contents of its values are checked by their checksums.
"""

from __future__ import annotations

import io
import os
import zlib
from pathlib import Path
from threading import Lock
from typing import Any

import lmdb
import numpy as np

from ...untrusted.arrays import ArraysError, check_arrays, load_arrays
from ...utils.errors import UserError, explain_os_error
from ..store import MtimeKey, file_mtime_key
from .directory import Directory, DirectoryStore

DIRECTORY_KEY = b"\0mstgt.directory"  # no file has a name with a zero byte
MAX_LMDB_KEY_BYTES = 511

_open: dict[tuple[int, int], tuple[int, lmdb.Environment]] = {}  # by device and inode: process, environment
_opening = Lock()


class LmdbStore(DirectoryStore):
    """The files in ``root``, an LMDB file or a folder that holds ``data.mdb``."""

    def __init__(self, root: str | Path):
        self.root = Path(root)
        self._file = self.root / "data.mdb" if self.root.is_dir() else self.root
        self._mtime_key = file_mtime_key(self._file)
        data = self._get(DIRECTORY_KEY)
        if data is None:
            raise UserError(f"{self.root} holds no directory of its files; make it with "
                            "python tracking/pack_dataset.py")
        self._directory, self._crc = read_directory(data, self.root)

    def read(self, key: str) -> bytes:
        row = self._directory.row(key)
        data = None if row is None else self._get(key.encode())
        if data is None:
            raise UserError(f"cannot read {self.where(key)}: no such file in the LMDB")
        if zlib.crc32(data) != self._crc[row]:
            raise UserError(f"cannot read {self.where(key)}: corrupt in the LMDB (its checksum differs); make or "
                            "fetch it again")
        return data

    def where(self, key: str) -> str:
        return str(self.root / key)

    def mtime_key(self, key: str) -> MtimeKey | None:
        return self._mtime_key if self.exists(key) or self._directory.list(key) else None

    def _get(self, key: bytes) -> bytes | None:
        try:
            with explain_os_error(f"cannot read {self._file}"), _environment(self._file).begin() as transaction:
                return transaction.get(key)
        except lmdb.Error as error:
            raise UserError(f"cannot read the LMDB {self.root}: {error}; make or fetch it again") from error


def write_directory(directory: Directory, crc: np.ndarray) -> bytes:
    """The value of ``DIRECTORY_KEY``: the names and the CRC-32 of each file, in the order of the directory."""
    file = io.BytesIO()
    arrays: dict[str, Any] = {"crc": crc.astype(np.uint32), **directory.arrays()}
    np.savez_compressed(file, **arrays)
    return file.getvalue()


def read_directory(data: bytes, where: Path) -> tuple[Directory, np.ndarray]:
    """The inverse of :func:`write_directory`."""
    try:
        arrays = load_arrays(io.BytesIO(data))
        check_arrays(arrays, {"crc": "u1", **Directory.PARTS})
        directory, crc = Directory(*(arrays[part] for part in Directory.PARTS)), arrays["crc"]
    except ArraysError as error:
        raise UserError(f"the directory of {where} is corrupt: {error}; make or fetch it again") from error
    if len(crc) != len(directory):
        raise UserError(f"the directory of {where} is corrupt: {len(crc)} checksums for {len(directory)} files; make "
                        "or fetch it again")
    return directory, crc


def _environment(file: Path) -> lmdb.Environment:
    """The environment of ``file`` in this process. Raises ``lmdb.Error`` for a file that is no LMDB."""
    state = os.stat(file)
    name = state.st_dev, state.st_ino
    with _opening:
        process, environment = _open.get(name, (0, None))
        if process == os.getpid() and environment is not None:
            return environment
        if environment is not None:  # inherited from the parent process: this closes only the view of this process
            environment.close()
        environment = lmdb.open(str(file), subdir=False, readonly=True, lock=False, readahead=False)
        # Reading a page beyond the end of a file that was cut short would end the process (SIGBUS).
        needed = (environment.info()["last_pgno"] + 1) * environment.stat()["psize"]
        if state.st_size < needed:
            environment.close()
            raise lmdb.CorruptedError(f"the file is cut short ({state.st_size} of {needed} bytes)")
        _open[name] = os.getpid(), environment
    return environment
