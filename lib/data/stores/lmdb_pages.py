"""Whether the pages of an LMDB file can be followed: the library maps them into memory and believes every number.

    check_pages(file)        # then lmdb.open(file)

One wrong number in the tree of names (a size, a place, a kind) makes the library read where nothing is, or stop on an
assertion, and either ends the process. So both heads of the file and every page of the tree are looked at first. Of
the values only the place is: their content has checksums. The layout is LMDB 0.9's (``struct MDB_meta``, ``MDB_page``
and ``MDB_node`` of its ``mdb.c``) as a little-endian machine of 64 bits writes it.
"""

from __future__ import annotations

import mmap
import os
import struct
from dataclasses import dataclass
from pathlib import Path

import numpy as np

_PAGE_HEAD = 16  # bytes: number u64, unused u16, kind u16, end of the nodes' places u16, begin of the nodes u16
_NODE_HEAD = 8  # bytes: three parts of a number u16, length of the name u16
_META = struct.Struct("<10xH4x IIQQ I44x IHHQQQQQ QQ")  # of a page, then of the file, two trees, last page, age
_MAGIC, _VERSION = 0xBEEFC0DE, 1
_BRANCH, _LEAF, _HEAD = 1, 2, 8  # kinds of pages
_IN_MEMORY = 0xC010  # bits of a kind that mean something only there
_OWN_PAGES = 1  # flag of a node in a leaf: its value lies on pages of its own. All other flags are for other trees
_EMPTY = 2**64 - 1
_PAGE_BYTES = (512, 1024, 2048, 4096, 8192, 16384, 32768)
_DEEPEST = 31  # the library's stack
_AT_ONCE = 1024  # pages in memory


class PagesError(Exception):
    """What is wrong with the file, in one line without its name."""


@dataclass(frozen=True)
class _Head:
    """Bytes of a page; of the tree its flags, levels and first page; number of pages; and how new this head is."""

    page_bytes: int
    flags: int
    depth: int
    root: int
    pages: int
    age: int


def check_pages(file: Path) -> None:
    """Raise :class:`PagesError` where looking up a name in ``file`` could lead out of it or end the process."""
    data = _mapped(file)
    size = len(data)
    first = _head(data)
    second = _head(data[first.page_bytes:])
    if first.page_bytes != second.page_bytes:
        raise PagesError("the pages of its two heads differ in size")
    newest = second if second.age > first.age else first
    if size < newest.pages * newest.page_bytes:
        raise PagesError(f"the file is cut short ({size} of {newest.pages * newest.page_bytes} bytes)")
    if newest.flags or (newest.root != _EMPTY and not 1 <= newest.depth <= _DEEPEST):
        raise PagesError(f"its tree of names is of another kind (flags {newest.flags}, {newest.depth} levels)")
    if newest.root != _EMPTY:
        _check_tree(data[:newest.pages * newest.page_bytes].reshape(newest.pages, -1), newest)


def _mapped(file: Path) -> np.ndarray:
    """The bytes of a file, read as they are looked at, and nothing ahead of them: the tree's pages lie far apart."""
    with open(file, "rb") as opened:
        if os.fstat(opened.fileno()).st_size == 0:
            return np.empty(0, np.uint8)
        mapped = mmap.mmap(opened.fileno(), 0, access=mmap.ACCESS_READ)
    mapped.madvise(mmap.MADV_RANDOM)
    return np.frombuffer(mapped, np.uint8)


def _head(data: np.ndarray) -> _Head:
    if len(data) < _META.size:
        raise PagesError("it is no LMDB: too short")
    kind, magic, version, _, _, page_bytes, _, flags, depth, *_, root, last, age = _META.unpack(data[:_META.size])
    if not kind & _HEAD or magic != _MAGIC or version != _VERSION or page_bytes not in _PAGE_BYTES:
        raise PagesError("it is no LMDB, or one of another version")
    return _Head(page_bytes, flags, depth, root, last + 1, age)


