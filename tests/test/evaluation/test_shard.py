"""Shares of the videos: complete, disjoint, balanced, the same everywhere."""

from __future__ import annotations

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mstgt.test.evaluation.video_queue import Shard, choose_shard
from mstgt.utils.errors import UserError

LENGTHS = st.dictionaries(st.text("abc", min_size=1, max_size=5), st.integers(0, 1000), max_size=40)


@given(LENGTHS, st.integers(1, 8))
def test_every_video_is_in_one_share(lengths, count):
    shares = [Shard(i, count).take(lengths) for i in range(count)]
    assert sorted(name for share in shares for name in share) == sorted(lengths)
    shuffled = list(lengths.items())
    random.Random(0).shuffle(shuffled)
    assert [set(Shard(i, count).take(dict(shuffled))) for i in range(count)] == [set(s) for s in shares]


@given(LENGTHS, st.integers(1, 8))
def test_shares_differ_by_no_more_than_the_longest_video(lengths, count):
    frames = [sum(max(1, lengths[name]) for name in Shard(i, count).take(lengths)) for i in range(count)]
    assert max(frames) - min(frames) <= max(1, *lengths.values(), 0)


def test_the_order_of_the_videos_is_kept():
    assert Shard().take({"b": 1, "a": 9}) == ["b", "a"]


def test_shares_come_from_the_flag_or_from_torchrun(monkeypatch):
    for name in ("RANK", "LOCAL_RANK", "WORLD_SIZE"):
        monkeypatch.delenv(name, raising=False)
    assert choose_shard(None) == Shard() and str(choose_shard("2/8")) == "2/8"
    assert Shard(0, 1).devices(3, 2) == ["cuda:0", "cuda:1", "cuda:0"] and Shard().devices(2, 0) == ["cpu", "cpu"]
    for name, value in (("RANK", "5"), ("LOCAL_RANK", "1"), ("WORLD_SIZE", "8")):
        monkeypatch.setenv(name, value)
    shard = choose_shard(None)
    assert str(shard) == "6/8" and shard.launched and shard.devices(2, 4) == ["cuda:1", "cuda:1"]
    with pytest.raises(UserError, match="under torchrun"):
        choose_shard("1/2")


@pytest.mark.parametrize("text", ["0/2", "3/2", "1", "1/0", "-1/2", "a/b", "1/2/3", "", "1/ 2"])
def test_a_bad_shard_is_one_line(text, monkeypatch):
    monkeypatch.delenv("RANK", raising=False)
    with pytest.raises(UserError, match="shard is i/n"):
        choose_shard(text)
