"""Locks between processes."""

from __future__ import annotations

import threading
import time

import pytest

from lib.utils.errors import UserError
from lib.utils.files import locked


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
