"""Tables, plots, and the command that makes them."""

import contextlib
import io
import json
import runpy
import sys
import tarfile
from dataclasses import dataclass, replace
from pathlib import Path
from unittest.mock import patch

import numpy as np
import pytest

from mstgt.config.paths import ENVIRONMENT
from mstgt.data.video import Video
from mstgt.test.analysis.report import BenchmarkReport
from mstgt.test.analysis.score import average, score_video
from mstgt.test.analysis.table import format_table
from mstgt.test.evaluation.absent_frames import DROP
from mstgt.test.evaluation.benchmarks import folder_benchmark
from mstgt.test.evaluation.results import result_folder, write_manifest, write_result

ROOT = Path(__file__).resolve().parents[3]
LASOT = ROOT.parent / "shared" / "real" / "lasot_ope"


@dataclass
class Done:
    returncode: int
    stdout: str
    stderr: str


@pytest.fixture(autouse=True)
def no_paths_from_outside(monkeypatch):
    for name in ENVIRONMENT.values():
        monkeypatch.delenv(name, raising=False)


def run(*args, plots=False):
    """Run the command in this process; without drawing, which takes longest, unless ``plots``."""
    out, err = io.StringIO(), io.StringIO()
    argv, sys.argv = sys.argv, ["analysis_results.py", *map(str, args)]
    try:
        with (contextlib.redirect_stdout(out), contextlib.redirect_stderr(err), pytest.raises(SystemExit) as stop,
              contextlib.nullcontext() if plots else patch("mstgt.visualize.plots.draw_plots")):
            runpy.run_path(str(ROOT / "tracking" / "analysis_results.py"), run_name="__main__")
    finally:
        sys.argv = argv
    return Done(stop.value.code, out.getvalue(), err.getvalue())


@pytest.fixture
def world(tmp_path):
    """Three videos of four frames, annotations only, and perfect results made by our own writers."""
    boxes = np.array([[n, n, 20, 20] for n in range(0, 40, 10)], float)
    for name in "abc":
        folder = tmp_path / "mine" / name
        folder.mkdir(parents=True)
        (folder / "groundtruth.txt").write_text("\n".join(",".join(map(str, b)) for b in boxes) + "\n")
    benchmark = folder_benchmark(tmp_path / "mine")
    results = result_folder(tmp_path / "out", "mstgt", "full", benchmark.name)
    write_manifest(results, benchmark, "mstgt", "full")
    for name in "abc":
        write_result(results, name, boxes, np.full(4, 0.05), np.ones(4))
    return tmp_path, results


def test_everything_found_is_scored_with_no_choice_made(world):
    tmp_path, _ = world
    done = run("--save_dir", tmp_path / "out", "--json", tmp_path / "s.json", plots=True)
    assert done.returncode == 0, done.stderr
    rows = [line.split() for line in done.stdout.splitlines()]
    assert ["mstgt/full", "95.24", *["100.00"] * 7, "20.0", "3"] in rows
    assert "static-box baseline" in done.stdout
    plots = tmp_path / "out" / "test" / "result_plots" / "mine"
    assert {p.name for p in plots.iterdir()} >= {
        f"{name}.{suffix}" for name in ("success", "precision", "norm_precision") for suffix in ("png", "pdf")}
    assert json.loads((tmp_path / "s.json").read_text())["benchmarks"][0]["trackers"]["mstgt/full"]["videos"] == 3


def test_problems_come_before_means_and_set_the_status(world):
    tmp_path, results = world
    (results / "b.txt").unlink()
    args = ["--save_dir", tmp_path / "out", "--dataset_dir", tmp_path / "mine", "--out", tmp_path / "plots"]
    done = run(*args, plots=True)
    assert done.returncode == 1 and done.stderr.startswith("error: ") and done.stderr.count("\n") == 1
    assert done.stdout.index(f"missing {results / 'b.txt'}") < done.stdout.index("mstgt/full (2 of 3 videos)")
    assert (tmp_path / "plots" / "success.png").is_file()
    assert run(*args, "--allow_missing", "--no-with_static_box").returncode == 0
    (results / "a.sha256").unlink()
    (results / "a.txt").write_text("1,2,3,4\nx\n")
    done = run(*args, "--allow_missing")
    assert done.returncode == 1 and f"{results / 'a.txt'}, line 2" in done.stdout and "(1 of 3 videos)" in done.stdout


