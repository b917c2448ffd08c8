"""The crop that training and tracking share."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mstgt.geometry.boxes import check_box, clip_box, overlaps_image, xywh_to_cxcywh
from mstgt.geometry.crop import Crop
from mstgt.utils.errors import UserError

coordinates = st.floats(-500, 1500, allow_nan=False)
sides = st.floats(1, 800, allow_nan=False)
boxes = st.tuples(coordinates, coordinates, sides, sides).map(np.array)


@given(boxes, boxes, st.floats(1, 8), st.sampled_from([64, 128, 256]))
def test_mapping_into_the_crop_and_back(around, box, factor, size):
    crop = Crop.around(around, factor, size)
    assert np.allclose(crop.from_crop(crop.to_crop(box)), box, atol=1e-6)


@given(boxes)
def test_box_formats_are_inverse(box):
    assert np.allclose(xywh_to_cxcywh(box)[:2] - box[2:] / 2, box[:2])


@given(boxes, st.integers(1, 1000), st.integers(1, 1000))
def test_clipped_boxes_lie_in_the_image(box, width, height):
    x, y, w, h = clip_box(box, width, height)
    assert x >= 0 and y >= 0 and x + w <= width + 1e-9 and y + h <= height + 1e-9
    assert w >= min(10, width) - 1e-9 and h >= min(10, height) - 1e-9


def test_a_box_inside_is_not_clipped():
    assert clip_box(np.array([20.0, 30, 40, 50]), 200, 200).tolist() == [20, 30, 40, 50]


def test_unscaled_crop_is_the_image_itself():
    image = np.random.default_rng(0).integers(0, 256, (90, 120, 3), np.uint8)
    crop = Crop.around(np.array([40.0, 30, 16, 16]), 2.0, 32)
    assert crop.side == 32
    assert np.array_equal(crop.cut(image), image[22:54, 32:64])


def test_the_last_row_and_column_survive_padding():
    image = np.full((50, 60, 3), 200, np.uint8)
    crop = Crop.around(np.array([50.0, 40, 10, 10]), 4.0, 40)  # 35..75 x 25..65 of a 60 x 50 image
    cut = crop.cut(image)
    assert (cut[:25, :25] == 200).all() and (cut[25:] == 0).all() and (cut[:, 25:] == 0).all()


def test_a_crop_beside_the_image_is_black():
    assert not Crop.around(np.array([500.0, 500, 10, 10]), 2.0, 16).cut(np.full((20, 20, 3), 9, np.uint8)).any()


@given(boxes, st.floats(1, 6), st.integers(1, 80), st.integers(1, 80))
def test_every_crop_has_its_size(box, factor, width, height):
    box[2:] = np.minimum(box[2:], 200)
    assert Crop.around(box, factor, 16).cut(np.zeros((height, width, 3), np.uint8)).shape == (16, 16, 3)


@given(boxes, st.floats(1, 8), st.sampled_from([16, 32]), st.sampled_from([1, 2, 4, 8]))
def test_rows_below_the_crop_do_not_matter(box, factor, size, reduce):
    crop = Crop.around(box, factor, size)
    reduce = min(reduce, crop.reduce)
    image = np.random.default_rng(0).integers(0, 256, (-(-1000 // reduce), -(-1200 // reduce), 3), np.uint8)
    whole, top = crop.cut(image, reduce), crop.cut(image[:-(-crop.rows // reduce)], reduce)
    assert np.array_equal(whole, top)


@pytest.mark.parametrize("reduce", [1, 2])
def test_a_crop_is_cut_into_a_given_array(reduce):
    image = np.random.default_rng(0).integers(0, 256, (90, 120, 3), np.uint8)
    crops = [Crop.around(np.array([x, 30.0, 20, 20]), 2.0, 16) for x in (30, 110, 500)]
    together = np.full((3, 16, 16, 3), 77, np.uint8)
    for crop, out in zip(crops, together, strict=True):
        assert np.shares_memory(crop.cut(image, reduce, out), together)
        assert np.array_equal(out, crop.cut(image, reduce))
    assert not together[2].any()


@pytest.mark.parametrize("bad", [[1, 2, 3], [0, 0, 0, 5], [0, 0, 5, -1], [float("nan"), 0, 5, 5], ["a", 1, 2, 3], None])
def test_bad_boxes_are_named(bad):
    with pytest.raises(UserError, match="video.mp4"):
        check_box(bad, "video.mp4")


def test_overlap_with_the_image():
    assert overlaps_image(np.array([-5.0, 0, 6, 5]), 10, 10)
    assert not overlaps_image(np.array([10.0, 0, 6, 5]), 10, 10)
