"""Locks on videos: two commands on one results folder share the work, and a killed one blocks nothing."""

from __future__ import annotations

import logging
import os
import signal
import threading
import time

import numpy as np
import pytest

from mstgt.test.evaluation.results import write_result
from mstgt.test.evaluation.video_queue import VideoLocks, is_locked
from tests.processes import until


def test_a_video_is_locked_for_one_at_a_time(tmp_path):
    one, two = VideoLocks(tmp_path), VideoLocks(tmp_path)
    assert not is_locked(tmp_path, "a") and not list(tmp_path.iterdir())
    assert one.acquire("a") and not two.acquire("a") and is_locked(tmp_path, "a")
    assert two.acquire("b") and two.acquire("nested/c")
    one.release("a")
    two.release_all()
    assert not list(tmp_path.rglob("*.lock")) and two.acquire("a")
    two.release("a")


def test_waiting_for_a_lock_whose_file_is_removed(tmp_path):
    one, two = VideoLocks(tmp_path), VideoLocks(tmp_path)
    one.acquire("a")
    waiter = threading.Thread(target=two.acquire, args=("a", True))
    waiter.start()
    time.sleep(0.1)
    one.release("a")  # removes the file that the other has open
    waiter.join(10)
    assert not waiter.is_alive() and not one.acquire("a")
    two.release("a")


@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGTERM])
def test_a_lock_ends_with_its_process(tmp_path, how):
    child = os.fork()
    if not child:
        VideoLocks(tmp_path).acquire("a")
        time.sleep(60)
        os._exit(0)
    until(lambda: is_locked(tmp_path, "a"))
    assert not VideoLocks(tmp_path).acquire("a")
    os.kill(child, how)
    os.waitpid(child, 0)
    locks = VideoLocks(tmp_path)
    assert locks.acquire("a")
    locks.release("a")


def test_two_commands_on_one_folder_do_each_video_once(command, videos, caplog):
    """The other command is tracking ``a`` and ends it, and ``b``, which it leaves without a result."""
    root = videos(a=3, b=2, c=2)
    folder = command.folder()
    assert command("--dataset_dir", root, "--sequence", "c") == 0  # the manifest
    caplog.set_level(logging.INFO)
    other = VideoLocks(folder)
    assert other.acquire("a") and other.acquire("b")

    def end() -> None:
        until(lambda: any("waiting for 2 videos" in message for message in caplog.messages))
        write_result(folder, "a", np.ones((3, 4)), np.ones(3), np.ones(3))
        other.release_all()

    thread = threading.Thread(target=end)
    thread.start()
    assert command("--dataset_dir", root) == 0
    thread.join()
    assert "1 videos were tracked by another process" in command.said
    assert command.boxes()["a.txt"].startswith("1.0000") and command.boxes()["b.txt"].startswith("40.0000")
    assert not list(folder.glob(".?*.lock"))
