"""Every parser, given corrupt files: a result, or one line that names the file, and no memory to speak of.

CI reads a few examples of each, always the same ones; ``pytest --nightly tests/fuzz`` takes a minute for each parser,
and as long again with coverage's guidance where the package atheris is installed.
"""

from __future__ import annotations

import importlib.util
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.fuzz.fuzz import fuzz
from tests.fuzz.targets import TARGETS

ROOT = Path(__file__).resolve().parents[2]
ROUNDS = {"rows": 300, "flags": 300, "local": 100, "bmp": 100, "png": 60, "lmdb": 60, "lmdb_directory": 60, "yaml": 6,
          "override": 6, "coco": 12, "checkpoint": 5, "training_state": 8, "pretrained": 4,
          "safetensors": 8, "video": 15}  # in CI: some 0.2 s each
NIGHTLY_S = 60.0


@pytest.mark.parametrize("name", TARGETS)
def test_damage_is_a_result_or_one_line(name, tmp_path):
    rounds = ROUNDS.get(name, 30)
    outcome = fuzz(name, tmp_path, rounds)
    assert outcome.read + outcome.refused == rounds


@pytest.mark.nightly
@pytest.mark.parametrize("name", TARGETS)
def test_much_damage_is_a_result_or_one_line(name, tmp_path):
    outcome = fuzz(name, tmp_path, 10**9, seed=int.from_bytes(os.urandom(4), "big"), seconds=NIGHTLY_S)
    assert outcome.refused or TARGETS[name].named == ""


@pytest.mark.nightly
@pytest.mark.skipif(importlib.util.find_spec("atheris") is None, reason="atheris is not installed")
@pytest.mark.parametrize("name", TARGETS)
def test_guided_damage_is_a_result_or_one_line(name, tmp_path):
    done = subprocess.run([sys.executable, "-m", "tests.fuzz.guided", name, f"-max_total_time={int(NIGHTLY_S)}",
                           f"-artifact_prefix={tmp_path}/"], cwd=ROOT, capture_output=True, text=True, errors="replace")
    assert done.returncode == 0, done.stderr[-3000:]
