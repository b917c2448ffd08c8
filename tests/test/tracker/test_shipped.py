"""The weights that come with the project: found by name, small, and they track what they have never seen."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from mstgt.config import load_config
from mstgt.synthetic import synthetic_video
from mstgt.test.analysis.metrics import iou
from mstgt.test.tracker import find_checkpoint, load_engine, load_tracker
from mstgt.test.tracker.torch_engine import TorchEngine
from mstgt.utils.device import is_fast_in
from mstgt.utils.errors import UserError

OF_THE_SYNTHETIC_WORLD = "MSTGT-nano-128", "MSTGT-mini-128"
NAMES = "MSTGT-nano", "MSTGT-nano-slim", "MSTGT-mini", *OF_THE_SYNTHETIC_WORLD
THRESHOLDS = np.linspace(0, 1, 21)


@pytest.fixture(scope="module")
def videos():
    """Images and boxes of a few videos of the synthetic world; the training saw no video at all."""
    return render(count=8, seed=77, frames=25, difficulty=(0.1, 0.6))


def render(count: int, seed: int, frames: int, difficulty: tuple[float, float]
           ) -> list[tuple[list[np.ndarray], np.ndarray]]:
    """Images and boxes of videos whose difficulty rises."""
    videos = [synthetic_video(seed, frames, difficulty=float(value), index=index)
              for index, value in enumerate(np.linspace(*difficulty, count))]
    return [([video.frames.read(t) for t in range(frames)], video.boxes_xywh) for video in videos]


def success_auc(engine: TorchEngine | None, videos) -> float:
    """Mean success AUC in %; ``None``: the static-box baseline."""
    targets = [engine.start(images[0], boxes[0]) for images, boxes in videos] if engine else []
    found = [[boxes[0]] for _, boxes in videos]
    for t in range(1, len(videos[0][0])):
        if engine:
            targets = [target for target, _ in engine.step([images[t] for images, _ in videos], targets)]
        for k, track in enumerate(found):
            track.append(targets[k].box_xywh if engine else track[0])
    overlaps = [iou(np.array(track), boxes) for track, (_, boxes) in zip(found, videos, strict=True)]
    return 100 * float(np.mean([[(overlap > t).mean() for t in THRESHOLDS] for overlap in overlaps]))


@pytest.mark.parametrize("name", NAMES)
def test_shipped_weights_are_found_where_nothing_was_trained_and_no_epoch_is_given(name, tmp_path):
    cfg = load_config("MSTGT", name)
    path = find_checkpoint("MSTGT", name, cfg, tmp_path)
    assert path.name == f"{name}.safetensors" and path.stat().st_size < 12e6
    with pytest.raises(UserError, match=rf"ep0003.*comes with the project, .*{name}.safetensors"):
        find_checkpoint("MSTGT", name, cfg, tmp_path, epoch=3)
    run = tmp_path / "checkpoints" / "train" / "mstgt" / name
    run.mkdir(parents=True)
    own = run / f"MSTGT_ep{cfg.TEST.EPOCH:04d}.pth.tar"
    own.touch()
    assert find_checkpoint("MSTGT", name, cfg, tmp_path) == own


@pytest.mark.parametrize("name", NAMES)
def test_shipped_networks_track(name, videos, tmp_path):
    cfg = load_config("MSTGT", name)
    weights = find_checkpoint("MSTGT", name, cfg, tmp_path)
    exact = success_auc(load_engine(cfg, weights, "cpu", "torch"), videos)
    assert exact > success_auc(None, videos) + 10


@pytest.mark.skipif(not is_fast_in(torch.bfloat16, torch.device("cpu")), reason="no bf16 on this CPU")
@pytest.mark.parametrize("name", OF_THE_SYNTHETIC_WORLD)
def test_bf16_tracks_as_well(name, tmp_path):
    """On 1600 frames that are not hard: where two things are alike, a rounding decides which is followed, and a single
    video that goes another way moves the mean by a point."""
    cfg, videos = load_config("MSTGT", name), render(count=40, seed=5, frames=40, difficulty=(0, 0.2))
    weights = find_checkpoint("MSTGT", name, cfg, tmp_path)
    exact, near = (success_auc(load_engine(cfg, weights, "cpu", "torch", p), videos) for p in ("fp32", "bf16"))
    assert abs(near - exact) <= 0.3


def test_the_library_tracks_in_a_few_lines(videos):
    tracker = load_tracker(NAMES[0], device="cpu")
    images, boxes = videos[0]
    tracker.init(images[0], boxes[0])
    box, score = tracker.update(images[1])
    assert iou(box[None], boxes[1][None])[0] > 0.5 and 0 < score < 1


def test_the_newest_checkpoint_of_a_shorter_run_is_taken(tmp_path, caplog):
    """Fine-tuned with another TRAIN.EPOCH: TEST.EPOCH of the experiment's file is never reached."""
    cfg = load_config("MSTGT", "MSTGT-nano-128")
    run = tmp_path / "checkpoints" / "train" / "mstgt" / "MSTGT-nano-128"
    run.mkdir(parents=True)
    for epoch in (2, 3):
        (run / f"MSTGT_ep{epoch:04d}.pth.tar").touch()
    with caplog.at_level("WARNING"):
        assert find_checkpoint("MSTGT", "MSTGT-nano-128", cfg, tmp_path) == run / "MSTGT_ep0003.pth.tar"
    assert "no checkpoint of epoch" in caplog.text and "MSTGT_ep0003.pth.tar (TEST.EPOCH chooses)" in caplog.text
    asked = load_config("MSTGT", "MSTGT-nano-128", ["TEST.EPOCH=5"])
    for options in ({"cfg": cfg, "epoch": 5}, {"cfg": asked}):
        with pytest.raises(UserError, match=r"ep0005.*there: .*ep0003"):
            find_checkpoint("MSTGT", "MSTGT-nano-128", save_dir=tmp_path, **options)
