"""Ctrl-C: the terminal sends SIGINT to a command and to all that it has started. It ends with status 130 and leaves no
process behind, also where somebody presses twice. For tracking/test.py see tests/test/evaluation/test_runner.py."""

from __future__ import annotations

import signal
import time

import pytest

from tests.faults.commands import CHECKPOINTS
from tests.processes import session_members, until

WORKERS = {"train": ("--set", "TRAIN.NUM_WORKER=2", "--set", "TRAIN.EPOCH=50"),
           "synthetic": ("--workers", "2", "--train", "400")}


@pytest.mark.parametrize(("name", "presses"), [
    ("train", 2), ("synthetic", 2),
    pytest.param("train", 1, marks=pytest.mark.nightly), pytest.param("synthetic", 1, marks=pytest.mark.nightly)])
def test_ctrl_c_leaves_no_orphan(lab, name, presses):
    here = lab.fresh(name)
    run = lab.start(name, *WORKERS[name])
    begun = {"train": here / CHECKPOINTS / "metrics.jsonl", "synthetic": here / "data/synthetic/train/SYN_Train_000001"}
    until(lambda: begun[name].exists() or not run.alive(), 60)
    assert len(session_members(run.pid)) >= 3, run.said()  # the workers are there
    for _ in range(presses):
        run.send(signal.SIGINT, group=True)
        time.sleep(0.2)
    assert lab.finish(run) == 130, run.said()
    assert "interrupted" in run.said()
    assert "Traceback" not in run.said(), run.said()
    if name == "train":
        assert "the same command" in run.said()  # continues from a checkpoint, or starts anew


def test_sigterm_ends_a_command_as_ctrl_c_does(lab):
    here = lab.fresh("synthetic")
    run = lab.start("synthetic", *WORKERS["synthetic"])
    until(lambda: (here / "data/synthetic/train/SYN_Train_000001").exists() or not run.alive(), 60)
    run.send(signal.SIGTERM)
    assert lab.finish(run) == 143, run.said()
    assert run.said().rstrip().endswith("terminated")  # nothing of Python's own after it
    assert not list((here / "data/synthetic").rglob(".unfinished-*"))
