"""Progress without a terminal: lines instead of a bar."""

from __future__ import annotations

import io

import pytest

from mstgt.utils import progress as module
from mstgt.utils.progress import progress


@pytest.fixture
def clock(monkeypatch):
    """A clock that each look at moves by 10 s."""
    now = [0.0]

    def look() -> float:
        now[0] += 10
        return now[0]

    monkeypatch.setattr(module.time, "monotonic", look)


def test_a_log_file_gets_a_line_soon_and_then_one_a_minute(clock, capfd):
    assert list(progress(range(12), desc="videos\x1b", unit="video")) == list(range(12))
    assert capfd.readouterr().err.splitlines() == [
        "videos\\x1b: 2 of 12 (video)",
        "videos\\x1b: 6 of 12 (video), 0.1 per second, about 60 s left",
        "videos\\x1b: 12 of 12 (video), 0.1 per second"]


def test_neither_earlier_work_nor_the_first_seconds_count_in_the_rate(clock, capfd):
    with progress(total=100, initial=80, desc="videos", unit="video") as bar:
        for done in (0, 1, 0, 4, 0, 5):
            bar.update(done)
    assert capfd.readouterr().err.splitlines() == [
        "videos: 81 of 100 (video)",
        "videos: 90 of 100 (video), 0.225 per second, about 44 s left"]


def test_a_bar_gives_no_time_left_in_its_first_seconds(monkeypatch):
    class Terminal(io.StringIO):
        def isatty(self) -> bool:
            return True

    screen, now = Terminal(), [0.0]
    monkeypatch.setattr(module.sys, "stderr", screen)
    with progress(total=100, unit="video", file=screen, mininterval=0) as bar:
        bar._time = lambda: now[0]
        bar.start_t = bar.last_print_t = 0.0
        for now[0] in (15.0, 19.0, 23.0):
            bar.update()
    drawn = [line for line in screen.getvalue().split("\r") if "video" in line]
    assert [("<" in line, "s/video" in line) for line in drawn[-3:]] == [(False, True), (False, True), (True, True)]


def test_description_and_details_can_change(clock, capfd):
    """As in training: one bar for all epochs, whose lines name the epoch and the loss."""
    losses = [3.0, 2.0]
    with progress(total=100, unit="step", details=lambda: f"loss {losses.pop()}") as bar:
        for step in range(1, 9):
            bar.set_description(f"epoch {1 + step // 6}/9", refresh=False)
            bar.update()
    assert capfd.readouterr().err.splitlines() == [
        "epoch 1/9: 2 of 100 (step), loss 2.0",
        "epoch 2/9: 6 of 100 (step), 0.1 per second, about 16 min left, loss 3.0"]


def test_a_bar_can_be_hidden(clock, capfd):
    with progress(range(12), shown=False) as bar:
        assert list(bar) == list(range(12))
    assert capfd.readouterr() == ("", "")


def test_durations_in_words():
    assert [module.duration(s) for s in (45, 600, 12000)] == ["45 s", "10 min", "3 h 20 min"]
