"""What a run leaves to look at: its image, and the events of TensorBoard."""

from __future__ import annotations

import json
import sys

import cv2
import matplotlib.pyplot as plt
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mstgt.train.trainers.loggers import scalars, tensorboard_logger
from mstgt.utils.errors import UserError
from mstgt.visualize.training_curves import curve, draw_curves, read_lines

BLUE, ORANGE, YELLOW = (178, 114, 0), (0, 94, 213), (66, 228, 240)  # of training, validation and mixing, in BGR


def figures(value: float) -> dict[str, float]:
    return {"total": 4 * value, "giou": value, "l1": value / 10, "focal": value, "iou": 1 / (1 + value),
            "samples_per_s": 80.0, "data_wait": 0.03}


def step_line(at: float, value: float) -> dict:
    return {"epoch": int(at) + 1, "step": round(at % 1 * 100), "global_step": round(at * 100), "at": at,
            "lr": 1e-4} | figures(value)


def epoch_line(epoch: int, value: float, validated: bool = False, mixing: bool = False) -> dict:
    line = {"epoch": epoch, "at": float(epoch), "global_step": epoch * 100, "seconds": 61.2, "lr": 1e-4,
            "train": figures(value), "mixing": mixing}
    return line | ({"val": figures(1.1 * value)} if validated else {})


def write(folder, *lines: dict | str):
    folder.mkdir(parents=True, exist_ok=True)
    texts = [line if isinstance(line, str) else json.dumps(line) for line in lines]
    (folder / "metrics.jsonl").write_text("\n".join(texts), encoding="utf-8")
    return folder


def draw(folder):
    path = draw_curves(folder)
    assert path == folder / "training.png" and [p.name for p in folder.glob("*.png")] == ["training.png"]
    return cv2.imread(str(path))


def pixels(image, color) -> int:
    return int((abs(image.astype(int) - color).max(-1) <= 8).sum())


def test_the_image_shows_training_validation_and_mixing(tmp_path):
    before, steps = plt.get_fignums(), [step_line(0.5, 2.0), epoch_line(1, 1.8), step_line(1.5, 1.5)]
    plain = draw(write(tmp_path / "plain", *steps))
    assert pixels(plain, BLUE) > 300 and not pixels(plain, YELLOW)
    whole = draw(write(tmp_path / "whole", *steps, epoch_line(2, 1.2, validated=True, mixing=True)))
    light = [255 - round(0.3 * (255 - v)) for v in YELLOW]
    assert pixels(whole, light) > 10_000 > pixels(plain, light)
    assert pixels(whole, ORANGE) > pixels(plain, ORANGE)
    assert plt.get_fignums() == before


def test_a_run_without_epochs_or_without_steps_can_be_drawn(tmp_path):
    assert draw(write(tmp_path / "a", step_line(0.25, 1.0))).shape[2] == 3
    assert draw(write(tmp_path / "b", epoch_line(1, 1.0, validated=True))).shape[2] == 3


def test_curves_take_steps_and_epochs_in_order():
    lines = [step_line(0.5, 2.0), epoch_line(1, 1.0, validated=True), step_line(1.5, 0.5)]
    assert curve(lines, "giou", "train") == ([0.5, 1.0, 1.5], [2.0, 1.0, 0.5])
    assert curve(lines, "giou", "val") == ([1.0], [pytest.approx(1.1)])
    assert curve(lines, "lr", "")[0] == [0.5, 1.0, 1.5]


@given(st.integers(1, len(json.dumps(step_line(0.75, 1.0))) - 1))
def test_a_line_truncated_anywhere_is_passed_over(tmp_path_factory, cut):
    folder = write(tmp_path_factory.mktemp("run"), step_line(0.25, 3.0), step_line(0.5, 2.0),
                   json.dumps(step_line(0.75, 1.0))[:cut])
    assert [line["at"] for line in read_lines(folder / "metrics.jsonl")] == [0.25, 0.5]


@pytest.mark.parametrize("content", [None, "", "\n\n", '{"epoch": 1, "s', "[1, 2]\n3\nnull", '{"epoch": 1}'])
def test_nothing_to_draw_is_an_error_and_leaves_nothing(tmp_path, content):
    if content is not None:
        (tmp_path / "metrics.jsonl").write_text(content)
    with pytest.raises(UserError, match="metrics.jsonl"):
        draw_curves(tmp_path)
    assert not list(tmp_path.glob("*.png"))


def test_scalars_have_their_names():
    assert scalars(step_line(0.5, 1.0)).keys() == {"step/lr"} | {f"step/{name}" for name in figures(1)}
    found = scalars(epoch_line(2, 1.0, validated=True, mixing=True))
    assert found["train/total"] == 4.0 and found["val/l1"] == pytest.approx(0.11)
    assert {n for n in found if n.startswith("epoch/")} == {"epoch/seconds", "epoch/lr", "epoch/mixing"}


def test_tensorboard_reads_back_what_was_logged_and_a_resumed_run_replaces(tmp_path):
    accumulator = pytest.importorskip("tensorboard.backend.event_processing.event_accumulator")
    first, second = tensorboard_logger(tmp_path), tensorboard_logger(tmp_path)
    assert not (tmp_path / "tensorboard").exists()
    for line in (step_line(0.5, 2.0), step_line(0.75, 1.5), epoch_line(1, 1.0, validated=True)):
        first(line)
    assert events(accumulator, tmp_path)["step/giou"] == [(50, 2.0), (75, 1.5)]
    second(step_line(0.75, 0.5))
    found = events(accumulator, tmp_path)
    assert found["step/giou"] == [(50, 2.0), (75, 0.5)]
    assert not found["val/iou"]


def events(accumulator, folder) -> dict[str, list[tuple[int, float]]]:
    reader = accumulator.EventAccumulator(str(folder / "tensorboard")).Reload()
    return {tag: [(e.step, e.value) for e in reader.Scalars(tag)] for tag in reader.Tags()["scalars"]}


def test_without_tensorboard_one_line_says_how_to_get_it(tmp_path, monkeypatch):
    for name in [n for n in sys.modules if n.startswith("torch.utils.tensorboard")]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "tensorboard", None)
    with pytest.raises(UserError, match="pip install tensorboard"):
        tensorboard_logger(tmp_path)
