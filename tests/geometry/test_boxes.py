"""Boxes of any numbers: an error, or boxes and crops that are finite, whatever the image."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mstgt.data.video import make_video
from mstgt.geometry.boxes import MAX_PX, MIN_PX, check_box, clip_box, usable_boxes
from mstgt.geometry.crop import FAR, Crop
from mstgt.test.analysis.score import score_video
from mstgt.test.evaluation import absent_frames
from mstgt.utils.errors import UserError
from tests.fuzz.bounded import bounded

IMAGE = np.random.default_rng(0).integers(1, 256, (48, 64, 3), np.uint8)
odd = st.sampled_from([0.0, -0.0, 1e-320, MIN_PX, 1.0, 47.0, 1e4, MAX_PX, 1.1 * MAX_PX, 1e18, 1e200, 1.7e308])
numbers = odd | odd.map(lambda v: -v) | st.floats() | st.floats(-100, 100)
boxes = st.lists(numbers, min_size=4, max_size=4).map(lambda v: np.array(v, float))


@given(boxes, st.sampled_from([1.0, 4.0, 100.0]), st.sampled_from([1, 2, 8]))
def test_a_box_is_refused_or_can_be_cut_out(box, factor, reduce):
    try:
        checked = check_box(box, "initial box")
    except UserError as error:
        assert str(error).startswith("initial box: ")
        assert not usable_boxes(box[None])[0] or "given in fractions of the image" in str(error)
        return
    with np.errstate(all="raise", under="ignore"), bounded(1 << 28):
        crop = Crop.around(checked, factor, 32)
        cut = crop.cut(IMAGE[::reduce, ::reduce], reduce)
        assert cut.shape == (32, 32, 3) and crop.rows >= 1 and crop.reduce in (1, 2, 4, 8)
        inside = crop.to_crop(checked)
        assert np.isfinite(inside).all() and np.isfinite(clip_box(checked, 64, 48)).all()
        assert np.allclose(crop.from_crop(inside), checked, rtol=1e-6, atol=1e-3)
    x, y = crop.center - crop.side / 2
    if x > 80 or y > 64 or x + crop.side < -16 or y + crop.side < -16:
        assert not cut.any()


@pytest.mark.parametrize("box", [(1, 2, 3), "ab", [[1, 2], [3]], None, [1, 2, 3, "x"], np.zeros(5000)])
def test_a_bad_box_is_refused_in_one_short_line(box):
    with pytest.raises(UserError, match="^initial box: ") as error:
        check_box(box, "initial box")
    assert "\n" not in str(error.value) and len(str(error.value)) < 300


@given(st.floats(-300, 300), st.floats(-300, 300), st.floats(40, 200), st.sampled_from([1, 2, 4]))
def test_a_crop_far_outside_is_cut_as_any_other(x, y, side, reduce):
    image = np.repeat(np.repeat(IMAGE, 4, 0), 4, 1)[::reduce, ::reduce]
    crop = Crop.around(np.array([x, y, side, side]), 4.0, 32)
    usual, far = crop.cut(image, reduce), crop._cut_far(image, reduce, np.empty((32, 32, 3), np.uint8))
    assert crop.side <= FAR and np.abs(usual.astype(int) - far).mean() < 2.5


@given(st.lists(boxes, min_size=1, max_size=4))
def test_an_annotation_of_any_numbers_can_be_used(rows):
    finite = np.array([np.where(np.isinf(row), np.nan, row) for row in rows])
    video = make_video("v", None, tuple(map(str, range(len(rows)))), finite)
    with np.errstate(all="raise", under="ignore"), bounded(1 << 28):
        known = video.boxes_xywh[np.isfinite(video.boxes_xywh).all(1)]
        assert (np.abs(known) <= MAX_PX).all()
        assert bool(video.notes) == bool((np.abs(finite) > MAX_PX).any() or any(
            0 < min(row[2:]) < MIN_PX and np.isfinite(row).all() for row in finite))
        for box in video.boxes_xywh[video.visible]:
            Crop.around(box, 6.0, 16).cut(IMAGE)
        for rule in (absent_frames.LASOT, absent_frames.UAV, absent_frames.OTB) if video.visible[1:].any() else ():
            score = score_video(np.tile([1.0, 2, 30, 40], (len(rows), 1)), video, rule)
            assert 0 <= score.auc <= 100 and 0 <= score.precision <= 100


@given(st.lists(st.lists(st.floats(0, 1.7e308), min_size=4, max_size=4), min_size=2, max_size=4))
def test_results_of_any_finite_numbers_have_a_score(rows):
    found = np.array(rows)
    video = make_video("v", None, tuple(map(str, range(len(rows)))), np.tile([5.0, 5, 20, 20], (len(rows), 1)))
    with np.errstate(all="raise", under="ignore"):
        score = score_video(found, video, absent_frames.OTB)
    assert 0 <= score.auc <= 100 and 0 <= score.norm_precision <= 100
