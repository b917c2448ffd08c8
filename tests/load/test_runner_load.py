"""Very many videos: memory stays flat, and no file, process or piece of shared memory is left."""

from __future__ import annotations

import multiprocessing as mp
import os
import threading

import pytest

from mstgt.test.evaluation.benchmarks import folder_benchmark
from mstgt.test.evaluation.runner import WorkerSetup, load_videos, run_videos
from tests.load.footprint import Footprint, assert_flat, shared_memory
from tests.load.tiny import tiny_engine, write_videos
from tests.processes import children, command_line


@pytest.fixture
def only_temporary(tmp_path, monkeypatch):
    """A folder for temporary files that nobody else uses; empty in the end, but for what multiprocessing and wandb
    (which timm imports) keep as long as a process lives."""
    place = tmp_path / "temporary"
    place.mkdir()
    monkeypatch.setenv("TMPDIR", str(place))
    monkeypatch.setattr("tempfile.tempdir", None)
    yield place
    assert not [p.name for p in place.iterdir() if not p.name.startswith("pymp-") and "wandb" not in p.name]


def test_one_process_after_many_videos(tmp_path, only_temporary):
    names = write_videos(tmp_path / "mine", 30)
    footprints = []
    for turn in range(5):
        videos, failures = load_videos(folder_benchmark(tmp_path / "mine").videos, names)
        assert failures == []
        assert run_videos(WorkerSetup(tiny_engine, tmp_path / f"out{turn}"), videos, ["cpu"]) == []
        footprints.append(Footprint.of(os.getpid()))
    print(assert_flat(footprints, "the process"))


def worker_processes() -> list[int]:
    """The children of the fork server that multiprocessing has in this process."""
    servers = [pid for pid in children(os.getpid()) if "forkserver" in command_line(pid)]
    return [worker for server in servers for worker in children(server)]


@pytest.mark.nightly
def test_a_thousand_videos_and_four_workers(tmp_path, only_temporary):
    names = write_videos(tmp_path / "mine", 1000)
    videos, _ = load_videos(folder_benchmark(tmp_path / "mine").videos, names)
    seen: dict[int, list[Footprint]] = {}
    ended = threading.Event()

    def watch() -> None:
        while not ended.wait(0.2):
            workers = worker_processes()
            for pid in (os.getpid(), *workers) if len(workers) == 4 and list((tmp_path / "out").glob("*1.txt")) else ():
                try:
                    seen.setdefault(pid, []).append(Footprint.of(pid))
                except OSError:  # it has ended
                    continue

    watcher = threading.Thread(target=watch)
    watcher.start()
    try:
        failures = run_videos(WorkerSetup(tiny_engine, tmp_path / "out"), videos, ["cpu"] * 4)
    finally:
        ended.set()
        watcher.join()
    assert failures == [] and len(list((tmp_path / "out").glob("video????.txt"))) == 1000
    assert len(seen) == 5
    for pid, footprints in seen.items():
        assert len(footprints) > 20
        print(assert_flat(footprints, "the parent" if pid == os.getpid() else "a worker"))
    assert not mp.active_children() and not set(worker_processes()) & seen.keys()
    assert not shared_memory(set(seen)) and not list((tmp_path / "out").glob(".*.part-*"))
