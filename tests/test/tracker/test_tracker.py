"""The tracker: geometry, clipping, bad input; with a network whose answer is known."""

from __future__ import annotations

import copy
import pickle
from pathlib import Path

import numpy as np
import pytest
import torch

from mstgt.config import load_config
from mstgt.models.mstgt import Prediction, TrackState, build_model, hann_window
from mstgt.test.tracker import MultiTracker, Tracker, TrackerInputError, load_tracker
from mstgt.test.tracker.engine import ArrayEngine, follow_size, mask_template, overlap, with_sides
from mstgt.test.tracker.torch_engine import TorchEngine
from mstgt.train.data.transforms import mask_background
from mstgt.utils.errors import UserError
from tests.test.tracker.images import lit

CFG = load_config("MSTGT", "MSTGT-demo-128")
IMAGE = np.random.default_rng(0).integers(0, 256, (120, 160, 3), np.uint8)


class Oracle(torch.nn.Module):
    """Answers the brightest spot of the search region: one lit square on black."""

    template_size, search_size, grid = 64, 128, 8

    def init_state(self, template):
        return TrackState(template, template, template)

    def forward_frame(self, search, state):
        middle = (search[0, 0].amax() + search[0, 0].amin()) / 2
        lit = (search[0, 0] > middle).nonzero().float()  # rows, columns
        low, high = lit.amin(0), lit.amax(0)
        center, size = (low + high) / 2, high - low + 1
        cy, cx = (center / 128).tolist()
        score = torch.full((1, 1, 8, 8), 1e-4)
        y, x = min(7, int(cy * 8)), min(7, int(cx * 8))
        score[0, 0, y, x] = 0.9
        offset = torch.tensor([cx * 8 - x, cy * 8 - y]).view(1, 2, 1, 1).expand(1, 2, 8, 8)
        sizes = (size.flip(0) / 128).view(1, 2, 1, 1).expand(1, 2, 8, 8)
        return Prediction(score, sizes, offset), state


def test_a_network_that_sees_well_gives_boxes_that_fit():
    tracker = Tracker(TorchEngine(Oracle(), CFG))
    tracker.init(lit(100, 80, 30, 30), (100, 80, 30, 30))
    for t in range(1, 30):
        x, y = 100 + 4 * t, 80 + 2 * t
        box, score = tracker.update(lit(x, y, 30, 30))
        assert score == pytest.approx(0.9)
        assert np.abs(box - [x, y, 30, 30]).max() < 1.0, (t, box)


def test_the_window_is_the_outer_product_of_hann_windows():
    window = hann_window(16)
    k = np.arange(1, 17)
    line = 0.5 * (1 - np.cos(2 * np.pi * k / 17))
    assert np.allclose(window.numpy(), np.outer(line, line), atol=1e-6)


@pytest.fixture(scope="module")
def engine() -> TorchEngine:
    torch.manual_seed(0)
    return TorchEngine(build_model(CFG), CFG)


def test_boxes_stay_in_the_image(engine):
    tracker = Tracker(engine)
    tracker.init(IMAGE, (100, 60, 30, 24))
    for _ in range(5):
        (x, y, w, h), score = tracker.update(IMAGE)
        assert x >= 0 and y >= 0 and x + w <= 160 and y + h <= 120 and 0 < score < 1


def test_two_trackers_on_one_engine_are_independent(engine):
    a, b = Tracker(engine), Tracker(engine)
    a.init(IMAGE, (100, 60, 30, 24))
    alone = [a.update(IMAGE)[0] for _ in range(3)]
    a.init(IMAGE, (100, 60, 30, 24))
    b.init(IMAGE[::-1].copy(), (20, 20, 50, 50))
    together = []
    for _ in range(3):
        together.append(a.update(IMAGE)[0])
        b.update(IMAGE)
    assert np.array_equal(alone, together)


@pytest.mark.parametrize("box", [(0, 0, 0, 5), (0, 0, -3, 5), (float("nan"), 0, 5, 5), (500, 0, 5, 5), (1, 2, 3),
                                 (0.1, 0.2, 0.5, 0.5), (0, 0, 10**400, 5)])
def test_bad_boxes_are_refused_in_one_line(engine, box):
    with pytest.raises(UserError, match="box") as error:
        Tracker(engine).init(IMAGE, box)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("image", [IMAGE[..., 0], IMAGE.astype(np.float32), None, IMAGE[..., :2]])
def test_bad_images_are_refused(engine, image):
    with pytest.raises(UserError, match="an image is"):
        Tracker(engine).init(image, (10, 10, 20, 20))


@pytest.mark.parametrize("shape", [(1, 1), (3, 200), (2000, 5)])
def test_odd_images_are_tracked(engine, shape):
    tracker = Tracker(engine)
    image = np.zeros((*shape, 3), np.uint8)
    tracker.init(image, (0, 0, 1, 1))
    box, _ = tracker.update(image)
    assert np.isfinite(box).all()


