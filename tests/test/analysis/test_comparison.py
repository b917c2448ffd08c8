"""Two trackers compared: what is said, and the command."""

import contextlib
import io
import json
import runpy
import sys
from pathlib import Path

import numpy as np
import pytest

from mstgt.config.paths import ENVIRONMENT
from mstgt.test.analysis.comparison import compare
from mstgt.test.analysis.score import average, score_video
from mstgt.test.evaluation.absent_frames import DROP
from mstgt.test.evaluation.results import write_result
from tests.test.analysis.helpers import BOX, sequence

ROOT = Path(__file__).resolve().parents[3]


@pytest.fixture(autouse=True)
def no_paths_from_outside(monkeypatch):
    for name in ENVIRONMENT.values():
        monkeypatch.delenv(name, raising=False)


def shifted(pixels):
    return np.array([BOX, *[[10 + pixels, 10, 10, 10]] * 9])


def score(tracker, shifts, expected=None):
    videos = [score_video(shifted(pixels), sequence([BOX] * 10, name), DROP) for name, pixels in shifts.items()]
    return average(tracker, videos, expected or len(videos))


def test_one_tracker_against_itself():
    comparison = compare(score("a", {"x": 1, "y": 3}), score("b", {"x": 1, "y": 3}))
    assert "[+0.00, +0.00]" in comparison.text() and "AUC: the two are the same on every video." in comparison.text()
    assert "greatest" not in comparison.text()


def test_a_clear_and_an_unclear_difference_are_said_as_such():
    clear = compare(score("a", dict.fromkeys("uvwxyz", 0)), score("b", dict.fromkeys("uvwxyz", 4)))
    assert "AUC: the interval does not hold 0: that a is better than b" in clear.text()
    assert clear.as_json()["figures"]["success_auc"]["share_a_better"] == 1
    turned = compare(score("b", dict.fromkeys("uvwxyz", 4)), score("a", dict.fromkeys("uvwxyz", 0)))
    assert "that a is better than b" in turned.text()
    unclear = compare(score("a", {"u": 0, "v": 3, "w": 5}), score("b", {"u": 4, "v": 2, "w": 1}))
    assert "AUC: the interval holds 0: 3 videos do not show which of the two is better" in unclear.text()
    assert "greatest gains of a (AUC): u +" in unclear.text() and "greatest losses of a (AUC): w -" in unclear.text()


def test_only_common_videos_count_and_that_is_said():
    comparison = compare(score("a", {"u": 0, "v": 3}, expected=5), score("b", {"v": 3, "w": 0}, expected=5))
    assert comparison.videos == ("v",) and "1 of 5 videos" in comparison.text()
    assert comparison.as_json()["figures"]["precision"]["difference"] == 0
    assert compare(score("a", {"u": 0}), score("b", {"w": 0})) is None


def run(*args):
    """Run the command in this process: its status, output and errors."""
    out, err = io.StringIO(), io.StringIO()
    argv, sys.argv = sys.argv, ["compare.py", *map(str, args)]
    try:
        with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err), pytest.raises(SystemExit) as stop:
            runpy.run_path(str(ROOT / "tracking" / "compare.py"), run_name="__main__")
    finally:
        sys.argv = argv
    return stop.value.code, out.getvalue(), err.getvalue()


@pytest.fixture
def world(tmp_path):
    """Three annotated videos, a tracker under the output folder and one elsewhere."""
    own = tmp_path / "out" / "test" / "tracking_results" / "mstgt" / "full" / "mine_folder"
    for name, ours, theirs in (("u", 0, 2), ("v", 1, 1), ("w", 0, 5)):
        (tmp_path / "mine" / name).mkdir(parents=True)
        (tmp_path / "mine" / name / "groundtruth.txt").write_text(10 * "10,10,10,10\n")
        write_result(own, name, shifted(ours), np.ones(10), np.ones(10))
        write_result(tmp_path / "theirs", name, shifted(theirs), np.ones(10), np.ones(10))
    (own / "benchmark.json").write_text(json.dumps({"benchmark": "mine", "root": str(tmp_path / "mine")}))
    return tmp_path, ("--dataset_dir", tmp_path / "mine", "--save_dir", tmp_path / "out",
                      "--results", f"Theirs={tmp_path / 'theirs'}")


def test_own_results_against_external_ones(world):
    tmp_path, args = world
    status, out, err = run("full", "Theirs", *args, "--json", tmp_path / "c.json", "--resamples", 500)
    assert status == 0, err
    assert "mstgt/full against Theirs, 3 videos (%; 500 resamples)" in out and "w +" in out
    value = json.loads((tmp_path / "c.json").read_text())
    assert value["a"] == "mstgt/full" and value["figures"]["success_auc"]["difference"] > 0
    assert value["video_differences"]["v"] == {"success_auc": 0, "precision": 0, "norm_precision": 0}
    assert run("full", "Theirs", *args, "--json", tmp_path / "d.json", "--resamples", 500, "--no_cache")[0] == 0
    assert (tmp_path / "c.json").read_text() == (tmp_path / "d.json").read_text()


def test_a_missing_video_is_said_and_sets_the_status(world):
    tmp_path, args = world
    (tmp_path / "theirs" / "v.txt").unlink()
    status, out, err = run("full", "Theirs", *args)
    assert status == 1 and err.startswith("error: the problems above") and err.count("\n") == 1
    assert out.index("missing") < out.index("2 of 3 videos")
    assert run("full", "Theirs", *args, "--allow_missing")[0] == 0


@pytest.mark.parametrize("flag", ["--seed", "--limit"])
def test_numbers_below_zero_are_refused(world, flag):
    status, _, err = run("full", "Theirs", *world[1], flag, "-1")
    assert status == 2 and f"{flag} -1: give 0 or more" in err and err.count("\n") == 1


@pytest.mark.parametrize(("names", "words"), [
    (("full", "Nobody"), "Nobody"), (("mstgt", "Theirs"), None), (("full", "mstgt/full"), "one tracker")])
def test_unknown_and_ambiguous_names_are_refused(world, names, words):
    status, _, err = run(*names, *world[1])
    if words is None:
        assert status == 0, err
    else:
        assert status == 1 and words in err and err.count("\n") == 1
