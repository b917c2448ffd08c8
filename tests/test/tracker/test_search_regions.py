"""Which regions a frame searches: a narrow one, the ordinary one, a wide one for lost targets."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from mstgt.config import load_config
from mstgt.test.tracker import Tracker
from mstgt.test.tracker.engine import ArrayEngine
from tests.test.tracker.images import lit

CFG = load_config("MSTGT", "MSTGT-demo-128")
NARROW = load_config("MSTGT", "MSTGT-demo-128", ["TEST.NARROW_SIZE=64", "TEST.NARROW_ABOVE=0.5"])


LOST = load_config("MSTGT", "MSTGT-demo-128", ["TEST.WIDEN_BELOW=0.4"])


class Watched(ArrayEngine):
    """Finds the lit square in crops of any size, unless it is cut, with ``certainty``; notes the sizes of the crops."""

    certainty = 0.9

    def __init__(self, cfg=NARROW):
        super().__init__(cfg)
        self.sizes = []

    def init_state(self, templates):
        return (np.zeros((len(templates), 1)),)

    def forward_frame(self, searches, state):
        self.sizes.append(searches.shape[:2])
        return [self.find(crop) for crop in searches], state

    def find(self, crop):
        rows, columns = np.nonzero(crop[..., 0] > 127)
        if not len(rows) or min(rows.min(), columns.min()) == 0 or max(rows.max(), columns.max()) == len(crop) - 1:
            return [0.5, 0.5, 0.25, 0.25, 0.1]
        low, high = np.array([columns.min(), rows.min()]), np.array([columns.max(), rows.max()])
        return [*(low + high) / 2 / len(crop), *(high - low + 1) / len(crop), self.certainty]


def follow(engine, places):
    """The sizes of the crops of every frame of a video in which a square of 30 px is at these places."""
    target, sizes = engine.start(lit(*places[0], 30, 30), (*places[0], 30, 30)), []
    for place in places[1:]:
        engine.sizes.clear()
        [(target, _)] = engine.step([lit(*place, 30, 30)], [target])
        assert np.abs(target.box_xywh - [*place, 30, 30]).max() < 1.5
        sizes.append([size for _, size in engine.sizes])
    return sizes


def test_a_calm_target_is_looked_for_in_a_narrow_region_and_a_jump_in_the_ordinary_one():
    # Within the narrow region, out of it, and at rest again.
    assert follow(Watched(), [(100, 80), (102, 80), (104, 81), (140, 81), (142, 81), (143, 82)]) == [
        [128], [64], [64, 128], [128], [64]]


def test_a_doubtful_target_is_looked_for_in_the_ordinary_region():
    engine = Watched()
    engine.certainty = 0.3
    # The mean of the scores is 0.65, 0.48, …; the answer in the narrow region is doubted as well.
    assert follow(engine, [(100, 80)] * 4) == [[128], [64, 128], [128]]


def test_without_a_narrow_size_all_regions_are_ordinary():
    assert follow(Watched(CFG), [(100, 80)] * 4) == [[128]] * 3


def vanish_and_return(engine, place):
    """The last box, and the numbers of crops of every frame, of a square that is away for three frames."""
    target = engine.start(lit(60, 60, 30, 30), (60, 60, 30, 30))
    looks = []
    for image in (lit(60, 60, 30, 30), *[lit(0, 0, 0, 0)] * 3, lit(*place, 30, 30), lit(*place, 30, 30)):
        engine.sizes.clear()
        [(target, _)] = engine.step([image], [target])
        looks.append(len(engine.sizes))
    return target.box_xywh, looks


def test_a_lost_target_that_returns_elsewhere_is_found_in_a_wide_region():
    place = (150, 120)  # outside the ordinary region around (60, 60)
    box, looks = vanish_and_return(Watched(LOST), place)
    assert np.abs(box - [*place, 30, 30]).max() < 1.5
    # The mean of the scores falls to 0.5, 0.3, 0.2; then wide, and once more at the ordinary scale; then as usual.
    assert looks == [1, 1, 1, 2, 3, 1]
    box, looks = vanish_and_return(Watched(CFG), place)
    assert np.abs(box[:2] - 60).max() < 10 and looks == [1] * 6


def test_what_only_the_wide_region_shows_is_not_taken():
    class Longsighted(Watched):
        def find(self, crop):
            row = super().find(crop)
            return row if row[2] < 0.2 else [0.5, 0.5, 0.25, 0.25, 0.1]

    box, looks = vanish_and_return(Longsighted(LOST), (150, 120))
    assert np.abs(box[:2] - 60).max() < 10 and looks[-2:] == [3, 3]


def test_lost_and_found_targets_share_a_step():
    engine = Watched(LOST)
    image = lit(100, 80, 30, 30)
    start = engine.start(image, (100, 80, 30, 30))
    gone = replace(start, box_xywh=np.array([20.0, 20, 30, 30]), mean_score=0.1)
    found = engine.step([image] * 3, [start, gone, gone])
    assert engine.sizes == [(3, 128), (2, 128), (2, 128)]
    assert [round(target.box_xywh[0]) for target, _ in found] == [100] * 3


def test_calm_and_fast_targets_share_a_step():
    engine = Watched()
    image = lit(100, 80, 30, 30)
    start = engine.start(image, (100, 80, 30, 30))
    [(calm, _)] = engine.step([image], [start])
    engine.sizes.clear()
    found = engine.step([image, lit(140, 80, 30, 30), image], [calm, calm, start])
    assert engine.sizes == [(2, 64), (2, 128)]  # the jump is looked at twice
    assert [round(target.box_xywh[0]) for target, _ in found] == [100, 140, 100]


def test_the_region_that_is_shown_is_the_one_that_is_searched_first():
    tracker = Tracker(Watched())
    image = lit(100, 80, 30, 30)
    tracker.init(image, (100, 80, 30, 30))
    sides = [tracker.search_xywh[2]]
    tracker.update(image)
    sides.append(tracker.search_xywh[2])
    assert sides[1] == pytest.approx(sides[0] / 2, abs=1)
