"""The strict parser of annotation and result files."""

import numpy as np
import pytest
from hypothesis import assume, example, given, settings
from hypothesis import strategies as st

from mstgt.data.readers.annotation import boxes_from_rows, has_header, parse_flags, parse_rows
from mstgt.data.video import fit_rows
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


texts = st.lists(st.sampled_from([*"0123456789", "1", "2.5", ".", "-", "+", "e", ",", ",", ",", " ", "\t", "\n", "\n",
                                  ", ", "\r\n", "nan", "inf", "_", "x", "9007199254740993", "1e5", "0.1", ";"]),
                 max_size=40).map("".join)


@settings(max_examples=300, deadline=None)
@given(texts)
@example("5-3,.,1,2")
@example("1,2\n3,,4\n")
@example("1 2  3\n1 2 3 4\n1  2\n")
@example("99999999999999999999,1\n")
@example("1.2.3,4\n")
@example("1,-\n")
@example("1,-.\n2,3")
def test_what_is_read_is_what_float_gives_and_the_rest_is_named(text):
    try:
        rows = parse_rows(text.encode(), "f", tuple(range(1, 41)))
    except UserError as error:
        assert str(error).startswith("f")
        return
    assume(text.strip())
    lines = [line.replace(",", " ").replace(";", " ").split() for line in text.rstrip().splitlines()]
    np.testing.assert_array_equal(rows.reshape(len(lines), -1), np.array(lines, float).reshape(len(lines), -1))


@settings(max_examples=100, deadline=None)
@given(st.lists(st.floats(allow_nan=False, allow_infinity=False, min_value=-1e15, max_value=1e15), min_size=4,
                max_size=40), st.sampled_from(["{!r}", "{:.4f}", "{:.0f}", "{:.17g}", "{:.10f}"]))
def test_every_number_is_the_nearest_one(values, form):
    tokens = [form.format(v) for v in values[: len(values) // 4 * 4]]
    data = "".join(",".join(tokens[i : i + 4]) + "\n" for i in range(0, len(tokens), 4)).encode()
    assert parse_rows(data, "f").ravel().tolist() == [float(t) for t in tokens]


@pytest.mark.parametrize("token", [
    "0.50000000000000011102", "9007199254740993", "9007.199254740993", "1.0000000000000001110", "450359962737049.75",
    "4503599627370497.5", "0.99999999999999994449", "99999999999999994.4", "100000000000000008"])
def test_numbers_half_way_between_two_floats(token):
    assert parse_rows(f"{token},1\n".encode(), "f", (2,))[0, 0] == float(token)


def test_semicolons_and_a_header_line():
    np.testing.assert_array_equal(parse_rows(b"1;2;3;4\n5; 6;7;8\n", "f"), [[1, 2, 3, 4], [5, 6, 7, 8]])
    with pytest.raises(UserError, match="f, line 1: both commas and semicolons"):
        parse_rows(b"1,5;2,5;3,0;4,0\n", "f")
    rows = parse_rows(b"x;y;w;h\n1;2;3;4\n", "f", header=True)
    np.testing.assert_array_equal(rows, [[1, 2, 3, 4]])
    with pytest.raises(UserError, match="f, line 3: "):
        parse_rows(b"x,y,w,h\n1,2,3,4\n1,2,3\n", "f", header=True)
    rows = parse_rows(b"# by hand\n# twice\nx y w h\n1 2 3 4\n", "f", header=True)
    np.testing.assert_array_equal(rows, [[1, 2, 3, 4]])
    with pytest.raises(UserError, match="f, line 4: "):
        parse_rows(b"# by hand\n# twice\n1,2,3,4\n1,2,3\n", "f", header=True)
    np.testing.assert_array_equal(parse_rows("x,y,w,h\r\n1,2,3,4".encode("utf-16"), "f", header=True), [[1, 2, 3, 4]])
    with pytest.raises(UserError, match="found '1,2,3,4,0.9'; remove the score or the frame number"):
        parse_rows(b"1,2,3,4,0.9\n", "f")
    with pytest.raises(UserError, match="f, line 1: 'x' is not"):
        parse_rows(b"x,y,w,h\n1,2,3,4\n", "f")


def test_single_digits():
    assert parse_flags(b"0,1,0\n", "f").tolist() == parse_flags(b"0\n1\n0", "f").tolist() == [0, 1, 0]
    for data in (b"0,,1", b"a"):
        with pytest.raises(UserError):
            parse_flags(data, "f")


@pytest.mark.parametrize(("first", "header"), [
    ('"x","y","w","h"', True), ("% x y w h", True), ("x,y,w,h\r", True), ("None,None,None,None", False),
    ("null;null;null;null", False), ("N/A N/A N/A N/A", False), ("nan,nan,nan,nan", False)])
def test_a_row_without_a_box_is_no_header(first, header):
    """Taken for one, it would move every other row to the frame before its own."""
    data = f"{first}\n1,2,3,4\n".encode()
    assert has_header(data) is header
    if "nan" in first:
        assert len(parse_rows(data, "f", header=True)) == 2
    elif not header:
        with pytest.raises(UserError, match="f, line 1: '(None|null|N/A)' is not"):
            parse_rows(data, "f", header=True)


@pytest.mark.parametrize(("row", "advice"), [
    ("10,20,30,40,0.9", "remove the score or the frame number"),
    ("1,1,9,1,9,9,1,9", "give the upright box around each polygon"),
    ("1,-1,10,20,30,40,0.9,-1,-1,-1", "of rows of MOTChallenge keep one target, and its box")])
def test_rows_of_other_formats_say_what_to_keep(row, advice):
    with pytest.raises(UserError, match=f"a.txt, line 1: expected 4 numbers, found .*; {advice}"):
        parse_rows(f"{row}\n".encode(), "a.txt", columns=(4,), header=True)
