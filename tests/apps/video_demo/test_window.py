"""The command in a window: a box drawn with the mouse, and no display to draw it on."""

from __future__ import annotations

import socket
import sys

import pytest

from mstgt.apps.video_demo import window
from tests.apps.video_demo.helpers import Screen, frames_of_video


def test_a_box_drawn_with_the_mouse(demo, monkeypatch, video_file, tmp_path, box_of, bright):
    monkeypatch.setattr(window, "has_display", lambda: True)
    shown, tracker, drawn = [], bright(), [(0, 0, 0, 0), tuple(box_of(1))]
    monkeypatch.setattr(window, "cv2", Screen(shown, drawn))
    status, _, complained = demo(video_file, "--out", tmp_path / "o")
    assert status == 1 and "no box was drawn" in complained
    status, said, _ = demo(video_file, "--start", 1, "--forward_only", "--show", "--out", tmp_path / "o",
                           tracker=tracker)
    assert status == 0 and tracker.begun == [box_of(1)]
    assert len(shown) == 5 and "frames 1 to 5" in said, "q was pressed at the fifth"


@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere there is always a screen")
def test_a_display_must_answer(monkeypatch):
    monkeypatch.delenv("WAYLAND_DISPLAY", raising=False)
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        for display, there in (("", False), (":9876", False), ("nonsense", False), ("127.0.0.1:x", False),
                               (f"127.0.0.1:{port - 6000}.0", True), ("127.0.0.1:99999", False)):
            monkeypatch.setenv("DISPLAY", display)
            assert window.has_display() == there, display


def test_show_without_a_display_is_only_a_warning(demo, video_file, tmp_path, box_of, caplog):
    status, _, _ = demo(video_file, "--init_box", *box_of(0), "--frames", 2, "--show", "--out", tmp_path / "o")
    assert status == 0 and "no display" in caplog.text and frames_of_video(tmp_path / "o") == 2
