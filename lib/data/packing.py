"""Pack a dataset's folder into one file, a zip archive or an LMDB, which every reader accepts instead of the folder.

    report = pack(Path("data/got10k"), Path("data/got10k.zip"))

Files are packed in the order of their names, so the same files give the same archive. Hidden files are left out. Links
to files inside the folder are packed as the files that they point to; links that lead out of it, and links to folders,
are refused. The archive gets its name only after it is complete and its contents have been counted.
"""

from __future__ import annotations

import errno
import fnmatch
import os
import stat
import time
import zipfile
import zlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import lmdb
import numpy as np

from ..untrusted.limits import fault_in_key
from ..utils.errors import UserError, WouldOverwriteError, explain_os_error
from ..utils.files import atomic_path
from ..utils.progress import progress
from .store import FolderStore
from .stores.directory import Directory
from .stores.lmdb_store import DIRECTORY_KEY, MAX_LMDB_KEY_BYTES, read_directory, write_directory
from .stores.zip_store import mark_of, read_contents

TEXTS = (".txt", ".label", ".ini", ".xml", ".json", ".csv")  # worth compressing; images are not
_BATCH_BYTES = 64 << 20  # written to an LMDB in one transaction
_EPOCH = (1980, 1, 1, 0, 0, 0)  # the time of every zip entry


@dataclass(frozen=True)
class PackSummary:
    """What was packed: number of files, their bytes, the bytes of the archive, and the wall time in s."""

    files: int
    source_bytes: int
    packed_bytes: int
    wall_s: float


def pack(source: Path, target: Path, include: Sequence[str] = (), overwrite: bool = False) -> PackSummary:
    """Pack the files under ``source`` whose keys match one of the globs ``include`` (none: all) into ``target``.

    In a glob ``*`` stands for any characters, slashes too. Raises :class:`UserError` and leaves what was there.
    """
    start = time.perf_counter()
    writer = WRITERS.get(target.suffix)
    if writer is None:
        raise UserError(f"{target}: give a name that ends in {' or '.join(WRITERS)}")
    if not source.is_dir():
        raise UserError(f"there is no folder {source} to pack")
    if target.is_dir() or (target.exists() and not overwrite):
        raise WouldOverwriteError(f"{target} is there already; give another name")
    if target.resolve().is_relative_to(source.resolve()):
        raise UserError(f"{target} is inside {source}: put it beside the folder")
    sizes = {key: size for key, size in _files(source)
             if not include or any(fnmatch.fnmatchcase(key, glob) for glob in include)}
    if not sizes:
        raise UserError(f"nothing to pack in {source}" + (f" that matches {' '.join(include)}" if include else ""))
    keys = sorted(sizes, key=str.encode)
    total = sum(sizes.values())
    with atomic_path(target) as temporary, progress(total=total, unit="B", unit_scale=True, desc=target.name) as bar:
        written = writer(FolderStore(source), keys, sizes, temporary, bar.update)
        if written != len(keys):
            raise UserError(f"{target}: {written} of {len(keys)} files were written; nothing is kept")
    return PackSummary(len(keys), total, target.stat().st_size, time.perf_counter() - start)


def _files(source: Path) -> Iterator[tuple[str, int]]:
    """Key and size of every file under ``source``."""
    inside = source.resolve()
    for folder, folders, files in os.walk(source, onerror=_stop):
        folders[:] = sorted(f for f in folders if not f.startswith("."))
        for name in folders:
            if os.path.islink(os.path.join(folder, name)):
                raise UserError(f"{os.path.join(folder, name)} is a link to a folder; pack the folder it points to")
        for name in files:
            path = Path(folder, name)
            if name.startswith("."):
                continue
            key = path.relative_to(source).as_posix()
            fault = fault_in_key(key)
            if fault:
                raise UserError(f"cannot pack {str(path)!r}: {fault}; rename it")
            if path.is_symlink() and not path.resolve().is_relative_to(inside):
                raise UserError(f"{path} is a link out of {source}; put the file itself there")
            yield key, _size(path)


def _stop(error: OSError) -> None:
    raise UserError(f"cannot read {error.filename}: {error.strerror or error}") from error


def _size(path: Path) -> int:
    with explain_os_error(f"cannot read {path}"):
        state = path.stat()
    if not stat.S_ISREG(state.st_mode):
        raise UserError(f"cannot pack {path}: not a file")
    return state.st_size


def _write_zip(source: FolderStore, keys: list[str], sizes: dict[str, int], path: Path,
               done: Callable[[int], object]) -> int:
    with zipfile.ZipFile(path, "w") as archive:
        for key in keys:
            info = zipfile.ZipInfo(key, _EPOCH)
            info.external_attr = (stat.S_IFREG | 0o644) << 16
            info.compress_type = zipfile.ZIP_DEFLATED if key.lower().endswith(TEXTS) else zipfile.ZIP_STORED
            archive.writestr(info, source.read(key))
            done(sizes[key])
        archive.comment = mark_of(archive.infolist())
    return len(read_contents((path,))["names"])


def _write_lmdb(source: FolderStore, keys: list[str], sizes: dict[str, int], path: Path,
                done: Callable[[int], object]) -> int:
    too_long = next((k for k in keys if len(k.encode()) > MAX_LMDB_KEY_BYTES), None)
    if too_long:
        raise UserError(f"cannot pack {too_long!r}: an LMDB takes names up to {MAX_LMDB_KEY_BYTES} bytes; make a .zip")
    directory, order = Directory.of(keys)
    checksums = np.zeros(len(keys), np.uint32)
    try:
        with lmdb.open(str(path), subdir=False, lock=False, sync=False,
                       map_size=2 * sum(sizes.values()) + 16384 * len(keys) + (1 << 28)) as environment:
            for batch in _batches(keys, sizes):
                with environment.begin(write=True) as transaction:
                    for row in batch:
                        data = source.read(keys[row])
                        checksums[row] = zlib.crc32(data)
                        transaction.put(keys[row].encode(), data)
                        done(sizes[keys[row]])
            with environment.begin(write=True) as transaction:
                transaction.put(DIRECTORY_KEY, write_directory(directory, checksums[order]))
            environment.sync(True)
            with environment.begin() as transaction:
                listed, _ = read_directory(transaction.get(DIRECTORY_KEY) or b"", path)
            return min(len(listed), environment.stat()["entries"] - 1)
    except lmdb.Error as error:
        raise OSError(errno.EIO, f"{error}; is the disk full?") from error


def _batches(keys: list[str], sizes: dict[str, int]) -> Iterator[range]:
    """Runs of rows of about ``_BATCH_BYTES``."""
    first, held = 0, 0
    for row, key in enumerate(keys):
        held += sizes[key]
        if held > _BATCH_BYTES:
            yield range(first, row + 1)
            first, held = row + 1, 0
    if first < len(keys):
        yield range(first, len(keys))


WRITERS: dict[str, Callable[..., int]] = {".zip": _write_zip, ".lmdb": _write_lmdb}
