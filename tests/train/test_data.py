"""Samples: which frames, which crops, and that (seed, epoch, index) decides them."""

from __future__ import annotations

import contextlib
import dataclasses
import gc
import multiprocessing
import os
import pickle
import types
from multiprocessing.reduction import ForkingPickler

import cv2
import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from mstgt.config import load_config
from mstgt.data.images import decode_image
from mstgt.data.video import Video
from mstgt.geometry.boxes import xywh_to_cxcywh
from mstgt.geometry.crop import Crop
from mstgt.models.mstgt import FrameStep, build_model
from mstgt.test.tracker.torch_engine import TorchEngine
from mstgt.train.data import loader
from mstgt.train.data.batch import Batch, PartnerBatch
from mstgt.train.data.loader import DistributedBatchSampler, TrackingDataset, make_loader, mixing_active
from mstgt.train.data.processing import CropSettings, Processing, boundary_jitter, jitter, min_search_factor
from mstgt.train.data.sampler import CausalSampler, SampledFrames
from mstgt.train.data.transforms import augment_and_normalize, augment_and_normalize_partner, flip_boxes
from mstgt.utils.errors import UserError
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


def test_the_box_of_a_sample_frames_the_target():
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


def batches(videos, workers: int, epoch: int = 1, mixes=None) -> list:
    sampler = CausalSampler([videos], [1], 2, 200, partners=True)
    samples = TrackingDataset(sampler, PROCESSING, 8, epochs=2, seed=3, mixes=mixes)
    order = DistributedBatchSampler(8, 4)
    order.epoch = epoch
    return list(make_loader(samples, order, workers))


def second_epoch(epoch: int) -> bool:
    return epoch == 2


def assert_equal(a: Batch | PartnerBatch, b: Batch | PartnerBatch) -> None:
    for field in dataclasses.fields(a):
        one, other = getattr(a, field.name), getattr(b, field.name)
        if isinstance(one, torch.Tensor):
            assert torch.equal(one, other), field.name
        elif isinstance(one, PartnerBatch):
            assert_equal(one, other)
        else:
            assert one == other, field.name


@pytest.mark.parametrize("epoch", [1, 2])
def test_workers_do_not_change_a_sample(disk_set, epoch):
    alone, many = (batches(disk_set, workers, epoch, second_epoch) for workers in (0, 2))
    for a, b in zip(alone, many, strict=True):
        assert_equal(a, b)
        assert (a.partner is not None) == (epoch == 2)
    assert not torch.equal(alone[0].search, batches(disk_set, 0, epoch=3)[0].search)


def test_a_batch_is_sent_without_shared_memory(disk_set):
    """A worker cannot be blocked by a full /dev/shm: the batch is in the message itself."""
    batch = batches(disk_set, 0, 2, second_epoch)[0]
    message = bytes(ForkingPickler.dumps(batch))
    assert len(message) > batch.search.numel() + batch.partner.search.numel()
    assert_equal(batch, pickle.loads(message))


def test_workers_are_left_out_where_shared_memory_is_too_small(disk_set, monkeypatch, caplog):
    monkeypatch.setattr(loader.shutil, "disk_usage", lambda _path: types.SimpleNamespace(free=65536))
    assert [batch.videos for batch in batches(disk_set, 2)] == [batch.videos for batch in batches(disk_set, 0)]
    assert "/dev/shm" in caplog.text and "TRAIN.NUM_WORKER" in caplog.text


class Garbage:
    """Refers to itself, so that only the collector ends it."""

    def __init__(self, ended: list[int]):
        self.itself, self.ended = self, ended

    def __del__(self):
        self.ended.append(os.getpid())


def test_workers_leave_the_garbage_of_the_training_process_alone(disk_set):
    """What it holds may be of no use in a fork: a decoder whose threads stayed behind, say, is never ended there."""
    class Collecting(TrackingDataset):
        def __getitem__(self, key):
            gc.collect()
            return super().__getitem__(key) | {"unreadable": [f"{len(ended)} ended"]}

    ended: list[int] = []
    samples = Collecting(CausalSampler([disk_set], [1], 2, 200), PROCESSING, 8, epochs=1, seed=3)
    with without_collector():
        Garbage(ended)
        batches_ = make_loader(samples, DistributedBatchSampler(8, 4), 1)
        said = [message for batch in batches_ for message in batch.unreadable]
        assert said == ["0 ended"] * 8 and ended == []
    gc.collect()
    assert ended == [os.getpid()]


