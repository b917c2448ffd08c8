"""Locks between processes, and files that are written whole."""

from __future__ import annotations

import threading
import time

import pytest

from mstgt.utils.errors import UserError
from mstgt.utils.files import _parts, atomic_path, locked, write_text


@pytest.mark.parametrize("name", ["", "file.lock"])
def test_a_second_holder_is_refused_or_waits(tmp_path, name):
    path = tmp_path / name
    with locked(path) as held:
        assert held
        with locked(path, wait_s=0) as second:
            assert not second
    with locked(path, wait_s=0) as held:
        assert held


def test_waiting_ends_when_the_lock_is_given_back(tmp_path):
    def hold() -> None:
        with locked(tmp_path):
            taken.set()
            time.sleep(0.3)

    taken = threading.Event()
    thread = threading.Thread(target=hold)
    thread.start()
    taken.wait()
    with locked(tmp_path, wait_s=30) as held:
        assert held
    thread.join()


def test_a_place_that_is_not_there_is_named(tmp_path):
    with pytest.raises(UserError, match="cannot lock .*nowhere"), locked(tmp_path / "nowhere" / "file.lock"):
        pass


def test_the_next_writer_removes_what_a_killed_one_left_but_nothing_that_is_being_written(tmp_path):
    for name in (".a.part-x1y2z3w4.txt", ".a.part-x1y2z3w4.png", ".b.part-x1y2z3w4.txt", ".a.mine.txt"):
        (tmp_path / name).write_text("half")
    with atomic_path(tmp_path / "a.txt") as first:
        assert not (tmp_path / ".a.part-x1y2z3w4.txt").exists()
        _parts.cache_clear()  # another process
        write_text(tmp_path / "a.txt", "two")
        first.write_text("one")
    assert (tmp_path / "a.txt").read_text() == "one"
    assert sorted(p.name for p in tmp_path.iterdir()) == [".a.mine.txt", ".a.part-x1y2z3w4.png", ".b.part-x1y2z3w4.txt",
                                                          "a.txt"]


def test_a_file_in_the_place_of_a_folder_is_named(tmp_path):
    (tmp_path / "taken").write_text("mine")
    with pytest.raises(UserError, match=r"cannot write \S+/taken/a.txt: \S+/taken is not a folder"):
        write_text(tmp_path / "taken" / "a.txt", "text")
    with pytest.raises(UserError, match=r"cannot write \S+/taken/b/a.txt: Not a directory"):
        write_text(tmp_path / "taken" / "b" / "a.txt", "text")
    assert (tmp_path / "taken").read_text() == "mine"
