"""Which code made a file: the git commit where the project is a checkout, else the installed version."""

from __future__ import annotations

import functools
import subprocess
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

_PROJECT = Path(__file__).resolve().parents[2]


@functools.cache
def code_version() -> str:
    """Such as ``4f2c9a1…`` or ``4f2c9a1… with changes`` of a checkout, ``mstgt 0.1.0`` of an installation."""
    if (_PROJECT / ".git").exists():
        commit = _git("rev-parse", "HEAD")
        if commit:
            return commit + (" with changes" if _git("status", "--porcelain", "--untracked-files=no") else "")
    try:
        return f"mstgt {version('mstgt')}"
    except PackageNotFoundError:
        return "unknown"


def _git(*arguments: str) -> str:
    """What git answers; nothing where there is no git or it fails."""
    try:
        done = subprocess.run(["git", "-C", str(_PROJECT), *arguments], capture_output=True, text=True, check=False)
    except OSError:
        return ""
    return done.stdout.strip() if done.returncode == 0 else ""
