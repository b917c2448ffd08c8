"""Plain files read at once give what the careful parser gives, or nothing."""

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from mstgt.data.readers.annotation import _careful_rows
from mstgt.data.readers.plain_rows import plain_digits, plain_rows
from mstgt.utils.errors import UserError

texts = st.lists(st.sampled_from([*"0123456789", "1", "2.5", ".", "-", "+", "e", ",", ",", ",", " ", "\t", "\n", "\n",
                                  ", ", "\r\n", "nan", "inf", "_", "x", "9007199254740993", "1e5", "0.1"]),
                 max_size=40).map("".join)


@settings(max_examples=400, deadline=None)
@given(texts)
@example("5-3,.,1,2")
@example("1,2\n3,,4\n")
@example("1 2  3\n1 2 3 4\n1  2\n")
@example("99999999999999999999,1\n")
@example("1.2.3,4\n")
@example("1,-\n")
@example("1,-.\n2,3")
def test_whatever_is_read_at_once_is_right(text):
    rows = plain_rows(text.encode())
    if rows is not None:
        np.testing.assert_array_equal(rows, _careful_rows(text.encode(), "f", (rows.shape[1],)))


@settings(max_examples=100, deadline=None)
@given(st.lists(st.floats(allow_nan=False, allow_infinity=False, min_value=-1e15, max_value=1e15), min_size=4,
                max_size=40), st.sampled_from(["{!r}", "{:.4f}", "{:.0f}", "{:.17g}", "{:.10f}"]))
def test_every_number_is_the_nearest_one(values, form):
    tokens = [form.format(v) for v in values[: len(values) // 4 * 4]]
    data = "".join(",".join(tokens[i : i + 4]) + "\n" for i in range(0, len(tokens), 4)).encode()
    rows = plain_rows(data)
    assert rows is not None and rows.ravel().tolist() == [float(t) for t in tokens]


@pytest.mark.parametrize("token", [
    "0.50000000000000011102", "9007199254740993", "9007.199254740993", "1.0000000000000001110", "450359962737049.75",
    "4503599627370497.5", "0.99999999999999994449", "99999999999999994.4", "100000000000000008"])
def test_numbers_half_way_between_two_floats(token):
    assert plain_rows(f"{token},1\n".encode())[0, 0] == float(token)


@pytest.mark.parametrize("data", [b"1,2,3,4\n5,6,7,8", b"1\t2\n3\t4\n", b"1 2\n", b"1, 2\n3, 4\n", b"1,2\r\n3,4\r\n",
                                  b"-1.5,.5\n+2,1.\n", b"nan,NaN\n1e3,2\n", b"7\n"])
def test_plain_files_are_seen_as_such(data):
    np.testing.assert_array_equal(plain_rows(data), _careful_rows(data, "f", (1, 2, 4)))


@pytest.mark.parametrize("data", [b"", b"\n", b"1,2\n3 4\n", b"1  2\n", b" 1,2\n", b"1,2,\n", b"x,y\n1,2\n", b"1,inf\n",
                                  b"1,2\n\n3,4\n", "\ufeff1,2\n".encode(), b"1_0,2\n", b"--1,2\n"])
def test_the_rest_is_left_to_the_careful_parser(data):
    assert plain_rows(data) is None


def test_single_digits():
    assert plain_digits(b"0,1,0\n").tolist() == plain_digits(b"0\n1\n0").tolist() == [0, 1, 0]
    for data in (b"", b"0,1,\n", b"0,,1", b"10,1", b"0, 1", b"0,1\r\n2", b"a"):
        assert plain_digits(data) is None
    with pytest.raises(UserError):
        _careful_rows(b"0,,1", "f", (3,))
