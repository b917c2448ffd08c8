"""Videos side by side: the numbers of a video alone, room that is filled again, failures that stay their own."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest
import torch

from mstgt.config import load_config
from mstgt.data.video import Video
from mstgt.models.mstgt import build_model
from mstgt.test.evaluation.worker import Track, track_videos
from mstgt.test.tracker import Tracker
from mstgt.test.tracker.torch_engine import TorchEngine
from mstgt.utils.errors import UserError

CFG = load_config("MSTGT", "MSTGT-demo-128")


class Frames:
    """Noise that drifts; reading frame ``broken`` fails."""

    def __init__(self, seed: int, count: int, broken: int | None = None):
        self.noise = np.random.default_rng(seed).integers(0, 256, (120, 160 + count, 3), np.uint8)
        self.count, self.broken = count, broken

    def __len__(self) -> int:
        return self.count

    def read(self, index: int, reduce: int = 1) -> np.ndarray:
        if index == self.broken:
            raise UserError(f"cannot decode frame {index}")
        return np.ascontiguousarray(self.noise[:, index : index + 160])

    def where(self, index: int) -> str:
        return f"frame {index}"


def video(name: str, count: int, seed: int = 0, broken: int | None = None, box=(60, 40, 30, 24)) -> Video:
    boxes = np.tile(np.array(box, np.float64), (count, 1))
    return Video(name, Frames(seed, count, broken), boxes, np.ones(count, bool))


class CountingEngine(TorchEngine):
    """Keeps how many videos were in each step."""

    def step(self, images, targets):
        self.sizes.append(len(targets))
        return super().step(images, targets)


@pytest.fixture
def engine() -> CountingEngine:
    torch.manual_seed(0)
    made = CountingEngine(build_model(CFG), CFG)
    made.sizes = []
    return made


def outcomes(engine, videos, batch, on_frame=lambda name: None) -> dict[str, Track | UserError]:
    return dict(track_videos(engine, videos, batch, on_frame))


VIDEOS = [video("a", 7, 1), video("b", 3, 2), video("c", 1, 3), video("d", 5, 4, box=(9, 9, 60, 50)), video("e", 6, 5)]


def test_a_batch_has_the_numbers_of_each_video_alone(engine):
    alone = outcomes(engine, VIDEOS, 1)
    assert engine.sizes == [1] * (6 + 2 + 4 + 5)
    for batch in (2, 3, 8):
        together = outcomes(engine, VIDEOS, batch)
        assert together.keys() == alone.keys()
        for name, track in alone.items():
            assert np.abs(together[name].boxes_xywh - track.boxes_xywh).max() <= 1e-3
            assert np.abs(together[name].scores - track.scores).max() <= 1e-5


def test_a_batch_of_one_is_the_tracker(engine):
    track = outcomes(engine, VIDEOS[:1], 1)["a"]
    tracker = Tracker(engine)
    tracker.init(VIDEOS[0].frames.read(0), VIDEOS[0].boxes_xywh[0])
    for index in range(1, 7):
        box, score = tracker.update(VIDEOS[0].frames.read(index))
        assert np.array_equal(track.boxes_xywh[index], box) and track.scores[index] == score
    assert track.boxes_xywh[0].tolist() == [60, 40, 30, 24] and track.scores[0] == 1


def test_free_slots_are_filled_again_and_every_frame_is_reported_once(engine):
    ticks = []
    outcomes(engine, VIDEOS, 2, ticks.append)
    # a 6 steps, b 2, then c (none), d 4, then e 5: only its last step is alone
    assert engine.sizes == [2] * 6 + [1] * 5 and len(ticks) == sum(len(v) for v in VIDEOS)
    assert {v.name: ticks.count(v.name) for v in VIDEOS} == {v.name: len(v) for v in VIDEOS}


def test_a_video_is_requested_when_there_is_room():
    torch.manual_seed(0)
    requested = []

    def videos():
        for video in VIDEOS[:3]:
            requested.append(video.name)
            yield video

    run = track_videos(TorchEngine(build_model(CFG), CFG), videos(), 2)
    assert next(run)[0] == "b" and requested == ["a", "b"]
    assert [name for name, _ in run] == ["c", "a"]


BAD = {"nan": (np.nan,) * 4, "flat": (5, 5, 0, 9), "outside": (500, 5, 9, 9)}


def test_a_failing_video_does_not_affect_the_others(engine):
    alone = outcomes(engine, VIDEOS, 1)
    bad = [video("torn", 6, 6, broken=3), video("torn0", 6, 6, broken=0), video("empty", 0)]
    bad += [video(name, 4, 7, box=box) for name, box in BAD.items()]
    mixed = outcomes(engine, [bad[0], VIDEOS[0], *bad[1:], *VIDEOS[1:]], 3)
    for name, track in alone.items():
        assert np.abs(mixed[name].boxes_xywh - track.boxes_xywh).max() <= 1e-3
    assert {name: str(o) for name, o in mixed.items() if isinstance(o, UserError)}.keys() == {v.name for v in bad}
    assert str(mixed["torn"]) == "cannot decode frame 3" and "no frames" in str(mixed["empty"])
    assert all("box" in str(mixed[name]) for name in BAD)


def test_the_seconds_of_a_step_are_shared(engine, monkeypatch):
    clock = iter(range(1000))
    # in this module alone: the engine measures its threads by the same clock
    monkeypatch.setattr("mstgt.test.evaluation.worker.time", SimpleNamespace(perf_counter=lambda: float(next(clock))))
    tracks = outcomes(engine, [video("a", 3), video("b", 2)], 2)
    assert tracks["a"].seconds.tolist() == [1, 0.5, 1] and tracks["b"].seconds.tolist() == [1, 0.5]
