"""Zips for the servers of GOT-10k and TrackingNet: what goes in, what is refused, and that sources stay as they are."""

from __future__ import annotations

import dataclasses
import hashlib
import runpy
import subprocess
import sys
import zipfile
from pathlib import Path

import numpy as np
import pytest

from mstgt.test.evaluation import results
from mstgt.test.evaluation.benchmarks import load_benchmark
from mstgt.test.evaluation.submission import absent_videos, collect, server_of, unexpected_files, write_zip
from mstgt.utils.errors import UserError

PACK = Path(__file__).resolve().parents[3] / "tracking" / "pack_submission.py"
GIVEN = {"a": (10, 20, 30, 40), "b": (1.5, 2, 3, 4)}
FRAMES = {"a": 3, "b": 2}


@pytest.fixture
def data(tmp_path) -> Path:
    """The same two videos as the test sets of GOT-10k and of TrackingNet; frames are empty files."""
    root = tmp_path / "data"
    for video, frames in FRAMES.items():
        box = ",".join(map(str, GIVEN[video])) + "\n"
        got10k, trackingnet = root / "got10k/test" / video, root / "trackingnet/TEST"
        for folder in (got10k, trackingnet / "frames" / video, trackingnet / "anno"):
            folder.mkdir(parents=True, exist_ok=True)
        (got10k / "groundtruth.txt").write_text(box)
        (trackingnet / "anno" / f"{video}.txt").write_text(box)
        for n in range(frames):
            (got10k / f"{n + 1:08d}.jpg").touch()
            (trackingnet / "frames" / video / f"{n}.jpg").touch()
    (root / "got10k/test/list.txt").write_text("a\nb\n")
    return root


def load(name, data):
    return dataclasses.replace(load_benchmark(name, lambda key: data / key), expected=2)


def boxes_of(video):
    steps = np.arange(FRAMES[video])[:, None] * np.array([1.1234, 0.5, 0.0301, 0])
    return np.array(GIVEN[video]) + steps


def write_own(folder):
    for video, frames in FRAMES.items():
        results.write_result(folder, video, boxes_of(video), np.full(frames, 0.0125), np.ones(frames))


def change(path, text):
    """Write other results, as another project would: without digests."""
    path.write_text(text)
    path.with_name(f"{path.name[0]}.sha256").unlink()


def packed(data, folder, name, out):
    benchmark = load(name, data)
    members, problems = collect(benchmark, folder, server_of(benchmark.name))
    assert problems == []
    write_zip(out, members)
    with zipfile.ZipFile(out) as archive:
        assert archive.testzip() is None
        return {info.filename: archive.read(info).decode() for info in archive.infolist()}


def numbers(text):
    return np.array([[float(v) for v in line.split(",")] for line in text.splitlines()])


def state(folder):
    return {p: (p.stat().st_mtime_ns, hashlib.sha256(p.read_bytes()).hexdigest())
            for p in folder.rglob("*") if p.is_file()}


def problems_of(data, folder, name="got10k"):
    benchmark = load(name, data)
    return collect(benchmark, folder, server_of(benchmark.name))[1]


def test_got10k_zip_has_boxes_and_times_with_all_decimals(data, tmp_path):
    write_own(tmp_path / "own")
    before = state(tmp_path / "own")
    files = packed(data, tmp_path / "own", "got10k", tmp_path / "out.zip")
    assert list(files) == ["a/a_001.txt", "a/a_time.txt", "b/b_001.txt", "b/b_time.txt"]
    for video in GIVEN:
        np.testing.assert_array_equal(numbers(files[f"{video}/{video}_001.txt"]), boxes_of(video).round(4))
        assert numbers(files[f"{video}/{video}_time.txt"]).tolist() == [[0.0125]] * FRAMES[video]
    assert state(tmp_path / "own") == before


@pytest.mark.parametrize("separator", ["\t", "; "])
def test_trackingnet_zip_is_flat_and_comma_separated(data, tmp_path, separator):
    for video in GIVEN:  # foreign: other separators, many decimals, no times
        rows = boxes_of(video)
        (tmp_path / f"{video}.txt").write_text("\n".join(separator.join(f"{v:.9f}" for v in row) for row in rows))
    files = packed(data, tmp_path, "trackingnet", tmp_path / "out.zip")
    assert list(files) == ["a.txt", "b.txt"]
    assert files["a.txt"].splitlines()[1] == "11.123400000,20.500000000,30.030100000,40.000000000"
    np.testing.assert_array_equal(numbers(files["b.txt"]), boxes_of("b").round(9))


