"""The command: the files that it leaves, how a track is put right, and one line for everything that is wrong."""

from __future__ import annotations

import json
import os
import pty
import resource
import signal
import socket
import subprocess
import sys
import threading
import time
from pathlib import Path

import av
import cv2
import numpy as np
import pytest
import torch

from mstgt.apps.video_demo import live, window
from mstgt.apps.video_demo.record import Spread, spans
from mstgt.apps.video_demo.results import FILES as RESULT_FILES
from mstgt.apps.video_demo.results import read_rows
from mstgt.config import SHIPPED, load_config
from mstgt.config.paths import checkpoint_path, run_folder
from mstgt.models.mstgt import build_model
from mstgt.utils.errors import UserError, run_command
from mstgt.visualize import video_writer
from mstgt.visualize.video_writer import HYBRID_FRAGMENTED, VideoWriter
from tracking import video_demo

FILES = ["boxes.csv", "film.mp4", "sheet.png"]


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


def lines(out):
    return (out / "boxes.csv").read_text().splitlines()


def frames_of_video(out):
    with av.open(str(out / "film.mp4")) as container:
        return sum(1 for _ in container.decode(video=0))


def test_video_rows_and_sheet(demo, video_file, tmp_path, box_of):
    status, said, complained = demo(video_file, "--init_box", *box_of(0))
    out = tmp_path / "save" / "video_demo" / "square"
    assert (status, complained) == (0, "")
    assert sorted(os.listdir(out)) == FILES
    assert "square: frames 0 to 11" in said and all(str(out / name) in said for name in FILES)
    assert "lost" not in said and "cannot be read" not in said and "corrupt" not in said
    rows = read_rows(out / "boxes.csv")
    assert [row.frame for row in rows] == list(range(12)) and frames_of_video(out) == 12
    assert all(np.abs(row.box_xywh - box_of(row.frame)).max() <= 2 for row in rows)
    assert lines(out)[1] == "0,0.000,10.00,40.00,20.00,20.00,1.0000,,,,,0,1,1"
    assert lines(out)[4].startswith("3,0.300,") and rows[3].score == 0.9
    assert cv2.imread(str(out / "sheet.png")).std() > 10


def test_a_correction_keeps_the_rows_before_it(demo, video_file, tmp_path, box_of, bright):
    demo(video_file, "--init_box", *box_of(0), "--out", tmp_path / "o", tracker=bright([0.3] * 11))
    before = lines(tmp_path / "o")
    tracker = bright([0.7] * 11)
    status, said, _ = demo(video_file, "--correct", 6, *box_of(6), "--correct", 9, 1, 2, 30, 40,
                           "--out", tmp_path / "o", tracker=tracker)
    after = lines(tmp_path / "o")
    assert status == 0 and "frames 0 to 11" in said and frames_of_video(tmp_path / "o") == 12
    assert after[:7] == before[:7] and len(after) == 13
    assert tracker.begun == [box_of(6), [1, 2, 30, 40]]
    assert [row.score for row in read_rows(tmp_path / "o" / "boxes.csv")] == [1, *[0.3] * 5, 1, 0.7, 0.7, 1, 0.7, 0.7]
    tracker = bright()
    demo(video_file, "--correct", 11, 5, 6, 7, 8, "--out", tmp_path / "o", tracker=tracker)
    assert lines(tmp_path / "o")[:12] == after[:12], "a second time, with the first corrections kept"
    assert tracker.begun == [[5, 6, 7, 8]]


def test_corrections_on_the_way(demo, video_file, tmp_path, box_of, bright):
    tracker = bright()
    status, _, _ = demo(video_file, "--init_box", *box_of(2), "--start", 2, "--frames", 6, "--correct", 5, *box_of(5),
                        "--out", tmp_path / "o", tracker=tracker)
    assert status == 0 and tracker.begun == [box_of(2), box_of(5)]
    assert [row.frame for row in read_rows(tmp_path / "o" / "boxes.csv")] == list(range(2, 8))
    assert demo(video_file, "--correct", 4, *box_of(4), "--frames", 4, "--out", tmp_path / "o")[0] == 0
    assert [row.frame for row in read_rows(tmp_path / "o" / "boxes.csv")] == list(range(2, 6))


