"""Which frames a sample is made of, and of which videos its partner."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mstgt.train.data.loader import TrackingDataset
from mstgt.train.data.sampler import CausalSampler
from mstgt.utils.errors import UserError
from tests.train.conftest import PROCESSING, memory_set, memory_video, second_epoch


@given(st.integers(0, 10_000), st.integers(1, 4), st.integers(1, 60), st.sets(st.integers(0, 79), max_size=70))
def test_search_frames_follow_the_template_and_are_visible(seed, searches, interval, hidden):
    video = memory_video("v", 80, tuple(hidden))
    sampler = CausalSampler([memory_set(video)], [1], searches, interval)
    draw = sampler.draw(np.random.default_rng(seed))
    frames = [draw.template, *draw.searches]
    assert frames == sorted(set(frames)) and len(draw.searches) == searches
    assert not hidden & set(frames)


def test_the_search_window_grows_only_as_far_as_needed():
    video = memory_video("v", 100, tuple(i for i in range(100) if i not in (0, 50, 51, 99)))
    sampler = CausalSampler([memory_set(video)], [1], 2, 10)
    draws = {sampler.draw(np.random.default_rng(s)).searches for s in range(50)}
    assert draws == {(50, 51), (51, 99)}


def test_a_still_image_is_template_and_search_frame():
    draw = CausalSampler([memory_set(memory_video("still", 1))], [1], 3, 200).draw(np.random.default_rng(0))
    assert (draw.template, draw.searches) == (0, (0, 0, 0))


def test_videos_with_too_few_visible_frames_are_skipped_and_sets_of_them_refused():
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


def test_the_curriculum_starts_with_the_easy_videos():
    videos = [memory_video(str(i), 30) for i in range(10)]
    rated = memory_set(*videos, difficulty_of=lambda name: 1 - int(name) / 10)
    sampler = CausalSampler([rated], [1], 1, 200)
    rng = np.random.default_rng(0)
    assert {sampler.draw(rng, 0.0).video.name for _ in range(20)} == {"9"}
    assert {sampler.draw(rng, 0.25).video.name for _ in range(40)} == {"8", "9"}
    assert len({sampler.draw(rng).video.name for _ in range(200)}) == 10


def test_partners_are_other_videos_of_the_same_class():
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


def test_partners_of_other_classes_where_the_class_has_none_and_none_for_a_single_video():
    videos = [memory_video("a1", 30), memory_video("a2", 2), memory_video("b1", 30)]
    sampler = CausalSampler([memory_set(*videos, class_of=lambda n: n[0])], [1], 2, 200, partners=True)
    rng = np.random.default_rng(0)
    own = next(d for d in iter(lambda: sampler.draw(rng), None) if d.video.name == "a1")
    assert sampler.draw_partner(own, rng).video.name == "b1"
    lone = CausalSampler([memory_set(videos[0])], [1], 2, 200, partners=True)
    sample = TrackingDataset(lone, PROCESSING, 4, 2, 0, mixes=second_epoch)[2, 0]
    assert not sample["partner_active"] and not sample["partner_boxes"].any() and sample["partner_video"] == ""
