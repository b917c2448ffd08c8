"""Progress without a terminal: lines instead of a bar."""

from __future__ import annotations

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
        "videos\\x1b: 2 of 12 (video), 0.1 per second, about 2 min left",
        "videos\\x1b: 8 of 12 (video), 0.1 per second, about 40 s left"]


def test_earlier_work_does_not_count_in_the_rate(clock, capfd):
    with progress(total=100, initial=90, desc="videos", unit="video") as bar:
        bar.update(0)
        bar.update(1)
    assert capfd.readouterr().err == "videos: 91 of 100 (video), 0.05 per second, about 3 min left\n"


def test_description_and_details_can_change(clock, capfd):
    """As in training: one bar for all epochs, whose lines name the epoch and the loss."""
    losses = [3.0, 2.0]
    with progress(total=100, unit="step", details=lambda: f"loss {losses.pop()}") as bar:
        for step in range(1, 9):
            bar.set_description(f"epoch {1 + step // 6}/9", refresh=False)
            bar.update()
    assert capfd.readouterr().err.splitlines() == [
        "epoch 1/9: 2 of 100 (step), 0.1 per second, about 16 min left, loss 2.0",
        "epoch 2/9: 8 of 100 (step), 0.1 per second, about 15 min left, loss 3.0"]


def test_a_bar_can_be_hidden(clock, capfd):
    with progress(range(12), shown=False) as bar:
        assert list(bar) == list(range(12))
    assert capfd.readouterr() == ("", "")


def test_durations_in_words():
    assert [module.duration(s) for s in (45, 600, 12000)] == ["45 s", "10 min", "3 h 20 min"]
