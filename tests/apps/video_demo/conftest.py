"""A small video with one bright square that moves, and a tracker that finds bright things."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from mstgt.utils.errors import run_command
from mstgt.visualize.video_writer import VideoWriter
from tracking import video_demo

FRAMES, WIDTH, HEIGHT, SIDE = 12, 160, 120, 20
_GROUND = np.random.default_rng(0).integers(0, 60, (HEIGHT // 10, WIDTH // 10, 3), np.uint8).repeat(10, 0).repeat(10, 1)


class BrightTracker:
    """Has the interface of MultiTracker. Every target gets the box around what is bright near it; scores can be set
    beforehand, of all targets in turn."""

    def __init__(self, scores=()):
        self.scores, self.begun, self.boxes, self.count = list(scores), [], {}, 0

    def add(self, image, box_xywh):
        self.count += 1
        self.boxes[self.count] = np.asarray(box_xywh, np.float64)
        self.begun.append(self.boxes[self.count].tolist())
        return self.count

    def remove(self, target_id):
        del self.boxes[target_id]

    def search_xywh(self, target_id):
        box = self.boxes[target_id]
        return np.array([*(box[:2] - box[2:]), *(3 * box[2:])])

    def update(self, image):
        return {target_id: (self._follow(target_id, image), self.scores.pop(0) if self.scores else 0.9)
                for target_id in self.boxes}

    def _follow(self, target_id, image):
        left, top, width, height = self.search_xywh(target_id).astype(int)
        bright = np.zeros(image.shape[:2], bool)
        near = np.s_[max(0, top) : max(0, top + height), max(0, left) : max(0, left + width)]
        bright[near] = image[near].min(axis=2) > 160
        rows, columns = np.nonzero(bright)
        if len(rows):
            x, y = columns.min(), rows.min()
            self.boxes[target_id] = np.array([x, y, columns.max() + 1 - x, rows.max() + 1 - y], np.float64)
        return self.boxes[target_id]


def image_at(frame: int) -> np.ndarray:
    """The square's top-left is at (10 + 8 frame, 40 + 2 frame)."""
    image = _GROUND.copy()
    x, y = 10 + 8 * frame, 40 + 2 * frame
    image[y : y + SIDE, x : x + SIDE] = 240
    return image


def box_at(frame: int) -> list[float]:
    return [10 + 8 * frame, 40 + 2 * frame, SIDE, SIDE]


@pytest.fixture(scope="session")
def video_images() -> list[np.ndarray]:
    return [image_at(frame) for frame in range(FRAMES)]


@pytest.fixture(scope="session")
def video_file(video_images, tmp_path_factory) -> Path:
    path = tmp_path_factory.mktemp("video") / "square.mp4"
    with VideoWriter(path, 10, (WIDTH, HEIGHT)) as writer:
        for image in video_images:
            writer.add(image)
    return path


@pytest.fixture
def tracker() -> BrightTracker:
    return BrightTracker()


@pytest.fixture
def bright():
    """What makes such a tracker."""
    return BrightTracker


@pytest.fixture
def box_of():
    return box_at


@pytest.fixture(scope="session")
def two_squares(tmp_path_factory) -> Path:
    """The square, and a second one, of half its size, that moves down at the left."""
    path = tmp_path_factory.mktemp("video") / "two.mp4"
    with VideoWriter(path, 10, (WIDTH, HEIGHT)) as writer:
        for frame in range(FRAMES):
            image = image_at(frame)
            x, y, w, h = second_box_at(frame)
            image[y : y + h, x : x + w] = 240
            writer.add(image)
    return path


def second_box_at(frame: int) -> list[int]:
    return [120 - 2 * frame, 4 + 2 * frame, 10, 10]


@pytest.fixture
def second_box_of():
    return second_box_at


@pytest.fixture
def broken_video(video_file, tmp_path):
    """A video in which the packets of some frames are garbage."""
    import av

    def make(frames) -> Path:
        data = bytearray(video_file.read_bytes())
        with av.open(str(video_file)) as container:
            stream = container.streams.video[0]
            packets = [packet for packet in container.demux(stream) if packet.size]
            by_time = sorted(packets, key=lambda packet: packet.pts)
            for frame in frames:
                packet = by_time[frame]
                data[packet.pos : packet.pos + packet.size] = b"\xff" * packet.size
        path = tmp_path / "broken.mp4"
        path.write_bytes(data)
        return path

    return make


@pytest.fixture
def demo(monkeypatch, tmp_path, capsys, bright):
    """Runs the command on trackers that find bright things; gives status, standard output and error."""
    monkeypatch.delenv("DISPLAY", raising=False)
    monkeypatch.delenv("WAYLAND_DISPLAY", raising=False)
    monkeypatch.setenv("MSTGT_SAVE_DIR", str(tmp_path / "save"))

    def run(*arguments, tracker=None):
        monkeypatch.setattr("sys.argv", ["video_demo.py", *map(str, arguments)])
        if tracker != "real":
            monkeypatch.setattr(video_demo, "make_tracker", lambda _args: tracker or bright())
        with pytest.raises(SystemExit) as ended:
            run_command(video_demo.main)
        return ended.value.code, *capsys.readouterr()

    return run
