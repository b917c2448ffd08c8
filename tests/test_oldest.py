""".ci/oldest without a network: a stand-in for python records what uv and pytest would have been asked."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import pytest

SCRIPT = Path(__file__).parents[1] / ".ci" / "oldest"

STAND_IN = """#!/bin/sh
echo "$*" >>"{folder}/calls"
case "$*" in
*"uv --quiet venv"*) mkdir -p .venv-oldest/bin && cp "$0" .venv-oldest/bin/python ;;
*"uv --quiet pip compile"*) echo numpy==1.24.0; exit "$COMPILE" ;;
*"uv --quiet pip sync"*) exit "$SYNC" ;;
"-m pytest"*) exit "$TESTS" ;;
esac
"""


class Checkout:
    def __init__(self, folder: Path):
        self.folder, self.calls = folder, folder / "calls"
        (folder / "project" / ".ci").mkdir(parents=True)
        self.script = shutil.copy(SCRIPT, folder / "project" / ".ci" / "oldest")
        self.command("env/bin/python", STAND_IN.format(folder=folder))
        self.have_gb(12)

    def command(self, name: str, text: str) -> None:
        path = self.folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
        path.chmod(0o755)

    def have_gb(self, free: int) -> None:
        self.command("bin/df", f"#!/bin/sh\necho Avail; echo '  {free}'\n")

    def run(self, **statuses: int) -> subprocess.CompletedProcess[str]:
        env = {"PATH": f"{self.folder / 'bin'}{os.pathsep}{os.environ['PATH']}", "HOME": str(self.folder),
               "VIRTUAL_ENV": str(self.folder / "env"), "COMPILE": "0", "SYNC": "0", "TESTS": "0"}
        env |= {name: str(status) for name, status in statuses.items()}
        return subprocess.run(["bash", self.script], env=env, capture_output=True, text=True, timeout=60, check=False)


@pytest.fixture
def checkout(tmp_path):
    return Checkout(tmp_path)


def test_the_oldest_are_installed_and_tested(checkout):
    result = checkout.run()
    assert result.returncode == 0, result.stderr
    assert "not tested" not in result.stderr
    calls = checkout.calls.read_text().splitlines()
    assert any("pip compile" in call and "--resolution lowest-direct --extra dev" in call for call in calls)
    assert calls[-1].startswith("-m pytest") and "tests/test/tracker" in calls[-1]
    assert (checkout.folder / "project" / ".venv-oldest" / "oldest.txt").read_text() == "numpy==1.24.0\n"


def test_every_path_of_the_core_exists(checkout):
    checkout.run()
    paths = [word for word in checkout.calls.read_text().splitlines()[-1].split() if word.startswith("tests/")]
    assert len(paths) > 5 and [path for path in paths if not (SCRIPT.parents[1] / path).exists()] == []


def test_a_full_disk_is_said_and_is_no_failure(checkout):
    checkout.have_gb(11)
    result = checkout.run()
    assert (result.returncode, result.stderr) == (
        0, "oldest versions not tested: 11 GB of disk are free, and 12 are needed\n")
    checkout.have_gb(12)
    checkout.run()
    checkout.have_gb(6)  # what is installed needs no more
    assert checkout.run(TESTS=1).returncode == 1


@pytest.mark.parametrize("step", ["COMPILE", "SYNC"])
def test_no_network_is_no_failure_and_a_conflict_is(checkout, step):
    without, conflict = checkout.run(**{step: 2}), checkout.run(**{step: 1})
    assert without.returncode == 0 and "oldest versions not tested" in without.stderr
    assert conflict.returncode == 1 and "not tested" not in conflict.stderr


def test_failing_tests_fail(checkout):
    assert checkout.run(TESTS=1).returncode == 1
