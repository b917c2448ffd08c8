"""What one worker does: it keeps the network loaded, asks for videos and writes the result of each.

It runs in the calling process (``track_and_save``), or in its own process that is connected by a pipe
(``worker_process``).
What goes to the parent: ``("next", None)``, which is answered with a video's name or "" at the end;
``("frames", {video: frames since the last message})``; ``("end", (video, reason or None))``; and ``("unfit", reason)``
from a worker that cannot even begin.
"""

from __future__ import annotations

import contextlib
import multiprocessing as mp
import os
import signal
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from multiprocessing.connection import Connection, wait
from pathlib import Path
from typing import NoReturn

import cv2
import torch

from ...utils.errors import UserError
from ..tracker import TrackerEngine
from .batched import Track, track_videos
from .benchmarks import Benchmark
from .results import write_result

SAY_EVERY = 0.5  # seconds between two messages about frames
GRACE = 10.0  # seconds that a worker without a parent has to end in good order


@dataclass(frozen=True)
class WorkerSetup:
    """What a worker needs; must be picklable. Each worker opens the benchmark and builds its engine itself.

    build_engine  an engine from a device's name
    folder        where the results go
    batch         how many videos go through the network at once
    """

    open_benchmark: Callable[[], Benchmark]
    build_engine: Callable[[str], TrackerEngine]
    folder: Path
    batch: int = 1


def track_and_save(setup: WorkerSetup, device: str, names: Iterable[str],
                   on_frame: Callable[[str], object]) -> Iterator[tuple[str, str | None]]:
    """Track the videos in ``names``; gives each with the reason why it failed, None where its result is written."""
    with _fixed_threads():
        videos, engine = setup.open_benchmark().videos, setup.build_engine(device)
        engine.warm_up(setup.batch)
        for name, outcome in track_videos(engine, videos.load, names, setup.batch, on_frame):
            yield name, _save(setup.folder, name, outcome)


def _save(folder: Path, name: str, outcome: Track | UserError) -> str | None:
    if isinstance(outcome, UserError):
        return str(outcome)
    try:
        write_result(folder, name, outcome.boxes_xywh, outcome.seconds, outcome.scores)
    except UserError as error:
        return str(error)
    return None


@contextlib.contextmanager
def _fixed_threads() -> Iterator[None]:
    """Compute with one thread, or with as many as OMP_NUM_THREADS says.

    The last bits of a sum depend on how many threads it is cut into. So their number must not depend on the machine's
    load or on the number of workers: it is workers that use the cores.
    """
    before = torch.get_num_threads(), cv2.getNumThreads()
    if "OMP_NUM_THREADS" not in os.environ:
        torch.set_num_threads(1)
    cv2.setNumThreads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before[0])
        cv2.setNumThreads(before[1])


def worker_process(setup: WorkerSetup, device: str, connection: Connection) -> None:
    """The main function of a worker process. It ends when there are no more videos, or with its parent."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is the parent's business
    signal.signal(signal.SIGTERM, _end_once)  # leaves no half-written file
    threading.Thread(target=_end_with_parent, daemon=True).start()
    reporter = _Reporter(connection)
    try:
        for name, reason in track_and_save(setup, device, _asked_for(connection), reporter.on_frame):
            reporter.flush()
            connection.send(("end", (name, reason)))
    except UserError as error:
        connection.send(("unfit", str(error)))
    except (BrokenPipeError, ConnectionResetError, EOFError):  # the parent is gone
        sys.exit(1)


def _asked_for(connection: Connection) -> Iterator[str]:
    """The names of videos, each asked for when it is needed."""
    while True:
        connection.send(("next", None))
        name = connection.recv()
        if not name:
            return
        yield name


class _Reporter:
    """Tells the parent how many frames of each video are done, now and then."""

    def __init__(self, connection: Connection):
        self.connection = connection
        self.frames: Counter[str] = Counter()
        self.said = time.monotonic()

    def on_frame(self, name: str) -> None:
        self.frames[name] += 1
        if time.monotonic() - self.said >= SAY_EVERY:
            self.flush()

    def flush(self) -> None:
        self.connection.send(("frames", dict(self.frames)))
        self.frames.clear()
        self.said = time.monotonic()


def _end_once(*_: object) -> NoReturn:
    """The first SIGTERM; a second, of the parent and of the watch over it, is not to break off how the worker ends."""
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    sys.exit(128 + signal.SIGTERM)


def _end_with_parent() -> None:
    """Wait until the parent is gone, however it went; then end, in good order if that can be done soon."""
    wait([mp.parent_process().sentinel])
    os.kill(os.getpid(), signal.SIGTERM)
    time.sleep(GRACE)
    os._exit(1)
