"""Reading ahead: the same images, the same errors at the same frames, no more than a few frames early."""

from __future__ import annotations

import threading
import time

import numpy as np
import pytest

from mstgt.test.evaluation.worker import AHEAD, ReadAhead
from mstgt.utils.errors import UserError


class Frames:
    """Frame i is filled with i; reading frame ``broken`` fails. Keeps what was read, and in which threads."""

    def __init__(self, count: int, broken: int | None = None):
        self.count, self.broken = count, broken
        self.read_indices, self.threads = [], set()

    def __len__(self) -> int:
        return self.count

    def read(self, index: int, reduce: int = 1, rows: int | None = None) -> np.ndarray:
        self.read_indices.append(index)
        self.threads.add(threading.current_thread().name)
        if index == self.broken:
            raise UserError(f"cannot decode frame {index}")
        return np.full((2, 3, 3), index, np.uint8)

    def where(self, index: int) -> str:
        return f"frame {index}"


def wait_for(read: list[int], count: int) -> None:
    until = time.monotonic() + 10
    while len(read) < count and time.monotonic() < until:
        time.sleep(0.001)


@pytest.mark.parametrize("count", [0, 1, 2, 3, 10])
def test_the_images_are_those_of_reading_in_order(count):
    frames = Frames(count)
    with ReadAhead() as reader:
        got = list(reader.frames(frames))
    assert [image[0, 0, 0] for image in got] == list(range(count)) == frames.read_indices
    assert threading.current_thread().name not in frames.threads


def test_frames_are_read_before_they_are_asked_for_and_not_far_before():
    frames = Frames(20)
    with ReadAhead() as reader:
        images = reader.frames(frames)
        for asked in range(1, 6):
            next(images)
            wait_for(frames.read_indices, asked + AHEAD)
            time.sleep(0.01)
            assert frames.read_indices == list(range(asked + AHEAD))


def test_an_error_comes_at_its_frame():
    with ReadAhead() as reader:
        images = reader.frames(Frames(6, broken=2))
        assert [next(images)[0, 0, 0] for _ in range(2)] == [0, 1]
        with pytest.raises(UserError, match="frame 2"):
            next(images)


def test_two_videos_do_not_mix():
    with ReadAhead() as reader:
        one, other = reader.frames(Frames(5)), reader.frames(Frames(9, broken=4))
        assert [(int(next(one)[0, 0, 0]), int(next(other)[0, 0, 0])) for _ in range(4)] == [(i, i) for i in range(4)]
        with pytest.raises(UserError):
            next(other)
        assert next(one)[0, 0, 0] == 4


def test_leaving_ends_the_thread():
    with ReadAhead() as reader:
        next(reader.frames(Frames(100)))
    assert not [thread for thread in threading.enumerate() if thread.name.startswith("read-ahead")]
