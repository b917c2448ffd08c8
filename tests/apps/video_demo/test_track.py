"""Tracking a source: what is said of each frame, above all of the bad ones."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from mstgt.apps.video_demo.source import open_source
from mstgt.apps.video_demo.track import LOST_SCORE, track
from mstgt.config import load_config
from mstgt.models.mstgt import build_model
from mstgt.test.tracker import Tracker
from mstgt.test.tracker.torch_engine import TorchEngine
from mstgt.utils.errors import UserError


class Frames:
    """A source of black pictures; None where frames are unreadable."""

    def __init__(self, count: int, bad=(), known=True):
        self.name, self.fps, self.frames, self.size_wh = "black", 25.0, count if known else None, (160, 120)
        self.count, self.bad = count, bad

    def read(self, start=0):
        for index in range(start, self.count):
            yield index, None if index in self.bad else np.full((120, 160, 3), index, np.uint8)


BOX = (10, 20, 30, 40)


def test_boxes_follow_the_target(film, tracker, box_of):
    with open_source(film) as source:
        seen = list(track(source, tracker, box_of(0)))
    assert [item.frame for item in seen] == list(range(12))
    for item in seen:
        assert np.abs(item.box_xywh - box_of(item.frame)).max() <= 2
        assert item.readable and not item.lost and item.image_rgb.shape == (120, 160, 3)
    assert (seen[0].score, seen[0].search_xywh) == (1.0, None)
    assert [item.score for item in seen[1:]] == [0.9] * 11
    assert all(np.array_equal(now.search_xywh[:2], before.box_xywh[:2] - before.box_xywh[2:])
               for before, now in zip(seen, seen[1:], strict=False))


def test_lost_takes_a_while_and_ends_soon(bright):
    scores = [0.8] * 5 + [0.02] + [0.8] * 5 + [0.05] * 15 + [0.8] * 4
    seen = list(track(Frames(31), bright(scores), BOX))
    lost = [item.frame for item in seen if item.lost]
    assert lost == list(range(lost[0], lost[-1] + 1)), "one span"
    assert 12 + 2 <= lost[0] <= 12 + 6, "some frames after the scores fell, not at the single bad one"
    assert 26 <= lost[-1] <= 28, "and soon over"
    mean, expected = 1.0, []
    for frame, score in enumerate(scores, 1):
        mean = 0.8 * mean + 0.2 * score
        expected += [frame] if mean < LOST_SCORE else []
    assert lost == expected
    assert not any(item.lost for item in track(Frames(31), bright(scores), BOX, lost_score=0))
    assert all(item.lost for item in list(track(Frames(31), bright(scores), BOX, lost_score=1))[1:])


def test_unreadable_frames_keep_the_box(bright):
    tracker = bright([0.7, 0.6, 0.5])
    seen = list(track(Frames(6, bad=(2, 3)), tracker, BOX))
    assert [item.readable for item in seen] == [True, True, False, False, True, True]
    assert [item.score for item in seen] == [1.0, 0.7, 0.0, 0.0, 0.6, 0.5]
    assert all(np.array_equal(item.box_xywh, seen[1].box_xywh) and item.search_xywh is None for item in seen[2:4])
    assert [int(item.image_rgb[0, 0, 0]) for item in seen] == [0, 1, 1, 1, 4, 5], "the last readable picture"
    assert not any(item.lost for item in seen), "they say nothing about the target"


def test_corrections_begin_anew(bright):
    tracker = bright([0.0] * 20)
    seen = list(track(Frames(20), tracker, BOX, corrections={12: (50, 50, 20, 20)}))
    assert tracker.begun == [[10, 20, 30, 40], [50, 50, 20, 20]]
    assert seen[11].lost and not seen[12].lost and not seen[13].lost
    assert (seen[12].score, seen[12].box_xywh.tolist()) == (1.0, [50, 50, 20, 20])


def test_a_part_of_a_video(tracker):
    assert [item.frame for item in track(Frames(20), tracker, BOX, start=5, frames=4)] == [5, 6, 7, 8]
    assert [item.frame for item in track(Frames(7), tracker, BOX, start=5, frames=40)] == [5, 6]


def test_what_is_wrong_is_said_before_the_first_frame(tracker):
    cases = [
        (dict(box_xywh=(1, 2, 0, 4)), "frame 0: a box is four finite numbers"),
        (dict(box_xywh=BOX, corrections={5: (1, 2, 3)}), "frame 5: a box is four"),
        (dict(box_xywh=BOX, start=10), "frame 10, but the last of black is 9"),
        (dict(box_xywh=BOX, corrections={10: BOX}), "frame 10, but the last of black is 9"),
        (dict(box_xywh=BOX, start=3, corrections={2: BOX}), "frame 2, which is not among"),
        (dict(box_xywh=BOX, frames=5, corrections={5: BOX}), "frame 5, which is not among"),
    ]
    for arguments, message in cases:
        with pytest.raises(UserError, match=message):
            track(Frames(10), tracker, **arguments)
    assert tracker.begun == []


def test_what_only_the_frames_can_tell(tracker):
    with pytest.raises(UserError, match="black ends before frame 12"):
        list(track(Frames(10, known=False), tracker, BOX, corrections={12: BOX}))
    for bad in ((0,), (4,)):
        with pytest.raises(UserError, match=f"frame {bad[0]} cannot be read: give the box at another"):
            list(track(Frames(10, bad=bad), tracker, BOX, corrections={4: BOX}))


def test_with_the_network(film, box_of):
    torch.manual_seed(0)
    cfg = load_config("MSTGT", "MSTGT-nano-128", ["TEST.WIDEN_BELOW=0"])
    tracker = Tracker(TorchEngine(build_model(cfg), cfg))
    with open_source(film) as source:
        seen = list(track(source, tracker, box_of(0), frames=4))
        with pytest.raises(UserError, match=r"frame 0: .*outside the picture of 160 x 120 px"):
            list(track(source, tracker, (500, 10, 20, 20)))
    for before, now in zip(seen, seen[1:], strict=False):
        x, y, w, h = before.box_xywh
        assert 0 < now.score < 1
        assert np.allclose(now.search_xywh[:2] + now.search_xywh[2:] / 2, (x + w / 2, y + h / 2))
        assert now.search_xywh[2] == now.search_xywh[3] == np.ceil(cfg.TEST.SEARCH_FACTOR * np.sqrt(w * h))
