"""The code names itself."""

from __future__ import annotations

import re
import subprocess

import pytest

from mstgt.utils import version


@pytest.fixture(autouse=True)
def forget():
    version.code_version.cache_clear()
    yield
    version.code_version.cache_clear()


def test_a_checkout_names_its_commit_and_whether_it_was_changed(tmp_path, monkeypatch):
    def git(*arguments: str) -> None:
        subprocess.run(["git", "-C", str(tmp_path), "-c", "user.name=a", "-c", "user.email=a@b", *arguments],
                       check=True, capture_output=True)

    git("init")
    (tmp_path / "file").write_text("one")
    git("add", "file")
    git("commit", "-m", "first")
    monkeypatch.setattr(version, "_PROJECT", tmp_path)
    clean = version.code_version()
    assert re.fullmatch("[0-9a-f]{40}", clean)
    (tmp_path / "file").write_text("two, which is longer")
    version.code_version.cache_clear()
    assert version.code_version() == f"{clean} with changes"


def test_without_a_checkout_the_installed_version_is_given(tmp_path, monkeypatch):
    monkeypatch.setattr(version, "_PROJECT", tmp_path)
    assert re.fullmatch(r"mstgt \d+\.\d+.*|unknown", version.code_version())
