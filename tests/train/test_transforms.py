"""What the network is given: the target's box in the template, marked."""

from __future__ import annotations

import numpy as np
import torch
from hypothesis import assume, given
from hypothesis import strategies as st

from mstgt.geometry.crop import MASK_COLOR, Crop
from mstgt.train.data.transforms import mask_background

SIZE = 32
IMAGE = torch.from_numpy(np.random.default_rng(0).integers(0, 255, (SIZE, SIZE, 3), np.uint8))
sides = st.integers(4, 200)


@given(sides, sides, st.floats(1.2, 4))
def test_a_lit_box_stays_and_the_dark_around_it_is_marked(width, height, factor):
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
def test_inside_is_untouched_outside_is_mixed(strength):
    box = torch.tensor([[(SIZE - 1) / 2 / SIZE] * 2 + [0.5, 0.25]])
    marked = mask_background(IMAGE[None], box, strength)[0]
    inside = torch.zeros(SIZE, SIZE, dtype=torch.bool)
    inside[12:20, 8:24] = True
    assert torch.equal(marked[inside], IMAGE[inside].float())
    expected = IMAGE[~inside] * (1 - strength) + torch.tensor(MASK_COLOR) * strength
    torch.testing.assert_close(marked[~inside], expected)


def test_without_strength_nothing_changes():
    assert torch.equal(mask_background(IMAGE, torch.tensor([0.5, 0.5, 0.1, 0.1]), 0.0), IMAGE.float())
