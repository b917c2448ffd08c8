"""The number of threads follows what is fast at the moment."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

from mstgt.utils.threads import PROBE_EVERY, TRAINING_SPIN_COUNT, ThreadChoice, given_threads, limit_spinning

QUIET, BUSY = {2: 3.5, 1: 6.0}, {2: 13.0, 1: 8.0}  # milliseconds of a frame, measured


def share_of_two(choice: ThreadChoice, milliseconds: dict[int, float], calls: int) -> float:
    used = []
    for _ in range(calls):
        used.append(choice.current())
        choice.record(used[-1], milliseconds[used[-1]] / 1e3)
    return used.count(2) / calls


def test_the_faster_number_of_threads_is_used():
    choice = ThreadChoice(2, 1)
    assert share_of_two(choice, QUIET, 500) > 0.95
    assert share_of_two(choice, BUSY, 500) < 0.05  # noticed at once
    share_of_two(choice, QUIET, 4 * PROBE_EVERY)
    assert share_of_two(choice, QUIET, 500) > 0.95  # and noticed again, soon


def test_a_single_number_of_threads_needs_no_choice():
    choice = ThreadChoice(1, 1)
    assert {choice.current() for _ in range(200) if choice.record(1, 1.0) is None} == {1}


@pytest.mark.parametrize(("given", "expected"), [("3", 3), ("0", None), ("", None), ("2,1", None)])
def test_the_environment_sets_the_number_of_threads(given, expected, monkeypatch):
    monkeypatch.setenv("OMP_NUM_THREADS", given)
    assert given_threads() == expected


def test_importing_the_package_limits_spinning():
    code = "import os; [os.environ.pop(n, 0) for n in ('GOMP_SPINCOUNT', 'OMP_WAIT_POLICY')]; import mstgt; " \
           "print(os.environ['GOMP_SPINCOUNT'])"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True).stdout == "20000\n"


@pytest.mark.parametrize(("given", "expected"), [(None, "2000"), ("7", "7")])
def test_training_spins_less_unless_the_user_says_otherwise(monkeypatch, given, expected):
    monkeypatch.delenv("OMP_WAIT_POLICY", raising=False)
    monkeypatch.delenv("GOMP_SPINCOUNT", raising=False)
    if given:
        monkeypatch.setenv("GOMP_SPINCOUNT", given)
    limit_spinning()  # on import
    limit_spinning(TRAINING_SPIN_COUNT)
    assert os.environ["GOMP_SPINCOUNT"] == expected
