"""A dataset in one zip archive or several.

The archives' tables of contents are read once, and kept for the next start where they are big (``mstgt.data.index``: a
million entries take some ten seconds and a gigabyte to read in). A member is then one positioned read, so that threads
and forked processes share nothing but the file. Members are stored or deflated; their checksums are checked on every
read.

Archives whose names would lead out of a folder (absolute, ``..``, backslashes, links) are refused, and those with a
member that would have more than ``MAX_FILE_BYTES``. No more of a member is unpacked than the table of contents says.
"""

from __future__ import annotations

import hashlib
import os
import stat
import struct
import zipfile
import zlib
from collections.abc import Iterable
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np

from ...untrusted.arrays import Arrays, ArraysError
from ...untrusted.limits import MAX_FILE_BYTES, fault_in_key
from ...utils.errors import UserError, explain_os_error
from ..index import FOLDER, cached_arrays, digests
from ..store import MtimeKey, file_mtime_key
from .directory import Directory, DirectoryStore

_MARK = b"contents sha256 "
_LOCAL_HEADER = struct.Struct("<4s22xHH")  # signature, length of the name, length of the extra field
_ENCRYPTED = 0x1
_BIG_BYTES = 256 << 20  # archives together, from which on the table of contents is kept
_METHODS = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)
_COLUMNS = {"archive": np.uint16, "offset": np.int64, "packed": np.int64, "size": np.int64, "method": np.uint8,
            "crc": np.uint32}


class ZipStore(DirectoryStore):
    """The members of one archive, or of several as if they were one."""

    def __init__(self, *archives: str | Path):
        self.archives = tuple(Path(a) for a in archives)
        self.root = self.archives[0]
        self._mtime_keys = tuple(file_mtime_key(a) for a in self.archives)
        arrays = self._contents()
        try:
            self._directory = Directory(*(arrays[part] for part in Directory.PARTS))
        except ArraysError as error:
            raise UserError(f"the kept table of contents of {self.root} is corrupt ({error}); delete the folder "
                            f"{self.root.with_name(FOLDER)}") from error
        self._table = {name: arrays[name] for name in _COLUMNS}
        self._files: dict[int, BinaryIO] = {}

    def __getstate__(self) -> dict[str, Any]:
        return self.__dict__ | {"_files": {}}

    def read(self, key: str) -> bytes:
        row = self._directory.row(key)
        if row is None:
            raise UserError(f"cannot read {self.where(key)}: no such file in the archive")
        member = {name: int(column[row]) for name, column in self._table.items()}
        with explain_os_error(f"cannot read {self.where(key)}"):
            data = _unpack(self._packed(member), member)
        if data is None:
            raise UserError(f"cannot read {self.where(key)}: corrupt in the archive (its checksum differs); "
                            "make or fetch the archive again")
        return data

    def where(self, key: str) -> str:
        row = self._directory.row(key)
        return str(self.archives[0 if row is None else int(self._table["archive"][row])] / key)

    def mtime_key(self, key: str) -> MtimeKey | None:
        row = self._directory.row(key)
        if row is not None:
            return self._mtime_keys[int(self._table["archive"][row])]
        if not self._directory.list(key):
            return None
        return sum(size for size, _ in self._mtime_keys), max(time for _, time in self._mtime_keys)

    def _contents(self) -> Arrays:
        """The parts of the directory and the columns of the table, all in the directory's order."""
        if sum(size for size, _ in self._mtime_keys) < _BIG_BYTES:
            return read_contents(self.archives)
        states = digests((archive.name, key) for archive, key in zip(self.archives, self._mtime_keys, strict=True))
        return cached_arrays(self.root, "contents", states, lambda _old: read_contents(self.archives),
                             {**Directory.PARTS, **{name: f"{kind().dtype.kind}1" for name, kind in _COLUMNS.items()}},
                             self._fits)

    def _fits(self, arrays: Arrays) -> bool:
        """Whether every member has a place in one of the archives, and a size that may be."""
        whole = np.array([size for size, _ in self._mtime_keys])
        rows = len(arrays["names"])
        if any(len(arrays[name]) != rows for name in _COLUMNS) or rows and arrays["archive"].max() >= len(whole):
            return False
        own = whole[arrays["archive"]]  # bytes of the archive that holds the member
        limits = {"offset": own, "packed": own, "size": MAX_FILE_BYTES}
        return all((arrays[name] >= 0).all() and (arrays[name] <= most).all() for name, most in limits.items())

    def _packed(self, member: dict[str, int]) -> bytes:
        """The member's bytes as they lie in the archive; less where the file is cut short or another."""
        file = self._file(member["archive"]).fileno()
        header = os.pread(file, _LOCAL_HEADER.size, member["offset"])
        if len(header) < _LOCAL_HEADER.size:
            return b""
        signature, name, extra = _LOCAL_HEADER.unpack(header)
        if signature != b"PK\3\4":
            return b""
        return _pread(file, member["packed"], member["offset"] + _LOCAL_HEADER.size + name + extra)

    def _file(self, number: int) -> BinaryIO:
        if number not in self._files:
            archive = self.archives[number]
            file = open(archive, "rb", buffering=0)  # noqa: SIM115, kept open for the store's life
            state = os.fstat(file.fileno())
            if (state.st_size, state.st_mtime_ns) != self._mtime_keys[number]:
                raise UserError(f"{archive} has changed while it was in use; start again")
            self._files[number] = file
        return self._files[number]


