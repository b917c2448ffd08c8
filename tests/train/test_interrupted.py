"""What tracking/train.py says and returns when it is ended outside a step."""

from __future__ import annotations

import os
import runpy
import signal
import sys
from pathlib import Path

import pytest

from mstgt.train import build

TRAIN = Path(__file__).resolve().parents[2] / "tracking" / "train.py"


@pytest.mark.parametrize(("number", "status", "word"), [(signal.SIGINT, 130, "interrupted"),
                                                        (signal.SIGTERM, 143, "terminated")])
def test_the_line_says_what_the_same_command_does(number, status, word, tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(build, "run_training", lambda *_, **__: os.kill(os.getpid(), number))
    (tmp_path / "set" / "v").mkdir(parents=True)
    (tmp_path / "set" / "v" / "groundtruth.txt").write_text("1,2,3,4\n5,6,7,8\n")
    monkeypatch.setattr(sys, "argv", ["train.py", "--config", "MSTGT-demo-128", "--videos", str(tmp_path / "set"),
                                      "--save_dir", str(tmp_path / "out")])
    with pytest.raises(SystemExit) as stop:
        runpy.run_path(str(TRAIN), run_name="__main__")
    said = capsys.readouterr().err
    assert stop.value.code == status and f"{word}; no checkpoint was written yet" in said