@pytest.mark.parametrize("layout", ["{0}/{0}_001.txt", "{0}_001.txt"])
def test_got10ks_own_layouts_are_sources_too(data, tmp_path, layout):
    write_own(tmp_path / "own")
    theirs = tmp_path / "theirs"
    for video in GIVEN:
        times = Path(layout.format(video)).parent / f"{video}_time.txt"
        for name, source in ((layout.format(video), f"{video}.txt"), (times, f"{video}_time.txt")):
            (theirs / name).parent.mkdir(parents=True, exist_ok=True)
            (theirs / name).write_bytes((tmp_path / "own" / source).read_bytes())
    assert packed(data, theirs, "got10k", tmp_path / "1.zip") == \
        packed(data, tmp_path / "own", "got10k", tmp_path / "2.zip")


def test_the_same_results_give_the_same_bytes(data, tmp_path):
    write_own(tmp_path / "own")
    packed(data, tmp_path / "own", "got10k", tmp_path / "1.zip")
    for path in (tmp_path / "own").iterdir():
        path.touch()
    packed(data, tmp_path / "own", "got10k", tmp_path / "2.zip")
    assert (tmp_path / "1.zip").read_bytes() == (tmp_path / "2.zip").read_bytes()


@pytest.mark.parametrize(("file", "text", "expected"), [
    ("a.txt", "10,20,30,40\n1,2,3,4\n", ["a.txt, line 3: 2 rows for the 3 frames"]),
    ("a.txt", "10,20,30,40\n" + "1,2,3,4\n" * 4, ["a.txt, line 4: 5 rows for the 3 frames"]),
    ("a.txt", "", ["a.txt, line 1: 0 rows for the 3 frames"]),
    ("a.txt", "10,20,30,40\nnan,1,2,3\n1,2,-3,4\n", ["a.txt, line 2: not finite", "a.txt, line 3: a side below zero"]),
    ("a.txt", "x,y,w,h\n1,2,3,4\n1,2,3,4\n", ["a.txt, line 1: 'x' is not a finite number"]),
    ("a.txt", "10,20,30,40\n1,2,3\n1,2,inf,4\n", ["a.txt, line 2: expected 4 numbers", "a.txt, line 3: 'inf'"]),
    ("a.txt", "10,20,30,40\n\n1,2,3,-4\n", ["a.txt, line 2: an empty line", "a.txt, line 3: a side below zero"]),
    ("a.txt", "10,20,30,41.01\n1,2,3,4\n1,2,3,4\n", ["a.txt, line 1: the first box is 10,20,30,41.01"]),
    ("a_time.txt", "0.1\n-0.1\nnan\n", ["a_time.txt, line 2: not a time", "a_time.txt, line 3: not a time"]),
    ("a_time.txt", "0.1\n0.1\n", ["a_time.txt, line 3: 2 rows for the 3 frames"]),
])
def test_every_problem_is_named_with_file_and_line(data, tmp_path, file, text, expected):
    write_own(tmp_path)
    change(tmp_path / file, text)
    found = problems_of(data, tmp_path)
    assert len(found) == len(expected), found
    for line, words in zip(found, expected, strict=True):
        assert line.startswith(str(tmp_path)) and words in line


def test_what_servers_take_is_no_problem(data, tmp_path):
    write_own(tmp_path)
    change(tmp_path / "a.txt", "10.9 20 30 40\n1 2 0 0\n-5 -6.25 3 4\n\n")  # within 1 px, no area, outside
    (tmp_path / "a_time.txt").write_text("0\n0\n0.5\n")
    assert problems_of(data, tmp_path) == []


def test_what_was_changed_after_it_was_written_is_named(data, tmp_path):
    write_own(tmp_path)
    (tmp_path / "a_time.txt").write_text("0\n0\n0.5\n")
    [problem] = problems_of(data, tmp_path)
    assert str(tmp_path / "a_time.txt") in problem and "a.sha256" in problem


