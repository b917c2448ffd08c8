"""Random faults that can be had again.

Every fault is a test of its own, with its seed in the test's name; pytest prints the name of one that fails, and the
fault's description with it. The same name gives the same fault:

    pytest --nightly "tests/faults/test_damage.py::test_damaged_file[train-checkpoint-3]"

The environment variable FAULT_SEED (default 0) is where seeds begin: with another one a night tries other faults.
"""

from __future__ import annotations

import os
import random
from collections.abc import Iterable

import pytest

FIRST = int(os.environ.get("FAULT_SEED", "0"))


def cases(names: Iterable[str], nightly: int, always: Iterable[str] = ()) -> pytest.MarkDecorator:
    """Parametrize a test by (name, seed): ``nightly`` seeds a name, of which the first of those in ``always`` is tried
    in every run of the tests."""
    always = set(always)
    return pytest.mark.parametrize(("name", "seed"), [
        pytest.param(name, seed, id=f"{name}-{seed}",
                     marks=() if name in always and seed == FIRST else pytest.mark.nightly)
        for name in names for seed in range(FIRST, FIRST + nightly)])


def chance(*key: str | int) -> random.Random:
    """Random numbers from a fault's name and seed."""
    return random.Random(":".join(map(str, key)))


def announce(seed: int, fault: str) -> None:
    """Say what is done; pytest shows it where the test fails."""
    first = f"FAULT_SEED={FIRST} " if FIRST else ""
    test = os.environ["PYTEST_CURRENT_TEST"].partition(" ")[0]
    print(f"fault (seed {seed}): {fault}; again: {first}pytest --nightly {test!r}")
