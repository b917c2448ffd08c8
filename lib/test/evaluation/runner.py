"""Track videos and write each result as soon as it is there.

    videos, failures = load_videos(benchmark.videos, names)
    setup = WorkerSetup(build_engine, folder, batch=4)
    failures += run_videos(setup, videos, ["cuda:0", "cuda:1"])

With one device the videos are tracked in this process. With several, each device gets a worker process that loads the
network once; the longest videos are tracked first. A failing video is recorded and skipped. If a worker crashes, its
current videos are recorded as failed and a replacement is started, up to one replacement per device. Everything that
went wrong is in the list that :func:`run_videos` returns.

Every video is locked in the results folder while it is tracked (:mod:`.video_queue`). Several
commands can therefore work on the same folder: each takes the videos that no other is tracking.
"""

from __future__ import annotations

import contextlib
import logging
import multiprocessing as mp
import signal
from collections import Counter
from collections.abc import Generator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from multiprocessing.connection import Connection, wait

from tqdm import tqdm

from ...data.video import Video, VideoSet
from ...utils.errors import UserError
from ...utils.progress import progress
from .video_queue import VideoQueue
from .worker import SHUTDOWN_GRACE_S, WorkerSetup, track_and_save, worker_process

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Failure:
    """A video without a result, and why. A worker that crashed before it had a video is recorded as one, too."""

    video: str
    reason: str


def load_videos(videos: VideoSet, names: Sequence[str]) -> tuple[dict[str, Video], list[Failure]]:
    """The videos ``names`` with their annotations, and those whose annotation cannot be read."""
    loaded = {}
    failures = []
    for name in progress(names, unit="video", desc="videos"):
        try:
            loaded[name] = videos.load(name)
        except UserError as error:
            failures.append(Failure(name, str(error)))
    return loaded, failures