@contextlib.contextmanager
def without_collector():
    gc.disable()
    try:
        yield
    finally:
        gc.enable()


def test_an_unreadable_frame_costs_a_draw_and_is_named(disk_set):
    videos = memory_set(disk_set[3], disk_set[0])
    messages = [m for e in range(1, 5) for b in batches(videos, 0, e) for m in b.unreadable]
    assert messages and all("video3/00000003.jpg" in m for m in messages)


def test_mixing_leaves_the_own_part_of_a_sample_as_it_is(disk_set):
    good = memory_set(*(disk_set[i] for i in range(3)))
    plain, mixed = batches(good, 0, 2), batches(good, 0, 2, second_epoch)
    for a, b in zip(plain, mixed, strict=True):
        assert_equal(a, dataclasses.replace(b, partner=None))
        partner = b.partner
        assert partner.search.shape == b.search.shape and partner.boxes.shape == b.boxes.shape
        assert partner.brightness.shape == (2, 4) and partner.active.all()
        assert all(own != other for own, other in zip(b.videos, partner.videos, strict=True))


def test_an_unreadable_partner_costs_only_the_partner(disk_set):
    keys = [(2, index) for index in range(40)]
    sampler = CausalSampler([disk_set], [1], 2, 200, partners=True)
    plain, mixed = (TrackingDataset(sampler, PROCESSING, 40, 2, 3, mixes=mixes) for mixes in (None, second_epoch))
    more = 0
    for key in keys:
        a, b = plain[key], mixed[key]
        assert a["video"] == b["video"] and np.array_equal(a["search"], b["search"]) and b["partner_active"]
        assert b["unreadable"][: len(a["unreadable"])] == a["unreadable"]
        more += len(b["unreadable"]) - len(a["unreadable"])
    assert more > 0


def test_partners_are_of_the_same_class_and_another_video():
    videos = [memory_video(f"{kind}{i}", 30) for kind in ("cat", "dog") for i in range(3)]
    videos += [memory_video("lone", 30), memory_video("nameless", 30)]
    kinds = {v.name: v.name[:3] for v in videos} | {"nameless": None}
    sampler = CausalSampler([memory_set(*videos, class_of=kinds.get)], [1], 2, 200, partners=True)
    rng = np.random.default_rng(0)
    pairs = {(own.video.name, sampler.draw_partner(own, rng).video.name)
             for own in (sampler.draw(rng) for _ in range(600))}
    assert all(a != b for a, b in pairs)
    for name, others in (("cat0", {"cat1", "cat2"}), ("dog2", {"dog0", "dog1"})):
        assert {b for a, b in pairs if a == name} == others
    assert len({b for a, b in pairs if a == "lone"}) == len({b for a, b in pairs if a == "nameless"}) == 7


def test_unfit_videos_of_the_class_give_way_to_others_and_a_lone_video_has_no_partner():
    videos = [memory_video("a1", 30), memory_video("a2", 2), memory_video("b1", 30)]
    sampler = CausalSampler([memory_set(*videos, class_of=lambda n: n[0])], [1], 2, 200, partners=True)
    rng = np.random.default_rng(0)
    own = next(d for d in iter(lambda: sampler.draw(rng), None) if d.video.name == "a1")
    assert sampler.draw_partner(own, rng).video.name == "b1"
    lone = CausalSampler([memory_set(videos[0])], [1], 2, 200, partners=True)
    sample = TrackingDataset(lone, PROCESSING, 4, 2, 0, mixes=second_epoch)[2, 0]
    assert not sample["partner_active"] and not sample["partner_boxes"].any() and sample["partner_video"] == ""


