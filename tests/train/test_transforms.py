"""What the network is given: flips, gray, brightness, and the target's box in the template, marked."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import assume, given
from hypothesis import strategies as st

from mstgt.config import load_config
from mstgt.geometry.crop import MASK_COLOR, Crop
from mstgt.models.mstgt import FrameStep, build_model
from mstgt.test.tracker.torch_engine import TorchEngine
from mstgt.train.data.processing import CropSettings, Processing
from mstgt.train.data.sampler import SampledFrames
from mstgt.train.data.transforms import (
    augment_and_normalize,
    augment_and_normalize_partner,
    flip_boxes,
    mask_background,
)
from tests.train.conftest import batches, memory_set, memory_video, second_epoch

SIZE = 32
IMAGE = torch.from_numpy(np.random.default_rng(0).integers(0, 255, (SIZE, SIZE, 3), np.uint8))
sides = st.integers(4, 200)


@given(sides, sides, st.floats(1.2, 4))
def test_the_template_mask_covers_everything_outside_the_box(width, height, factor):
    """The box in the marks is the box that the crop shows, to a pixel of the crop."""
    image = np.zeros((640, 640, 3), np.uint8)
    image[200 : 200 + height, 220 : 220 + width] = 255
    box = np.array([220.0, 200, width, height])
    crop = Crop.around(box, factor, SIZE)
    assume((box[2:] * crop.scale >= 1).all())  # else it may lie between the pixels
    marked = mask_background(torch.from_numpy(crop.cut(image)), torch.from_numpy(crop.to_crop(box)), 1.0).numpy()
    rows, columns = (np.flatnonzero((marked != MASK_COLOR).any((axis, 2))) for axis in (1, 0))
    shown = np.array([columns[-1] - columns[0] + 1, rows[-1] - rows[0] + 1])
    assert (np.abs(shown - np.minimum(box[2:] * crop.scale, SIZE)) <= 1.5).all()


@given(st.floats(0, 1))
def test_the_template_mask_blends_pixels_outside_the_box_only(strength):
    box = torch.tensor([[(SIZE - 1) / 2 / SIZE] * 2 + [0.5, 0.25]])
    marked = mask_background(IMAGE[None], box, strength)[0]
    inside = torch.zeros(SIZE, SIZE, dtype=torch.bool)
    inside[12:20, 8:24] = True
    assert torch.equal(marked[inside], IMAGE[inside].float())
    expected = IMAGE[~inside] * (1 - strength) + torch.tensor(MASK_COLOR) * strength
    torch.testing.assert_close(marked[~inside], expected)


def test_a_template_mask_of_strength_zero_changes_nothing():
    assert torch.equal(mask_background(IMAGE, torch.tensor([0.5, 0.5, 0.1, 0.1]), 0.0), IMAGE.float())



def test_partners_are_flipped_by_their_own_flag(disk_set):
    batch = batches(memory_set(disk_set[0], disk_set[1]), 0, 2, second_epoch)[0]
    partner = batch.partner
    partner.flip = torch.tensor([True, False, True, False])
    found = augment_and_normalize_partner(partner, batch.boxes, (0, 0, 0), (1, 1, 1), 0.5, "none")
    plain = augment_and_normalize(partner.search, partner.flip & False, partner.gray, partner.brightness, (0, 0, 0),
                                  (1, 1, 1))
    assert torch.equal(found.searches[:, 0], plain[:, 0].flip(-1)) and torch.equal(found.searches[:, 1], plain[:, 1])
    mirrored = 127 / 128 - partner.boxes[:, 0, 0]
    torch.testing.assert_close(found.boxes[:, 0, 0], mirrored)
    assert torch.equal(found.boxes[:, 1], partner.boxes[:, 1])
    assert augment_and_normalize_partner(None, batch.boxes, (0, 0, 0), (1, 1, 1), 0.5, "none") is None


def test_flipping_mirrors_image_and_box_alike():
    image = torch.zeros(1, 16, 16, 3, dtype=torch.uint8)
    image[0, 4:8, 2:6] = 255  # pixel centers 2..5: center 3.5
    box = torch.tensor([[3.5 / 16, 5.5 / 16, 4 / 16, 4 / 16]])
    yes, no = torch.tensor([True]), torch.tensor([False])
    flipped = augment_and_normalize(image, yes, no, torch.ones(1), (0, 0, 0), (1, 1, 1))
    column = flipped[0, 0].sum(0).nonzero().flatten().float()
    assert flip_boxes(box, yes, 16)[0, 0].item() * 16 == pytest.approx(column.mean().item())
    assert torch.equal(flip_boxes(box, no, 16), box)


def test_gray_and_brightness():
    image = torch.full((1, 4, 4, 3), 100, dtype=torch.uint8)
    image[..., 0] = 200
    no, yes = torch.tensor([False]), torch.tensor([True])
    gray = augment_and_normalize(image, no, yes, torch.tensor([0.5]), (0, 0, 0), (1, 1, 1))
    assert torch.allclose(gray, torch.tensor((0.299 * 200 + 0.701 * 100) * 0.5 / 255), atol=1e-5)
    plain = augment_and_normalize(image, no, no, torch.ones(1), (0.5,) * 3, (0.2,) * 3)
    tracking = FrameStep(torch.nn.Identity(), torch.ones(1), (0.5,) * 3, (0.2,) * 3, torch.float32)
    torch.testing.assert_close(plain, tracking.input(image))


def test_training_and_tracking_mask_the_template_alike():
    """Loader and device in training, the engine in tracking: the same image to a gray level."""
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


def test_the_template_mask_is_flipped_with_its_image():
    image, box = torch.zeros(1, 16, 16, 3, dtype=torch.uint8), torch.tensor([[3.5 / 16, 5.5 / 16, 4 / 16, 4 / 16]])
    yes, no = torch.tensor([True]), torch.tensor([False])
    plain, flipped = (augment_and_normalize(image, flip, yes, torch.ones(1), (0,) * 3, (1,) * 3,
                                            (flip_boxes(box, flip, 16), 1.0)) for flip in (no, yes))
    assert torch.equal(plain.flip(-1), flipped) and int((plain[0, 0] == 0).sum()) == 16
