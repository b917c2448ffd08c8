"""The strict parser of annotation and result files."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mstgt.data.readers.annotation import boxes_from_rows, fit_rows, parse_flags, parse_rows
from mstgt.utils.errors import UserError

numbers = st.floats(-1e6, 1e6).map(lambda v: round(v, 4))


@given(st.lists(st.lists(numbers, min_size=4, max_size=4), min_size=1, max_size=8),
       st.sampled_from([",", "\t", " ", ", ", " , ", "\t "]), st.sampled_from(["\n", "\r\n"]))
def test_any_separator_gives_the_same_rows(rows, separator, end):
    text = end.join(separator.join(map(str, row)) for row in rows)
    np.testing.assert_array_equal(parse_rows(text.encode(), "f"), rows)


def test_mixed_separators_nan_byte_order_mark_and_trailing_blank_lines():
    rows = parse_rows("\ufeff1,2\t3 4\nNaN,nan,NaN,NaN\r\n5 6, 7,8\n\n\n".encode(), "f")
    np.testing.assert_array_equal(rows, [[1, 2, 3, 4], [np.nan] * 4, [5, 6, 7, 8]])


@pytest.mark.parametrize(("text", "line"), [
    ("1,2,3,4\n1,2,3\n", 2), ("1,2,3\n", 1), ("1,2,3,4\n1,2,x,4\n", 2), ("1,2,3,4\n\n1,2,3,4\n", 2),
    ("1,2,3,4\n1,,3,4\n", 2), ("1,2,3,4\n1,,2,3,4\n", 2), ("1,2,3,4\n,1,2,3,4\n", 2), ("1,2,3,inf\n", 1),
    ("1,2,3,4\n1,2,3,4\n1_0,2,3,4\n", 3), ("\n1,2,3,4\n", 1), ("1,2,3,4\n1,2,3,4,5\n", 2),
])
def test_a_fault_is_named_with_file_and_line(text, line):
    with pytest.raises(UserError, match=rf"^dir/f\.txt, line {line}: "):
        parse_rows(text.encode(), "dir/f.txt")


def test_binary_is_refused():
    with pytest.raises(UserError, match="f.txt: not a text file"):
        parse_rows(b"\xff\xfe1", "f.txt")


def test_empty_file_has_no_rows():
    assert parse_rows(b" \n\n", "f").shape == (0, 4)


def test_flags_in_one_line_or_many():
    np.testing.assert_array_equal(parse_flags(b"0,1,0\n", "f"), parse_flags(b"0\n1\n0\n", "f"))
    with pytest.raises(UserError, match="f, line 2"):
        parse_flags(b"0\nno\n", "f")


def test_polygon_becomes_the_box_around_it():
    rows = np.array([[3, 0, 6, 3, 3, 6, 0, 3.5]])
    np.testing.assert_array_equal(boxes_from_rows(rows), [[0, 0, 6, 6]])


@given(st.lists(st.lists(numbers, min_size=8, max_size=8), min_size=1, max_size=5))
def test_the_box_around_a_polygon_holds_its_corners_and_touches_them(rows):
    polygons = np.array(rows).reshape(-1, 4, 2)
    boxes = boxes_from_rows(np.array(rows))
    low, high = boxes[:, None, :2], boxes[:, None, :2] + boxes[:, None, 2:]
    rounding = 1e-12 * np.abs(polygons).max((1, 2), keepdims=True)
    assert (polygons >= low).all() and (polygons <= high + rounding).all() and (boxes[:, 2:] >= 0).all()
    assert (np.abs(polygons.max(1) - high[:, 0]) <= rounding[:, 0]).all()
    np.testing.assert_array_equal(polygons.min(1), low[:, 0])


def test_fit_rows_cuts_and_fills():
    values = np.ones((3, 4))
    assert fit_rows(values, 2).shape == (2, 4)
    fitted = fit_rows(values, 5)
    assert np.isnan(fitted[3:]).all() and (fitted[:3] == 1).all()
