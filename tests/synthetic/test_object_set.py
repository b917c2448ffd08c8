"""Object sets: true boxes, the same from the same seed, blocks first; written as a set and read back."""

import dataclasses

import numpy as np
import pytest

from mstgt.data.readers import read_training_set
from mstgt.synthetic import object_set
from mstgt.synthetic.object_set import BLOCKS, make_object_set
from mstgt.synthetic.paint import compose
from mstgt.synthetic.set_spec import SetSpec
from mstgt.synthetic.writer import write_set
from mstgt.utils.errors import UserError

SIZE = (120, 96)


@pytest.fixture(autouse=True)
def small_stock(monkeypatch):
    """Twelve things instead of hundreds."""
    monkeypatch.setattr(object_set, "THINGS", 12)
    monkeypatch.setattr(object_set, "GROUNDS", 3)
    monkeypatch.setattr(object_set, "POOLS", 1)
    object_set.stock.cache_clear()
    yield
    object_set.stock.cache_clear()


def an_object_set(index: int, difficulty: float):
    return make_object_set((0, 0, index), 3, SIZE, difficulty, (0, 0))


@pytest.mark.parametrize("difficulty", [0.0, 0.3, 1.0])
def test_an_object_set_is_a_function_of_its_key(difficulty):
    first, again, other = an_object_set(5, difficulty), an_object_set(5, difficulty), an_object_set(6, difficulty)
    assert np.array_equal(first.render(2), again.render(2)) and not np.array_equal(first.render(2), other.render(2))
    assert first.render(0).shape == (SIZE[1], SIZE[0], 3) and first.render(0).dtype == np.uint8
    assert np.array_equal(first.annotation.boxes_xywh, again.annotation.boxes_xywh)


@pytest.mark.parametrize("index", range(6))
def test_the_box_is_that_of_the_target_as_painted(index):
    made = an_object_set(index, 0.7)
    for at, plan in enumerate(made.images):
        white = np.zeros((SIZE[1], SIZE[0], 3), np.uint8)
        patch = made.things[0].silhouette(plan.poses[0], plan.moment)
        compose(white, patch._replace(color=np.full((*patch.alpha.shape, 3), 255, np.uint8)))
        rows, columns = np.nonzero(white[..., 0] > 127)
        x, y, w, h = made.annotation.boxes_xywh[at]
        assert (x, y, x + w - 1, y + h - 1) == (columns.min(), rows.min(), columns.max(), rows.max())


def test_what_hides_the_target_lowers_its_visible_share():
    shares = np.concatenate([an_object_set(index, 1.0).annotation.visible_ratio for index in range(40)])
    absent = np.concatenate([an_object_set(index, 1.0).annotation.absent for index in range(40)])
    assert ((shares >= 0) & (shares <= 1)).all() and (shares < 0.9).any() and (shares > 0.999).any()
    assert np.array_equal(absent, shares < object_set.MIN_SHARE)
    easy = np.concatenate([an_object_set(index, 0.0).annotation.visible_ratio for index in range(10)])
    assert (easy > 0.99).all(), "nothing hides the target of an easy set"


def test_some_targets_stand_as_people_do_and_keep_their_shape(monkeypatch):
    monkeypatch.setattr(object_set, "THINGS", 60)
    boxes = [an_object_set(index, 0.6).annotation.boxes_xywh for index in range(60)]
    heights = np.array([np.log2(found[:, 3] / found[:, 2]) for found in boxes])
    assert (heights.mean(1) > 1).mean() > 0.15 and (heights.mean(1) < -0.5).mean() > 0.05
    assert heights.std(1).mean() < 0.6 * heights.mean(1).std()


def test_the_easiest_sets_are_blocks_of_one_size():
    blocks, things = an_object_set(1, BLOCKS / 2), an_object_set(1, BLOCKS * 2)
    assert blocks.object_class == "block" != things.object_class
    assert len({pose.size for plan in blocks.images for pose in plan.poses}) == 1
    box = blocks.annotation.boxes_xywh[0]
    assert abs(box[2] - box[3]) <= 1


def test_a_dataset_of_still_sets_is_written_and_read(tmp_path):
    spec = SetSpec(videos={"train": 3, "val": 1, "test": 0}, frames={"train": 3, "val": 3, "test": 3}, size_wh=SIZE,
                   seed=4, difficulty={split: (0.0, 1.0) for split in ("train", "val", "test")}, style="still_sets")
    write_set(tmp_path / "synthetic", spec)
    assert spec == dataclasses.replace(spec, style="casts")  # the earlier name
    videos = read_training_set("SYNTHETIC", lambda _: tmp_path / "synthetic")
    assert [videos.difficulty_of(name) for name in videos.video_names] == [0.0, 0.5, 1.0]
    assert videos[0].object_class == "block" and videos[2].frames.read(2).shape == (SIZE[1], SIZE[0], 3)


def test_an_unknown_style_is_named():
    with pytest.raises(UserError, match="style.*still_sets"):
        SetSpec(videos={s: 1 for s in ("train", "val", "test")}, frames={s: 3 for s in ("train", "val", "test")},
                size_wh=SIZE, seed=0, difficulty={s: (0.0, 1.0) for s in ("train", "val", "test")}, style="cats")
