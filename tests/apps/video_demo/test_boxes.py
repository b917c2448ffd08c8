"""Boxes as people write them."""

from __future__ import annotations

import pytest

from mstgt.apps.video_demo.boxes import join_numbers, parse_box, parse_correction
from mstgt.utils.errors import UserError


@pytest.mark.parametrize("text", ["20 40 32 32", "20,40,32,32", "[20,40,32,32]", "[20, 40, 32, 32]", "(20;40;32;32)",
                                  " 20.0\t40. 3.2e1 32 ", "20, 40 32,32"])
def test_forms_of_a_box(text):
    assert parse_box(text) == (20, 40, 32, 32)


@pytest.mark.parametrize("content", ["20,40,32,32\n", "20 40 32 32", "x,y,w,h\n20;40;32;32\n1;2;3;4\n",
                                     "20,40,52,40,52,72,20,72\n",
                                     '"20","40","32","32"\n', "20 40 32 32  # the car\n"])
def test_a_text_file(content, tmp_path):
    (tmp_path / "box.txt").write_text(content)
    assert parse_box(str(tmp_path / "box.txt")) == (20, 40, 32, 32)


@pytest.mark.parametrize("content", ["\ufeff20,40,32,32\r\n9,9,9,9\r\n", "# finance\n20,40,32,32\n9,9,9,9\n"])
@pytest.mark.parametrize("encoding", ["utf-8", "utf-16"])  # PowerShell writes the second
def test_a_mark_or_comment_at_the_beginning_does_not_hide_the_first_row(content, encoding, tmp_path):
    (tmp_path / "box.txt").write_bytes(content.removeprefix("\ufeff").encode(encoding) if encoding == "utf-16"
                                       else content.encode())
    assert parse_box(str(tmp_path / "box.txt")) == (20, 40, 32, 32)


@pytest.mark.parametrize("content", ["[20,40,32,32]", "[\n  20,\n  40,\n  32,\n  32\n]", "[[20,40,32,32],[1,2,3,4]]",
                                     '{"bbox": [20, 40, 32, 32]}', '{"x": 20, "y": 40, "width": 32, "height": 32}',
                                     '[{"box": [20, 40, 32, 32]}]'])
def test_a_json_file(content, tmp_path):
    (tmp_path / "box.json").write_text(content)
    assert parse_box(str(tmp_path / "box.json")) == (20, 40, 32, 32)


@pytest.mark.parametrize("content", ["{", "{}", "[]", "3", '{"boxes": 3}', "[" * 100_000])
def test_a_json_file_without_a_box(content, tmp_path):
    (tmp_path / "box.json").write_text(content)
    with pytest.raises(UserError, match=r"--init_box .*box\.json: no"):
        parse_box(str(tmp_path / "box.json"))


def test_a_target_that_is_absent_in_the_first_row_has_no_box(tmp_path):
    (tmp_path / "groundtruth.txt").write_text("NaN,NaN,NaN,NaN\n20,40,32,32\n")
    with pytest.raises(UserError, match=r"the first row from .*groundtruth\.txt says that the target is absent"):
        parse_box(str(tmp_path / "groundtruth.txt"))


def test_two_boxes_are_not_a_polygon():
    assert parse_box("[[20,40],[52,40],[52,72],[20,72]]") == (20, 40, 32, 32)
    with pytest.raises(UserError, match="is two boxes; repeat --init_box"):
        parse_box("[20,40,32,32],[60,40,32,32]")


@pytest.mark.parametrize("text", ["20 40 32 32, 90 60 30 30", "20,5 40,5 32,0 32,0", "20,0 40,0 32,0 32,0"])
def test_eight_numbers_that_are_no_corners_are_no_box(text):
    with pytest.raises(UserError, match="not the corners of a polygon; repeat --init_box.*decimals with a point"):
        parse_box(text)


def test_formats():
    assert parse_box("20 40 52 72", "xyxy") == (20, 40, 32, 32)
    assert parse_box("36 56 32 32", "cxcywh") == (20, 40, 32, 32)
    assert parse_box("-5 -6 10 12") == (-5, -6, 10, 12)


@pytest.mark.parametrize(("text", "form", "words"), [
    ("20 40 32", "xywh", "has 3 numbers, a box has four"), ("20 40 32 32 5", "xywh", "has 5 numbers"),
    ("left top", "xywh", "'left top' is not a box"), ("", "xywh", "has 0 numbers"), ("nan 1 2 3", "xywh", "not finite"),
    ("20 40 0 32", "xywh", "has no area: width 0, height 32"), ("60 40 50 72", "xyxy", "has no area: width -10"),
    ("2_0 40 32 32", "xywh", "is not a box"),
    ("0.1 0.2 0.3 0.4", "xywh", "fractions of the image; boxes are in pixels"),
    ("no.txt", "xywh", "there is no file no.txt")])
def test_a_bad_box_is_refused_with_an_example(text, form, words):
    with pytest.raises(UserError) as caught:
        parse_box(text, form)
    message = str(caught.value)
    assert words in message and "--init_box 210 95" in message and "\n" not in message


def test_a_file_that_holds_no_box(tmp_path):
    (tmp_path / "a.txt").write_text("nothing\n")
    (tmp_path / "b.mp4").write_bytes(b"\xff\xfe\x00" * 99)
    for name in ("a.txt", "b.mp4"):
        with pytest.raises(UserError, match=rf"--init_box.*{name}"):
            parse_box(str(tmp_path / name))


def test_corrections():
    assert parse_correction("120 300 80 40 60") == (1, 120, (300, 80, 40, 60))
    assert parse_correction("2:120 300,80,40,60") == (2, 120, (300, 80, 40, 60))
    assert parse_correction("120,300,80,340,140", "xyxy") == (1, 120, (300, 80, 40, 60))
    for text in ("5.5 10 40 20 20", "-1 10 40 20 20", "x 1 2 3 4", "0:5 1 2 30 40", "a:5 1 2 30 40"):
        with pytest.raises(UserError, match="FRAME is a whole number"):
            parse_correction(text)


@pytest.mark.parametrize(("given", "joined"), [
    ("--init_box 20 40 32 32 video.mp4", ["--init_box=20 40 32 32", "video.mp4"]),
    ("--init_box 20,40,32,32 7", ["--init_box=20,40,32,32", "7"]),
    ("--init_box [20, 40, 32, 32] video.mp4", ["--init_box=[20, 40, 32, 32]", "video.mp4"]),
    ("video.mp4 --init_box -5 -6 10 12 --show", ["video.mp4", "--init_box=-5 -6 10 12", "--show"]),
    ("video.mp4 --init_box box.txt", ["video.mp4", "--init_box=box.txt"]),
    ("a --init_box 1 2 3", ["a", "--init_box=1 2 3"]), ("a --init_box --show", ["a", "--init_box", "--show"]),
    ("--init_box=1,2,3,4 a", ["--init_box=1,2,3,4", "a"]),
    ("a --correct 5 1 2 3 4 --correct 2:7 1,2,3,4 b", ["a", "--correct=5 1 2 3 4", "--correct=2:7 1,2,3,4", "b"])])
def test_numbers_after_a_flag_are_joined(given, joined):
    assert join_numbers(given.split(), {"--init_box": 4, "--correct": 5}) == joined
