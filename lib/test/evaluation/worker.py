"""The work of one worker: it loads the network once, tracks the videos it is given and writes their results.

:func:`track_and_save` runs in the calling process. :func:`worker_process` runs it in a process of its own, which is
connected to the parent by a pipe and sends these messages:

    ("next", None)              asks for a video; the answer is a Video, or None when none is left
    ("frames", {video: n})      n more frames of each video are done
    ("end", (video, reason))    the video has ended; reason is None where its result is written
    ("unfit", reason)           the worker cannot start at all (no checkpoint, no memory on the GPU)

SIGTERM ends a worker with status 143 after it has removed half-written files. It also ends with its parent. Ctrl-C is
left to the parent.
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
from collections.abc import Callable, Generator, Iterable, Iterator
from dataclasses import dataclass
from multiprocessing.connection import Connection, wait
from pathlib import Path
from typing import NoReturn

import cv2
import torch

from ...data.video import Video
from ...utils.errors import UserError
from ..tracker import TrackerEngine
from .batched import Track, track_videos
from .results import write_result

REPORT_INTERVAL_S = 0.5  # between two messages about frames: one per frame would cost more than the progress bar shows
SHUTDOWN_GRACE_S = 10.0  # how long a worker may take to end after SIGTERM


@dataclass(frozen=True)
class WorkerSetup:
    """What a worker needs. It must be picklable: every worker process builds its engine itself.

    build_engine  an engine from a device's name
    folder        the results folder
    batch         how many videos go through the network at once
    """

    build_engine: Callable[[str], TrackerEngine]
    folder: Path
    batch: int = 1


def track_and_save(setup: WorkerSetup, device: str, videos: Iterable[Video],
                   on_frame: Callable[[str], object]) -> Generator[tuple[str, str | None]]:
    """Track ``videos``; gives the name of each with the reason why it failed, None where its result is written."""
    with _fixed_threads():
        engine = setup.build_engine(device)
        # The first passes choose algorithms, compile and fill caches. They must not count as the first video's time.
        engine.warm_up(setup.batch)
        for name, outcome in track_videos(engine, videos, setup.batch, on_frame):
            yield name, _save(setup.folder, name, outcome)


def _save(folder: Path, name: str, outcome: Track | UserError) -> str | None:
    if isinstance(outcome, UserError):
        return str(outcome)
    try:
        write_result(folder, name, outcome.boxes_xywh, outcome.seconds, outcome.scores)
    except UserError as error:
        # A full disk, for instance: the video is reported as failed, the others go on.
        return str(error)
    return None


@contextlib.contextmanager
def _fixed_threads() -> Iterator[None]:
    """Compute with one thread, or with as many as OMP_NUM_THREADS says.

    The last bits of a sum depend on how many threads it is split over. The number of threads must therefore not depend
    on the load of the machine or on the number of workers. Parallelism comes from several workers instead.
    """
    torch_threads = torch.get_num_threads()
    opencv_threads = cv2.getNumThreads()
    if "OMP_NUM_THREADS" not in os.environ:
        torch.set_num_threads(1)
    cv2.setNumThreads(1)
    try:
        yield
    finally:
        torch.set_num_threads(torch_threads)
        cv2.setNumThreads(opencv_threads)


def worker_process(setup: WorkerSetup, device: str, connection: Connection) -> None:
    """The main function of a worker process. It ends when there are no more videos, or with its parent."""
    # Ctrl-C goes to the whole process group. Only the parent reacts to it; it then terminates its workers.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    # SIGTERM raises SystemExit, so that files that are being written are removed on the way out.
    signal.signal(signal.SIGTERM, _exit_on_sigterm)
    threading.Thread(target=_exit_with_parent, daemon=True).start()
    reporter = _FrameReporter(connection)
    try:
        for name, reason in track_and_save(setup, device, _requested(connection), reporter.on_frame):
            # The frames first: after "end" the parent no longer expects frames of this video.
            reporter.flush()
            connection.send(("end", (name, reason)))
    except UserError as error:
        connection.send(("unfit", str(error)))
    except (BrokenPipeError, ConnectionResetError, EOFError):
        # The parent is gone, and nobody is left to report to.
        sys.exit(1)


def _requested(connection: Connection) -> Iterator[Video]:
    """The videos from the parent, each requested only when there is a free place for it.

    Requests balance the load: a fast worker asks more often.
    """
    while True:
        connection.send(("next", None))
        video = connection.recv()
        if video is None:
            return
        yield video


class _FrameReporter:
    """Tells the parent how many frames of each video are done, every ``REPORT_INTERVAL_S`` seconds."""

    def __init__(self, connection: Connection):
        self.connection = connection
        self.frames: Counter[str] = Counter()
        self.last_message = time.monotonic()

    def on_frame(self, name: str) -> None:
        self.frames[name] += 1
        if time.monotonic() - self.last_message >= REPORT_INTERVAL_S:
            self.flush()

    def flush(self) -> None:
        self.connection.send(("frames", dict(self.frames)))
        self.frames.clear()
        self.last_message = time.monotonic()


def _exit_on_sigterm(*_: object) -> NoReturn:
    # A second SIGTERM, from the parent and from the watching thread, must not interrupt the cleanup of the first.
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    sys.exit(128 + signal.SIGTERM)


def _exit_with_parent() -> None:
    """Wait until the parent has ended, even by SIGKILL; then end this process."""
    parent = mp.parent_process()
    assert parent is not None
    wait([parent.sentinel])
    os.kill(os.getpid(), signal.SIGTERM)
    # A worker that hangs in a driver call does not run the handler. It must not stay behind.
    time.sleep(SHUTDOWN_GRACE_S)
    os._exit(1)
