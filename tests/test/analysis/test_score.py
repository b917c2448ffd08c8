"""Scores of videos and trackers: the rules for frames without ground truth, problems, means."""

import numpy as np
import pytest

from mstgt.test.analysis.score import STATIC_BOX, average, score_by_attribute, score_static_box, score_video
from mstgt.test.evaluation import absent_frames
from mstgt.utils.errors import UserError
from tests.test.analysis.helpers import BOX, NAN, benchmark, sequence


@pytest.mark.parametrize(("rule", "overlap", "precision", "normalized"), [
    (absent_frames.DROP, 1, 1, 1), (absent_frames.LASOT, 0.5, 0.5, 0.5), (absent_frames.OTB, 0.5, 0.5, 1),
    (absent_frames.UAV, 0.5, 1, 1)])
def test_frames_without_ground_truth(rule, overlap, precision, normalized):
    video = sequence([BOX, BOX, NAN, [0, 0, 0, 0]])
    score = score_video(np.array([BOX] * 4), video, rule)
    shares = score.success[10], score.precision_curve[20], score.normalized_curve[20]
    assert shares == (overlap, precision, normalized)
    np.testing.assert_array_equal(score.frame_overlap, [1, 1, np.nan, np.nan])
    assert (score.name, score.op50, score.precision, score.norm_precision) == ("v", *(100 * s for s in shares))


def test_an_absent_target_with_a_box_is_a_failure_on_lasot():
    video = sequence([BOX, BOX], visible=[True, False])
    score = score_video(np.array([BOX] * 2), video, absent_frames.LASOT)
    assert score.success.tolist() == [0.5] * 20 + [0] and (score.counted, score.overlap_totals) == (1, (0, 0, 0))


def test_got10k_leaves_out_covered_frames_and_the_first_and_cuts_to_the_image():
    truth = [BOX, BOX, BOX, [90, 10, 10, 10]]
    video = sequence(truth, visible_ratio=np.array([1, 0, 0.5, 1]), size_wh=(100, 100))
    score = score_video(np.array([BOX, BOX, [15, 10, 10, 10], [90, 10, 20, 10]]), video, absent_frames.GOT10K)
    np.testing.assert_allclose(score.overlap_totals, [4 / 3, 1, 1])
    np.testing.assert_allclose(score.frame_overlap, [1, np.nan, 1 / 3, 1])


def test_the_first_box_is_given_and_empty_boxes_repeat_the_last():
    video = sequence([BOX] * 3)
    score = score_video(np.array([[0, 0, 1, 1], BOX, [0, 0, 0, 0]]), video, absent_frames.LASOT)
    assert score.success[19] == 1


def test_frames_after_the_annotation_do_not_count():
    video = sequence([BOX, BOX, NAN, NAN], annotated=2)
    assert score_video(np.array([BOX] * 4), video, absent_frames.LASOT).success[0] == 1


def test_a_video_without_any_truth_cannot_be_scored():
    with pytest.raises(UserError, match="v: no frame"):
        score_video(np.array([BOX]), sequence([NAN]), absent_frames.LASOT)


@pytest.mark.parametrize("policy", [absent_frames.DROP, absent_frames.LASOT, absent_frames.GOT10K])
def test_truth_in_the_first_frame_alone_is_nothing_to_score(policy):
    videos = [sequence([BOX]), sequence([BOX, NAN, NAN], annotated=1)]
    if policy.overlap == "drop":
        videos.append(sequence([BOX, NAN, NAN]))
    for video in videos:
        with pytest.raises(UserError, match="v: only the first frame has a ground truth"):
            score_video(np.array([BOX] * len(video)), video, policy)
        assert score_static_box(*benchmark(video, rule=policy)) is None


def test_curves_are_averaged_by_video_and_ao_by_frame():
    long = score_video(np.array([BOX] * 11), sequence([BOX] * 11), absent_frames.DROP)
    lost = score_video(np.array([BOX, [90, 90, 5, 5]]), sequence([BOX] * 2), absent_frames.DROP)
    score = average("t", [long, lost], 2)
    assert score.op50 == 75 and score.auc == pytest.approx(100 * (20 / 21 + 10 / 21) / 2)
    assert score.ao == pytest.approx(1000 / 11) == score.sr50 and score.fps is None


def test_the_static_box_baseline_keeps_the_given_box():
    bench, videos = benchmark(sequence([BOX, BOX, [50, 50, 10, 10]]))
    score = score_static_box(bench, videos)
    assert score.tracker == STATIC_BOX and score.op50 == pytest.approx(200 / 3) and score.sr50 == 50


@pytest.mark.parametrize("rule", [absent_frames.DROP, absent_frames.LASOT, absent_frames.OTB, absent_frames.UAV,
                                  absent_frames.GOT10K])
@pytest.mark.parametrize("hole", [NAN, [0, 0, 0, 0], [5, 5, 3, 0], [5, 5, -3, 4]])
def test_a_gap_in_the_annotation_never_makes_a_metric_undefined(rule, hole):
    video = sequence([BOX, BOX, hole, BOX], visible_ratio=np.ones(4), size_wh=(100, 100))
    score = score_video(np.array([BOX] * 4), video, rule)
    figures = [score.auc, score.precision, score.norm_precision, *score.overlap_totals]
    assert np.isfinite(figures).all() and score.counted == (2 if rule.overlap == "drop" else 3)


def test_got10k_goes_by_cover_alone_and_keeps_empty_predictions():
    video = sequence([BOX] * 4, visible=[True, True, False, True], visible_ratio=np.array([1, 1, 1, 0]),
                     size_wh=(100, 100))
    score = score_video(np.array([BOX, [10, 10, 0, 0], BOX, BOX]), video, absent_frames.GOT10K)
    np.testing.assert_array_equal(score.frame_overlap, [1, 0, 1, np.nan])


def test_scores_by_attribute_stand_on_the_videos_that_have_it():
    easy, hard, unscored = (sequence([BOX] * 3, name, attributes=a) for name, a in
                            (("easy", ("blur",)), ("hard", ("blur", "dark")), ("unscored", ("dark", "rain"))))
    videos = [score_video(np.array([BOX] * 3), easy, absent_frames.DROP),
              score_video(np.array([BOX, [80, 80, 5, 5], [80, 80, 5, 5]]), hard, absent_frames.DROP)]
    by_name = score_by_attribute(average("t", videos, 3), {s.name: s for s in (easy, hard, unscored)})
    assert {name: (round(s.op50, 6), s.videos, s.expected) for name, s in by_name.items()} == {
        "blur": (66.666667, 2, 2), "dark": (33.333333, 1, 2)}
    assert by_name["dark"].label == "t (1 of 2 videos)"
