"""The sheet of a batch shows what is in it."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from mstgt.models.mstgt.mixing import mix_mask
from mstgt.train.data.loader import TrackingDataset, collate
from mstgt.train.data.processing import CropSettings, Processing
from mstgt.train.data.sampler import CausalSampler
from mstgt.train.data.transforms import augment_and_normalize_partner, flip_boxes
from mstgt.visualize.batch_sheet import CAPTION, GAP, OTHER, OWN, draw_sheet
from tests.train.conftest import memory_set

SIZE = 64
PROCESSING = Processing(CropSettings(32, 2.0, 0, 0), CropSettings(SIZE, 4.0, 3.0, 0.2), (3.0, 5.0), gray=0.0)


def tile(sheet: np.ndarray, row: int, column: int) -> np.ndarray:
    top, left = GAP + row * (SIZE + CAPTION + GAP) + CAPTION, GAP + column * (SIZE + GAP)
    return sheet[top : top + SIZE, left : left + SIZE]


@pytest.fixture
def samples(disk_set):
    videos = memory_set(*(disk_set[i] for i in range(3)))
    sampler = CausalSampler([videos], [1], 2, 200, partners=True)
    return TrackingDataset(sampler, PROCESSING, 8, 2, 0, mixes=lambda epoch: epoch == 2)


def has(image: np.ndarray, color: tuple[int, int, int]) -> bool:
    return bool((image == color).all(-1).any())


def test_without_partners_there_are_template_and_search(samples):
    sheet = draw_sheet(collate([samples[1, i] for i in range(3)]), 0.5)
    assert sheet.shape == (3 * (SIZE + CAPTION + GAP) + GAP + CAPTION + GAP, 3 * (SIZE + GAP) + GAP, 3)
    assert all(has(tile(sheet, r, c), OWN) for r in range(3) for c in (1, 2)) and not has(sheet, OTHER)


def test_mixed_cells_hold_the_partners_pixels_and_others_the_own(samples):
    batch = collate([samples[2, i] for i in range(6)])
    sheet = draw_sheet(batch, 0.5)
    assert sheet.shape[1] == 7 * (SIZE + GAP) + GAP
    own = flip_boxes(batch.boxes, batch.flip, SIZE)
    cells = mix_mask(augment_and_normalize_partner(batch.partner, own, (0,) * 3, (1,) * 3, 0.5, "none"), SIZE // 16)
    assert cells.any() and not cells.flatten(2).any(-1).all()
    for t in range(2):
        for b in range(6):
            mask = torch.kron(cells[t, b].int(), torch.ones(16, 16, dtype=torch.int)).bool().numpy()
            search, other, mixed = (tile(sheet, b, 1 + t + 2 * part) for part in range(3))
            drawn = [(p == c).all(-1) for p in (search, other, mixed) for c in (OWN, OTHER)]
            plain = ~np.logical_or.reduce(drawn)
            assert np.array_equal(mixed[mask & plain], other[mask & plain])
            assert np.array_equal(mixed[~mask & plain], search[~mask & plain])
            assert has(mixed, OTHER) == bool(mask.any())


def test_small_crops_can_be_enlarged(samples):
    batch = collate([samples[2, 0]])
    assert draw_sheet(batch, 0.5, zoom=3).shape[1] == 7 * (3 * SIZE + GAP) + GAP