def read_contents(archives: tuple[Path, ...]) -> Arrays:
    """The directory and the table of the archives. Raises :class:`UserError` for one that cannot be trusted."""
    keys: list[str] = []
    rows: list[tuple[int, ...]] = []
    for number, archive in enumerate(archives):
        for info in _members(archive):
            keys.append(info.filename)
            rows.append((number, info.header_offset, info.compress_size, info.file_size, info.compress_type, info.CRC))
    _refuse_doubles(keys, archives)
    directory, order = Directory.of(keys)
    columns = zip(*rows, strict=True) if rows else [()] * len(_COLUMNS)
    table = {name: np.array(column, kind)[order]
             for (name, kind), column in zip(_COLUMNS.items(), columns, strict=True)}
    return directory.arrays() | table


def _pread(file: int, count: int, offset: int) -> bytes:
    """``count`` bytes at ``offset``, fewer at the file's end (one call gives 2 GB at most)."""
    parts = []
    while count > 0 and (part := os.pread(file, count, offset)):
        parts.append(part)
        count, offset = count - len(part), offset + len(part)
    return b"".join(parts)


def _unpack(data: bytes, member: dict[str, int]) -> bytes | None:
    """The member's contents; None when they are not what the table of contents says."""
    if member["method"] == zipfile.ZIP_DEFLATED:
        try:
            data = zlib.decompressobj(-zlib.MAX_WBITS).decompress(data, member["size"] + 1)
        except zlib.error:
            return None
    return data if len(data) == member["size"] and zlib.crc32(data) == member["crc"] else None


def _members(archive: Path) -> list[zipfile.ZipInfo]:
    """The files of an archive. Raises :class:`UserError` for one that is corrupt or not to be trusted."""
    try:
        with explain_os_error(f"cannot read {archive}"), zipfile.ZipFile(archive) as file:
            infos = [info for info in file.infolist() if not info.is_dir()]
            comment = file.comment
    except (zipfile.BadZipFile, struct.error, ValueError, IndexError, OverflowError, EOFError,
            NotImplementedError) as error:
        raise UserError(f"{archive} is not a whole zip archive (cut short?): {error}; make or fetch it "
                        "again") from error
    if comment.startswith(_MARK) and comment != mark_of(infos):
        raise UserError(f"{archive} is corrupt: its table of contents is not as it was written; make or fetch it again")
    whole = file_mtime_key(archive)[0]
    for info in infos:
        fault = fault_in_key(info.orig_filename)
        if not 0 <= info.header_offset <= whole or not 0 <= info.compress_size <= whole:
            fault = "a place beyond the archive's end"
        if info.file_size > MAX_FILE_BYTES:
            fault = f"{info.file_size} bytes, more than the {MAX_FILE_BYTES} that a file may have"
        if stat.S_ISLNK(info.external_attr >> 16):
            fault = "a symbolic link"
        if info.flag_bits & _ENCRYPTED:
            fault = "an encrypted file"
        if info.compress_type not in _METHODS:
            fault = "a compression other than deflate"
        if fault:
            raise UserError(f"{archive}: refused for its entry {info.orig_filename!r}: {fault}; pack the dataset with "
                            "python tracking/pack_dataset.py")
    return infos


def mark_of(infos: Iterable[zipfile.ZipInfo]) -> bytes:
    """The comment of an archive that was packed here: a digest of names, sizes and checksums, which are its own table
    of contents' and have no checksum there."""
    lines = (f"{info.filename}\0{info.file_size}\0{info.CRC}\n" for info in infos)
    return _MARK + hashlib.sha256("".join(lines).encode("utf-8", "surrogatepass")).hexdigest().encode()


def _refuse_doubles(keys: list[str], archives: tuple[Path, ...]) -> None:
    seen = set()
    for key in keys:
        if key in seen:
            raise UserError(f"{', '.join(map(str, archives))}: {key!r} is there twice; pack the dataset with "
                            "python tracking/pack_dataset.py")
        seen.add(key)
