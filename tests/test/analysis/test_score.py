"""Scores of videos and trackers: the rules for frames without ground truth, problems, means."""

import re

import numpy as np
import pytest

from lib.data.sequence import Sequence, VideoSet
from lib.test.analysis.score import TRIVIAL, average, score_folder, score_trivial, score_video
from lib.test.evaluation import rules
from lib.test.evaluation.benchmarks import Benchmark
from lib.test.evaluation.results import write_result
from lib.utils.errors import UserError

BOX = [10.0, 10.0, 10.0, 10.0]
NAN = [np.nan] * 4


def sequence(boxes, name="v", **known):
    boxes = np.array(boxes, float)
    visible = known.pop("visible", np.isfinite(boxes).all(1) & (boxes[:, 2:] > 0).all(1))
    return Sequence(name, range(len(boxes)), boxes, np.array(visible), **known)


def benchmark(*sequences, rule=rules.DROP, expected=None):
    by_name = {s.name: s for s in sequences}
    return Benchmark("b", VideoSet("b", tuple(by_name), by_name.__getitem__), expected or len(by_name), rule), by_name


@pytest.mark.parametrize(("rule", "overlap", "precision", "normalised"), [
    (rules.DROP, 1, 1, 1), (rules.LASOT, 0.5, 0.5, 0.5), (rules.OTB, 0.5, 0.5, 1), (rules.UAV, 0.5, 1, 1)])
def test_frames_without_ground_truth(rule, overlap, precision, normalised):
    video = sequence([BOX, BOX, NAN, [0, 0, 0, 0]])
    score = score_video(np.array([BOX] * 4), video, rule)
    assert (score.success[10], score.precision[20], score.normalised[20]) == (overlap, precision, normalised)


def test_an_absent_target_with_a_box_is_a_failure_on_lasot():
    video = sequence([BOX, BOX], visible=[True, False])
    score = score_video(np.array([BOX] * 2), video, rules.LASOT)
    assert score.success.tolist() == [0.5] * 20 + [0] and score.overlaps.tolist() == [0]


def test_got10k_leaves_out_covered_frames_and_the_first_and_cuts_to_the_image():
    truth = [BOX, BOX, BOX, [90, 10, 10, 10]]
    video = sequence(truth, visible_ratio=np.array([1, 0, 0.5, 1]), size_wh=(100, 100))
    score = score_video(np.array([BOX, BOX, [15, 10, 10, 10], [90, 10, 20, 10]]), video, rules.GOT10K)
    np.testing.assert_allclose(score.overlaps, [1 / 3, 1])


def test_the_first_box_is_given_and_empty_boxes_repeat_the_last():
    video = sequence([BOX] * 3)
    score = score_video(np.array([[0, 0, 1, 1], BOX, [0, 0, 0, 0]]), video, rules.LASOT)
    assert score.success[19] == 1


def test_frames_after_the_annotation_do_not_count():
    video = sequence([BOX, BOX, NAN, NAN], annotated=2)
    assert score_video(np.array([BOX] * 4), video, rules.LASOT).success[0] == 1


def test_a_video_without_any_truth_cannot_be_scored():
    with pytest.raises(UserError, match="v: no frame"):
        score_video(np.array([BOX]), sequence([NAN]), rules.LASOT)


def test_curves_are_averaged_by_video_and_ao_by_frame():
    long = score_video(np.array([BOX] * 11), sequence([BOX] * 11), rules.DROP)
    lost = score_video(np.array([BOX, [90, 90, 5, 5]]), sequence([BOX] * 2), rules.DROP)
    score = average("t", [long, lost], 2)
    assert score.op50 == 75 and score.auc == pytest.approx(100 * (20 / 21 + 10 / 21) / 2)
    assert score.ao == pytest.approx(1000 / 11) == score.sr50 and score.fps is None


def test_fps_leaves_out_the_first_frame(tmp_path):
    bench, videos = benchmark(sequence([BOX] * 3))
    write_result(tmp_path, "v", np.array([BOX] * 3), np.array([9, 0.1, 0.1]), np.ones(3))
    score, problems = score_folder("t", tmp_path, bench, videos)
    assert score.fps == pytest.approx(10) and problems == [] and score.label == "t"


def test_missing_short_long_and_broken_results_are_listed_and_left_out(tmp_path):
    bench, videos = benchmark(*(sequence([BOX] * 3, name) for name in ("good", "gone", "short", "long", "bad", "time")))
    for name, rows in {"good": 3, "short": 2, "long": 4, "bad": 3, "time": 3}.items():
        write_result(tmp_path, name, np.array([BOX] * rows), np.ones(rows), np.ones(rows))
    (tmp_path / "bad.txt").write_text("1,2,3,4\n1,2,3\n1,2,3,4\n")
    (tmp_path / "time_time.txt").write_text("1\n")
    score, problems = score_folder("t", tmp_path, bench, videos)
    assert score.label == "t (1 of 6 videos)" and score.auc == pytest.approx(2000 / 21)
    assert [p.missing for p in problems] == [True, False, False, False, False]
    expected = ["missing .*gone.txt", "short.txt: too short: 2 rows for 3", "long.txt: too long", "bad.txt, line 2",
                "time_time.txt: too short"]
    for problem, words in zip(problems, expected, strict=True):
        assert re.search(words, problem.message)


def test_the_trivial_tracker_keeps_the_first_box():
    bench, videos = benchmark(sequence([BOX, BOX, [50, 50, 10, 10]]))
    score = score_trivial(bench, videos)
    assert score.tracker == TRIVIAL and score.op50 == pytest.approx(200 / 3) and score.sr50 == 50