def test_external_results_and_choice_of_trackers(world):
    tmp_path, results = world
    foreign = tmp_path / "foreign"
    foreign.mkdir()
    for name in "abc":
        (foreign / f"{name}.txt").write_text((results / f"{name}.txt").read_text().replace(",", "\t"))
    done = run("--dataset_dir", tmp_path / "mine", "--results", f"Other={foreign}", "--save_dir", tmp_path / "out",
               "--trackers", "Other", "--json", tmp_path / "s.json")
    assert done.returncode == 0, done.stderr
    value = json.loads((tmp_path / "s.json").read_text())
    assert value["benchmark"] == "mine" and list(value["trackers"]) == ["Other"]
    assert value["trackers"]["Other"]["success_auc"] == pytest.approx(2000 / 21)
    assert "attributes" not in value["trackers"]["Other"]
    assert value["trackers"]["Other"]["precision"] == value["trackers"]["Other"]["norm_precision"] == 100


@pytest.mark.parametrize(("args", "words"), [
    ([], "nothing to score"), (["--dataset", "lasott"], "did you mean 'lasot'"),
    (["--dataset", "lasot", "--data_dir", "{tmp}/no"], "{tmp}/no/lasot"),
    (["--dataset_dir", "{tmp}/no"], "{tmp}/no"), (["--trackers", "x"], "no results of tracker 'x'")])
def test_mistakes_end_in_one_line(tmp_path, args, words):
    done = run("--save_dir", tmp_path / "out", *(a.format(tmp=tmp_path) for a in args))
    assert done.returncode == 1 and done.stderr.startswith("error: ") and done.stderr.count("\n") == 1
    assert words.format(tmp=tmp_path) in done.stderr and not (tmp_path / "out").exists()


def test_attributes_are_shown_and_put_into_json(world):
    tmp_path, results = world
    (tmp_path / "mine" / "a" / "meta_info.ini").write_text("[METAINFO]\nattributes: blur, dark\n")
    (tmp_path / "mine" / "b" / "meta_info.ini").write_text("[METAINFO]\nattributes: dark\n")
    (results / "b.txt").unlink()
    args = ["--save_dir", tmp_path / "out", "--dataset_dir", tmp_path / "mine", "--json", tmp_path / "s.json",
            "--allow_missing"]
    done = run(*args, "--attributes")
    assert done.returncode == 0, done.stderr
    rows = [line.split() for line in done.stdout.splitlines()]
    assert any(row[:2] == ["blur", "95.24"] and row[-1] == "1" for row in rows)
    assert any(row[:4] == ["dark", "95.24", "(1", "videos)"] and row[-1] == "2" for row in rows)
    value = json.loads((tmp_path / "s.json").read_text())
    assert value["attributes_measured"] is False
    assert value["trackers"]["mstgt/full"]["attributes"]["dark"] | {"videos": 1, "expected_videos": 2} == \
        value["trackers"]["mstgt/full"]["attributes"]["dark"]
    assert "AUC by attribute" not in run(*args).stdout


def test_measured_attributes_are_said_to_be_measured(world):
    tmp_path, _ = world
    done = run("--save_dir", tmp_path / "out", "--attributes", "--json", tmp_path / "s.json")
    assert done.returncode == 0 and "note: no attributes of mine are known" in done.stdout
    assert json.loads((tmp_path / "s.json").read_text())["benchmarks"][0]["attributes_measured"] is True
    assert "low_resolution" in done.stdout


def test_a_broken_annotation_excludes_its_video_alone(world):
    tmp_path, _ = world
    truth = tmp_path / "mine" / "b" / "groundtruth.txt"
    truth.write_text("0,y,20,20\n" + truth.read_text())
    done = run("--save_dir", tmp_path / "out")
    assert done.returncode == 1 and "mstgt/full (2 of 3 videos)" in done.stdout
    assert done.stdout.index(f"problem: mine: {truth}, line 1: 'y' is not") < done.stdout.index("2 of 3 videos")


