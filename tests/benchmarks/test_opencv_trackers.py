"""Tracking with OpenCV's trackers in an environment of their own: what is asked of them, what they answer."""

from __future__ import annotations

import json
from types import SimpleNamespace

import cv2
import numpy as np
import opencv_trackers
import pytest
from compare_opencv import OPENCV_TRACKERS
from opencv_environment import find_networks
from opencv_trackers import run_job, track

from tests.benchmarks.opencv_inputs import FRAMES, network_files, put_video


class Stub:
    """A tracker as OpenCV's are; ``answers`` are those of ``update``, an error is raised."""

    def __init__(self, *answers, init=None):
        self.answers, self.began_with, self.error = list(answers), None, init

    def init(self, image, box):
        self.began_with = box
        if self.error:
            raise self.error

    def update(self, image):
        answer = self.answers.pop(0)
        if isinstance(answer, Exception):
            raise answer
        return answer


@pytest.fixture(scope="module")
def frame_paths(tmp_path_factory) -> list[str]:
    folder = tmp_path_factory.mktemp("video")
    put_video(folder, "groundtruth.txt", ["60,40,30,20"] * FRAMES)
    return [str(path) for path in sorted((folder / "img").iterdir())]


def test_the_last_box_is_kept_where_a_tracker_gives_none(frame_paths):
    ticks = []
    stub = Stub((True, (1, 2, 3, 4)), (False, (0, 0, 0, 0)), cv2.error("lost"), (True, (5, 6, 0, 8)))
    found = track(stub, frame_paths, [-3.4, 100.2, 20, 40.5], ticks.append)
    assert stub.began_with == (0, 100, 17, 20)  # the part in the image, in whole pixels
    assert found["boxes_xywh"] == [[-3.4, 100.2, 20, 40.5]] + [[1, 2, 3, 4]] * 4
    assert found["given"] == [1, 1, 0, 0, 0] and len(found["seconds"]) == FRAMES == sum(ticks)


def test_a_tracker_that_cannot_begin_keeps_the_first_box(frame_paths):
    found = track(Stub(init=cv2.error("no")), frame_paths, [1, 2, 3, 4], lambda n: None)
    assert found == {"boxes_xywh": [[1, 2, 3, 4]] * FRAMES, "seconds": None, "given": [1, 0, 0, 0, 0]}


def test_opencv_follows_a_moving_image(frame_paths):
    """With MIL, which is in every OpenCV."""
    paths, said = frame_paths, []
    run_job({"tracker": "mil", "run": 1, "threads": 1, "frames": paths[:3], "box_xywh": [60, 40, 30, 20]},
            lambda **line: said.append(json.loads(json.dumps(line))))
    assert said[0] == {"frames": 3} and said[1]["given"] == [1, 1, 1] and len(said) == 2
    assert np.abs(np.array(said[1]["boxes_xywh"][2]) - [58, 40, 30, 20]).max() < 8


def test_a_network_that_cannot_be_loaded_is_named(frame_paths, tmp_path):
    """With NanoTrack, which is in every OpenCV."""
    networks = find_networks("nano", network_files(tmp_path, "nano"))
    said: list[dict] = []
    run_job({"tracker": "nano", "run": 0, "threads": 1, "frames": frame_paths, "box_xywh": [60, 40, 30, 20],
             "networks": {name: str(path) for name, path in networks.items()}}, lambda **line: said.append(line))
    assert len(said) == 1 and f"cannot load {tmp_path}" in said[0]["unusable"] and "\n" not in said[0]["unusable"]


def test_a_frame_that_cannot_be_read_is_named(frame_paths):
    said, paths = [], [*frame_paths[:1], __file__]
    run_job({"tracker": "mil", "run": 0, "threads": 1, "frames": paths, "box_xywh": [60, 40, 30, 20]},
            lambda **line: said.append(line))
    assert len(said) == 1 and __file__ in said[0]["error"]


def test_both_files_know_the_same_trackers(monkeypatch, capsys):
    monkeypatch.setattr(opencv_trackers, "cv2", SimpleNamespace(
        __version__="9", TrackerMIL=1, TrackerKCF=1, TrackerCSRT=1))
    opencv_trackers.main([])
    assert sorted(json.loads(capsys.readouterr().out)["trackers"]) == sorted(OPENCV_TRACKERS)
