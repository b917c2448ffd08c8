"""The page's data: what it holds, how overlaps are reduced, where targets are lost, and that names stay data."""

import base64
import dataclasses
import json
import re

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mstgt.visualize.html_report import safe_json, write_report
from mstgt.visualize.html_report.moments import draw_window, find_loss, worst_moments
from mstgt.visualize.html_report.values import MAX_POINTS, STEPS, UNKNOWN, bin_overlap, bin_width, encode, page_values


def embedded(path):
    """The data in a page."""
    page = path.read_text(encoding="utf-8")
    return json.loads(re.search(r'id="data">(.*?)</script>', page, re.S)[1]), page


def with_files(report, folders):
    """Result files under the videos' own names cannot be written for hostile ones: the plain videos only."""
    for folder in folders.values():
        for n in range(1, len(report.videos)):
            (folder / f"video {n}.txt").write_bytes((folder / f"{n}.txt").read_bytes())
    plain = {name: s for name, s in report.videos.items() if name.startswith("video")}
    scores = [dataclasses.replace(s, video_scores=tuple(v for v in s.video_scores if v.name in plain))
              for s in report.scores]
    return dataclasses.replace(report, videos=plain, scores=tuple(scores)), folders


def test_the_page_holds_the_report_and_nothing_from_outside(make_small_report, tmp_path):
    report, _ = make_small_report()
    path = write_report(report, tmp_path)
    values, page = embedded(path)
    assert path == tmp_path / "report.html" and list(tmp_path.iterdir()) == [path]
    hostile = report.scores[1].tracker
    assert [t["name"] for t in values["trackers"]] == ["alpha", hostile, "gamma", report.static_box.tracker]
    assert values["trackers"][0]["metrics"]["auc"] == pytest.approx(report.scores[0].auc, abs=0.005)
    assert values["problems"] == [p.message for p in report.problems] and values["notes"] == list(report.notes)
    assert [row["name"] for row in values["videos"]] == list(report.videos)
    assert {row["name"]: row["metrics"][2]["auc"] for row in values["attributes"]}["blur"] == pytest.approx(
        report.scores[2].auc, abs=0.005)
    assert page.count("<script") == 2 and "$data" not in page.split('id="data"')[0]
    assert not re.search(r"(src|href)=[\"']?(?!data:)(https?:)?//", page)
    policy = re.search(r'Content-Security-Policy" content="([^"]*)"', page)[1]
    assert "default-src 'none'" in policy and "unsafe" not in policy


def test_a_page_without_scores_shows_its_problems(make_small_report, tmp_path):
    report, _ = make_small_report(videos=1)
    values, _ = embedded(write_report(dataclasses.replace(report, scores=(), static_box=None), tmp_path))
    assert values["trackers"] == values["videos"] == values["attributes"] == [] and len(values["problems"]) == 2


def test_a_video_that_one_tracker_lacks_has_no_metric_there(make_small_report):
    report, _ = make_small_report()
    less = dataclasses.replace(report.scores[0], video_scores=report.scores[0].video_scores[:1])
    values = page_values(dataclasses.replace(report, scores=(less, *report.scores[1:])))
    assert values["videos"][1]["metrics"][0] is None and values["videos"][1]["overlap"][0] is None
    assert values["attributes"][0]["metrics"][0]["videos"] == 1 and values["attributes"][0]["videos"] == 3
    assert values["trackers"][0]["label"].endswith("(1 of 3 videos)")
    [note] = [note for note in values["notes"] if "means" in note]
    assert note.startswith("The means are over different videos for different trackers. AUC on the 1 videos that all")
    assert not any("means" in note for note in page_values(report)["notes"]), "said only where it is so"


@given(st.text())
def test_embedded_text_can_neither_end_nor_open_a_tag(text):
    written = safe_json({text: text})
    assert not set(written) & set("<>&\u2028\u2029") and written.isascii() and json.loads(written) == {text: text}


@given(st.lists(st.one_of(st.just(np.nan), st.floats(0, 1, width=32)), min_size=1, max_size=60), st.integers(1, 9))
def test_bins_give_mean_and_least_of_what_is_known(overlap, width):
    overlap = np.array(overlap, np.float32)
    mean, least = bin_overlap(overlap, width)
    for i, start in enumerate(range(0, len(overlap), width)):
        part = overlap[start : start + width]
        known = part[~np.isnan(part)]
        expected = (known.astype(float).mean(), known.min()) if known.size else (np.nan, np.nan)
        assert (mean[i], least[i]) == pytest.approx(expected, abs=1e-6, nan_ok=True)
    data = np.frombuffer(base64.b64decode(encode(mean)), np.uint8)
    assert ((data == UNKNOWN) == np.isnan(mean)).all()
    assert np.allclose(data[data != UNKNOWN] / STEPS, mean[~np.isnan(mean)], atol=0.5 / STEPS + 1e-9)


@pytest.mark.parametrize("frames", [1, 600, 601, 1199, 11397])
def test_long_videos_are_reduced(frames):
    assert -(-frames // bin_width(frames)) <= MAX_POINTS and (bin_width(frames) == 1) == (frames <= MAX_POINTS)


@pytest.mark.parametrize(("overlap", "expected"), [
    ([0.9] * 30, None), ([0.9] * 5 + [0.0] * 9 + [0.2] + [0.0] * 9, None), ([0.0] * 9, None),
    ([0.9] * 5 + [0.0] * 10, (5, (4, 5, 14))), ([0.9, 0.3, 0.3] + [0.05] * 12, (3, (0, 3, 12))),
    ([0.9, 0.6] + [0.0] * 5 + [np.nan] * 3 + [0.0] * 5, (2, (1, 2, 14))),  # absence does not end a run
    ([0.0] * 10, (0, (0, 9)))])
def test_a_loss_is_ten_judged_frames_long(make_small_report, overlap, expected):
    report, _ = make_small_report(["a"], videos=1)
    video = dataclasses.replace(report.scores[0].video_scores[0], frame_overlap=np.array(overlap, np.float32))
    loss = find_loss(video)
    assert (None if loss is None else (loss.frame, loss.shown)) == expected


def test_moments_show_the_best_tracker_where_it_loses_the_target(make_small_report):
    report, folders = with_files(*make_small_report(["a", "b"]))
    moments = worst_moments(report, folders)
    assert moments["tracker"] == "a" and moments["drawn"] == [0, 1]
    assert [(loss["video"], loss["frame"]) for loss in moments["losses"]] == [("video 1", 8)]
    frames = moments["losses"][0]["images"]
    assert [frame["frame"] for frame in frames] == [7, 8, 17]
    for frame in frames:
        data = base64.b64decode(frame["source"].removeprefix("data:image/jpeg;base64,"))
        image = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR)
        assert image.shape[:2] == (frame["height"], frame["width"]) and image.shape[1] <= 320


def test_without_images_there_are_no_moments(make_small_report):
    report, folders = with_files(*make_small_report(["a"], images=False))
    assert worst_moments(report, folders)["losses"] == []


def test_boxes_far_outside_and_not_finite_can_be_drawn():
    image = np.zeros((60, 80, 3), np.uint8)
    boxes = [(np.array(box, float), (255, 0, 0))
             for box in ([1e12, 0, 5, 5], [np.nan] * 4, [20, 20, 30, 20], [-9, -9, 0, 0])]
    drawn = draw_window(image, (0, 0, 80, 60), boxes)
    assert drawn.shape == (240, 320, 3) and drawn[80, 120:180, 0].mean() > 200 and drawn[150, 140].sum() == 0
