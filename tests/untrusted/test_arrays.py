"""Arrays from files that are corrupt, or claim more than they hold."""

from __future__ import annotations

import io
import zipfile

import numpy as np
import pytest

from mstgt.untrusted.arrays import ArraysError, check_arrays, load_arrays
from tests.fuzz.bounded import bounded

ARRAYS = {"a": np.arange(6).reshape(2, 3), "f": np.asfortranarray(np.ones((2, 3))), "s": np.array(2.5),
          "t": np.array(["x", "yé"]), "b": np.array([b"a", b"bc"]), "e": np.empty((0, 4)), "y": np.array([True])}


@pytest.mark.parametrize("save", [np.savez, np.savez_compressed])
def test_arrays_come_back(tmp_path, save):
    save(tmp_path / "x.npz", **ARRAYS)
    found = load_arrays(tmp_path / "x.npz")
    assert found.keys() == ARRAYS.keys()
    for name, array in ARRAYS.items():
        assert found[name].dtype == array.dtype and np.array_equal(found[name], array) and found[name].flags.writeable
    check_arrays(found, {"a": "i2", "s": "f0", "t": "U1", "b": "S1", "y": "b1"})
    for kinds in ({"a": "i1"}, {"a": "f2"}, {"gone": "i1"}):
        with pytest.raises(ArraysError, match=next(iter(kinds))):
            check_arrays(found, kinds)


def npz_of(header: str, body: bytes, method: int = zipfile.ZIP_STORED) -> io.BytesIO:
    """An archive of one array with a header of one's own."""
    text = header.encode().ljust(117) + b"\n"
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", method) as archive:
        archive.writestr("a.npy", b"\x93NUMPY\x01\x00" + len(text).to_bytes(2, "little") + text + body)
    return file


@pytest.mark.parametrize(("shape", "kind"), [
    ("(1099511627776,)", "<f8"), ("(1, -8)", "<f8"), ("(4,)", "|O"), ("(1099511627776, 0)", "<f8"), ("(2,)", "<f8"),
    ("(9223372036854775807, 9)", "|b1"), ("x", "<f8"), ("(1,)", "<q9"), ("-" * 60 + "1", "<f8"), ("(" * 50, "<f8")])
def test_headers_that_claim_anything_else_are_refused(shape, kind):
    file = npz_of(f"{{'descr': '{kind}', 'fortran_order': False, 'shape': {shape}, }}", b"\0" * 8)
    with bounded(1 << 26), pytest.raises(ArraysError):
        load_arrays(file)


@pytest.mark.parametrize("method", [zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA])
def test_compressions_that_numpy_does_not_write_are_refused(method):
    file = npz_of("{'descr': '<f8', 'fortran_order': False, 'shape': (1,), }", b"\0" * 8, method)
    with pytest.raises(ArraysError, match="neither stored nor deflated"):
        load_arrays(file)


def test_a_bomb_is_refused_before_it_is_unpacked():
    header = "{'descr': '|b1', 'fortran_order': False, 'shape': (67108864,), }"
    file = npz_of(header, bytes(1 << 26), zipfile.ZIP_DEFLATED)
    assert len(file.getvalue()) < 1 << 17
    with bounded(1 << 24), pytest.raises(ArraysError, match="bytes of arrays, more than the 1048576 allowed"):
        load_arrays(file, most_bytes=1 << 20)
