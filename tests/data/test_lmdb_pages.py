"""The screen before LMDB: whatever the library wrote passes, and no damage to the tree of names does harm."""

from __future__ import annotations

import struct

import lmdb
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mstgt.data.packing import pack
from mstgt.data.stores import LmdbStore
from mstgt.data.stores.lmdb_pages import PagesError, check_pages
from mstgt.utils.errors import UserError

PAGE = 4096  # bytes, on the machines that tests run on; others skip


def written(path, rounds):
    """An LMDB at ``path`` after transactions that put (name, length) or, for no length, delete."""
    with lmdb.open(str(path), subdir=False, lock=False, sync=False, map_size=1 << 28) as environment:
        for changes in rounds:
            with environment.begin(write=True) as transaction:
                for name, length in changes:
                    if length is None:
                        transaction.delete(name)
                    else:
                        transaction.put(name, b"x" * length)
        if environment.stat()["psize"] != PAGE:
            pytest.skip("pages of another size")
        return environment.stat()


@settings(max_examples=40, deadline=None)
@given(st.lists(st.lists(st.tuples(st.binary(min_size=1, max_size=300),
                                   st.none() | st.integers(0, 100) | st.integers(2000, 9000)), max_size=40),
                max_size=6))
def test_what_the_library_writes_passes(tmp_path_factory, rounds):
    path = tmp_path_factory.mktemp("any") / "a.lmdb"
    written(path, rounds)
    check_pages(path)


def test_a_tree_of_many_pages_passes(tmp_path):
    stat = written(tmp_path / "a.lmdb", [[(b"%0200d" % n, n % 300) for n in range(20_000)]])
    assert stat["depth"] >= 3 and stat["leaf_pages"] > 1024  # more than are looked at together
    check_pages(tmp_path / "a.lmdb")


@pytest.fixture
def tree(tmp_path):
    """A file whose tree has a root (a branch) and leaves, with small values and large ones; its bytes; both pages."""
    folder = tmp_path / "set"
    folder.mkdir()
    for n in range(60):
        (folder / f"{n:0100d}.jpg").write_bytes(bytes([n]) * (5000 if n % 2 else 50))
    pack(folder, tmp_path / "a.lmdb")
    data = bytearray((tmp_path / "a.lmdb").read_bytes())
    newest = max(0, PAGE, key=lambda head: data[head + 144])
    root = struct.unpack_from("<Q", data, newest + 128)[0] * PAGE
    return tmp_path / "a.lmdb", data, root, PAGE * struct.unpack_from("<I", data, node(data, root, 1))[0]


def node(data, page, number):
    """Where a node of a page is."""
    return page + struct.unpack_from("<H", data, page + 16 + 2 * number)[0]


def large(data, leaf):
    """The first node of the leaf whose value lies elsewhere, and where it says that this is."""
    at = next(node(data, leaf, n) for n in range(9) if struct.unpack_from("<H", data, node(data, leaf, n) + 4)[0] == 1)
    return at, at + 8 + struct.unpack_from("<H", data, at + 6)[0]


DAMAGE = {
    "a page's number": (lambda d, b, leaf: (leaf, "<Q", 1), "no leaf"),
    "a page's kind": (lambda d, b, leaf: (b + 10, "<H", 2), "no branch"),
    "a leaf of numbers alone": (lambda d, b, leaf: (leaf + 10, "<H", 0x22), "no leaf"),
    "no nodes": (lambda d, b, leaf: (leaf + 12, "<H", 16), "no leaf"),
    "one way on a branch": (lambda d, b, leaf: (b + 12, "<H", 18), "no branch"),
    "nodes beyond the page": (lambda d, b, leaf: (leaf + 12, "<H", 0xFFFE), "no leaf"),
    "a node at the page's end": (lambda d, b, leaf: (leaf + 16, "<H", PAGE - 2), "where nothing is"),
    "a node in the page's head": (lambda d, b, leaf: (leaf + 16, "<H", 0), "where nothing is"),
    "a long name in a leaf": (lambda d, b, leaf: (node(d, leaf, 0) + 6, "<H", 0xFFFF), "where nothing is"),
    "a long name in a branch": (lambda d, b, leaf: (node(d, b, 1) + 6, "<H", 0xFFFF), "where nothing is"),
    "a long value": (lambda d, b, leaf: (node(d, leaf, 0) + 2, "<H", 0xFFFF), "where nothing is"),
    "values of a name's own tree": (lambda d, b, leaf: (node(d, leaf, 0) + 4, "<H", 4), "where nothing is"),
    "a large value that is larger": (lambda d, b, leaf: (large(d, leaf)[0] + 2, "<H", 0x7FFF), "where nothing is"),
    "a large value elsewhere": (lambda d, b, leaf: (large(d, leaf)[1], "<Q", len(d) // PAGE), "where nothing is"),
    "a large value far away": (lambda d, b, leaf: (large(d, leaf)[1], "<Q", 2**64 - 1), "where nothing is"),
    "a branch to itself": (lambda d, b, leaf: (node(d, b, 1), "<I", b // PAGE), "no leaf"),
    "two ways to a page": (lambda d, b, leaf: (node(d, b, 0), "<I", leaf // PAGE),
                           "there twice"),
    "a way out of the file": (lambda d, b, leaf: (node(d, b, 1) + 4, "<H", 1), "not there"),
}


@pytest.mark.parametrize("name", DAMAGE)
def test_damage_to_the_tree_is_named(tree, name):
    path, data, branch, leaf = tree
    check_pages(path)
    place, says = DAMAGE[name]
    at, form, value = place(data, branch, leaf)
    struct.pack_into(form, data, at, value)
    path.write_bytes(data)
    with pytest.raises(PagesError, match=says):
        check_pages(path)
    with pytest.raises(UserError, match=r"a\.lmdb: damaged: .*make or fetch it again"):
        LmdbStore(path)


@pytest.mark.parametrize(("at", "form", "value", "says"), [
    (16, "<I", 1, "no LMDB"), (20, "<I", 999, "no LMDB"), (10, "<H", 2, "no LMDB"),  # mark, version, kind of page
    (40, "<I", 0, "no LMDB"), (40, "<I", 4095, "no LMDB"), (40, "<I", 8192, "no LMDB|differ in size"),
    (92, "<H", 4, "another kind"), (94, "<H", 0, "another kind"), (94, "<H", 99, "another kind"),  # flags, levels
    (94, "<H", 1, "no leaf"), (94, "<H", 3, "no branch"), (128, "<Q", 2**64 - 2, "not there"),  # levels, root
    (136, "<Q", 10**6, "cut short"), (136, "<Q", 2**64 - 1, "cut short|not there"),  # last page
])
def test_damage_to_both_heads_is_named(tree, at, form, value, says):
    path, data, *_ = tree
    for head in (0, PAGE):
        struct.pack_into(form, data, head + at, value)
    path.write_bytes(data)
    with pytest.raises(PagesError, match=says):
        check_pages(path)


@pytest.mark.parametrize("size", [0, 1, 151, PAGE, PAGE + 100])
def test_short_files_are_named(tree, size):
    path, data, *_ = tree
    path.write_bytes(data[:size])
    with pytest.raises(PagesError, match="too short"):
        check_pages(path)
