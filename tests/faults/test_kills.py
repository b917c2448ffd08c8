"""Commands that are killed: the same command again ends where one that nobody disturbed does, to the last bit of the
weights, and nothing half-written is left."""

from __future__ import annotations

import signal
import subprocess
import sys
import time

import pytest
import torch

from tests.faults.commands import CHECKPOINTS, COMMANDS, end_state
from tests.faults.conftest import GONE_S
from tests.faults.fork_server import ROOT
from tests.faults.seeds import announce, cases, chance
from tests.processes import session_members, until

KILLED = ("train", "test", "synthetic", "index", "score", "pack_zip", "pack_lmdb", "submit")


@cases(KILLED, nightly=8, always=KILLED)
def test_killed_at_a_file_operation(lab, name, seed):
    """A signal at one of the operations on files, which are the same ones in every run."""
    calm, random = lab.calm(name), chance(name, seed)
    here = lab.fresh(name)
    for _ in range(random.choice((1, 1, 2))):
        number = random.choice((signal.SIGKILL, signal.SIGTERM))
        at = random.randrange(len(calm.events))
        announce(seed, f"{number.name} at operation {at} of {len(calm.events)} ({calm.events[at]})")
        run = lab.start(name, under=str(here), at=at, signal=number)
        status = lab.finish(run)
        assert status in (0, -number, 128 + number), run.said()
        assert "Traceback" not in run.said(), run.said()
    assert_the_end_of(lab, name, here)


@cases(KILLED, nightly=5)
def test_killed_at_a_moment(lab, name, seed):
    """A signal at a moment that knows nothing of what the command is at: within a write, too."""
    calm, random = lab.calm(name), chance("moment", name, seed)
    here = lab.fresh(name)
    for _ in range(random.choice((1, 2, 3))):
        number, group = random.choice((signal.SIGKILL, signal.SIGTERM)), random.random() < 0.5
        wait = random.uniform(0, calm.seconds)
        announce(seed, f"{number.name} to the {'group' if group else 'process'} after {wait:.2f} s")
        run = lab.start(name)
        time.sleep(wait)
        run.send(number, group)
        assert lab.finish(run) in (0, -number, 128 + number), run.said()
        assert "Traceback" not in run.said(), run.said()
    assert_the_end_of(lab, name, here)


@cases(("synthetic", "pack_zip"), nightly=2)
def test_killed_on_the_command_line(lab, name, seed):
    """The same through a new interpreter, with worker processes. For train.py see tests/train/test_killed_runs.py, for
    test.py tests/test/evaluation/test_runner.py."""
    calm, random = lab.calm(name), chance("line", name, seed)
    here = lab.fresh(name)
    more = ["--workers", "2"] if name == "synthetic" else []
    words = [sys.executable, str(ROOT / "tracking" / COMMANDS[name].script), *COMMANDS[name].arguments(here), *more]
    wait = random.uniform(0, calm.seconds)
    announce(seed, f"SIGKILL {wait:.2f} s after the first file")
    process = subprocess.Popen(words, cwd=ROOT, stdout=subprocess.DEVNULL, start_new_session=True)
    before = set(here.rglob("*"))
    until(lambda: set(here.rglob("*")) > before or process.poll() is not None, 120)
    time.sleep(wait)
    process.kill()
    assert process.wait() in (0, -signal.SIGKILL)
    until(lambda: not session_members(process.pid), GONE_S)
    assert_the_end_of(lab, name, here)


def assert_the_end_of(lab, name, here) -> None:
    run = lab.start(name)
    assert lab.finish(run) == 0, run.said()
    assert end_state(here) == lab.calm(name).end, run.said()


@pytest.mark.parametrize("name", ["train", "test"])
def test_the_same_seed_gives_the_same_numbers(lab, name):
    """A second undisturbed run; in training with worker processes, which change no sample. What reads and
    what packs is covered by the disturbed runs, synthetic images by tests/synthetic/test_synthetic.py."""
    more = ("--set", "TRAIN.NUM_WORKER=2") if name == "train" else ()
    here = lab.fresh(name)
    run = lab.start(name, *more)
    assert lab.finish(run) == 0, run.said()
    if name == "test":
        assert end_state(here) == lab.calm(name).end
        return
    one, other = (torch.load(place / CHECKPOINTS / "MSTGT_ep0002.pth.tar", weights_only=True)
                  for place in (here, lab.calm(name).here))
    assert all(torch.equal(one[part][n], v) for part in ("net", "ema") for n, v in other[part].items())