def test_a_box_larger_than_the_image(engine):
    tracker = Tracker(engine)
    tracker.init(IMAGE, (-50, -50, 400, 400))
    assert np.isfinite(tracker.update(IMAGE)[0]).all()


def test_sizes_of_test_and_network_must_agree():
    cfg = load_config("MSTGT", "MSTGT-demo-128", ["TEST.SEARCH_SIZE=256"])
    with pytest.raises(UserError, match="TEST.SEARCH_SIZE"):
        TorchEngine(build_model(cfg), cfg)


def test_a_refused_init_leaves_no_target(engine):
    tracker = Tracker(engine)
    tracker.init(IMAGE, (100, 60, 30, 24))
    with pytest.raises(ValueError, match="box"):
        tracker.init(IMAGE, (500, 500, 10, 10))
    with pytest.raises(TrackerInputError, match="init before update"):
        tracker.update(IMAGE)


def test_an_image_of_another_size_is_refused(engine):
    tracker = Tracker(engine)
    tracker.init(IMAGE, (100, 60, 30, 24))
    with pytest.raises(ValueError, match="80 x 60 px.*160 x 120 px"):
        tracker.update(IMAGE[::2, ::2].copy())
    tracker.update(IMAGE)  # the target is still there


@pytest.mark.parametrize("mask", [np.ma.nomask, IMAGE < 9])
def test_a_masked_image_is_refused(engine, mask):
    masked = np.ma.masked_array(IMAGE, mask)
    tracker, several = Tracker(engine), MultiTracker(engine)
    for start in (tracker.init, several.add):
        with pytest.raises(TrackerInputError, match=r"not a masked one: .* image.filled\(value\)"):
            start(masked, (100, 60, 30, 24))
        start(masked.filled(0), (100, 60, 30, 24))
    for update in (tracker.update, several.update):
        with pytest.raises(TrackerInputError, match="not a masked one"):
            update(masked)


def test_images_of_other_subclasses_are_tracked_as_arrays(engine, tmp_path):
    class Array(np.ndarray):
        """As image readers return it, with what they read beside the pixels."""

    on_disk = np.memmap(tmp_path / "image.raw", np.uint8, "w+", shape=IMAGE.shape)
    on_disk[:] = IMAGE
    boxes = []
    for image in (IMAGE, IMAGE.view(Array), on_disk):
        tracker = Tracker(engine)
        tracker.init(image, (100, 60, 30, 24))
        boxes.append([tracker.update(image)[0] for _ in range(3)])
        assert all(type(box) is np.ndarray for box in boxes[-1])
    assert np.array_equal(boxes[0], boxes[1]) and np.array_equal(boxes[0], boxes[2])


def test_what_a_caller_does_with_a_box_does_not_move_the_target(engine):
    given = np.array([100.0, 60, 30, 24])
    tracker, other = Tracker(engine), Tracker(engine)
    tracker.init(IMAGE, given)
    other.init(IMAGE, given.copy())
    given[:] = 0
    for _ in range(3):
        box, _ = tracker.update(IMAGE)
        assert np.array_equal(box, other.update(IMAGE)[0])
        box[2:] += box[:2]  # to corners, in place


def test_a_box_may_be_a_tensor(engine):
    tracker = Tracker(engine)
    tracker.init(IMAGE, torch.tensor([100, 60, 30, 24]))
    assert tracker.target.box_xywh.tolist() == [100, 60, 30, 24]
    with pytest.raises(TrackerInputError, match="four numbers"):
        tracker.init(IMAGE, torch.tensor([100.0, 60, 30, 24], requires_grad=True))


@pytest.mark.parametrize(("options", "words"), [
    ({"threads": -1}, "threads is a whole number of at least 1"), ({"threads": "2"}, "not '2'"),
    ({"overrides": "TEST.SEARCH_FACTOR=4.5"}, "overrides is a list"), ({"checkpoint": 3}, "path of a file, not 3"),
    ({"overrides": None}, "overrides is a list"), ({"overrides": [4.5]}, r"not \[4.5\]"), ({"script": 3}, "script is"),
    ({"backend": 3}, "unknown backend 3 .known: auto"), ({"precision": ["fp16"]}, "unknown precision .'fp16'"),
    ({"precision": 16}, "unknown precision 16; did you mean")])
def test_options_of_a_wrong_kind_are_one_line(options, words):
    with pytest.raises(UserError, match=words):
        load_tracker("MSTGT-nano-128", device="cpu", **options)