def test_gaps_in_an_annotation_follow_the_policy(world):
    tmp_path, _ = world
    (tmp_path / "mine" / "b" / "groundtruth.txt").write_text("0,0,20,20\nNaN,NaN,NaN,NaN\n20,20,0,0\n30,30,20,20\n")
    done = run("--save_dir", tmp_path / "out")
    assert done.returncode == 0 and ["mstgt/full", "95.24"] in [line.split()[:2] for line in done.stdout.splitlines()]


def test_scores_are_kept_under_the_output_folder_unless_told_otherwise(world):
    tmp_path, _ = world
    cache = tmp_path / "out" / ".cache" / "scores"
    without = run("--save_dir", tmp_path / "out", "--no_cache")
    assert without.returncode == 0 and not cache.exists()
    for _ in range(2):
        assert run("--save_dir", tmp_path / "out").stdout == without.stdout
        assert len(list(cache.iterdir())) == 1


def test_a_name_can_be_given_once(world):
    tmp_path, results = world
    done = run("--dataset_dir", tmp_path / "mine", "--results", f"X={results}", "--results", f"X={results}")
    assert done.returncode == 2 and "--results X=… is given twice" in done.stderr


def test_a_benchmark_that_went_away_is_a_problem(world):
    tmp_path, _ = world
    (tmp_path / "mine").rename(tmp_path / "yours")
    done = run("--save_dir", tmp_path / "out")
    assert done.returncode == 1 and f"no folder {tmp_path / 'mine'}" in done.stdout


def test_a_label_says_how_many_videos_there_are():
    boxes = np.array([[0, 0, 10, 10]] * 3, float)
    video = score_video(boxes, Video("v", range(3), boxes, np.ones(3, bool)), DROP)
    scores = [average(f"{'very_' * 20}long_{i}", [video], 2) for i in range(12)]
    assert "(1 of 2 videos)" in format_table("b", scores)


@pytest.mark.parametrize("rows", [1, 3])
def test_where_only_the_given_box_is_known_nothing_is_scored(tmp_path, rows):
    (tmp_path / "mine" / "a").mkdir(parents=True)
    (tmp_path / "mine" / "a" / "groundtruth.txt").write_text("1,2,3,4\n" + "nan,nan,nan,nan\n" * (rows - 1))
    write_result(tmp_path / "r", "a", np.array([[1, 2, 3, 4]] * rows), np.ones(rows), np.ones(rows))
    done = run("--dataset_dir", f"{tmp_path}/mine/../mine", "--results", f"X={tmp_path / 'r'}", "--save_dir", tmp_path,
               "--json", tmp_path / "s.json")
    assert done.returncode == 1 and "problem: mine a: only the first frame has a ground truth" in done.stdout
    assert "mine: no result could be scored" in done.stdout and "95.24" not in done.stdout
    assert json.loads((tmp_path / "s.json").read_text())["trackers"] == {}


def test_metrics_that_are_undefined_are_null_in_json():
    boxes = np.array([[0, 0, 10, 10]] * 3, float)
    video = score_video(boxes, Video("v", range(3), boxes, np.ones(3, bool)), DROP)
    score = average("t", [replace(video, counted=0)], 1)
    value = BenchmarkReport("b", (score,), None, (), ()).as_json()
    assert value["trackers"]["t"]["ao"] is None and value["trackers"]["t"]["fps"] is None


def test_many_missing_results_are_one_line_and_means_over_other_videos_are_not_compared(tmp_path):
    boxes = np.array([[n, n, 20, 20] for n in range(0, 40, 10)], float)
    names = [f"v{i:02d}" for i in range(30)]
    for i, name in enumerate(names):
        (tmp_path / "mine" / name).mkdir(parents=True)
        (tmp_path / "mine" / name / "groundtruth.txt").write_text("\n".join(",".join(map(str, b)) for b in boxes))
        write_result(tmp_path / "all", name, boxes, np.ones(4), np.ones(4))
        if i < 5:
            write_result(tmp_path / "few", name, boxes + [5, 0, 0, 0], np.ones(4), np.ones(4))
    done = run("--dataset_dir", tmp_path / "mine", "--results", f"All={tmp_path / 'all'}", "--results",
               f"Few={tmp_path / 'few'}", "--save_dir", tmp_path / "out")
    assert done.returncode == 1
    [line] = [line for line in done.stdout.splitlines() if line.startswith("problem")]
    assert line == (f"problem: Few: missing 25 of 30 results in {tmp_path / 'few'}: v05.txt, v06.txt, v07.txt and 22 "
                    "more")
    first, second = done.stdout.split("note: the means above")
    assert "Few (5 of 30 videos)" in first and "the 5 videos that all trackers have" in second
    assert "All " in second and "of 30 videos" not in second


