"""Samples: which frames, which crops, and that (seed, epoch, index) decides them."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from lib.geometry.boxes import xywh_to_cxcywh
from lib.geometry.crop import Crop
from lib.models.picture import to_input
from lib.train.data.loader import EpochOrder, Samples, make_loader
from lib.train.data.processing import CropSettings, Processing, across_the_edge, jitter, least_factor
from lib.train.data.sampler import CausalSampler
from lib.train.data.transforms import finish, flip_boxes
from lib.utils.errors import UserError
from tests.train.conftest import memory_set, memory_video

PROCESSING = Processing(CropSettings(64, 2.0, 0, 0), CropSettings(128, 4.0, 3.5, 0.5), (2.0, 6.0), border_prob=0.05)
boxes = st.tuples(st.floats(-50, 500), st.floats(-50, 500), st.floats(2, 300), st.floats(2, 300)).map(np.array)


@given(st.integers(0, 10_000), st.integers(1, 4), st.integers(1, 60), st.sets(st.integers(0, 79), max_size=70))
def test_search_frames_follow_the_template_and_are_visible(seed, searches, interval, hidden):
    video = memory_video("v", 80, tuple(hidden))
    sampler = CausalSampler([memory_set(video)], [1], searches, interval)
    draw = sampler.draw(np.random.default_rng(seed))
    frames = [draw.template, *draw.searches]
    assert frames == sorted(set(frames)) and len(draw.searches) == searches
    assert not hidden & set(frames)


def test_the_window_widens_no_further_than_needed():
    video = memory_video("v", 100, tuple(i for i in range(100) if i not in (0, 50, 51, 99)))
    sampler = CausalSampler([memory_set(video)], [1], 2, 10)
    draws = {sampler.draw(np.random.default_rng(s)).searches for s in range(50)}
    assert draws == {(50, 51), (51, 99)}


def test_a_still_image_is_repeated():
    draw = CausalSampler([memory_set(memory_video("still", 1))], [1], 3, 200).draw(np.random.default_rng(0))
    assert (draw.template, draw.searches) == (0, (0, 0, 0))


def test_unfit_videos_are_passed_over_and_unfit_sets_are_an_error():
    short, good = memory_video("short", 2), memory_video("good", 30)
    sampler = CausalSampler([memory_set(short, good)], [1], 4, 200)
    assert {sampler.draw(np.random.default_rng(s)).video.name for s in range(20)} == {"good"}
    with pytest.raises(UserError, match="memory"):
        CausalSampler([memory_set(short)], [1], 4, 200).draw(np.random.default_rng(0))


def test_sets_are_drawn_by_ratio():
    sets = [memory_set(memory_video(n, 30), name=n) for n in "ab"]
    sampler = CausalSampler(sets, [3, 1], 1, 200)
    rng = np.random.default_rng(0)
    share = np.mean([sampler.draw(rng).video.name == "a" for _ in range(2000)])
    assert abs(share - 0.75) < 0.04


def test_a_curriculum_begins_with_the_easy_videos():
    videos = [memory_video(str(i), 30) for i in range(10)]
    rated = memory_set(*videos, difficulty_of=lambda name: 1 - int(name) / 10)
    sampler = CausalSampler([rated], [1], 1, 200)
    rng = np.random.default_rng(0)
    assert {sampler.draw(rng, 0.0).video.name for _ in range(20)} == {"9"}
    assert {sampler.draw(rng, 0.25).video.name for _ in range(40)} == {"8", "9"}
    assert len({sampler.draw(rng).video.name for _ in range(200)}) == 10


@given(boxes, st.integers(0, 1000))
def test_every_target_centre_is_inside_its_crop(box, seed):
    rng = np.random.default_rng(seed)
    around = jitter(box, PROCESSING.search, rng)
    factor = max(rng.uniform(2, 6), least_factor(box, around))
    cx, cy = Crop.around(around, factor, 128).to_crop(box)[:2]
    assert -0.01 <= cx <= 1.0 and -0.01 <= cy <= 1.0


@given(boxes, st.integers(0, 1000))
def test_boundary_crops_cut_the_target(box, seed):
    rng = np.random.default_rng(seed)
    moved = across_the_edge(box, jitter(box, PROCESSING.search, rng), 4.0, rng)
    cx, cy, w, h = Crop.around(moved, 4.0, 128).to_crop(box)
    reach = [min(c - s / 2, 1 - c - s / 2) for c, s in ((cx, w), (cy, h))]
    assert min(reach) < 0.02  # some edge of the box is at or beyond the crop's edge


def test_the_box_of_a_sample_frames_the_target():
    class Painted:
        def __len__(self):
            return 30

        def read(self, index, reduce=1):
            image = np.zeros((240, 320, 3), np.uint8)
            image[100:140, 150 + index : 200 + index] = 255
            return image

        def where(self, index):
            return ""

    from lib.data.sequence import Sequence
    truth = np.array([[150.0 + i, 100, 50, 40] for i in range(30)])
    video = Sequence("painted", Painted(), truth, np.ones(30, bool))
    sampler = CausalSampler([memory_set(video)], [1], 2, 200)
    seen = 0
    for seed in range(40):
        rng = np.random.default_rng(seed)
        sample = PROCESSING(sampler.draw(rng), rng)
        for picture, (cx, cy, w, h) in zip(sample["search"], sample["boxes"], strict=True):
            x0, y0, x1, y1 = np.array([cx - w / 2, cy - h / 2, cx + w / 2, cy + h / 2]) * 128
            if min(x0, y0) < 1 or max(x1, y1) > 127:
                continue  # cut by the crop
            ys, xs = np.nonzero(picture[..., 0] > 127)
            assert np.allclose([xs.min(), ys.min(), xs.max() + 1, ys.max() + 1], [x0, y0, x1, y1], atol=2.0)
            seen += 1
    assert seen > 30


def batches(videos, workers: int, epoch: int = 1) -> list:
    samples = Samples(CausalSampler([videos], [1], 2, 200), PROCESSING, 8, epochs=2, seed=3)
    order = EpochOrder(8, 4)
    order.epoch = epoch
    return list(make_loader(samples, order, workers))


def test_workers_do_not_change_a_sample(disk_set):
    alone, many = batches(disk_set, 0), batches(disk_set, 2)
    for a, b in zip(alone, many, strict=True):
        assert a["videos"] == b["videos"] and a["frames"] == b["frames"]
        assert all(torch.equal(a[k], b[k]) for k in ("template", "search", "boxes", "brightness", "flip", "grey"))
    assert not torch.equal(alone[0]["search"], batches(disk_set, 0, epoch=2)[0]["search"])


def test_an_unreadable_frame_costs_a_draw_and_is_named(disk_set):
    messages = [m for e in (1, 2, 3) for b in batches(disk_set, 0, e) for m in b["unreadable"]]
    assert messages and all("video3/00000003.jpg" in m for m in messages)


def test_processes_share_an_epoch_without_overlap():
    orders = [EpochOrder(16, 2, rank, 2) for rank in range(2)]
    keys = [key for order in orders for batch in order for key in batch]
    assert sorted(i for _, i in keys) == list(range(16))


def test_flip_moves_picture_and_box_together():
    picture = torch.zeros(1, 16, 16, 3, dtype=torch.uint8)
    picture[0, 4:8, 2:6] = 255  # pixel centres 2..5: centre 3.5
    box = torch.tensor([[3.5 / 16, 5.5 / 16, 4 / 16, 4 / 16]])
    yes, no = torch.tensor([True]), torch.tensor([False])
    flipped = finish(picture, yes, no, torch.ones(1), (0, 0, 0), (1, 1, 1))
    column = flipped[0, 0].sum(0).nonzero().flatten().float()
    assert flip_boxes(box, yes, 16)[0, 0].item() * 16 == pytest.approx(column.mean().item())
    assert torch.equal(flip_boxes(box, no, 16), box)


def test_grey_and_brightness():
    picture = torch.full((1, 4, 4, 3), 100, dtype=torch.uint8)
    picture[..., 0] = 200
    no, yes = torch.tensor([False]), torch.tensor([True])
    grey = finish(picture, no, yes, torch.tensor([0.5]), (0, 0, 0), (1, 1, 1))
    assert torch.allclose(grey, torch.tensor((0.299 * 200 + 0.701 * 100) * 0.5 / 255), atol=1e-5)
    plain = finish(picture, no, no, torch.ones(1), (0.5,) * 3, (0.2,) * 3)
    torch.testing.assert_close(plain, to_input(picture, (0.5,) * 3, (0.2,) * 3))


def test_jitter_has_its_spread():
    rng = np.random.default_rng(0)
    box = np.array([0.0, 0, 100, 100])
    drawn = np.array([jitter(box, CropSettings(128, 4, 3.5, 0.5), rng) for _ in range(4000)])
    assert np.std(np.log(drawn[:, 2] / 100)) == pytest.approx(0.5, abs=0.03)
    shift = (xywh_to_cxcywh(drawn)[:, :2] - 50) / np.sqrt(drawn[:, 2:].prod(1))[:, None]
    assert np.abs(shift).max() <= 1.75 + 1e-9 and np.abs(shift).max() > 1.7