def test_an_unknown_option_is_named_with_the_known_ones():
    with pytest.raises(TypeError, match="unknown option 'thread'; did you mean 'threads'.*backend, checkpoint"):
        load_tracker("MSTGT-nano-128", thread=3)
    with pytest.raises(TypeError, match="unknown option 'bogus'"):
        MultiTracker("MSTGT-nano-128", bogus=3)


@pytest.mark.parametrize("name", [3, None, b"MSTGT-nano-128", Path("MSTGT-nano-128")])
def test_load_tracker_wants_a_name(name):
    with pytest.raises(TrackerInputError, match="takes an experiment's name"):
        load_tracker(name)
    with pytest.raises(TrackerInputError, match="takes an experiment's name"):
        MultiTracker(name, device="cpu")


@pytest.mark.parametrize("make_copy", [copy.copy, copy.deepcopy])
def test_a_copied_tracker_goes_on_by_itself(engine, make_copy):
    tracker = Tracker(engine)
    tracker.init(IMAGE, (100, 60, 30, 24))
    tracker.update(IMAGE)
    twin = make_copy(tracker)
    expected = [tracker.update(IMAGE)[0] for _ in range(3)]
    assert np.array_equal([twin.update(IMAGE)[0] for _ in range(3)], expected)


def test_an_engine_that_cannot_be_pickled_says_so(engine):
    with pytest.raises(TypeError, match="cannot be pickled"):
        pickle.dumps(Tracker(engine))


def test_a_loaded_tracker_can_be_pickled():
    tracker = load_tracker("MSTGT-nano-128", device="cpu")
    tracker.init(IMAGE, (100, 60, 30, 24))
    twin = pickle.loads(pickle.dumps(tracker))
    assert np.array_equal(twin.update(IMAGE)[0], tracker.update(IMAGE)[0])


def test_the_template_mask_is_that_of_training():
    rng = np.random.default_rng(1)
    for strength in (0.0, 0.5, 0.6, 1.0):
        box = np.array([0.49, 0.5, *rng.uniform(0.1, 0.9, 2)])
        expected = mask_background(torch.from_numpy(IMAGE[:64, :64]), torch.from_numpy(box), strength).round().byte()
        assert np.array_equal(mask_template(IMAGE[:64, :64], box, strength), expected.numpy())


def test_sides_follow_by_the_rate_around_the_same_center():
    old, box = np.array([40.0, 20]), np.array([20.0, 30, 80, 10])
    assert follow_size(old, box[2:], 1.0).tolist() == [80, 10]
    half = with_sides(box, follow_size(old, box[2:], 0.5))
    assert half[2:].tolist() == [60, 15]
    assert (half[:2] + half[2:] / 2).tolist() == [60, 35]


def test_overlap_of_two_boxes():
    assert overlap(np.array([0.0, 0, 10, 10]), np.array([5.0, 0, 10, 10])) == pytest.approx(1 / 3)
    assert overlap(np.array([0.0, 0, 10, 10]), np.array([20.0, 0, 10, 10])) == 0


class FixedEngine(ArrayEngine):
    """Finds a box of twice the target's width in the middle of every crop."""

    def init_state(self, templates):
        return (np.zeros((len(templates), 1)),)

    def forward_frame(self, searches, state):
        wide, high = 2 / self.settings.SEARCH_FACTOR, 1 / self.settings.SEARCH_FACTOR
        return [[0.5, 0.5, wide, high, 0.8] for _ in searches], state


@pytest.mark.parametrize("calibrated, width", [(False, 40), (True, 25)])
def test_the_first_box_calibrates_the_size(calibrated, width):
    cfg = load_config("MSTGT", "MSTGT-demo-128", [f"TEST.CALIBRATE_SIZE={str(calibrated).lower()}"])
    tracker = Tracker(FixedEngine(cfg))
    tracker.init(IMAGE, (100, 60, 20, 20))
    box, _ = tracker.update(IMAGE)
    # 40 px divided by 1.6, the most that is corrected
    assert box[2] == pytest.approx(width, rel=0.01) and box[3] == pytest.approx(20, rel=0.01)


class VisiblePartEngine(FixedEngine):
    """Finds the right half of the target: what is inside the image where the other half is not."""

    def forward_frame(self, searches, state):
        side = 1 / self.settings.SEARCH_FACTOR
        return [[0.5 + side / 4, 0.5, side / 2, side, 0.8] for _ in searches], state


def test_a_target_that_begins_partly_outside_is_calibrated_by_its_visible_part():
    cfg = load_config("MSTGT", "MSTGT-demo-128", ["TEST.CALIBRATE_SIZE=true"])
    engine = VisiblePartEngine(cfg)
    assert engine.start(IMAGE, (-10, 60, 20, 20)).size_correction == pytest.approx((1, 1))
    assert engine.start(IMAGE, (100, 60, 20, 20)).size_correction == pytest.approx((1.6, 1))