def test_missing_files_are_named(data, tmp_path):
    write_own(tmp_path)
    (tmp_path / "a.txt").unlink()
    (tmp_path / "b_time.txt").unlink()
    first, second = problems_of(data, tmp_path)
    assert str(tmp_path / "a.txt") in first and str(tmp_path / "b_time.txt") in second
    assert problems_of(data, tmp_path, "trackingnet") == [first]


def test_a_video_without_frames_cannot_be_checked(data, tmp_path):
    write_own(tmp_path)
    for image in (data / "got10k/test/a").glob("*.jpg"):
        image.unlink()
    [problem] = problems_of(data, tmp_path)
    assert "frames of a are not on disk" in problem


def test_unexpected_files_and_absent_videos_are_named(data, tmp_path):
    write_own(tmp_path)
    (tmp_path / "readme.txt").touch()
    benchmark = load("got10k", data)
    assert unexpected_files(benchmark, tmp_path) == ["readme.txt"] and absent_videos(benchmark) is None
    (data / "got10k/test/list.txt").write_text("a\nb\nc\n")
    assert "only 2 of the 3 videos" in absent_videos(dataclasses.replace(load("got10k", data), expected=3))


@pytest.mark.parametrize("name", ["lasot", "got10k_val", "/my/videos"])
def test_a_benchmark_without_a_server_is_refused(name):
    with pytest.raises(UserError, match="got10k_test, trackingnet"):
        server_of(name)


@pytest.fixture
def pack(data, tmp_path, monkeypatch, capsys):
    """Run the command in this process; what it printed."""
    def run(*arguments):
        monkeypatch.setattr(sys, "argv", [str(PACK), *map(str, arguments), "--data_dir", str(data),
                                          "--save_dir", str(tmp_path / "save")])
        assert runpy.run_path(str(PACK))["main"]() == 0
        return capsys.readouterr().out
    return run


def test_command_packs_a_run_of_test_py(data, tmp_path, pack):
    folder = results.result_folder(tmp_path / "save", "mstgt", "MSTGT-demo-128_try", "got10k_test")
    write_own(folder)
    said = pack("--dataset", "got10k", "--tracker_param", "mstgt-demo-128", "--run", "try", "--allow_missing")
    out = tmp_path / "save/test/submissions/got10k_test/mstgt_MSTGT-demo-128_try.zip"
    assert f"{out}: 4 files of 2 videos" in said and "NOT COMPLETE, only 2 of the 180" in said
    assert len(zipfile.ZipFile(out).namelist()) == 4


def test_command_writes_nothing_when_something_is_wrong(data, tmp_path):
    write_own(tmp_path / "own")
    change(tmp_path / "own" / "b.txt", "1.5,2,3,4\n1,2,3,oops\n")
    done = subprocess.run([sys.executable, str(PACK), "--dataset", "trackingnet", "--results", str(tmp_path / "own"),
                           "--out", str(tmp_path / "new" / "x.zip"), "--data_dir", str(data)],
                          capture_output=True, text=True, timeout=120)
    assert done.returncode == 1
    assert "problem: only 2 of the 511 videos of trackingnet" in done.stdout
    assert f"problem: {tmp_path}/own/b.txt, line 2: 'oops'" in done.stdout
    assert done.stderr.startswith("error: 2 problem(s)") and done.stderr.count("\n") == 1
    assert not (tmp_path / "new").exists()


def test_command_says_what_is_not_there(data, tmp_path, pack):
    with pytest.raises(UserError, match=r"tracking/test\.py --config MSTGT-demo-128 --dataset trackingnet"):
        pack("--dataset", "trackingnet", "--tracker_param", "MSTGT-demo-128")
    with pytest.raises(UserError, match=f"{tmp_path}/nowhere"):
        pack("--dataset", "trackingnet", "--results", tmp_path / "nowhere")
    write_own(tmp_path / "own")
    results.write_json(tmp_path / "own" / results.MANIFEST, {"benchmark": "lasot", "root": None})
    with pytest.raises(UserError, match="results on lasot, not on trackingnet"):
        pack("--dataset", "trackingnet", "--results", tmp_path / "own", "--allow_missing")
