"""Parsers of archives and of files of arrays."""

from __future__ import annotations

import functools
import io
import zipfile
from pathlib import Path

import numpy as np

from mstgt.data import index
from mstgt.data.stores.directory import Directory, DirectoryStore
from mstgt.data.stores.lmdb_store import read_directory, write_directory
from mstgt.data.stores.zip_store import ZipStore
from mstgt.test.analysis import cache
from mstgt.test.analysis.score import VideoScore
from mstgt.untrusted.arrays import ArraysError, load_arrays
from mstgt.utils.errors import UserError
from tests.fuzz.target import ROWS, Target, jpeg


@functools.cache
def _zips() -> tuple[bytes, ...]:
    made = []
    for method in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
        file = io.BytesIO()
        with zipfile.ZipFile(file, "w", method) as archive:
            for name, data in (("v/groundtruth.txt", ROWS), ("v/img/00000001.jpg", jpeg()), ("list.txt", b"v\n" * 50)):
                archive.writestr(zipfile.ZipInfo(name), data, method)
        made.append(file.getvalue())
    return tuple(made)


def _read_all(store: DirectoryStore, named: str) -> None:
    for key in list(store._directory.keys()):
        try:
            assert len(store.read(key)) <= 1 << 20
        except UserError as error:
            assert named in str(error)


def _zip(data: bytes, at: Path) -> None:
    (at / "set.zip").write_bytes(data)
    store = ZipStore(at / "set.zip")
    _read_all(store, "set.zip")
    assert not any(name.startswith(("/", "..")) for name in store.list())


def _npz(**arrays: np.ndarray) -> bytes:
    file = io.BytesIO()
    np.savez_compressed(file, **arrays)
    return file.getvalue()


def _arrays(data: bytes, at: Path) -> None:
    (at / "x.npz").write_bytes(data)
    try:
        load_arrays(at / "x.npz")
    except ArraysError as error:
        raise UserError(f"x.npz {error}") from error


@functools.cache
def _some_arrays() -> tuple[bytes, ...]:
    return (_npz(a=np.arange(6).reshape(2, 3), b=np.array(["x", "yé"]), c=np.array(2.5)),
            _npz(names=np.array([b"a", b"bc"]), e=np.empty((0, 4)), f=np.asfortranarray(np.ones((2, 3)))))


def _facts(data: bytes, at: Path) -> None:
    (at / "i.npz").write_bytes(data)
    kept = index._read(at / "i.npz", {"states": "u1", **index._FACTS}, index._same_length, warn=False)
    assert kept is None or len(kept["classes"]) == len(kept["states"])


@functools.cache
def _some_facts() -> tuple[bytes, ...]:
    return (_npz(states=np.array([1, 2], np.uint64), format=np.array(index.FORMAT), classes=np.array(["cup", "dog"]),
                 difficulties=np.array([0.5, np.nan])),)


def _scores(data: bytes, at: Path) -> None:
    (at / "s.npz").write_bytes(data)
    for _, video in cache._read(at / "s.npz"):
        assert np.ndim(video.frame_overlap) == 1 and np.shape(video.success) == (21,)


@functools.cache
def _some_scores() -> tuple[bytes, ...]:
    video = VideoScore(np.ones(21), np.ones(51), np.ones(51), "v", np.ones(9, np.float32), 8, (7.0, 6.0, 5.0), 8, 0.1)
    return (_npz(**cache._arrays([video, video], [3, 4])),)


def _directory(data: bytes, _at: Path) -> None:
    found, crc = read_directory(data, Path("the.lmdb"))
    assert len(list(found.keys())) == len(crc) and found.row("a/1.jpg") in (None, *range(len(crc)))
    found.list("a")


@functools.cache
def _some_directory() -> tuple[bytes, ...]:
    return (write_directory(Directory.of(["a/1.jpg", "a/2.jpg", "list.txt"])[0], np.arange(3)),)


TARGETS: dict[str, Target] = {
    "zip": Target(_zips, _zip, "set.zip"),
    "npz": Target(_some_arrays, _arrays, "x.npz"),
    "index": Target(_some_facts, _facts, ""),  # corrupt ones are made again
    "score_cache": Target(_some_scores, _scores, ""),
    "lmdb_directory": Target(_some_directory, _directory, "the.lmdb"),
}
