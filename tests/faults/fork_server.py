"""A process that has imported everything, and forks a child for every command: a run of ``tracking/*.py`` without the
seconds that its imports take.

    with ForkServer() as server:
        run = server.start("train.py", ["--config", …], log=tmp_path / "log")
        run.send(signal.SIGKILL)             # to the child, as to any process
        status = run.wait()

A child is what ``python tracking/train.py`` would be: the script runs as ``__main__``, in a session and a process group
of its own, with its own standard output. Only its interpreter is not taken down at the end, which costs a second; and
``hivit_nano`` is a smaller network here. Its file operations are events (Python's audit hooks): the child writes them
down, or gets a signal at one of them.
"""

from __future__ import annotations

import atexit
import gc
import importlib
import json
import os
import resource
import runpy
import signal
import subprocess
import sys
import threading
import time
import traceback
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.processes import environment, is_alive, until

ROOT = Path(__file__).resolve().parents[2]
WANTED = ("mstgt.train.build", "mstgt.train.trainers.loggers",
          "mstgt.data.packing",
          "mstgt.test.evaluation.runner", "mstgt.test.evaluation.submission", "mstgt.export.onnx_engine",
          "mstgt.synthetic.writer", "mstgt.test.analysis.comparison")
DEADLINE_S = 300
FILE_EVENTS = ("open", "os.rename", "os.remove", "os.mkdir", "os.rmdir", "os.link", "os.chmod", "shutil.rmtree")


@dataclass(frozen=True)
class Run:
    """A command under way."""

    server: ForkServer
    pid: int
    log: Path
    began: float

    def send(self, number: int, group: bool = False) -> bool:
        """A signal to the process, or to all of its group; False where it has ended."""
        try:
            (os.killpg if group else os.kill)(self.pid, number)
        except ProcessLookupError:
            return False
        return self.alive()

    def alive(self) -> bool:
        return is_alive(self.pid)

    def wait(self) -> int:
        """The exit status, negative for a signal, once it has ended."""
        until(lambda: not self.alive(), DEADLINE_S)
        return self.server.ask({"wait": self.pid})

    @property
    def seconds(self) -> float:
        return time.monotonic() - self.began

    def said(self) -> str:
        return self.log.read_text(errors="replace")


class ForkServer:
    """Starts commands; one at a time talks to it."""

    def __enter__(self) -> ForkServer:
        variables = environment(CUDA_VISIBLE_DEVICES="", MPLBACKEND="Agg", PYTHONPATH=str(ROOT))
        self.process = subprocess.Popen([sys.executable, __file__], stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                                        text=True, env=variables, cwd=ROOT)
        return self

    def __exit__(self, *_: object) -> None:
        self.process.stdin.close()
        self.process.wait(DEADLINE_S)

    def start(self, script: str, arguments: list[str], log: Path, **fault: Any) -> Run:
        """Start ``tracking/<script>``; ``log`` takes all that it prints. The fault may be one of these:

        largest_file=bytes                  no file may grow further: writing more fails, as on a full disk
        under=folder, at=n, signal=number   a signal to itself at its n-th operation on a file in that folder (from 0)
        under=folder, events=file           the operations are written to the file, a line each
        """
        order = {"script": str(ROOT / "tracking" / script), "arguments": arguments, "log": str(log), **fault}
        log.write_bytes(b"")
        return Run(self, self.ask(order), log, time.monotonic())

    def ask(self, order: dict[str, Any]) -> int:
        self.process.stdin.write(json.dumps(order) + "\n")
        self.process.stdin.flush()
        return int(self.process.stdout.readline())


def _serve() -> None:
    """Answer orders until there are no more. In a child it returns never: it runs the command."""
    for name in WANTED:
        importlib.import_module(name)
    from mstgt.models.mstgt import BACKBONES, HiViTSpec

    BACKBONES["hivit_nano"] = HiViTSpec(32, (1, 1, 2), 2)
    gc.collect()
    gc.freeze()  # a child's collector is to leave these pages shared
    talk = os.fdopen(os.dup(1), "w")
    while line := sys.stdin.readline():
        order = json.loads(line)
        if "wait" in order:
            answer = os.waitstatus_to_exitcode(os.waitpid(order["wait"], 0)[1])
        else:
            answer = os.fork()
            if answer == 0:
                talk.close()
                _become(order)
        print(answer, file=talk, flush=True)
    os._exit(0)


def _become(order: dict[str, Any]) -> None:
    """Run the command and end with its exit status."""
    os.setsid()
    log = os.open(order["log"], os.O_WRONLY | os.O_APPEND)
    if "largest_file" in order:  # its log is no file of its own
        log = subprocess.Popen(["cat"], stdin=subprocess.PIPE, stdout=log).stdin.fileno()
        resource.setrlimit(resource.RLIMIT_FSIZE, (order["largest_file"], resource.RLIM_INFINITY))
    for source, target in ((os.open(os.devnull, os.O_RDONLY), 0), (log, 1), (log, 2)):
        os.dup2(source, target)
    signal.signal(signal.SIGINT, signal.default_int_handler)
    if "under" in order:
        wanted = {key: order[key] for key in ("under", "at", "signal", "events") if key in order}
        sys.addaudithook(_watch(os.getpid(), **wanted))
    sys.argv = [order["script"], *order["arguments"]]
    status: Any = 0
    try:
        runpy.run_path(order["script"], run_name="__main__")
    except SystemExit as end:
        status = end.code or 0
    except BaseException:  # noqa: BLE001, this is what the interpreter does
        traceback.print_exc()
        status = 1
    threading._shutdown()
    atexit._run_exitfuncs()
    sys.stdout.flush()
    os._exit(status if isinstance(status, int) else 1)


def _watch(pid: int, under: str, at: int = -1, signal: int = 0, events: str = "") -> Any:
    """The audit hook that counts operations on files under ``under``."""
    record = open(events, "w", buffering=1) if events else None  # noqa: SIM115, until the end
    count = 0

    def hook(event: str, arguments: tuple[Any, ...]) -> None:
        nonlocal count
        if event not in FILE_EVENTS or not arguments or os.getpid() != pid:
            return
        if not isinstance(arguments[0], str | os.PathLike) or not str(arguments[0]).startswith(under):
            return
        if record is not None:
            record.write(f"{event} {str(arguments[0])[len(under):]}\n")
        if count == at:
            os.kill(pid, signal)
        count += 1
    return hook


if __name__ == "__main__":
    _serve()