def run_videos(setup: WorkerSetup, videos: Mapping[str, Video], devices: Sequence[str]) -> list[Failure]:
    """Track ``videos`` (by name) with one worker per entry of ``devices``, which may name a device several times.

    Returns when every video has a result or a failure, including those that another process was tracking. Raises
    :class:`UserError` where no worker can start at all.
    """
    failures: list[Failure] = []
    # Longest first: a long video that starts last would leave the other workers idle at the end.
    names = sorted(videos, key=lambda name: (-len(videos[name]), name))
    with progress(total=sum(map(len, videos.values())), unit="frame", desc="tracking") as bar:
        tracker = ProgressTracker(bar, videos)
        # A second round is needed only for videos that another process was tracking and then left without a result.
        while names:
            # No more workers than videos: the others would load a network for nothing. A batch takes several videos at
            # once, and must not take so many that other workers get none.
            used = devices[: len(names)]
            share = -(-len(names) // len(used))
            setup = replace(setup, batch=min(setup.batch, share))
            queue = VideoQueue(setup.folder, names)
            try:
                if len(used) == 1:
                    taken = (videos[name] for name in iter(queue.take, None))
                    ended = track_and_save(setup, used[0], taken, tracker.add)
                else:
                    ended = WorkerPool(setup, videos, used, queue, tracker).run()
                # Closed at once where the loop is left by an exception: no worker process is left behind.
                with contextlib.closing(ended):
                    for name, reason in ended:
                        if reason is not None:
                            failures.append(Failure(name, reason))
                        if name in videos:
                            queue.locks.release(name)
                            tracker.close(name)
                names = queue.wait_for_others()
            finally:
                queue.locks.release_all()
            for name in queue.done_elsewhere:
                tracker.close(name)
            if queue.done_elsewhere:
                _log.info("%d videos were tracked by another process", len(queue.done_elsewhere))
    return failures


class ProgressTracker:
    """Keeps the progress bar: frames done of the frames to do. The rest of a failed video is no longer to do."""

    def __init__(self, bar: tqdm, videos: Mapping[str, Video]):
        self.bar = bar
        self.videos = videos
        self.done: Counter[str] = Counter()

    def add(self, name: str, frames: int = 1) -> None:
        self.done[name] += frames
        self.bar.update(frames)

    def close(self, name: str) -> None:
        assert self.bar.total is not None
        self.bar.total -= len(self.videos[name]) - self.done[name]
        self.bar.refresh()


@dataclass(eq=False)
class _Worker:
    """A worker process and the videos that it is tracking."""

    device: str
    process: mp.process.BaseProcess
    connection: Connection
    videos: set[str] = field(default_factory=set)


class WorkerPool:
    """One worker process per device. It starts them, gives them videos and replaces those that crash."""

    def __init__(self, setup: WorkerSetup, videos: Mapping[str, Video], devices: Sequence[str], queue: VideoQueue,
                 tracker: ProgressTracker):
        self.setup = setup
        self.videos = videos
        self.devices = devices
        self.queue = queue
        self.tracker = tracker
        # A worker that crashes on every video would otherwise be replaced endlessly.
        self.replacements = len(devices)
        self.workers: dict[Connection, _Worker] = {}
        # Workers are forked from a server process that has imported what all of them need. A fork of this process
        # would inherit its CUDA context and its threads' locks; a spawned process would import torch again.
        self.context = mp.get_context("forkserver")
        self.context.set_forkserver_preload([worker_process.__module__])

    def run(self) -> Generator[tuple[str, str | None]]:
        """Track the videos of the queue; gives each as it ends, with the reason where it has no result."""
        try:
            for device in self.devices:
                self.start(device)
            while self.workers:
                for connection in wait(list(self.workers)):
                    assert isinstance(connection, Connection)
                    yield from self._receive(self.workers[connection])
            # No worker is left, and there are videos: every replacement has crashed, too.
            for name in iter(self.queue.take, None):
                yield name, f"not tracked: {2 * len(self.devices)} workers died before its turn"
        finally:
            # Also when the caller is interrupted or a worker is unfit: no process is left behind.
            self.shutdown()

    def start(self, device: str) -> None:
        """Start a worker process on ``device``."""
        ours, theirs = self.context.Pipe()
        # daemon: Python ends the worker even where this process leaves without shutdown.
        process = self.context.Process(target=worker_process, args=(self.setup, device, theirs), daemon=True)
        # The new process inherits that Ctrl-C is ignored, so that it is not interrupted while it is loading.
        before = signal.signal(signal.SIGINT, signal.SIG_IGN)
        try:
            process.start()
        finally:
            signal.signal(signal.SIGINT, before)
        # Close our copy of its end. The pipe then reports the end of the worker.
        theirs.close()
        self.workers[ours] = _Worker(device, process, ours)

    def _receive(self, worker: _Worker) -> list[tuple[str, str | None]]:
        """Handle one message of a worker; gives the videos that have ended."""
        try:
            kind, value = worker.connection.recv()
        except (EOFError, ConnectionResetError):
            return self.on_exit(worker)
        if kind == "unfit":
            # The same setup would fail in every other worker: give up at once.
            raise UserError(value)
        if kind == "next":
            self.assign(worker)
        elif kind == "frames":
            for name, frames in value.items():
                self.tracker.add(name, frames)
        else:
            worker.videos.remove(value[0])
            return [value]
        return []

    def assign(self, worker: _Worker) -> None:
        """Send a worker the next video with its annotation, or None when there is none."""
        name = self.queue.take()
        try:
            worker.connection.send(None if name is None else self.videos[name])
        except (BrokenPipeError, ConnectionResetError):
            # The worker has crashed. Its pipe will say so; here the video only goes back to the queue.
            if name is not None:
                self.queue.put_back(name)
            return
        if name is not None:
            worker.videos.add(name)

    def on_exit(self, worker: _Worker) -> list[tuple[str, str | None]]:
        """A worker has ended: normally, or it crashed. Gives the videos that it has left."""
        del self.workers[worker.connection]
        worker.connection.close()
        # The pipe closes a moment before the process ends; only then is its exit code known.
        worker.process.join()
        if not worker.process.exitcode and not worker.videos:
            return []
        cause = _describe_exit(worker.process.exitcode)
        if self.queue.waiting and self.replacements:
            self.replacements -= 1
            self.start(worker.device)
        if worker.videos:
            return [(name, f"its worker died: {cause}") for name in sorted(worker.videos)]
        return [(f"(worker on {worker.device})", f"died before it took a video: {cause}")]

    def shutdown(self) -> None:
        """End the workers that are still running."""
        for worker in self.workers.values():
            worker.process.terminate()
        # All get SIGTERM before the first join, so that they end side by side. A worker that does not end is killed.
        for worker in self.workers.values():
            worker.process.join(SHUTDOWN_GRACE_S)
            worker.process.kill()


def _describe_exit(exitcode: int | None) -> str:
    """Why a worker process ended, in words."""
    code = exitcode or 0
    # A process ended by signal n has exit code -n. One that handled the signal exits with 128 + n (worker.py).
    number = code - 128 if code > 128 else -code
    if number > 0:
        # The kernel's out-of-memory killer sends SIGKILL.
        return signal.Signals(number).name + (" (out of memory?)" if number == signal.SIGKILL else "")
    return f"exit status {code}; its message is above"
