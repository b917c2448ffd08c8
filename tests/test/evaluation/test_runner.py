"""Workers in processes of their own: the same numbers, deaths that are survived, no orphans."""

from __future__ import annotations

import contextlib
import multiprocessing as mp
import os
import signal
import subprocess
import sys
import threading
import time
from functools import partial

import pytest
from tqdm import tqdm

from mstgt.config import load_config
from mstgt.test.evaluation import runner
from mstgt.test.evaluation.benchmarks import folder_benchmark
from mstgt.test.evaluation.runner import Failure, WorkerSetup, load_videos, run_videos
from mstgt.test.tracker import load_engine
from mstgt.utils.errors import UserError
from tests.processes import children, command_line, environment, is_alive, until


@pytest.fixture
def bars(monkeypatch):
    """The progress bars, drawn into nothing."""
    made = []

    def progress(iterable=None, **options):
        made.append(tqdm(iterable, file=open(os.devnull, "w"), **options))  # noqa: SIM115
        return made[-1]

    monkeypatch.setattr(runner, "progress", progress)
    return made


def loaded(root):
    """The videos of a folder by name."""
    videos = folder_benchmark(root).videos
    return load_videos(videos, videos.video_names)[0]


def test_workers_batches_and_shards_give_the_same_boxes(command, videos, bars):
    root = videos(a=9, b=4, c=1, d=7)
    assert command("--dataset_dir", root) == 0 and "4 of 4 videos done" in command.said
    alone = command.boxes()
    assert len(alone) == 8
    assert command("--dataset_dir", root, "--run", "two", "--threads", "2") == 0
    assert command.boxes(run="_two") == alone  # to the last digit
    assert all((bar.n, bar.total) == (21, 21) for bar in bars if bar.unit == "frame")
    for shard in ("1/2", "2/2"):
        assert command("--dataset_dir", root, "--run", "shards", "--shard", shard) == 0
        assert f"shard {shard}: 2 videos" in command.said
    assert command.boxes(run="_shards") == alone


def test_a_crashed_worker_fails_its_video_and_is_replaced(command, videos, bars):
    root = videos(long=1500, a=4, b=4, c=4)

    pools = []
    original = runner.WorkerPool.__init__

    def remember(self, *arguments):
        original(self, *arguments)
        pools.append(self)

    def kill_the_one_at_the_long_video() -> None:
        until(lambda: (command.folder() / "c.txt").is_file())
        [worker] = [w for w in pools[0].workers.values() if "long" in w.videos]
        os.kill(worker.process.pid, signal.SIGKILL)

    killer = threading.Thread(target=kill_the_one_at_the_long_video)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(runner.WorkerPool, "__init__", remember)
        killer.start()
        assert command("--dataset_dir", root, "--threads", "2") == 1
    killer.join()
    assert "FAILED long: its worker died: SIGKILL" in command.said and "3 of 4 videos done" in command.said
    assert bars[-1].n == bars[-1].total and not mp.active_children()
    assert sorted(command.boxes()) == sorted(f"{n}{e}" for n in "abc" for e in (".txt", "_score.txt"))




def test_workers_that_keep_dying_are_given_up(videos, tmp_path, bars):
    setup = WorkerSetup(float, tmp_path)  # no float is called "cpu"
    failures = run_videos(setup, loaded(videos(a=2, b=2)), ["cpu", "cpu"])
    deaths, untouched = failures[:-2], failures[-2:]
    assert [f.video for f in deaths] == ["(worker on cpu)"] * 4 and all("exit status 1" in f.reason for f in deaths)
    assert untouched == [Failure(name, "not tracked: 4 workers died before its turn") for name in "ab"]
    assert bars[-1].total == 0


def test_a_worker_that_cannot_begin_is_one_line(videos, tmp_path):
    build = partial(load_engine, load_config("MSTGT", "MSTGT-demo-128"), tmp_path / "nowhere.pth.tar")
    with pytest.raises(UserError, match=r"nowhere\.pth\.tar"):
        run_videos(WorkerSetup(build, tmp_path), loaded(videos(a=2, b=2)), ["cpu"] * 2)
    assert not mp.active_children()


@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGINT])
def test_a_run_that_is_ended_in_the_middle_can_be_taken_up(command, videos, how):
    """A worker and then the parent are killed, or somebody presses Ctrl-C twice, which all of them get; no process
    stays, and a re-run ends with the files of a calm one."""
    root = videos(long=1500, other=1400, a=3, b=5)
    command("--dataset_dir", root, "--sequence", "a", "--sequence", "b", "--run", "calm")
    words = [sys.executable, command.module.__file__, *command.fixed, "--dataset_dir", str(root), "--threads", "3"]
    parent = subprocess.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, start_new_session=True)
    until(lambda: servers_of(parent.pid))
    [server] = servers_of(parent.pid)
    until(lambda: len(children(server)) == 3)
    workers = children(server)  # now: the one with the short videos ends when they are done
    until(lambda: {"a.txt", "b.txt"} & set(command.boxes()))
    if how == signal.SIGKILL:
        os.kill(workers[0], signal.SIGKILL)
    if how == signal.SIGKILL:
        os.kill(parent.pid, how)
    else:
        os.killpg(parent.pid, how)
        time.sleep(0.2)
        with contextlib.suppress(ProcessLookupError):
            os.killpg(parent.pid, how)
    _, errors = parent.communicate(timeout=30)
    assert parent.returncode == (130 if how == signal.SIGINT else -how), errors
    if how == signal.SIGINT:
        assert errors.strip().splitlines()[-1] == "interrupted" and "Traceback" not in errors
    until(lambda: not any(is_alive(pid) for pid in workers), 20)
    assert not {"long.txt", "other.txt"} & set(command.boxes())
    assert not list(command.folder().glob(".*.txt"))
    for name in ("long", "other"):  # too long to be tracked to the end here
        for frame in sorted((root / name / "img").iterdir())[3:]:
            frame.unlink()
    assert command("--dataset_dir", root) == 0 and "have a result already" in command.said
    assert {"a.txt", "b.txt", "long.txt", "other.txt"} <= set(command.boxes())
    calm = command.boxes(run="_calm")
    assert {name: text for name, text in command.boxes().items() if name in calm} == calm


def servers_of(pid: int) -> list[int]:
    return [p for p in children(pid) if "forkserver" in command_line(p)]


def test_torchrun_gives_every_process_a_share_and_waits_for_all(command, videos):
    root = videos(a=9, b=4, c=3, truncated=8)
    (root / "truncated/img/00000003.jpg").write_bytes(b"")
    variables = environment(CUDA_VISIBLE_DEVICES="")
    done = subprocess.run([sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc_per_node=2",
                           command.module.__file__, *command.fixed, "--dataset_dir", str(root)],
                          env=variables, capture_output=True, text=True, timeout=300)
    assert done.returncode == 1, done.stderr
    assert "shard 1/2" in done.stdout and "shard 2/2" in done.stdout
    assert "FAILED truncated" in done.stdout and "00000003.jpg" in done.stdout
    files = command.boxes()
    assert command("--dataset_dir", root, "--run", "alone", "--batch", "3") == 1
    assert files.keys() == command.boxes(run="_alone").keys() and len(files) == 6
