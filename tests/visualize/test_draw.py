"""Drawing: lines are where boxes are, whatever the box."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mstgt.visualize.draw import LOST, TRACKED, TRUE, annotate, contact_sheet, film_zoom, outline

GREY = np.full((240, 320, 3), 90, np.uint8)
BOX, NOWHERE = np.array([100.0, 80, 60, 90]), np.full(4, np.nan)


def share(picture: np.ndarray, colour, places) -> float:
    """Which part of ``places`` (rows, columns) has the colour."""
    return float((np.abs(picture[places].astype(int) - colour).max(axis=-1) < 40).mean())


def sides(box=BOX):
    x, y, w, h = np.asarray(box).astype(int)
    down, along = np.arange(y + 8, y + h - 8), np.arange(x + 8, x + w - 8)
    return [(down, np.full_like(down, x)), (down, np.full_like(down, x + w)),
            (np.full_like(along, y), along), (np.full_like(along, y + h), along)]


def test_the_box_is_where_it_should_be():
    before = GREY.copy()
    picture = annotate(GREY, BOX, 0.87)
    assert picture.shape == GREY.shape and picture.dtype == np.uint8
    assert np.array_equal(GREY, before), "the picture given stays as it is"
    assert all(share(picture, TRACKED, places) == 1 for places in sides())
    assert (picture[90:160, 110:150] == 90).all(), "nothing is drawn over the target"


def test_a_lost_target_is_dashed_and_red():
    picture = annotate(GREY, BOX, 0.1, lost=True)
    assert all(0.3 < share(picture, LOST, places) < 0.8 for places in sides())
    assert not any(share(picture, TRACKED, places) for places in sides())


def test_the_search_region_ends_at_the_picture():
    plain = annotate(GREY, NOWHERE, None)
    assert np.array_equal(plain, GREY)
    inside = annotate(GREY, NOWHERE, None, np.array([100.0, 80, 60, 60]))
    changed = np.argwhere((inside != GREY).any(axis=-1))
    assert np.abs(changed.min(0) - [80, 100]).max() <= 4 and np.abs(changed.max(0) - [140, 160]).max() <= 4
    beyond = annotate(GREY, NOWHERE, None, np.array([-500.0, -500, 2000, 2000]))
    assert (beyond[:5] != GREY[:5]).any() and (beyond[-5:] != GREY[-5:]).any(), "seen along the border"
    assert (beyond[20:-20, 20:-20] == 90).all()


def test_the_true_box_the_score_and_the_caption():
    picture = annotate(GREY, NOWHERE, None, true_xywh=BOX)
    assert all(share(picture, TRUE, places) == 1 for places in sides())
    tagged, bare = annotate(GREY, BOX, 0.5), annotate(GREY, BOX, None)
    above = np.s_[80 - 30 : 75, 90:170]
    assert (bare[above] == 90).all() and share(tagged, TRACKED, above) > 0.1
    assert (annotate(GREY, NOWHERE, None, caption="frame 1")[:30, :90] != 90).any()


def test_zoom_enlarges_picture_and_box():
    picture = annotate(GREY, BOX, None, zoom=2)
    assert picture.shape == (480, 640, 3)
    assert all(share(picture, TRACKED, places) == 1 for places in sides(2 * BOX))
    assert [film_zoom(size) for size in ((160, 120), (360, 640), (1920, 1080), (1, 1))] == [4, 1, 1, 640]


@given(st.lists(st.floats(-1e6, 1e6, width=32), min_size=4, max_size=4), st.integers(1, 60), st.integers(1, 60),
       st.booleans())
def test_any_box_can_be_drawn(box, width, height, lost):
    box = np.array(box, np.float64)
    picture = annotate(np.zeros((height, width, 3), np.uint8), box, 0.123, 3 * box, lost, "frame 1000  40.0 s")
    assert picture.shape == (height, width, 3)


def test_dashes_keep_the_corners():
    picture = GREY.copy()
    outline(picture, np.array([50.0, 50, 200, 150]), LOST, 3, dash=15)
    assert all(share(picture, LOST, np.s_[y - 1 : y + 1, x - 1 : x + 1]) == 1 for x in (50, 250) for y in (50, 200))


@pytest.mark.parametrize(("count", "size_wh", "shape"), [
    (12, (480, 270), (3, 4)), (12, (270, 480), (2, 6)), (1, (480, 270), (1, 1)), (7, (300, 300), (2, 4))])
def test_sheets_are_about_as_wide_as_a_slide(count, size_wh, shape):
    width, height = size_wh
    tiles = [np.full((height, width, 3), 10 * i, np.uint8) for i in range(count)]
    sheet = contact_sheet(tiles, gap=6)
    rows, columns = shape
    assert sheet.shape == (rows * (height + 6) + 6, columns * (width + 6) + 6, 3)
    for i in range(count):
        y, x = 6 + i // columns * (height + 6), 6 + i % columns * (width + 6)
        assert (sheet[y : y + height, x : x + width] == 10 * i).all()
    assert (sheet[:6] == 255).all()


def test_sheets_of_unlike_pictures():
    sheet = contact_sheet([GREY, GREY[:100], GREY[:, :50]], columns=2, gap=0)
    assert sheet.shape == (480, 640, 3) and (sheet[240:, 320:] == 255).all()
    with pytest.raises(ValueError, match="needs a picture"):
        contact_sheet([])
