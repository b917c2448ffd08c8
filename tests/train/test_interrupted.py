"""What tracking/train.py says and returns when it is ended outside a step."""

from __future__ import annotations

import os
import runpy
import signal
import sys
from pathlib import Path

import pytest

from mstgt.config.paths import run_folder
from mstgt.train import build
from mstgt.train.trainers.interruption import TrainingInterrupted

TRAIN = Path(__file__).resolve().parents[2] / "tracking" / "train.py"


@pytest.fixture
def end(tmp_path, monkeypatch, capsys):
    """Ends the command where its training would begin, by a signal or an exception, when ``files`` have been written;
    gives its status and all that it said."""
    (tmp_path / "set" / "v").mkdir(parents=True)
    (tmp_path / "set" / "v" / "groundtruth.txt").write_text("1,2,3,4\n5,6,7,8\n")

    def run(by, *arguments, files=()):
        def run_training(_cfg, _paths, folder, *_, **__):
            folder.mkdir(parents=True, exist_ok=True)
            for name in files:
                (folder / name).touch()
            if isinstance(by, Exception):
                raise by
            os.kill(os.getpid(), by)

        monkeypatch.setattr(build, "run_training", run_training)
        monkeypatch.setattr(sys, "argv", ["train.py", "--config", "MSTGT-demo-128", "--videos", str(tmp_path / "set"),
                                          "--save_dir", str(tmp_path / "out"), *arguments])
        with pytest.raises(SystemExit) as stop:
            runpy.run_path(str(TRAIN), run_name="__main__")
        return stop.value.code, "".join(capsys.readouterr())

    return run


@pytest.mark.parametrize(("number", "status", "word"), [(signal.SIGINT, 130, "interrupted"),
                                                        (signal.SIGTERM, 143, "terminated")])
def test_the_last_line_of_an_interrupted_run_says_how_to_continue(end, number, status, word):
    code, said = end(number)
    assert code == status and f"{word}; no checkpoint was written yet, so the same command starts anew" in said


@pytest.mark.parametrize(("resume", "words"), [("auto", "; the same command continues from "),
                                               ("none", "; the same command, but with --resume auto, continues from ")])
def test_after_resume_none_the_last_line_advises_resume_auto(end, tmp_path, resume, words):
    names = ["MSTGT_ep0001.pth.tar", "MSTGT_ep0001_step000007.pth.tar"]
    code, said = end(signal.SIGINT, "--resume", resume, files=names)
    newest = run_folder(tmp_path / "out", "mstgt", "MSTGT-demo-128") / names[1]
    assert code == 130 and said.endswith(f"{words}{newest}\n")
    code, said = end(TrainingInterrupted("saved"), "--resume", resume, files=names)
    assert code == 143 and said.endswith(f"saved{words}there\n")


def test_after_resume_from_a_file_the_last_line_names_that_file(end, tmp_path):
    (tmp_path / "given.pth.tar").touch()
    code, said = end(signal.SIGINT, "--resume", str(tmp_path / "given.pth.tar"))
    assert code == 130 and f"the same command starts from {tmp_path}/given.pth.tar again" in said
