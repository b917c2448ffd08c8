"""The benchmark of a training step: what it measures and how it fails."""

from __future__ import annotations

import subprocess

import pytest
import torch
import training_step
from training_step import Clock, Row, main, make_step, measure, measure_apart

import mstgt.models.mstgt
from mstgt.config import load_config
from mstgt.utils.errors import UserError

CPU = torch.device("cpu")


@pytest.fixture
def cfg():
    return load_config("MSTGT", "MSTGT-demo-128", ["MODEL.HEAD.NUM_CHANNELS=32"])


def test_a_row_holds_the_parts_of_a_step(cfg, monkeypatch):
    monkeypatch.setattr(training_step, "WARM_UP", 1)
    row = measure(cfg, batch=1, frames=2, precision="bf16", compiled=False, device=CPU, repeat=1)
    assert min(row.forward, row.backward, row.update) > 0
    assert row.step == pytest.approx(row.forward + row.backward + row.update)
    assert 1e8 < row.peak < 1e11


def test_a_step_trains(cfg, monkeypatch):
    made = []
    build = mstgt.models.mstgt.build_model
    monkeypatch.setattr(mstgt.models.mstgt, "build_model", lambda cfg: made.append(build(cfg)) or made[0])
    step = make_step(cfg, 1, 2, "fp32", False, CPU)
    before = {name: value.clone() for name, value in made[0].named_parameters()}
    moments = step(Clock(CPU))
    assert moments == sorted(moments) and len(moments) == 4
    changed = {name for name, value in made[0].named_parameters() if not torch.equal(value, before[name])}
    assert changed == set(before) and all(value.grad is None for value in made[0].parameters())


def test_lines_compare_with_the_first_row():
    first = Row("fp32", False, 10.0, 20.0, 2.0, 32.0, 4_000_000_000)
    other = Row("bf16", True, 4.0, 10.0, 2.0, 16.0, 3_000_000_000)
    assert first.line(first) == "| fp32 | eager | 10.0 | 20.0 | 2.0 | 32.0 | 4.00 | 1.00 | 1.00 |"
    assert other.line(first) == "| bf16 | compiled | 4.0 | 10.0 | 2.0 | 16.0 | 3.00 | 2.00 | 0.75 |"
    assert {line.count("|") for line in (first.line(first), *training_step.HEADER.splitlines())} == {10}


def test_a_row_that_fails_is_named_with_its_reason(monkeypatch):
    monkeypatch.setattr(subprocess, "run", lambda command, **_options: subprocess.CompletedProcess(
        command, 1, "", "Traceback\nRuntimeError: no compiler\n"))
    with pytest.raises(UserError, match="the row bf16 compiled failed: RuntimeError: no compiler"):
        measure_apart("bf16", True)


def test_rows_are_measured_with_the_arguments_given(monkeypatch, capsys):
    asked = []

    def run(command, **_options):
        asked.append(command)
        return subprocess.CompletedProcess(command, 0, '{"precision": "fp32", "compiled": false, "forward": 1, '
                                           '"backward": 2, "update": 3, "step": 6, "peak": 1e9}\n', "")

    monkeypatch.setattr(subprocess, "run", run)
    monkeypatch.setattr("sys.argv", ["x", "--config", "MSTGT-demo-128", "--precision", "bf16", "fp32", "--batch", "2"])
    main()
    assert [command[-2:] for command in asked] == [["bf16", "eager"], ["bf16", "compiled"], ["fp32", "eager"],
                                                   ["fp32", "compiled"]]
    assert all("--batch" in command and "MSTGT-demo-128" in command for command in asked)
    assert capsys.readouterr().out.count("| 6.0 | 1.00 | 1.00 | 1.00 |") == 4


@pytest.mark.parametrize("bad", [["--batch", "0"], ["--threads", "-1"]])
def test_bad_numbers_are_named(monkeypatch, bad):
    monkeypatch.setattr("sys.argv", ["x", *bad])
    with pytest.raises(UserError, match=bad[0]):
        main()
