"""What pyproject.toml asks for, and what requirements.lock gives: bounds and hashes everywhere, no gap between."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.version import Version

tomllib = pytest.importorskip("tomllib", reason="comes with Python 3.11")

ROOT = Path(__file__).parents[1]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
EXTRAS = PROJECT["optional-dependencies"]
LOCK = (ROOT / "requirements.lock").read_text()
PIN = re.compile(r"^([a-z0-9][a-z0-9.-]*)==([^ \n]+)[^\n]*\n((?: +--hash=sha256:[0-9a-f]{64}.*\n)*)", re.MULTILINE)
PINS = {name: Version(version) for name, version, _ in PIN.findall(LOCK)}


def in_extra(name: str) -> list[Requirement]:
    """What an extra asks for, with that of the extras of this project that it names."""
    found = []
    for requirement in map(Requirement, EXTRAS[name]):
        if requirement.name == PROJECT["name"]:
            found += [other for extra in sorted(requirement.extras) for other in in_extra(extra)]
        else:
            found.append(requirement)
    return found


DIRECT = list(map(Requirement, PROJECT["dependencies"]))
LOCKED = {str(requirement): requirement for requirement in DIRECT + in_extra("dev")}
BOUNDED = LOCKED | {str(requirement): requirement for extra in EXTRAS for requirement in in_extra(extra)}


@pytest.mark.parametrize("requirement", BOUNDED.values(), ids=str)
def test_has_one_lower_bound(requirement):
    assert [part.operator for part in requirement.specifier].count(">=") == 1


@pytest.mark.parametrize("requirement", LOCKED.values(), ids=str)
def test_the_lock_has_a_version_that_is_allowed(requirement):
    assert requirement.name in PINS, "run .ci/lock"
    assert PINS[requirement.name] in requirement.specifier, "run .ci/lock"


def test_the_lock_holds_hashes_of_wheels_and_nothing_else():
    pins = PIN.findall(LOCK)
    assert len(PINS) == len(pins) > len(LOCKED), "one version of each, and what they depend on"
    assert all(hashes for _, _, hashes in pins)
    rest = [line for line in PIN.sub("", LOCK).splitlines() if line and not line.lstrip().startswith("#")]
    assert rest == ["--only-binary :all:"]
