"""The command on webcams and streams: signals, a closed terminal and an early end save what there is."""

from __future__ import annotations

import os
import pty
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from mstgt.apps.video_demo import live, window
from mstgt.apps.video_demo.results import read_rows
from mstgt.utils.errors import UserError
from tests.apps.video_demo.helpers import FILES, Noise, Screen, frames_of_video
from tracking import video_demo


class Camera:
    """A webcam."""

    def __init__(self, image):
        self.image = image

    def isOpened(self):  # noqa: N802
        return True

    def read(self):
        time.sleep(0.01)
        return True, self.image

    def get(self, _what):
        return 25.0

    def release(self):
        pass


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_ctrl_c_and_sigterm_end_and_save_a_webcams(demo, monkeypatch, tmp_path, video_images, box_of, bright, number):
    class Interrupted(bright):
        def update(self, image):
            self.count += 1
            if self.count == 5:
                signal.raise_signal(number)
            return super().update(image)

    monkeypatch.setattr(live.cv2, "VideoCapture", lambda _index: Camera(video_images[0]))
    status, said, _ = demo("0", "--init_box", *box_of(0), "--out", tmp_path / "o", tracker=Interrupted())
    assert status == 0 and "webcam_0: frames 0 to 4" in said and frames_of_video(tmp_path / "o") == 5
    assert "frames arrived while another was tracked and were dropped" in said
    assert signal.getsignal(number).__module__ == "mstgt.utils.errors", "the signal is the command's again"
    assert "cannot be wound back" in demo("0", "--correct", 3, *box_of(0))[2]
    assert "cannot be wound back" in demo("0", "--init_box", *box_of(0), "--start", 3)[2]


CLOSED = """
import fcntl, sys, termios, time
import numpy as np
from mstgt.apps.video_demo import live
from mstgt.utils.errors import run_command
from tests.apps.video_demo.conftest import BrightTracker
from tracking import video_demo

class Endless(live.Feed):
    def __init__(self, _url):
        pass
    def grabs(self, _stopped):
        while True:
            time.sleep(0.01)
            yield lambda: np.zeros((120, 160, 3), np.uint8)

class Telling(BrightTracker):
    def update(self, image):
        print("tracking", flush=True)
        return super().update(image)

fcntl.ioctl(0, termios.TIOCSCTTY, 0)
live.StreamFeed, video_demo.make_tracker = Endless, lambda _args: Telling()
run_command(video_demo.main)
"""


def test_a_closed_terminal_ends_and_saves_a_stream(tmp_path):
    ours, theirs = pty.openpty()
    given = ["http://camera/live", "--init_box", "1", "2", "30", "40", "--out", tmp_path]
    with subprocess.Popen([sys.executable, "-c", CLOSED, *given], stdin=theirs, stdout=theirs, stderr=theirs,
                          start_new_session=True, cwd=Path(__file__).parents[3]) as process:
        os.close(theirs)
        said = b""
        while said.count(b"tracking") < 3:
            said += os.read(ours, 1000)
        os.close(ours)
        process.send_signal(signal.SIGHUP)  # a shell hands it on to its jobs, beside the kernel
        assert process.wait(60) == 0
    assert sorted(os.listdir(tmp_path)) == FILES
    assert frames_of_video(tmp_path) == len(read_rows(tmp_path / "boxes.csv")) >= 3


def test_nohup_goes_on_when_the_terminal_is_closed(demo, monkeypatch, tmp_path, bright):
    class HungUp(bright):
        def update(self, image):
            signal.raise_signal(signal.SIGHUP)
            return super().update(image)

    monkeypatch.setattr(live, "StreamFeed", Noise)
    signal.signal(signal.SIGHUP, signal.SIG_IGN)
    status, said, _ = demo("http://camera/live", "--init_box", 1, 2, 30, 40, "--frames", 5, "--out", tmp_path / "o",
                           tracker=HungUp())
    assert status == 0 and "frames 0 to 4" in said


def test_ctrl_c_ends_and_saves_a_stream_that_stalls(demo, monkeypatch, tmp_path, video_images, box_of):
    class Stalled(live.Feed):
        def __init__(self, _url):
            pass

        def grabs(self, stopped):
            yield lambda: video_images[0]
            threading.Timer(0.5, signal.pthread_kill, (threading.main_thread().ident, signal.SIGINT)).start()
            stopped.wait(60)

    monkeypatch.setattr(live, "StreamFeed", Stalled)
    begun = time.monotonic()
    status, said, _ = demo("http://camera/live", "--init_box", *box_of(0), "--out", tmp_path / "o")
    assert status == 0 and "frames 0 to 0" in said and frames_of_video(tmp_path / "o") == 1
    assert time.monotonic() - begun < 50, "at once, not when the stream goes on"


def test_a_stream_that_ends_while_the_box_is_drawn(demo, monkeypatch, tmp_path, video_images, box_of):
    class Short(live.Feed):
        def __init__(self, url):
            self.recording = url.endswith(".mp4")

        def grabs(self, _stopped):
            for _ in range(1 if self.recording else 3):
                yield lambda: video_images[0]

    class Slow(Screen):
        def selectROI(self, *_, **__):  # noqa: N802
            while any(thread.name.startswith("receive ") for thread in threading.enumerate()):
                time.sleep(0.01)
            return super().selectROI()

    monkeypatch.setattr(live, "StreamFeed", Short)
    monkeypatch.setattr(window, "has_display", lambda: True)
    monkeypatch.setattr(window, "cv2", Slow([], [tuple(box_of(0))] * 3))
    given = ("--reconnect", 0, "--out", tmp_path / "o")
    status, said, complained = demo("http://camera/live", *given)
    assert (status, said) == (1, "") and not (tmp_path / "o").exists()
    assert "camera_live ended before a box was given" in complained and complained.count("\n") == 1
    status, said, _ = demo("http://camera/live", *given, "--frames", 1)
    assert status == 0 and "were dropped" in said, "as much as was asked for"
    status, said, _ = demo("http://camera/live.mp4", *given)
    assert status == 0 and "were dropped" not in said, "a recording of one frame did not end early, nor drop any"


def test_the_tracker_is_there_before_a_stream_begins(demo, monkeypatch, tmp_path):
    def connect(*_):
        raise UserError("connected first")

    def make(_args):
        raise UserError("tracker first")

    monkeypatch.setattr(video_demo, "open_source", connect)
    monkeypatch.setattr(video_demo, "make_tracker", make)
    for video in ("http://camera/live", "0"):
        assert "tracker first" in demo(video, "--init_box", 1, 2, 3, 4, tracker="real")[2]
    assert "connected first" in demo("http://camera/live", tracker="real")[2], "the box is drawn on what is connected"
    assert "connected first" in demo(tmp_path, "--init_box", 1, 2, 3, 4, tracker="real")[2]