def test_lost_and_unreadable_frames_are_named(demo, broken_video, tmp_path, box_of, bright):
    status, said, complained = demo(broken_video([4, 11]), "--init_box", *box_of(0), "--out", tmp_path / "o",
                                    "--lost_score", 0.4, tracker=bright([0.0] * 9))
    assert (status, complained) == (0, "")
    assert "cannot be read, the last box was kept: frames 4, 11" in said
    assert "probably lost (mean score below 0.4): frames 6 to 11" in said and "--correct" in said
    rows = read_rows(tmp_path / "o" / "boxes.csv")
    assert [row.frame for row in rows if not row.readable] == [4, 11] and rows[4].score == 0
    assert np.array_equal(rows[4].box_xywh, rows[3].box_xywh)
    assert frames_of_video(tmp_path / "o") == 12


def test_a_truncated_file_is_tracked_as_far_as_it_goes(demo, video_file, tmp_path, box_of):
    data = video_file.read_bytes()
    (tmp_path / "cut.mp4").write_bytes(data[: data.index(b"mdat") + (len(data) - data.index(b"mdat")) * 3 // 4])
    status, said, _ = demo(tmp_path / "cut.mp4", "--init_box", *box_of(0), "--out", tmp_path / "o")
    assert status == 0 and "of the 12 frames that it promises" in said
    assert 0 < frames_of_video(tmp_path / "o") < 12


def test_everything_wrong_is_one_line(demo, video_file, tmp_path):
    box = ("--init_box", 10, 40, 20, 20)
    out = ("--out", tmp_path / "o")
    cases = [
        (("no.mp4", *box), "no such video"),
        ((video_file,), "--init_box x y w h: there is no display"),
        ((video_file, "--init_box", 10, 40, 0, 20), "has no area"),
        ((video_file, *box, "--start", 12), "the last of square is 11"),
        ((video_file, *box, "--frames", 0), "--frames from 1"),
        ((video_file, *box, "--frames", 10**20), "--frames from 1 to"),
        ((video_file, *box, "--lost_score", 2), "--lost_score from 0 to 1"),
        ((video_file, "--correct", 5, 10, 40, 20, 20), "to correct: track the video first"),
        ((video_file, "--correct", 5.5, 10, 40, 20, 20), "FRAME is a whole number"),
        ((video_file, *box, "--correct", 50, 10, 40, 20, 20), "the last of square is 11"),
    ]
    for arguments, message in cases:
        status, said, complained = demo(*arguments, *out)
        assert (status, said) == (1, ""), arguments
        assert complained.startswith("error: ") and message in complained and complained.count("\n") == 1
        assert not (tmp_path / "o").exists() or os.listdir(tmp_path / "o") == []


def test_a_correction_that_does_not_fit_leaves_everything(demo, video_file, tmp_path, box_of):
    out = ("--out", tmp_path / "o")
    demo(video_file, "--init_box", *box_of(3), "--start", 3, "--frames", 4, *out)
    before = {name: (tmp_path / "o" / name).read_bytes() for name in FILES}
    for arguments, message in (
            (("--correct", 9, *box_of(9)), "has frames 3 to 6: the first correction cannot be at frame 9"),
            (("--correct", 2, *box_of(2)), "has frames 3 to 6"),
            (("--correct", 5, *box_of(5), "--start", 3), "leave --start out"),
            (("--correct", 5, *box_of(5), "--frames", 2), "ends before the first correction"),
            (("--correct", 5, 1, 2, 0, 4), "has no area")):
        status, _, complained = demo(video_file, *arguments, *out)
        assert status == 1 and message in complained, complained
    (tmp_path / "o" / "boxes.csv").write_text("frame,x\n1,2\n")
    assert "does not have the columns" in demo(video_file, "--correct", 5, *box_of(5), *out)[2]
    (tmp_path / "o" / "boxes.csv").write_bytes(before["boxes.csv"].replace(b"4,0.400", b"four,0.4"))
    assert "boxes.csv, line 3: not a row" in demo(video_file, "--correct", 5, *box_of(5), *out)[2]
    assert (tmp_path / "o" / "film.mp4").read_bytes() == before["film.mp4"]


def test_ctrl_c_leaves_a_files_track_as_it_was(demo, video_file, tmp_path, box_of, bright):
    demo(video_file, "--init_box", *box_of(0), "--out", tmp_path / "o")
    before = {name: (tmp_path / "o" / name).read_bytes() for name in FILES}

    class Interrupted(bright):
        def update(self, image):
            signal.raise_signal(signal.SIGINT)
            return super().update(image)

    assert demo(video_file, "--init_box", *box_of(0), "--out", tmp_path / "o", tracker=Interrupted())[0] == 130
    assert {name: (tmp_path / "o" / name).read_bytes() for name in os.listdir(tmp_path / "o")} == before


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
    assert demo("http://camera/live", *given, "--frames", 1)[0] == 0, "as much as was asked for"
    assert demo("http://camera/live.mp4", *given)[0] == 0, "a recording of one frame did not end early"


@pytest.fixture
def small_disk(tmp_path):
    """A file system of one MiB."""
    place = tmp_path / "disk"
    place.mkdir()
    if subprocess.run(["mount", "-t", "tmpfs", "-o", "size=1m", "none", place], capture_output=True).returncode:
        pytest.skip("file systems cannot be mounted here")
    yield place
    subprocess.run(["umount", "-l", place], check=True)


class Noise(live.Feed):
    """A stream of ``count`` images, a quarter of which compresses badly."""

    count = 10**9
    recording = True  # no frame is dropped

    def __init__(self, _url):
        self.random = np.random.default_rng(0)

    def grabs(self, stopped):
        for number in range(self.count):
            image = np.zeros((120, 160, 3), np.uint8)
            image[:60, :80] = self.random.integers(0, 256, (60, 80, 3), np.uint8)
            self.time_s = number / 25
            yield lambda image=image: image


needs_fragments = pytest.mark.skipif(av.library_versions["libavformat"] < HYBRID_FRAGMENTED, reason="FFmpeg is too old")


@needs_fragments
@pytest.mark.parametrize("formats", [(), ("--format", "mot", "--format", "json")])
def test_a_stream_that_fills_the_disk_is_kept_until_then(demo, monkeypatch, small_disk, formats):
    monkeypatch.setattr(live, "StreamFeed", Noise)
    out = small_disk / "o"
    out.mkdir()
    (out / "sheet.png").write_bytes(b"an earlier track's")
    status, said, complained = demo("http://camera/live", "--init_box", 1, 2, 30, 40, "--out", out, *formats)
    assert status == 1 and complained.count("\n") == 1, complained
    assert str(out) in complained and "No space left on device; what was recorded until then is kept" in complained
    names = ["boxes.csv", "film.mp4", *(["boxes.json", "boxes.txt"] if formats else [])]
    assert sorted(os.listdir(out)) == sorted(names) and all(str(out / name) in said for name in names)
    rows = read_rows(out / "boxes.csv")
    assert [row.frame for row in rows] == list(range(len(rows))) and f"frames 0 to {len(rows) - 1}" in said
    assert 0 < len(rows) - frames_of_video(out) < 100 and frames_of_video(out) >= 25, "up to the last whole second"
    if formats:
        assert len(json.loads((out / "boxes.json").read_text())["targets"][0]["frames"]) == len(rows)
        assert len((out / "boxes.txt").read_text().splitlines()) == len(rows)


@needs_fragments
@pytest.mark.parametrize(("largest", "files"), [(1_000_000, ["boxes.csv", "film.mp4"]), (100_000, ["boxes.csv"])])
def test_a_streams_video_that_grows_too_large(demo, monkeypatch, tmp_path, largest, files):
    monkeypatch.setattr(live, "StreamFeed", Noise)
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (largest, limits[1]))
    try:
        status, _, complained = demo("http://camera/live", "--init_box", 1, 2, 30, 40, "--out", tmp_path / "o")
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert status == 1 and "film.mp4: File too large; what was recorded until then is kept" in complained
    assert sorted(os.listdir(tmp_path / "o")) == files and len(read_rows(tmp_path / "o" / "boxes.csv")) > 2
    assert "film.mp4" not in files or frames_of_video(tmp_path / "o") >= 25


def test_an_older_ffmpeg_keeps_the_boxes_of_a_stream_that_fills_the_disk(demo, monkeypatch, small_disk):
    monkeypatch.setattr(video_writer, "HYBRID_FRAGMENTED", (10**6,))
    monkeypatch.setattr(live, "StreamFeed", Noise)
    status, _, complained = demo("http://camera/live", "--init_box", 1, 2, 30, 40, "--out", small_disk / "o")
    assert status == 1 and "No space left on device" in complained
    assert os.listdir(small_disk / "o") == ["boxes.csv"] and len(read_rows(small_disk / "o" / "boxes.csv")) > 20


def test_a_disk_without_room_for_a_streams_sheet(demo, monkeypatch, small_disk):
    monkeypatch.setattr(live, "StreamFeed", Noise)
    monkeypatch.setattr(Noise, "count", 20)
    status, said, complained = demo("http://camera/live", "--init_box", 1, 2, 30, 40, "--out", small_disk / "o")
    assert status == 1 and "sheet.png: No space left on device" in complained and "frames 0 to 19" in said
    assert sorted(os.listdir(small_disk / "o")) == ["boxes.csv", "film.mp4"]
    assert frames_of_video(small_disk / "o") == len(read_rows(small_disk / "o" / "boxes.csv")) == 20


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


def test_the_network_that_was_trained_in_save_dir_is_used(monkeypatch, tmp_path, video_file):
    trained = checkpoint_path(run_folder(tmp_path / "mine", "mstgt", "MSTGT-nano-128"), 24)
    trained.parent.mkdir(parents=True)
    trained.touch()
    monkeypatch.setattr("mstgt.test.tracker.MultiTracker", lambda _config, **given: given["checkpoint"])
    for arguments, expected in ((["--save_dir", tmp_path / "mine"], trained),
                                (["--save_dir", tmp_path / "other"], SHIPPED / "MSTGT-nano-128.safetensors"),
                                (["--save_dir", tmp_path / "mine", "--checkpoint", __file__], __file__),
                                ([], None)):  # MultiTracker looks for it
        words = [video_file, "--config", "MSTGT-nano-128", *arguments]
        monkeypatch.setattr("sys.argv", ["video_demo.py", *map(str, words)])
        found = video_demo.make_tracker(video_demo.parse_args())
        assert found == expected or str(found) == expected, arguments


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


class Screen:
    """OpenCV with windows on which somebody draws, and presses q at the fifth image."""

    def __init__(self, shown, drawn):
        self.shown, self.drawn = shown, drawn

    def __getattr__(self, name):
        return getattr(cv2, name)

    def namedWindow(self, *_):  # noqa: N802
        pass

    resizeWindow = destroyAllWindows = namedWindow  # noqa: N815

    def selectROI(self, *_, **__):  # noqa: N802
        return self.drawn.pop(0)

    def imshow(self, _title, image):
        self.shown.append(image)

    def waitKey(self, _ms):  # noqa: N802
        return ord("q") if len(self.shown) == 5 else -1

    def getWindowProperty(self, *_):  # noqa: N802
        return 1.0


def test_show_without_a_display_is_only_a_warning(demo, video_file, tmp_path, box_of, caplog):
    status, _, _ = demo(video_file, "--init_box", *box_of(0), "--frames", 2, "--show", "--out", tmp_path / "o")
    assert status == 0 and "no display" in caplog.text and frames_of_video(tmp_path / "o") == 2


def test_with_the_network(demo, video_file, tmp_path, box_of):
    torch.manual_seed(0)
    torch.save({"net": build_model(load_config("MSTGT", "MSTGT-nano")).state_dict()}, tmp_path / "net.pth.tar")
    given = ("--checkpoint", tmp_path / "net.pth.tar", "--device", "cpu", "--frames", 3, "--out", tmp_path / "o")
    status, said, complained = demo(video_file, "--init_box", *box_of(0), *given, tracker="real")
    assert (status, complained) == (0, "") and "frames 0 to 2" in said
    status, _, complained = demo(video_file, "--init_box", 500, 40, 20, 20, *given, tracker="real")
    assert status == 1 and "of 160 x 120 px" in complained and complained.count("\n") == 1


def test_the_sheet_shows_the_first_the_last_and_others_between():
    for count in (1, 3, 4, 5, 100, 1000):
        spread, made = Spread(4), []
        for number in range(count):
            spread.offer(lambda number=number, made=made: made.append(number) or number)
        found = spread.chosen()
        assert (found[0], found[-1], len(found)) == (0, count - 1, min(4, count))
        assert max(np.diff(found), default=0) <= max(1, 0.5 * count) and len(made) <= 80


def test_spans():
    assert [spans(frames) for frames in ([], [3], [3, 4], [1, 3, 4, 5, 9])] == ["", "3", "3 to 4", "1, 3 to 5, 9"]
    assert spans(range(0, 40, 2), limit=2) == "0, 2 and 18 more"


def test_boxes_in_any_form_and_bad_ones_with_an_example(demo, video_file, tmp_path, box_of):
    (tmp_path / "box.txt").write_text("10,40,20,20\n")
    out = ("--out", tmp_path / "o")
    forms = [("10,40,20,20",), ("[10,40,20,20]",), ("10 40 20 20",), (tmp_path / "box.txt",), (10, 40, 20, 20)]
    for form in forms:
        status, _, complained = demo("--init_box", *form, video_file, *out, "--frames", 2)
        assert status == 0, complained
        assert lines(tmp_path / "o")[1].startswith("0,0.000,10.00,40.00,20.00,20.00")
    assert demo(video_file, "--init_box", "10 40 30 60", "--box_format", "xyxy", "--frames", 2, *out)[0] == 0
    assert lines(tmp_path / "o")[1].startswith("0,0.000,10.00,40.00,20.00,20.00")
    status, _, complained = demo(video_file, "--init_box", "10,40,20", *out)
    assert status == 1 and "has 3 numbers" in complained and "such as --init_box 210 95 60 80" in complained


def test_two_targets_and_a_correction_of_one(demo, two_squares, tmp_path, box_of, second_box_of, bright):
    out = ("--out", tmp_path / "o")
    tracker = bright([0.9, 0.1] * 11)  # the second target is lost
    status, said, _ = demo(two_squares, "--init_box", *box_of(0), "--init_box", *second_box_of(0), *out, "--format",
                           "mot", "--format", "json", tracker=tracker)
    assert status == 0 and sorted(os.listdir(tmp_path / "o")) == sorted([*FILES, "boxes.txt", "boxes.json"])
    assert "target 2 is probably lost" in said and "target 1" not in said and "--correct TARGET:FRAME" in said
    rows = read_rows(tmp_path / "o" / "boxes.csv")
    assert [(row.frame, row.target) for row in rows] == [(frame, target) for frame in range(12) for target in (1, 2)]
    mot = [line.split(",") for line in (tmp_path / "o" / "boxes.txt").read_text().splitlines()]
    assert mot[3][:2] == ["2", "2"] and mot[3][7:] == ["-1"] * 3 and len(mot) == 24
    content = json.loads((tmp_path / "o" / "boxes.json").read_text())
    assert [len(target["frames"]) for target in content["targets"]] == [12, 12] and content["size_wh"] == [160, 120]
    assert content["targets"][1]["frames"][3]["box_xywh"] == [float(word) for word in mot[7][2:6]]
    frames_before = frames_of_video(tmp_path / "o")
    tracker = bright()
    status, _, _ = demo(two_squares, "--correct", "2:5", *second_box_of(5), *out, tracker=tracker)
    after = read_rows(tmp_path / "o" / "boxes.csv")
    assert status == 0 and tracker.begun == [second_box_of(5)] and frames_of_video(tmp_path / "o") == frames_before
    for old, new in zip(rows, after, strict=True):
        same = old.score == new.score and np.array_equal(old.box_xywh, new.box_xywh)
        assert (old.frame, old.target) == (new.frame, new.target) and same == (old.target == 1 or old.frame < 5 or
                                                                               old.frame == 0), old
    # The other forms of the track are written anew, too.
    mot = [line.split(",") for line in (tmp_path / "o" / "boxes.txt").read_text().splitlines()]
    assert [float(line[6]) for line in mot] == [round(row.score, 4) for row in after]
    assert "has no target 3, only 1, 2" in demo(two_squares, "--correct", "3:5", 1, 2, 30, 40, *out)[2]
    assert "no target 3" in demo(two_squares, "--init_box", 1, 2, 3, 4, "--correct", "3:5", 1, 2, 30, 40, *out)[2]


def test_a_track_of_an_earlier_version_is_continued(demo, video_file, tmp_path, box_of):
    demo(video_file, "--init_box", *box_of(0), "--out", tmp_path / "o")
    old = "".join(line.rpartition(",")[0] + "\n" for line in lines(tmp_path / "o"))
    assert old.startswith("frame,time_s,x,y,w,h,score,search_x,search_y,search_w,search_h,lost,readable\n0,")
    (tmp_path / "o" / "boxes.csv").write_text(old)
    assert demo(video_file, "--correct", 6, *box_of(6), "--out", tmp_path / "o")[0] == 0
    assert len(lines(tmp_path / "o")) == 13


def test_from_the_middle_both_ways(demo, video_file, tmp_path, box_of):
    out = ("--out", tmp_path / "o")
    for flags, frames in (((), range(12)), (("--both_ways",), range(12)), (("--forward_only",), range(6, 12)),
                          (("--frames", 2), range(6, 8)), (("--frames", 2, "--both_ways"), range(4, 8))):
        status, said, complained = demo(video_file, "--init_box", *box_of(6), "--start", 6, *flags, *out)
        assert status == 0, complained
        rows = read_rows(tmp_path / "o" / "boxes.csv")
        assert [row.frame for row in rows] == list(frames) and frames_of_video(tmp_path / "o") == len(frames), flags
        assert all(np.abs(row.box_xywh - box_of(row.frame)).max() <= 2 for row in rows)


def test_variable_frame_rate(demo, video_images, tmp_path, box_of):
    times = [0.04 * i for i in range(6)] + [2.2 + 0.04 * i for i in range(6)]
    with VideoWriter(tmp_path / "v.mp4", 25, (160, 120)) as writer:
        for image, time_s in zip(video_images, times, strict=True):
            writer.add(image, time_s)
    assert demo(tmp_path / "v.mp4", "--init_box", *box_of(0), "--out", tmp_path / "o")[0] == 0
    assert [row.time_s for row in read_rows(tmp_path / "o" / "boxes.csv")] == pytest.approx(times, abs=2e-3)
    with av.open(str(tmp_path / "o" / "film.mp4")) as container:
        assert [frame.time for frame in container.decode(video=0)] == pytest.approx(times, abs=2e-3)


def test_arguments_are_checked_before_the_video_is_opened(demo, video_file, tmp_path, monkeypatch):
    def opened(*_):
        raise AssertionError

    monkeypatch.setattr(video_demo, "open_source", opened)
    cases = [((tmp_path / "no.mp4",), "no such video"), ((video_file, "--config", "MSTGT-nano-129"), "MSTGT-nano-128"),
             ((video_file, "--checkpoint", "no.pth"), "no checkpoint no.pth"),
             ((video_file, "--reconnect", -1), "least 0"),
             ((video_file, "--set", "TEST.SEARCH_FACTR=4"), "SEARCH_FACTOR")]
    for arguments, words in cases:
        status, _, complained = demo(*arguments, "--init_box", 1, 2, 30, 40)
        assert status == 1 and words in complained and complained.count("\n") == 1


def test_the_formats_are_those_that_can_be_written():
    assert tuple(RESULT_FILES) == video_demo.FORMATS