def test_a_missing_frame_is_a_problem_and_does_not_shift_the_truth(tmp_path):
    """Frames 1 to 10 without 5, and a truth with a row for each of the ten."""
    boxes = np.array([[10 * n, 20, 20, 20] for n in range(10)], float)
    place = tmp_path / "mine" / "a"
    (place / "img").mkdir(parents=True)
    (place / "groundtruth.txt").write_text("\n".join(",".join(map(str, b)) for b in boxes))
    for number in (1, 2, 3, 4, 6, 7, 8, 9, 10):
        (place / "img" / f"{number:04d}.jpg").write_bytes(b"")
    there = np.delete(boxes, 4, axis=0)
    write_result(tmp_path / "nine", "a", there, np.ones(9), np.ones(9))
    write_result(tmp_path / "ten", "a", boxes, np.ones(10), np.ones(10))
    args = ["--dataset_dir", tmp_path / "mine", "--results", f"Nine={tmp_path / 'nine'}", "--results",
            f"Ten={tmp_path / 'ten'}", "--save_dir", tmp_path / "out"]
    done = run(*args)
    assert done.returncode == 1 and "problem: mine a: a frame is missing: " in done.stdout
    assert "0005.jpg" in done.stdout and run(*args, "--allow_missing").returncode == 0
    rows = [line.split() for line in done.stdout.splitlines()]
    assert [row[1] for row in rows if row[:1] in (["Nine"], ["Ten"])] == ["95.24", "95.24"]


def test_the_data_folder_may_be_the_dataset_itself(tmp_path):
    (tmp_path / "w" / "test" / "a").mkdir(parents=True)
    (tmp_path / "w" / "test" / "a" / "groundtruth.txt").write_text("1,2,3,4\n1,2,3,4\n")
    write_result(tmp_path / "r", "a", np.array([[1, 2, 3, 4]] * 2), np.ones(2), np.ones(2))
    args = ["--results", f"X={tmp_path / 'r'}", "--save_dir", tmp_path, "--data_dir"]
    assert run("--dataset", "synthetic", *args, tmp_path / "w").returncode == 0
    done = run("--dataset", "synthetic", *args, tmp_path)  # holds other folders, none of them the dataset
    assert done.returncode == 1 and f"no folder {tmp_path / 'synthetic'}" in done.stderr


@pytest.mark.skipif(not LASOT.is_dir(), reason="no shared/real/lasot_ope beside the checkout")
def test_published_lasot_scores_are_met(tmp_path):
    for name in ("lasot_test_annotations.tar.xz", "raw_results.tar.xz"):
        with tarfile.open(LASOT / name) as archive:
            archive.extractall(tmp_path, filter="data")
    done = run("--dataset", "lasot", "--data_dir", tmp_path, "--save_dir", tmp_path / "out",
               "--json", tmp_path / "s.json",
               "--results", f"ATOM={tmp_path / 'ATOM' / 'lasot'}", "--results", f"SiamRPNpp={tmp_path / 'SiamRPNpp'}")
    assert done.returncode == 0, done.stdout + done.stderr
    trackers = json.loads((tmp_path / "s.json").read_text())["trackers"]
    for tracker, published in {"ATOM": (51.5, 50.5, 57.6), "SiamRPNpp": (49.6, 49.1, 56.9)}.items():
        ours = [trackers[tracker][k] for k in ("success_auc", "precision", "norm_precision")]
        assert ours == pytest.approx(published, abs=0.1) and trackers[tracker]["videos"] == 280