def _check_tree(pages: np.ndarray, head: _Head) -> None:
    """pages (P, bytes of one). Every level of the tree, from the root down; no page is met twice on one level."""
    level = np.array([min(head.root, len(pages))])
    for depth in range(1, head.depth + 1):
        if len(np.unique(level)) < len(level) or (level < 2).any() or (level >= len(pages)).any():
            raise PagesError(f"damaged: pages of level {depth} of its tree are not there, or are there twice")
        parts = [level[start:start + _AT_ONCE] for start in range(0, len(level), _AT_ONCE)]
        if depth < head.depth:
            level = np.concatenate([_below(pages[numbers], numbers) for numbers in parts])
            continue
        for numbers in parts:
            _check_leaves(pages[numbers], numbers, len(pages))


def _below(pages: np.ndarray, numbers: np.ndarray) -> np.ndarray:
    """The branches with these numbers -> the numbers of the pages below them."""
    row, at, name = _nodes(pages, numbers, _BRANCH, least=2)
    _stop_unless(at + _NODE_HEAD + name <= pages.shape[1], numbers[row])
    return _u16(pages, row, at) | _u16(pages, row, at + 2) << 16 | _u16(pages, row, at + 4) << 32


def _check_leaves(pages: np.ndarray, numbers: np.ndarray, most: int) -> None:
    """The leaves with these numbers, of the ``most`` pages in the file."""
    row, at, name = _nodes(pages, numbers, _LEAF, least=1)
    length, flags = _u16(pages, row, at) | _u16(pages, row, at + 2) << 16, _u16(pages, row, at + 4)
    away, value = flags == _OWN_PAGES, at + _NODE_HEAD + name
    known = (flags == 0) | away
    _stop_unless(known & (name > 0) & (value + np.where(away, 8, length) <= pages.shape[1]), numbers[row])
    row, length, value = row[away], length[away], value[away]
    first, taken = _number(pages, row, value), -(-(length + _PAGE_HEAD) // pages.shape[1])
    _stop_unless((first >= 2) & (first + taken <= most), numbers[row])


def _nodes(pages: np.ndarray, numbers: np.ndarray, kind: int, least: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Of every node on these pages, which are of this kind: its page's row, its place there, its name's length."""
    row, size = np.arange(len(pages)), pages.shape[1]
    end = _u16(pages, row, 12)
    count = (end - _PAGE_HEAD) // 2
    fit = ((_number(pages, row, 0) == numbers) & (_u16(pages, row, 10) & ~_IN_MEMORY == kind)
           & (end % 2 == 0) & (end <= size) & (count >= least))
    if not fit.all():
        raise PagesError(f"damaged: page {numbers[~fit][0]} is no {'leaf' if kind == _LEAF else 'branch'} of its tree")
    row = np.repeat(row, count)
    slot = np.arange(len(row)) - np.repeat(np.cumsum(count) - count, count)
    at = _u16(pages, row, _PAGE_HEAD + 2 * slot)
    _stop_unless((at >= end[row]) & (at + _NODE_HEAD <= size), numbers[row])
    return row, at, _u16(pages, row, at + 6)


def _stop_unless(fit: np.ndarray, numbers: np.ndarray) -> None:
    if not fit.all():
        raise PagesError(f"damaged: a name on page {numbers[~fit][0]} of its tree leads where nothing is")


def _u16(pages: np.ndarray, row: np.ndarray, at: np.ndarray | int) -> np.ndarray:
    return pages[row, at].astype(np.int64) | pages[row, at + 1].astype(np.int64) << 8


def _number(pages: np.ndarray, row: np.ndarray, at: np.ndarray | int) -> np.ndarray:
    """Numbers of 64 bits, those from 2^48 on as 2^48: no file has so many pages."""
    low = sum(_u16(pages, row, at + 2 * part) << 16 * part for part in range(3))
    return np.where(_u16(pages, row, at + 6) == 0, low, 1 << 48)