def test_epochs_with_mixing_follow_the_interval():
    def active(*overrides: str) -> list[int]:
        cfg = load_config("MSTGT", "MSTGT-full-256", list(overrides))
        return [e for e in range(1, 40) if mixing_active(e, cfg)]
    assert active() == [12, 23, 34]
    assert active("DA.imix=false") == []
    assert active("DA.imix_epoch=35", "DA.imix_interval=1") == [36, 37, 38, 39]
    assert active("DA.imix_epoch=0", "DA.imix_interval=13") == [13, 26, 39]


def test_the_partner_of_a_batch_is_flipped_by_its_own_flag(disk_set):
    batch = batches(memory_set(disk_set[0], disk_set[1]), 0, 2, second_epoch)[0]
    partner = batch.partner
    partner.flip = torch.tensor([True, False, True, False])
    found = augment_and_normalize_partner(partner, batch.boxes, (0, 0, 0), (1, 1, 1), 0.5, "none")
    plain = augment_and_normalize(partner.search, partner.flip & False, partner.grey, partner.brightness, (0, 0, 0),
                                  (1, 1, 1))
    assert torch.equal(found.searches[:, 0], plain[:, 0].flip(-1)) and torch.equal(found.searches[:, 1], plain[:, 1])
    mirrored = 127 / 128 - partner.boxes[:, 0, 0]
    torch.testing.assert_close(found.boxes[:, 0, 0], mirrored)
    assert torch.equal(found.boxes[:, 1], partner.boxes[:, 1])
    assert augment_and_normalize_partner(None, batch.boxes, (0, 0, 0), (1, 1, 1), 0.5, "none") is None


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
def test_images_are_reduced_no_further_than_the_crop_allows(side, size):
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


def test_processes_share_an_epoch_without_overlap():
    orders = [DistributedBatchSampler(16, 2, rank, 2) for rank in range(2)]
    keys = [key for order in orders for batch in order for key in batch]
    assert sorted(i for _, i in keys) == list(range(16))


def test_flip_moves_image_and_box_together():
    image = torch.zeros(1, 16, 16, 3, dtype=torch.uint8)
    image[0, 4:8, 2:6] = 255  # pixel centres 2..5: centre 3.5
    box = torch.tensor([[3.5 / 16, 5.5 / 16, 4 / 16, 4 / 16]])
    yes, no = torch.tensor([True]), torch.tensor([False])
    flipped = augment_and_normalize(image, yes, no, torch.ones(1), (0, 0, 0), (1, 1, 1))
    column = flipped[0, 0].sum(0).nonzero().flatten().float()
    assert flip_boxes(box, yes, 16)[0, 0].item() * 16 == pytest.approx(column.mean().item())
    assert torch.equal(flip_boxes(box, no, 16), box)


def test_grey_and_brightness():
    image = torch.full((1, 4, 4, 3), 100, dtype=torch.uint8)
    image[..., 0] = 200
    no, yes = torch.tensor([False]), torch.tensor([True])
    grey = augment_and_normalize(image, no, yes, torch.tensor([0.5]), (0, 0, 0), (1, 1, 1))
    assert torch.allclose(grey, torch.tensor((0.299 * 200 + 0.701 * 100) * 0.5 / 255), atol=1e-5)
    plain = augment_and_normalize(image, no, no, torch.ones(1), (0.5,) * 3, (0.2,) * 3)
    tracking = FrameStep(torch.nn.Identity(), torch.ones(1), (0.5,) * 3, (0.2,) * 3, torch.float32)
    torch.testing.assert_close(plain, tracking.input(image))


def test_the_marked_template_is_that_of_tracking():
    """Loader and device in training, the engine in tracking: the same image to a grey level."""
    seen = []

    class Engine(TorchEngine):
        def init_state(self, images):
            seen.append(images)

    cfg = load_config("MSTGT", "MSTGT-demo-128", ["MODEL.TEMPLATE_MASK=0.6"])
    engine = Engine(build_model(cfg), cfg)
    processing = Processing(CropSettings(64, 2.0, 0, 0), CropSettings(128, 4.0, 0, 0), (4.0, 4.0))
    video = memory_video("v", 6)
    sample = processing(SampledFrames(video, 3, (5,)), np.random.default_rng(0))
    engine.start(video.frames.read(3), video.boxes_xywh[3])
    image, box, no = torch.from_numpy(sample["template"])[None], torch.from_numpy(sample["template_box"])[None], \
        torch.tensor([False])
    trained = augment_and_normalize(image, no, no, torch.ones(1), (0,) * 3, (1,) * 3, (box, 0.6)).movedim(1, -1) * 255
    assert np.abs(trained.numpy() - seen[0]).max() <= 0.5 + 1e-3
    assert (seen[0] != sample["template"]).any()


