"""The command puts a track right: boxes that are given at later frames, of one target or several."""

from __future__ import annotations

import json
import os

import numpy as np

from mstgt.apps.video_demo.results import read_rows
from tests.apps.video_demo.helpers import FILES, frames_of_video, lines


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
