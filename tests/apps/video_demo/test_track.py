"""Tracking a source: what is reported of each frame and target, above all of the bad ones, in both directions."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from mstgt.apps.video_demo import source as sources
from mstgt.apps.video_demo.source import Frame, open_source, read_backwards
from mstgt.apps.video_demo.track import LOST_SCORE, Row, track
from mstgt.config import load_config
from mstgt.models.mstgt import build_model
from mstgt.test.tracker import MultiTracker
from mstgt.test.tracker.torch_engine import TorchEngine
from mstgt.utils.errors import UserError


class Frames:
    """A source of black images; None where frames are unreadable."""

    live, notes = False, ()

    def __init__(self, count: int, bad=(), known=True):
        self.name, self.fps, self.frames, self.size_wh = "black", 25.0, count if known else None, (160, 120)
        self.count, self.bad = count, bad

    def read(self, start=0):
        for index in range(start, self.count):
            image = None if index in self.bad else np.full((120, 160, 3), index, np.uint8)
            yield Frame(index, image, index / 25)


BOX = (10, 20, 30, 40)


def one(source, tracker, box=BOX, start=0, corrections=(), **options):
    """The frames of a single target, and its row in each."""
    frames = list(track(source, tracker, {1: {start: box} | dict(corrections)}, **options))
    return frames, [frame.rows[0] for frame in frames]


def test_boxes_follow_the_target(video_file, tracker, box_of):
    with open_source(video_file) as source:
        frames, rows = one(source, tracker, box_of(0))
    assert [frame.frame for frame in frames] == list(range(12))
    for frame, row in zip(frames, rows, strict=True):
        assert np.abs(row.box_xywh - box_of(row.frame)).max() <= 2
        assert row.time_s == frame.time_s == pytest.approx(row.frame / 10)
        assert row.readable and not row.lost and frame.image_rgb.shape == (120, 160, 3)
    assert (rows[0].score, rows[0].search_xywh) == (1.0, None)
    assert [row.score for row in rows[1:]] == [0.9] * 11
    assert all(np.array_equal(now.search_xywh[:2], before.box_xywh[:2] - before.box_xywh[2:])
               for before, now in zip(rows, rows[1:], strict=False))


def test_lost_takes_a_while_and_ends_soon(bright):
    scores = [0.8] * 5 + [0.02] + [0.8] * 5 + [0.05] * 15 + [0.8] * 4
    _, rows = one(Frames(31), bright(scores))
    lost = [row.frame for row in rows if row.lost]
    assert lost == list(range(lost[0], lost[-1] + 1)), "one span"
    assert 12 + 2 <= lost[0] <= 12 + 6, "some frames after the scores fell, not at the single bad one"
    assert 26 <= lost[-1] <= 28, "and soon over"
    mean, expected = 1.0, []
    for frame, score in enumerate(scores, 1):
        mean = 0.8 * mean + 0.2 * score
        expected += [frame] if mean < LOST_SCORE else []
    assert lost == expected
    assert not any(row.lost for row in one(Frames(31), bright(scores), lost_score=0)[1])
    assert all(row.lost for row in one(Frames(31), bright(scores), lost_score=1)[1][1:])


def test_unreadable_frames_keep_the_box(bright):
    frames, rows = one(Frames(6, bad=(2, 3)), bright([0.7, 0.6, 0.5]))
    assert [row.readable for row in rows] == [True, True, False, False, True, True]
    assert [row.score for row in rows] == [1.0, 0.7, 0.0, 0.0, 0.6, 0.5]
    assert all(np.array_equal(row.box_xywh, rows[1].box_xywh) and row.search_xywh is None for row in rows[2:4])
    assert [int(frame.image_rgb[0, 0, 0]) for frame in frames] == [0, 1, 1, 1, 4, 5], "the last readable image"
    assert not any(row.lost for row in rows), "they say nothing about the target"


def test_corrections_begin_anew(bright):
    tracker = bright([0.0] * 20)
    _, rows = one(Frames(20), tracker, corrections={12: (50, 50, 20, 20)})
    assert tracker.begun == [[10, 20, 30, 40], [50, 50, 20, 20]] and len(tracker.boxes) == 1
    assert rows[11].lost and not rows[12].lost and not rows[13].lost
    assert (rows[12].score, rows[12].box_xywh.tolist()) == (1.0, [50, 50, 20, 20])


def test_a_part_of_a_video(tracker):
    assert [row.frame for row in one(Frames(20), tracker, start=5, frames=4)[1]] == [5, 6, 7, 8]
    assert [row.frame for row in one(Frames(7), tracker, start=5, frames=40)[1]] == [5, 6]


def test_several_targets_have_rows_of_their_own(two_squares, bright, box_of, second_box_of):
    tracker = bright()
    boxes = {1: {0: box_of(0)}, 2: {2: second_box_of(2), 7: second_box_of(7)}}
    with open_source(two_squares) as source:
        frames = list(track(source, tracker, boxes))
    assert [[row.target for row in frame.rows] for frame in frames] == [[1]] * 2 + [[1, 2]] * 10
    for frame in frames:
        for row in frame.rows:
            truth = (box_of if row.target == 1 else second_box_of)(row.frame)
            assert np.abs(row.box_xywh - truth).max() <= 2, (row.target, row.frame)
    assert len(tracker.begun) == 3 and [row.score for row in frames[7].rows] == [0.9, 1.0]


def test_each_target_is_lost_by_itself(bright):
    scores = [value for _ in range(20) for value in (0.9, 0.0)]  # of the first and the second in turn
    frames = list(track(Frames(20), bright(scores), {1: {0: BOX}, 2: {0: BOX}}))
    assert [row.lost for row in frames[-1].rows] == [False, True]


@pytest.mark.parametrize("memory", [1, 3 * 160 * 120 * 4, 1 << 29])
def test_both_ways_from_the_middle(video_file, bright, box_of, memory, monkeypatch):
    monkeypatch.setattr(sources, "BACKWARD_BYTES", memory)
    tracker, told = bright(), []
    with open_source(video_file) as source:
        frames, rows = one(source, tracker, box_of(6), 6, both_ways=True, on_backward=told.append)
        limited, _ = one(source, tracker, box_of(6), 6, both_ways=True, frames=3)
    assert [frame.frame for frame in frames] == list(range(12))
    assert all(np.abs(row.box_xywh - box_of(row.frame)).max() <= 2 for row in rows)
    assert [frame.frame for frame in told] == [5, 4, 3, 2, 1, 0] and rows[6].score == 1.0
    assert [frame.frame for frame in limited] == [3, 4, 5, 6, 7, 8]


def test_both_ways_in_a_video_whose_first_frames_cannot_be_read(bright):
    frames, _ = one(Frames(8, bad=(0, 1, 3)), bright(), start=5, both_ways=True)
    assert [(frame.frame, frame.readable) for frame in frames] == [(n, n != 3) for n in range(2, 8)]


def test_backwards_each_target_from_its_first_box(two_squares, bright, box_of, second_box_of):
    boxes = {1: {8: box_of(8)}, 2: {3: second_box_of(3), 9: second_box_of(9)}}
    with open_source(two_squares) as source:
        frames = list(track(source, bright(), boxes, both_ways=True))
    assert [len(frame.rows) for frame in frames] == [2] * 12
    for frame in frames:
        for row in frame.rows:
            truth = (box_of if row.target == 1 else second_box_of)(row.frame)
            assert np.abs(row.box_xywh - truth).max() <= 2, (row.target, row.frame)
            assert (row.score == 1.0) == ((row.target, row.frame) in {(1, 8), (2, 3), (2, 9)})


def test_frames_are_read_backwards():
    assert [frame.number for frame in read_backwards(Frames(9), 6, 2)] == [6, 5, 4, 3, 2]
    assert list(read_backwards(Frames(9), -1)) == []


def test_kept_rows_are_given_again(bright):
    kept = [Row(frame, frame / 25, target, np.array(BOX, float), 0.5, None, False)
            for frame in range(10) for target in (1, 2) if target == 2 or frame < 4]
    frames = list(track(Frames(10), bright(), {1: {4: BOX}}, kept=kept))
    assert [[row.target for row in frame.rows] for frame in frames] == [[1, 2]] * 10
    assert [frame.rows[0].score for frame in frames] == [0.5] * 4 + [1.0] + [0.9] * 5
    with pytest.raises(UserError, match="no frame 9 that can be read, which was tracked before"):
        list(track(Frames(8), bright(), {1: {4: BOX}}, kept=kept))
    with pytest.raises(UserError, match="no frame 0 that can be read"):
        list(track(Frames(10, bad=(0,)), bright(), {1: {4: BOX}}, kept=kept))


def test_what_is_wrong_is_said_before_the_first_frame(tracker):
    cases = [
        ({1: {0: (1, 2, 0, 4)}}, {}, "frame 0: a box is four finite numbers"),
        ({1: {0: BOX, 5: (1, 2, 3)}}, {}, "frame 5: a box is four"),
        ({1: {10: BOX}}, {}, "frame 10, but the last of black is 9"),
        ({1: {0: BOX}, 2: {10: BOX}}, {}, "frame 10, but the last of black is 9"),
        ({1: {0: BOX, 5: BOX}}, {"frames": 5}, "frame 5, which is not among"),
        ({}, {}, "no target"),
        ({1: {}}, {}, "no target"),
    ]
    for boxes, options, message in cases:
        with pytest.raises(UserError, match=message):
            track(Frames(10), tracker, boxes, **options)
    assert tracker.begun == []


def test_what_only_the_frames_can_tell(tracker):
    with pytest.raises(UserError, match="black ends before frame 12"):
        one(Frames(10, known=False), tracker, corrections={12: BOX})
    for bad in ((0,), (4,)):
        with pytest.raises(UserError, match=f"frame {bad[0]} cannot be read: give the box at another"):
            one(Frames(10, bad=bad), tracker, corrections={4: BOX})


def test_with_the_network(video_file, box_of):
    torch.manual_seed(0)
    cfg = load_config("MSTGT", "MSTGT-nano-128", ["TEST.WIDEN_BELOW=0"])
    engine = TorchEngine(build_model(cfg), cfg)
    with open_source(video_file) as source:
        rows = one(source, MultiTracker(engine), box_of(0), frames=4)[1]
        pair = list(track(source, MultiTracker(engine), {1: {0: box_of(0)}, 2: {1: box_of(1)}}, frames=4))
        with pytest.raises(UserError, match=r"frame 0: .*outside the image of 160 x 120 px"):
            one(source, MultiTracker(engine), (500, 10, 20, 20))
    for before, now in zip(rows, rows[1:], strict=False):
        x, y, w, h = before.box_xywh
        assert 0 < now.score < 1
        assert np.allclose(now.search_xywh[:2] + now.search_xywh[2:] / 2, (x + w / 2, y + h / 2))
        assert now.search_xywh[2] == now.search_xywh[3] == np.ceil(cfg.TEST.SEARCH_FACTOR * np.sqrt(w * h))
    assert all(np.allclose(frame.rows[0].box_xywh, row.box_xywh, atol=1e-3)
               for frame, row in zip(pair, rows, strict=True)), "another target changes nothing"


def test_images_of_another_size_are_scaled_to_the_first(bright, caplog):
    """A camera that changes its resolution must not end the recording; the boxes stay in the px of the first image."""

    class Grows(Frames):
        def read(self, start=0):
            for number, _, time_s in super().read(start):
                zoom = 1 if number < 3 else 2
                image = np.zeros((120 * zoom, 160 * zoom, 3), np.uint8)
                image[20 * zoom:60 * zoom, 10 * zoom:40 * zoom] = 255
                yield Frame(number, image, time_s)

    with caplog.at_level("WARNING"):
        frames, rows = one(Grows(6), bright(), start=2, both_ways=True)
    assert all(frame.image_rgb.shape == (120, 160, 3) for frame in frames)
    assert all(row.box_xywh.tolist() == pytest.approx(BOX, abs=1) for row in rows)
    assert [record.getMessage() for record in caplog.records] == [
        "frame 3: the images are 320 x 240 px from here on; they are scaled to the 160 x 120 px of the first one"]
