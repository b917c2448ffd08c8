"""A folder of photographs with boxes trains a tracker by one command, which can be interrupted and resumed."""

from __future__ import annotations

import json
import os
import runpy
import signal
import sys
from pathlib import Path

import pytest

from mstgt.config.paths import list_checkpoints, run_folder
from mstgt.train.trainers.state import METRICS
from tests.synthetic.photos.folders import coco_folder

TRAIN = Path(__file__).resolve().parents[2] / "tracking" / "train.py"
SETTINGS = ("TRAIN.EPOCH=2", "TRAIN.BATCH_SIZE=2", "TRAIN.NUM_WORKER=0", "TRAIN.PRINT_INTERVAL=1",
            "TRAIN.VAL_EPOCH_INTERVAL=1", "DATA.TRAIN.SAMPLE_PER_EPOCH=6", "DATA.VAL.SAMPLE_PER_EPOCH=2")


def test_training_on_fifty_photographs(tmp_path, monkeypatch):
    photos = coco_folder(tmp_path / "my photos", 50, polygons=False)
    arguments = [str(TRAIN), "--config", "MSTGT-demo-128", "--photos", str(photos), "--save_dir", str(tmp_path / "out"),
                 *[word for setting in SETTINGS for word in ("--set", setting)]]
    monkeypatch.setattr(sys, "argv", arguments)
    command = runpy.run_path(str(TRAIN))
    folder = run_folder(tmp_path / "out", "mstgt", "MSTGT-demo-128")

    def stop_at_step_2(_folder):
        return lambda record: os.kill(os.getpid(), signal.SIGTERM) if record["global_step"] == 2 else None

    # --use_tensorboard adds a logger to the run: here one that interrupts it within the first epoch
    monkeypatch.setattr(sys, "argv", [*arguments, "--use_tensorboard", "1"])
    monkeypatch.setitem(command["main"].__globals__, "tensorboard_logger", stop_at_step_2)
    assert command["main"]() == 143
    assert not list(list_checkpoints(folder))
    monkeypatch.setattr(sys, "argv", arguments)
    assert command["main"]() == 0
    records = [json.loads(line) for line in (folder / METRICS).read_text().splitlines()]
    assert [r["global_step"] for r in records if "train" not in r] == [1, 2, 3, 4, 5, 6]
    assert all("iou" in r["val"] for r in records if "train" in r)
    assert [p.name for p in list_checkpoints(folder)] == ["MSTGT_ep0001.pth.tar", "MSTGT_ep0002.pth.tar"]


def test_a_folder_without_photographs_is_an_error_that_names_it(tmp_path, monkeypatch, capsys):
    (tmp_path / "empty").mkdir()
    monkeypatch.setattr(sys, "argv", [str(TRAIN), "--config", "MSTGT-demo-128", "--photos", str(tmp_path / "empty"),
                                      "--save_dir", str(tmp_path / "out")])
    with pytest.raises(SystemExit) as ended:
        runpy.run_path(str(TRAIN), run_name="__main__")
    assert ended.value.code == 1
    error = capsys.readouterr().err.splitlines()[-1]
    assert error.startswith("error: no photographs in ") and "empty" in error
