"""Results of any trackers on the images of any folder, each tracker in its color."""

from __future__ import annotations

import json
import runpy
import sys
from pathlib import Path

import cv2
import numpy as np
import pytest

from mstgt.data.video import Video
from mstgt.test.evaluation.results import write_result
from mstgt.visualize.draw import GROUND_TRUTH, target_color
from mstgt.visualize.result_video import TrackerBoxes, draw_frame

DRAW = Path(__file__).resolve().parents[2] / "tracking" / "draw_results.py"


class Gray:
    def __len__(self) -> int:
        return 2

    def read(self, index: int, reduce: int = 1) -> np.ndarray:
        return np.full((480, 640, 3), 128, np.uint8)

    def where(self, index: int) -> str:
        return f"frame {index}"


def has_color(image: np.ndarray, color: tuple[int, int, int]) -> bool:
    return bool((np.abs(image.astype(int) - color).max(axis=2) <= 2).any())


def test_every_tracker_has_its_color_and_a_line_in_the_legend():
    truth = np.array([[100.0, 100, 80, 60]] * 2)
    video = Video("v", Gray(), truth, np.ones(2, bool))
    trackers = [TrackerBoxes(f"tracker {n}", truth + [40 * n, 0, 0, 0], np.array([1, 0.5])) for n in (1, 2)]
    image = draw_frame(video, trackers, 1)
    right, legend = image[:300], image[300:, :300]
    for color in (GROUND_TRUTH, target_color(1), target_color(2)):
        assert has_color(right, color) and has_color(legend, color)
    shorter = [trackers[0], TrackerBoxes("short", truth[:1] + 200)]
    assert not has_color(draw_frame(video, shorter, 1)[:300], target_color(2))


def test_results_of_several_trackers_are_drawn_into_one_video(tmp_path, monkeypatch, capsys, caplog):
    boxes = np.array([[20.0 + n, 40, 32, 32] for n in range(3)])
    for name in ("a", "b"):
        place = tmp_path / "set" / name / "img"
        place.mkdir(parents=True)
        for n in range(3):
            cv2.imwrite(str(place / f"{n + 1:04d}.png"), np.full((120, 160, 3), 90, np.uint8))
        rows = "\n".join(",".join(map(str, box)) for box in boxes)
        (place.parent / "groundtruth.txt").write_text(rows)
    write_result(tmp_path / "one", "a", boxes, np.ones(3), np.ones(3))
    (tmp_path / "two").mkdir()
    (tmp_path / "two" / "a.txt").write_text(rows.partition("\n")[2])  # of another project: boxes alone, one too few
    (tmp_path / "two" / "b.txt").write_text("1,2,3,four")
    write_result(tmp_path / "none", "b", boxes, np.ones(3), np.ones(3))
    words = ["draw_results.py", "--dataset_dir", str(tmp_path / "set"), "--results", f"None={tmp_path / 'none'}",
             "--results", f"One={tmp_path / 'one'}", "--results", f"Two={tmp_path / 'two'}",
             "--save_dir", str(tmp_path / "out")]
    monkeypatch.setattr(sys, "argv", words)
    with pytest.raises(SystemExit) as stop:
        runpy.run_path(str(DRAW), run_name="__main__")
    assert stop.value.code == 1  # b's boxes cannot be read; a is drawn all the same
    videos = tmp_path / "out" / "test" / "videos" / "set"
    said, complained = capsys.readouterr()
    said = said.splitlines()
    assert "--limit" not in complained
    assert said[:2] == [str(videos / "a.mp4"), str(videos / "a.png")]
    assert len(said) == 3 and said[2].startswith("FAILED b: ") and "b.txt, line 1" in said[2]
    assert "a: Two has 2 boxes for 3 frames" in caplog.text and "a: None has 0 boxes for 3 frames" in caplog.text
    assert (videos / "a.mp4").stat().st_size > 1000
    sheet = cv2.cvtColor(cv2.imread(str(videos / "a.png")), cv2.COLOR_BGR2RGB)
    assert all(has_color(sheet, target_color(n)) for n in (1, 2, 3)), "a tracker without a result keeps its color"
    monkeypatch.setattr(sys, "argv", [*words, "--limit", "1"])
    with pytest.raises(SystemExit):
        runpy.run_path(str(DRAW), run_name="__main__")
    said, complained = capsys.readouterr()
    assert said.splitlines() == [str(videos / "a.mp4"), str(videos / "a.png")]
    assert "1 of 2 videos with results were chosen; --limit N draws more" in complained


def test_scores_that_do_not_fit_are_named_and_rows_of_missing_frames_left_out(tmp_path, monkeypatch, caplog):
    root, results = tmp_path / "set", tmp_path / "results"
    (root / "a").mkdir(parents=True)
    results.mkdir()
    for number in (1, 2, 4):
        cv2.imwrite(str(root / "a" / f"{number}.png"), np.full((120, 160, 3), 90, np.uint8))
    (root / "a" / "groundtruth.txt").write_text(4 * "20,40,32,32\n")
    (results / "a.txt").write_text(2 * "20,40,32,32\n" + "120,80,8,8\n" + "20,40,32,32\n")
    (results / "a_score.txt").write_text("0.5\n0.5\n")
    drawn = []
    monkeypatch.setattr("mstgt.visualize.result_video.write_result_video",
                        lambda path, video, trackers: drawn.extend(trackers))
    monkeypatch.setattr(sys, "argv", ["draw_results.py", "--dataset_dir", str(root), "--results", f"T={results}",
                                      "--save_dir", str(tmp_path / "out")])
    with pytest.raises(SystemExit) as stop:
        runpy.run_path(str(DRAW), run_name="__main__")
    assert stop.value.code == 0 and "a_score.txt: 2 rows for 3 boxes; the boxes are drawn without" in caplog.text
    assert drawn[0].scores is None and drawn[0].boxes_xywh.tolist() == [[20, 40, 32, 32]] * 3


def test_only_chosen_trackers_are_drawn(tmp_path, monkeypatch):
    root = tmp_path / "set"
    (root / "a").mkdir(parents=True)
    cv2.imwrite(str(root / "a" / "1.png"), np.full((120, 160, 3), 90, np.uint8))
    (root / "a" / "groundtruth.txt").write_text("20,40,32,32")
    for tracker in ("one", "two"):
        folder = tmp_path / "out" / "test" / "tracking_results" / tracker / "x" / "set"
        write_result(folder, "a", np.array([[20.0, 40, 32, 32]]), np.ones(1), np.ones(1))
        (folder / "benchmark.json").write_text(json.dumps({"benchmark": "set", "root": str(root)}))
    monkeypatch.setattr(sys, "argv", ["draw_results.py", "--dataset_dir", str(root), "--save_dir",
                                      str(tmp_path / "out"), "--trackers", "two"])
    with pytest.raises(SystemExit) as stop:
        runpy.run_path(str(DRAW), run_name="__main__")
    assert stop.value.code == 0
    videos = tmp_path / "out" / "test" / "videos"
    assert [path.name for path in videos.iterdir()] == ["two"]


def test_results_without_a_benchmark_are_refused(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(sys, "argv", ["draw_results.py", "--results", f"One={tmp_path}"])
    with pytest.raises(SystemExit) as stop:
        runpy.run_path(str(DRAW), run_name="__main__")
    assert stop.value.code == 2 and "--results needs --dataset or --dataset_dir" in capsys.readouterr().err
