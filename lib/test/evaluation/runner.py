"""Track every video of a benchmark and write each result as it is done.

    setup = WorkerSetup(open_benchmark, build_engine, folder, batch=4)
    failures = run_videos(setup, {"bear-2": 1200, …}, ["cuda:0", "cuda:1"])

With one device the work is done in this process. With several there is a worker process for each, which keeps its
network loaded; they take the longest videos first. A video that fails costs itself. A worker that dies costs the videos
that it was at, and another takes its place, as long as there have been no more deaths than workers. All of this is in
the list that :func:`run_videos` returns.
"""

from __future__ import annotations

import multiprocessing as mp
import signal
from collections import Counter, deque
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from multiprocessing.connection import Connection, wait

from tqdm import tqdm

from ...data.video import VideoSet
from ...utils.errors import UserError
from ...utils.progress import progress
from .worker import GRACE, WorkerSetup, track_and_save, worker_process


@dataclass(frozen=True)
class Failure:
    """A video without a result, and why. A worker that died before it had a video stands in for one."""

    video: str
    reason: str


def frame_counts(videos: VideoSet, names: Sequence[str]) -> dict[str, int]:
    """The frames of each of ``names``; 0 where the annotation cannot be read (tracking it will say why)."""
    counts = {}
    for name in progress(names, unit="video", desc="videos"):
        try:
            counts[name] = len(videos.load(name))
        except UserError:
            counts[name] = 0
    return counts


def run_videos(setup: WorkerSetup, lengths: Mapping[str, int], devices: Sequence[str]) -> list[Failure]:
    """Track the videos that are the keys of ``lengths`` (frames each) with one worker a device in ``devices``.

    A device may be named several times. Raises :class:`UserError` where no worker can begin at all.
    """
    names = sorted(lengths, key=lambda name: (-lengths[name], name))
    devices = devices[: len(names)]
    if not names:
        return []
    setup = replace(setup, batch=min(setup.batch, -(-len(names) // len(devices))))  # leave some for every worker
    with progress(total=sum(lengths.values()), unit="frame", desc="tracking") as bar:
        progress_tracker = ProgressTracker(bar, lengths)
        run = _run_here(setup, names, devices[0], progress_tracker) if len(devices) == 1 \
            else WorkerPool(setup, names, devices, progress_tracker).run()
        return list(run)


class ProgressTracker:
    """What the bar shows: frames done of those to do. The rest of a video that fails is no longer to do."""

    def __init__(self, bar: tqdm, lengths: Mapping[str, int]):
        self.bar, self.lengths, self.done = bar, lengths, Counter()

    def add(self, name: str, frames: int = 1) -> None:
        self.done[name] += frames
        self.bar.update(frames)

    def close(self, name: str) -> None:
        self.bar.total -= self.lengths[name] - self.done[name]
        self.bar.refresh()


def _run_here(setup: WorkerSetup, names: Sequence[str], device: str, progress: ProgressTracker) -> Iterator[Failure]:
    for name, reason in track_and_save(setup, device, names, progress.add):
        progress.close(name)
        if reason is not None:
            yield Failure(name, reason)


@dataclass(eq=False)
class _Worker:
    """A worker process and the videos that it is at."""

    device: str
    process: mp.process.BaseProcess
    connection: Connection
    videos: set[str] = field(default_factory=set)


class WorkerPool:
    """The worker processes, and what is left for them to do."""

    def __init__(self, setup: WorkerSetup, names: Sequence[str], devices: Sequence[str], bar: ProgressTracker):
        self.setup, self.devices, self.progress = setup, devices, bar
        self.waiting = deque(names)
        self.replacements = len(devices)
        self.workers: dict[Connection, _Worker] = {}
        self.context = mp.get_context("forkserver")  # a clean process that has imported what all workers need, once
        self.context.set_forkserver_preload([worker_process.__module__])

    def run(self) -> Iterator[Failure]:
        try:
            for device in self.devices:
                self.start(device)
            while self.workers:
                for connection in wait(list(self.workers)):
                    yield from self._listen(self.workers[connection])
            for name in self.waiting:
                self.progress.close(name)
                yield Failure(name, f"not tracked: {2 * len(self.devices)} workers died before its turn")
        finally:
            self.shutdown()

    def start(self, device: str) -> None:
        ours, theirs = self.context.Pipe()
        process = self.context.Process(target=worker_process, args=(self.setup, device, theirs), daemon=True)
        before = signal.signal(signal.SIGINT, signal.SIG_IGN)  # inherited: Ctrl-C does not reach it while it loads
        try:
            process.start()
        finally:
            signal.signal(signal.SIGINT, before)
        theirs.close()
        self.workers[ours] = _Worker(device, process, ours)

    def _listen(self, worker: _Worker) -> list[Failure]:
        """Take one message of a worker."""
        try:
            kind, value = worker.connection.recv()
        except (EOFError, ConnectionResetError):
            return self.on_exit(worker)
        if kind == "unfit":
            raise UserError(value)
        if kind == "next":
            self.assign(worker)
        elif kind == "frames":
            for name, frames in value.items():
                self.progress.add(name, frames)
        else:
            name, reason = value
            worker.videos.remove(name)
            self.progress.close(name)
            return [] if reason is None else [Failure(name, reason)]
        return []

    def assign(self, worker: _Worker) -> None:
        name = self.waiting.popleft() if self.waiting else ""
        try:
            worker.connection.send(name)
        except (BrokenPipeError, ConnectionResetError):  # it died meanwhile: its pipe will say so
            if name:
                self.waiting.appendleft(name)
        else:
            worker.videos |= {name} - {""}

    def on_exit(self, worker: _Worker) -> list[Failure]:
        """A worker has ended: in good order, or it died."""
        del self.workers[worker.connection]
        worker.connection.close()
        worker.process.join()
        if not worker.process.exitcode and not worker.videos:
            return []
        how = _how_it_ended(worker.process.exitcode)
        for name in worker.videos:
            self.progress.close(name)
        if self.waiting and self.replacements:
            self.replacements -= 1
            self.start(worker.device)
        return [Failure(name, f"its worker died: {how}") for name in sorted(worker.videos)] \
            or [Failure(f"(worker on {worker.device})", f"died before it took a video: {how}")]

    def shutdown(self) -> None:
        """End the workers that are left."""
        for worker in self.workers.values():
            worker.process.terminate()
        for worker in self.workers.values():
            worker.process.join(GRACE)
            worker.process.kill()


def _how_it_ended(exitcode: int) -> str:
    number = exitcode - 128 if exitcode > 128 else -exitcode
    if number > 0:
        return signal.Signals(number).name + (" (out of memory?)" if number == signal.SIGKILL else "")
    return f"exit status {exitcode}; what it said is above"
