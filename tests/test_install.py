"""install.sh without a network: a stand-in for the environment's python records what pip would have been asked."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]

STAND_IN = """#!/usr/bin/env bash
case "$*" in
"-m pip --version") exit 0 ;;
"-m pip install"*) echo "$*" >>"{calls}"; [ ! -e "{folder}/pip-fails" ] ;;
*"(3, 11)"*) [ ! -e "{folder}/is-3.10" ] ;;
"-c import cv2")
    if [ -e "{folder}/cv2-lacks" ] && [ ! -e "{folder}/apt-calls" ]; then
        echo "ImportError: libGL.so.1: cannot open shared object file: No such file or directory"; exit 1
    fi ;;
*) exec "{python}" "$@" ;;
esac
"""


class Machine:
    """A copy of the installer in a folder of its own, an activated stand-in environment, and stand-in commands."""

    def __init__(self, folder: Path):
        self.folder, self.calls = folder, folder / "pip-calls"
        self.project, self.environment, self.bin = folder / "my project", folder / "env", folder / "bin"
        self.project.mkdir()
        for name in ("install.sh", "pyproject.toml"):
            shutil.copy(ROOT / name, self.project / name)
        self.command(self.environment / "bin" / "python",
                     STAND_IN.format(calls=self.calls, folder=folder, python=sys.executable))
        self.command(self.bin / "apt-get", f'#!/bin/sh\necho "$@" >>"{folder}/apt-calls"\n')
        self.be_user(1000)

    def command(self, path: Path, text: str) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
        path.chmod(0o755)

    def be_user(self, number: int) -> None:
        self.command(self.bin / "id", f"#!/bin/sh\necho {number}\n")

    def run(self, *arguments: str, **variables: str) -> subprocess.CompletedProcess[str]:
        env = {"HOME": str(self.folder), "PATH": f"{self.bin}{os.pathsep}{os.environ['PATH']}",
               "VIRTUAL_ENV": str(self.environment)} | variables
        return subprocess.run(["bash", str(self.project / "install.sh"), *arguments], cwd=self.folder, env=env,
                              capture_output=True, text=True, timeout=60, check=False)

    def pip_calls(self) -> list[str]:
        return self.calls.read_text().splitlines() if self.calls.exists() else []


@pytest.fixture
def machine(tmp_path):
    return Machine(tmp_path)


def last_line(result: subprocess.CompletedProcess[str]) -> str:
    assert result.returncode == 1
    return result.stderr.splitlines()[-1]


def test_installs_once_into_the_activated_environment(machine):
    first, second = machine.run(), machine.run()
    assert (first.returncode, second.returncode) == (0, 0), first.stderr + second.stderr
    assert "torch is about 3 GB" in first.stdout and "torch is about 3 GB" not in second.stdout
    assert len(machine.pip_calls()) == 1 and machine.pip_calls()[0].endswith(f"-e {machine.project}[dev]")
    assert not (machine.project / ".venv").exists()
    assert machine.run(VIRTUAL_ENV="", CONDA_PREFIX=str(machine.environment)).returncode == 0
    assert len(machine.pip_calls()) == 1


def test_installs_again_when_the_requirements_change(machine):
    machine.run()
    with open(machine.project / "pyproject.toml", "a") as file:
        file.write("# changed\n")
    assert machine.run().returncode == 0
    assert len(machine.pip_calls()) == 2


def test_failed_install_is_one_line_and_is_tried_again(machine):
    (machine.folder / "pip-fails").touch()
    error = last_line(machine.run())
    assert error == (f"error: pip install failed; the whole output is in {machine.environment / 'install.log'}")
    (machine.folder / "pip-fails").unlink()
    assert machine.run().returncode == 0
    assert len(machine.pip_calls()) == 2


def test_locked_takes_nothing_without_a_hash(machine):
    assert machine.run("locked").returncode == 0
    packages, project = machine.pip_calls()
    assert packages.endswith(f"--require-hashes -r {machine.project}/requirements.lock")
    assert project.endswith(f"--no-deps --no-build-isolation -e {machine.project}")
    assert machine.run().returncode == 0 and len(machine.pip_calls()) == 2, "they serve the other actions, too"
    assert machine.run("locked").returncode == 0 and len(machine.pip_calls()) == 4, "whatever came in between"


def test_locked_on_python_3_10(machine):
    (machine.folder / "is-3.10").touch()
    assert "requirements.lock is for Python 3.11 or newer" in last_line(machine.run("locked"))
    assert machine.pip_calls() == []


def test_missing_system_library(machine):
    (machine.folder / "cv2-lacks").touch()
    error = last_line(machine.run())
    assert "libGL.so.1" in error and "sudo apt-get install libgl1 libglib2.0-0" in error
    assert not (machine.folder / "apt-calls").exists()
    machine.be_user(0)
    assert machine.run().returncode == 0
    assert "install -y --no-install-recommends libgl1 libglib2.0-0" in (machine.folder / "apt-calls").read_text()


@pytest.mark.parametrize("arguments", [["tset"], ["test", "demo"]])
def test_unknown_action(machine, arguments):
    assert "bash install.sh [locked|test|demo]" in last_line(machine.run(*arguments))
    assert machine.pip_calls() == []


@pytest.mark.parametrize("flag", ["help", "-h", "--help"])
def test_help_installs_nothing(machine, flag):
    done = machine.run(flag)
    assert done.returncode == 0 and "bash install.sh demo      install, then train" in done.stdout
    assert done.stderr == "" and machine.pip_calls() == []


def test_environment_without_python(machine):
    (machine.environment / "bin" / "python").unlink()
    assert f"{machine.environment} has no bin/python" in last_line(machine.run())


def test_no_python_at_all(machine):
    for name in ("dirname", "mktemp"):
        (machine.bin / name).symlink_to(shutil.which(name))
    result = subprocess.run([shutil.which("bash"), str(machine.project / "install.sh")], cwd=machine.folder,
                            env={"PATH": str(machine.bin)}, capture_output=True, text=True, timeout=60, check=False)
    assert "Python 3.10 or newer is needed" in last_line(result)
    assert not (machine.project / ".venv").exists()