def test_a_marked_box_is_flipped_with_its_image():
    image, box = torch.zeros(1, 16, 16, 3, dtype=torch.uint8), torch.tensor([[3.5 / 16, 5.5 / 16, 4 / 16, 4 / 16]])
    yes, no = torch.tensor([True]), torch.tensor([False])
    plain, flipped = (augment_and_normalize(image, flip, yes, torch.ones(1), (0,) * 3, (1,) * 3,
                                            (flip_boxes(box, flip, 16), 1.0)) for flip in (no, yes))
    assert torch.equal(plain.flip(-1), flipped) and int((plain[0, 0] == 0).sum()) == 16


def test_jitter_has_the_configured_spread():
    rng = np.random.default_rng(0)
    box = np.array([0.0, 0, 100, 100])
    drawn = np.array([jitter(box, CropSettings(128, 4, 3.5, 0.5), rng) for _ in range(4000)])
    assert np.std(np.log(drawn[:, 2] / 100)) == pytest.approx(0.5, abs=0.03)
    shift = (xywh_to_cxcywh(drawn)[:, :2] - 50) / np.sqrt(drawn[:, 2:].prod(1))[:, None]
    assert np.abs(shift).max() <= 1.75 + 1e-9 and np.abs(shift).max() > 1.7


def test_negatives_show_another_video_and_leave_the_rest_alone():
    videos = memory_set(*(memory_video(str(i), 30) for i in range(4)))
    sampler = CausalSampler([videos], [1], 2, 200, partners=True)
    plain, mixed = (TrackingDataset(sampler, PROCESSING, 40, 1, 0, negatives=share) for share in (0.0, 0.5))
    absent = 0
    for index in range(40):
        without, sample = plain[1, index], mixed[1, index]
        assert "present" not in without and sample["present"].shape == (2,)
        present = sample["present"]
        absent += int(not present.all())
        assert (sample["search"][present] == without["search"][present]).all()
        assert (sample["boxes"][present] == without["boxes"][present]).all()
        assert (sample["template"] == without["template"]).all()
    assert 10 < absent < 30


def test_a_negative_of_the_same_frame_shows_it_without_the_target():
    class OneWhiteTarget:
        def __len__(self):
            return 3

        def read(self, index, reduce=1, rows=None):
            image = np.full((240, 320, 3), 90, np.uint8)
            image[50:70, 40:70] = 255
            return image

    boxes = np.tile([40.0, 50, 30, 20], (3, 1))
    video = Video("v", OneWhiteTarget(), boxes, np.ones(3, bool))
    rng = np.random.default_rng(0)
    drawn = [PROCESSING.without_target(SampledFrames(video, 0, (1, 2)), rng) for _ in range(20)]
    crops = np.concatenate([crops[found] for crops, found in drawn])
    assert len(crops) > 30 and crops.max() == 90 and (crops.max((1, 2, 3)) == 90).all()
    # Where the target fills the image, no region is free of it.
    video.boxes_xywh[:] = 0, 0, 320, 240
    assert not PROCESSING.without_target(SampledFrames(video, 0, (1, 2)), rng)[1].any()


def test_a_loader_process_computes_with_one_thread():
    context = multiprocessing.get_context("fork")
    receiver, sender = context.Pipe(duplex=False)

    def report():
        cv2.setNumThreads(3)
        torch.set_num_threads(3)
        loader._init_worker(0)
        sender.send((cv2.getNumThreads(), torch.get_num_threads()))

    process = context.Process(target=report)
    process.start()
    assert receiver.poll(30) and receiver.recv() == (1, 1)
    process.join(30)
