"""Arrays from ``.npz`` files that may be corrupt, or made to do harm: no code is run, and no room is made for more than
the file says it holds, which has a limit.

    arrays = load_arrays(path)                      # {name: array}; ArraysError where it is no such file
    check_arrays(arrays, {"ids": "i1", "boxes_xywh": "f2"})     # kind and dimensions
"""

from __future__ import annotations

import tokenize
import zipfile
import zlib
from collections.abc import Mapping
from pathlib import Path
from typing import BinaryIO

import numpy as np

MAX_BYTES = 4 << 30  # of all arrays of a file; those of ImageNet-VID have some 0.1 GB
_HEADER = 65_536  # bytes of an array that are no values, at most
_METHODS = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)  # what NumPy writes
_FAULTS = (OSError, EOFError, KeyError, IndexError, ValueError, TypeError, SyntaxError, OverflowError, MemoryError,
           RecursionError, NotImplementedError, RuntimeError, tokenize.TokenError, zlib.error, zipfile.BadZipFile)

Arrays = dict[str, np.ndarray]


class ArraysError(Exception):
    """A file that holds no arrays, or not the ones that were expected."""


def load_arrays(file: str | Path | BinaryIO, most_bytes: int = MAX_BYTES) -> Arrays:
    """All arrays of an ``.npz`` file. Raises :class:`ArraysError` for a corrupt file, or one beyond ``most_bytes``."""
    try:
        with zipfile.ZipFile(file) as archive:
            size = sum(info.file_size for info in archive.infolist())
            if size > most_bytes:
                raise ArraysError(f"{size} bytes of arrays, more than the {most_bytes} allowed")
            return {info.filename.removesuffix(".npy"): _array(archive, info) for info in archive.infolist()}
    except _FAULTS as error:
        raise ArraysError(f"{type(error).__name__}: {str(error)[:80]}") from error


def _array(archive: zipfile.ZipFile, info: zipfile.ZipInfo) -> np.ndarray:
    if info.compress_type not in _METHODS:
        raise ValueError("neither stored nor deflated")
    with archive.open(info) as member:
        version = np.lib.format.read_magic(member)
        read_header = {(1, 0): np.lib.format.read_array_header_1_0, (2, 0): np.lib.format.read_array_header_2_0}
        shape, by_columns, kind = read_header[version](member)
        if kind.hasobject:
            raise ValueError("an array of objects")
        count = 1
        for side in shape:
            count *= side
        if min(shape, default=0) < 0 or not count * kind.itemsize <= info.file_size <= count * kind.itemsize + _HEADER:
            raise ValueError(f"an array of {shape} in {info.file_size} bytes")
        data = member.read()  # to its end, where its checksum is compared
    if len(data) != count * kind.itemsize:
        raise ValueError(f"{len(data)} bytes for an array of {shape}")
    return np.frombuffer(bytearray(data), kind).reshape(shape, order="F" if by_columns else "C")


def check_arrays(arrays: Mapping[str, np.ndarray], kinds: Mapping[str, str]) -> None:
    """Raise :class:`ArraysError` unless all of ``kinds`` are there: name -> letter of the kind (NumPy's ``dtype.kind``)
    and number of dimensions, such as ``f2``."""
    for name, kind in kinds.items():
        found = f"{arrays[name].dtype.kind}{arrays[name].ndim}" if name in arrays else "none"
        if found != kind:
            raise ArraysError(f"{name} is {found}, not {kind}")
