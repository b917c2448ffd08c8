"""The crops of a sample: where the target lies in them, and how images are read for them."""

from __future__ import annotations

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mstgt.data.images import decode_image
from mstgt.data.video import Video
from mstgt.geometry.boxes import xywh_to_cxcywh
from mstgt.geometry.crop import Crop
from mstgt.train.data.processing import CropSettings, boundary_jitter, jitter, min_search_factor
from mstgt.train.data.sampler import CausalSampler
from tests.train.conftest import PROCESSING, memory_set

boxes = st.tuples(st.floats(-50, 500), st.floats(-50, 500), st.floats(2, 300), st.floats(2, 300)).map(np.array)


@given(boxes, st.integers(0, 1000))
def test_the_center_of_every_target_is_inside_its_search_crop(box, seed):
    rng = np.random.default_rng(seed)
    around = jitter(box, PROCESSING.search, rng)
    factor = max(rng.uniform(2, 6), min_search_factor(box, around))
    cx, cy = Crop.around(around, factor, 128).to_crop(box)[:2]
    assert -0.01 <= cx <= 1.0 and -0.01 <= cy <= 1.0


@given(boxes, st.integers(0, 1000))
def test_boundary_crops_cut_the_target(box, seed):
    rng = np.random.default_rng(seed)
    moved = boundary_jitter(box, jitter(box, PROCESSING.search, rng), 4.0, rng)
    cx, cy, w, h = Crop.around(moved, 4.0, 128).to_crop(box)
    reach = [min(c - s / 2, 1 - c - s / 2) for c, s in ((cx, w), (cy, h))]
    assert min(reach) < 0.02  # some edge of the box is at or beyond the crop's edge


def test_boxes_of_a_sample_match_the_targets_pixels():
    class Painted:
        def __len__(self):
            return 30

        def read(self, index, reduce=1, rows=None):
            image = np.zeros((240, 320, 3), np.uint8)
            image[100:140, 150 + index : 200 + index] = 255
            return cv2.resize(image, None, fx=1 / reduce, fy=1 / reduce, interpolation=cv2.INTER_AREA)

        def where(self, index):
            return ""

    truth = np.array([[150.0 + i, 100, 50, 40] for i in range(30)])
    video = Video("painted", Painted(), truth, np.ones(30, bool))
    sampler = CausalSampler([memory_set(video)], [1], 2, 200)
    seen = 0
    for seed in range(40):
        rng = np.random.default_rng(seed)
        sample = PROCESSING(sampler.draw(rng), rng)
        for image, (cx, cy, w, h) in zip(sample["search"], sample["boxes"], strict=True):
            x0, y0, x1, y1 = np.array([cx - w / 2, cy - h / 2, cx + w / 2, cy + h / 2]) * 128
            if min(x0, y0) < 1 or max(x1, y1) > 127:
                continue  # cut by the crop
            ys, xs = np.nonzero(image[..., 0] > 127)
            assert np.allclose([xs.min(), ys.min(), xs.max() + 1, ys.max() + 1], [x0, y0, x1, y1], atol=2.0)
            seen += 1
    assert seen > 30


def smooth_jpeg(width: int, height: int) -> bytes:
    x, y = np.meshgrid(np.arange(width), np.arange(height))
    waves = [128 + 90 * np.sin(x / a + y / b) for a, b in ((60, 90), (110, 50), (80, 70))]
    return cv2.imencode(".jpg", np.stack(waves, -1).astype(np.uint8), [cv2.IMWRITE_JPEG_QUALITY, 97])[1].tobytes()


@pytest.mark.parametrize(("width", "height"), [(640, 480), (637, 471)])
@pytest.mark.parametrize("reduce", [2, 4, 8])
def test_a_reduced_image_gives_the_same_crop(width, height, reduce):
    data = smooth_jpeg(width, height)
    full, small = decode_image(data, "x.jpg"), decode_image(data, "x.jpg", reduce)
    for center in ((300.3, 200.7), (20.0, 460.0), (633.0, 90.5)):
        box = np.array([*center, 32.0 * reduce / 4, 32.0 * reduce / 4])
        crop = Crop.around(box, 4.0, 32)
        assert crop.reduce == reduce
        a, b = crop.cut(full).astype(int), crop.cut(small, reduce).astype(int)
        inside = cv2.erode((crop.cut(np.full_like(full, 255))[..., 0] == 255).astype(np.uint8), np.ones((5, 5)),
                           borderValue=1)
        assert np.abs(a - b)[inside > 0].max() <= 6
        outside = cv2.erode((crop.cut(np.full_like(full, 255))[..., 0] == 0).astype(np.uint8), np.ones((5, 5)),
                            borderValue=1)
        assert not b[outside > 0].any()


@given(st.integers(1, 5000), st.sampled_from([64, 128, 256]))
def test_decoding_reduces_images_no_further_than_the_crop_allows(side, size):
    reduce = Crop(np.zeros(2), side, size).reduce
    assert reduce in (1, 2, 4, 8) and (reduce == 1 or side / reduce >= size)
    assert reduce == 8 or side / (2 * reduce) < size


def test_a_still_image_is_decoded_once():
    reads = []

    class Counted:
        def __len__(self):
            return 1

        def read(self, index, reduce=1, rows=None):
            reads.append((index, reduce))
            return np.zeros((120, 160, 3), np.uint8)

        def where(self, index):
            return ""

    still = Video("still", Counted(), np.array([[40.0, 30, 30, 24]]), np.ones(1, bool))
    sampler = CausalSampler([memory_set(still)], [1], 3, 200)
    rng = np.random.default_rng(0)
    sample = PROCESSING(sampler.draw(rng), rng)
    assert len(reads) == 1 and sample["search"].shape[0] == 3


def test_jitter_has_the_configured_distribution():
    rng = np.random.default_rng(0)
    box = np.array([0.0, 0, 100, 100])
    drawn = np.array([jitter(box, CropSettings(128, 4, 3.5, 0.5), rng) for _ in range(4000)])
    assert np.std(np.log(drawn[:, 2] / 100)) == pytest.approx(0.5, abs=0.03)
    shift = (xywh_to_cxcywh(drawn)[:, :2] - 50) / np.sqrt(drawn[:, 2:].prod(1))[:, None]
    assert np.abs(shift).max() <= 1.75 + 1e-9 and np.abs(shift).max() > 1.7
