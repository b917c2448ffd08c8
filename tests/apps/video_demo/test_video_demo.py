"""The command on a file: what it writes, and one line for everything that is wrong."""

from __future__ import annotations

import os
import signal

import av
import cv2
import numpy as np
import pytest
import torch

from mstgt.apps.video_demo.record import Spread, spans
from mstgt.apps.video_demo.results import FILES as RESULT_FILES
from mstgt.apps.video_demo.results import read_rows
from mstgt.config import SHIPPED, load_config
from mstgt.config.paths import checkpoint_path, run_folder
from mstgt.models.mstgt import build_model
from mstgt.visualize.video_writer import VideoWriter
from tests.apps.video_demo.helpers import FILES, frames_of_video, lines
from tracking import video_demo


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


def test_ctrl_c_leaves_a_files_track_as_it_was(demo, video_file, tmp_path, box_of, bright):
    demo(video_file, "--init_box", *box_of(0), "--out", tmp_path / "o")
    before = {name: (tmp_path / "o" / name).read_bytes() for name in FILES}

    class Interrupted(bright):
        def update(self, image):
            signal.raise_signal(signal.SIGINT)
            return super().update(image)

    assert demo(video_file, "--init_box", *box_of(0), "--out", tmp_path / "o", tracker=Interrupted())[0] == 130
    assert {name: (tmp_path / "o" / name).read_bytes() for name in os.listdir(tmp_path / "o")} == before


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


def test_arguments_that_are_too_many_are_refused_with_what_was_meant(demo, tmp_path):
    images = [tmp_path / f"{number:04d}.jpg" for number in range(500)]  # as the shell expands *.jpg
    for image in images:
        image.touch()
    status, _, complained = demo(*images, "--init_box", 1, 2, 30, 40)
    assert status == 1 and "0003.jpg and 496 more" in complained and "'holiday/*.jpg'" in complained
    assert complained.count("\n") == 1 and len(complained) < 1000
    status, _, complained = demo(images[0], "--init_box", 1, 2, 30, 40, 5, 6, 70, 80)
    assert status == 1 and "5 6 70 80 after the numbers of a box: for another target repeat --init_box" in complained
    status, _, complained = demo(images[0], "--init_box", 1, 2, 30, 40, "--fps", 5)
    assert status == 2 and complained.startswith("error: unrecognized arguments: --fps 5 (")


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


def test_with_the_network(demo, video_file, tmp_path, box_of):
    torch.manual_seed(0)
    torch.save({"net": build_model(load_config("MSTGT", "MSTGT-nano")).state_dict()}, tmp_path / "net.pth.tar")
    given = ("--checkpoint", tmp_path / "net.pth.tar", "--device", "cpu", "--frames", 3, "--out", tmp_path / "o")
    status, said, complained = demo(video_file, "--init_box", *box_of(0), *given, tracker="real")
    assert (status, complained) == (0, "") and "frames 0 to 2" in said
    status, _, complained = demo(video_file, "--init_box", 500, 40, 20, 20, *given, tracker="real")
    assert status == 1 and "of 160 x 120 px" in complained and complained.count("\n") == 1


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


def test_the_formats_are_those_that_can_be_written():
    assert tuple(RESULT_FILES) == video_demo.FORMATS
