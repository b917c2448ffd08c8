"""Drawing: lines are where boxes are, whatever the box."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mstgt.visualize.draw import (
    GROUND_TRUTH,
    LOST,
    PALETTE,
    TRACKED,
    LabeledBox,
    contact_sheet,
    draw_boxes,
    outline,
    tracked_box,
    video_zoom,
    write_png,
)

GRAY = np.full((240, 320, 3), 90, np.uint8)
BOX, NOWHERE = np.array([100.0, 80, 60, 90]), np.full(4, np.nan)


def share(image: np.ndarray, color, places) -> float:
    """Which part of ``places`` (rows, columns) has the color."""
    return float((np.abs(image[places].astype(int) - color).max(axis=-1) < 40).mean())


def sides(box=BOX):
    x, y, w, h = np.asarray(box).astype(int)
    down, along = np.arange(y + 8, y + h - 8), np.arange(x + 8, x + w - 8)
    return [(down, np.full_like(down, x)), (down, np.full_like(down, x + w)),
            (np.full_like(along, y), along), (np.full_like(along, y + h), along)]


def test_the_box_is_where_it_should_be():
    before = GRAY.copy()
    image = draw_boxes(GRAY, [tracked_box(BOX, 0.87)])
    assert image.shape == GRAY.shape and image.dtype == np.uint8
    assert np.array_equal(GRAY, before), "the image given stays as it is"
    assert all(share(image, TRACKED, places) == 1 for places in sides())
    assert (image[90:160, 110:150] == 90).all(), "nothing is drawn over the target"


def test_a_lost_target_is_dashed_and_red():
    image = draw_boxes(GRAY, [tracked_box(BOX, 0.1, lost=True)])
    assert all(0.3 < share(image, LOST, places) < 0.8 for places in sides())
    assert not any(share(image, TRACKED, places) for places in sides())


def test_the_search_region_ends_at_the_image():
    plain = draw_boxes(GRAY, [tracked_box(NOWHERE)])
    assert np.array_equal(plain, GRAY)
    inside = draw_boxes(GRAY, [], [np.array([100.0, 80, 60, 60])])
    changed = np.argwhere((inside != GRAY).any(axis=-1))
    assert np.abs(changed.min(0) - [80, 100]).max() <= 4 and np.abs(changed.max(0) - [140, 160]).max() <= 4
    beyond = draw_boxes(GRAY, [], [np.array([-500.0, -500, 2000, 2000])])
    assert (beyond[:5] != GRAY[:5]).any() and (beyond[-5:] != GRAY[-5:]).any(), "seen along the border"
    assert (beyond[20:-20, 20:-20] == 90).all()


def test_the_true_box_the_score_and_the_caption():
    image = draw_boxes(GRAY, [LabeledBox(BOX, GROUND_TRUTH)])
    assert all(share(image, GROUND_TRUTH, places) == 1 for places in sides())
    tagged, bare = draw_boxes(GRAY, [tracked_box(BOX, 0.5)]), draw_boxes(GRAY, [tracked_box(BOX)])
    above = np.s_[80 - 30 : 75, 90:170]
    assert (bare[above] == 90).all() and share(tagged, TRACKED, above) > 0.1
    assert (draw_boxes(GRAY, [], caption="frame 1")[:30, :90] != 90).any()


def test_zoom_enlarges_image_and_box():
    image = draw_boxes(GRAY, [tracked_box(BOX)], zoom=2)
    assert image.shape == (480, 640, 3)
    assert all(share(image, TRACKED, places) == 1 for places in sides(2 * BOX))
    assert [video_zoom(size) for size in ((160, 120), (360, 640), (1920, 1080), (1, 1))] == [4, 1, 1, 640]


@given(st.lists(st.floats(-1e6, 1e6, width=32), min_size=4, max_size=4), st.integers(1, 60), st.integers(1, 60),
       st.booleans())
def test_any_box_can_be_drawn(box, width, height, lost):
    box = np.array(box, np.float64)
    image = draw_boxes(np.zeros((height, width, 3), np.uint8), [tracked_box(box, 0.123, lost)], [3 * box],
                         "frame 1000  40.0 s", legend=[("a tracker", PALETTE[1])])
    assert image.shape == (height, width, 3)


def test_dashes_keep_the_corners():
    image = GRAY.copy()
    outline(image, np.array([50.0, 50, 200, 150]), LOST, 3, dash=15)
    assert all(share(image, LOST, np.s_[y - 1 : y + 1, x - 1 : x + 1]) == 1 for x in (50, 250) for y in (50, 200))


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


def test_sheets_of_unlike_images():
    sheet = contact_sheet([GRAY, GRAY[:100], GRAY[:, :50]], columns=2, gap=0)
    assert sheet.shape == (480, 640, 3) and (sheet[240:, 320:] == 255).all()
    with pytest.raises(ValueError, match="needs an image"):
        contact_sheet([])


def test_targets_differ_in_color_and_are_numbered():
    boxes = [np.array([20.0, 80, 60, 90]), np.array([200.0, 80, 60, 90])]
    image = draw_boxes(GRAY, [tracked_box(box, 0.9, target=number) for number, box in enumerate(boxes, 1)])
    for box, color in zip(boxes, PALETTE, strict=False):
        assert all(share(image, color, places) == 1 for places in sides(box))
    lost = draw_boxes(GRAY, [tracked_box(BOX, 0.1, True, target=2)])
    assert all(0.3 < share(lost, PALETTE[1], places) < 0.8 for places in sides()), "dashed, in its own color"
    assert [tracked_box(BOX, 0.1, True, 2).label, tracked_box(BOX, None, target=3).label] == ["2: lost? 0.10", "3"]
    assert len(set(PALETTE)) == len(PALETTE) and not {LOST, GROUND_TRUTH} & set(PALETTE)


def test_a_legend_names_the_trackers():
    image = draw_boxes(GRAY, [], legend=[("A", PALETTE[0]), ("B", PALETTE[1])])
    corner = image[170:, :80]
    assert all((np.abs(corner.astype(int) - color).max(axis=-1) < 30).sum() > 50 for color in PALETTE[:2])
    assert (image[:160] == 90).all()


def test_a_huge_image_is_drawn_as_large_as_a_video_may_be():
    zoom = video_zoom((9000, 60))
    assert draw_boxes(np.zeros((60, 9000, 3), np.uint8), [], zoom=zoom).shape == (55, 8192, 3)


def test_a_full_disk_is_an_error(tmp_path):
    if not Path("/dev/full").exists():
        pytest.skip("no /dev/full")
    with pytest.raises(OSError, match="No space"):
        write_png(Path("/dev/full"), np.zeros((4, 4, 3), np.uint8))
