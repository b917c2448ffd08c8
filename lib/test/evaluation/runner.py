"""Track every video of a benchmark and write each result as it is done.

One process, or several workers that keep the network loaded and take the longest videos first. A video that fails or a
worker that dies costs that video alone; both are in the list of failures that :func:`run_videos` returns.
"""

from __future__ import annotations

import multiprocessing as mp
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from multiprocessing.connection import Connection, wait
from pathlib import Path

import cv2
import numpy as np
import torch

from lib.data.sequence import Sequence as Video
from lib.data.sequence import VideoSet
from lib.test.evaluation.benchmarks import Benchmark
from lib.test.evaluation.results import write_result
from lib.test.tracker import Tracker, TrackerEngine
from lib.utils.errors import UserError
from lib.utils.progress import progress

SAY_EVERY = 25  # frames between two messages of a worker


@dataclass(frozen=True)
class Failure:
    """A video without a result, and why."""

    video: str
    reason: str


@dataclass(frozen=True)
class Job:
    """What a worker needs; must be picklable. Each worker opens the benchmark and builds its engine itself."""

    open_benchmark: Callable[[], Benchmark]
    build_engine: Callable[[str], TrackerEngine]  # from a device's name
    folder: Path


def track_video(engine: TrackerEngine, video: Video,
                tick: Callable[[int], None] = lambda frame: None) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """One pass over a video from its first box: boxes (N, 4) x, y, w, h, seconds (N,) and scores (N,).

    Frame 0 keeps its given box and has score 1. The seconds are those of the tracker alone, without decoding.
    """
    if not np.isfinite(video.boxes_xywh[0]).all():
        raise UserError(f"{video.name}: the first frame has no box")
    tracker = Tracker(engine)
    boxes, seconds, scores = np.empty((len(video), 4)), np.empty(len(video)), np.ones(len(video))
    for index in range(len(video)):
        image = video.frames.read(index)
        started = time.perf_counter()
        if index == 0:
            tracker.init(image, video.boxes_xywh[0])
            boxes[0] = video.boxes_xywh[0]
        else:
            boxes[index], scores[index] = tracker.update(image)
        seconds[index] = time.perf_counter() - started
        tick(index)
    return boxes, seconds, scores


def run_videos(job: Job, names: Sequence[str], lengths: Sequence[int], devices: Sequence[str]) -> list[Failure]:
    """Track the videos called ``names`` (frames: ``lengths``) with one worker a device in ``devices``.

    A device may be named several times. With a single one the work is done in this process.
    """
    order = [name for _, name in sorted(zip(lengths, names, strict=True), key=lambda item: -item[0])]
    with progress(total=sum(lengths), unit="frame", desc="tracking") as bar:
        if len(devices) == 1:
            return list(_run_here(job, order, devices[0], bar.update))
        return list(_run_workers(job, order, devices[: len(order)], bar.update))


def _run_here(job: Job, names: Sequence[str], device: str, tick: Callable[[int], object]) -> Iterator[Failure]:
    videos, engine = job.open_benchmark().videos, job.build_engine(device)
    for name in names:
        failure = _run_one(job, videos, engine, name, lambda _: tick(1))
        if failure:
            yield failure


def _run_one(job: Job, videos: VideoSet, engine: TrackerEngine, name: str,
             tick: Callable[[int], object]) -> Failure | None:
    try:
        write_result(job.folder, name, *track_video(engine, videos.load(name), tick))
    except UserError as error:
        return Failure(name, str(error))
    return None


def _run_workers(job: Job, names: Sequence[str], devices: Sequence[str],
                 tick: Callable[[int], object]) -> Iterator[Failure]:
    context = mp.get_context("spawn")
    waiting = list(reversed(names))
    threads = max(1, torch.get_num_threads() // len(devices))
    workers: dict[Connection, tuple[mp.process.BaseProcess, str]] = {}
    for device in devices:
        ours, theirs = context.Pipe()
        process = context.Process(target=_work, args=(job, device, threads, theirs), daemon=True)
        process.start()
        theirs.close()
        workers[ours] = (process, "")
    try:
        while workers:
            for connection in wait(list(workers)):
                yield from _listen(connection, workers, waiting, tick)
        for name in waiting:
            yield Failure(name, "every worker had died before it could be tracked")
    finally:
        for process, _ in workers.values():
            process.terminate()


def _listen(connection: Connection, workers: dict[Connection, tuple[mp.process.BaseProcess, str]],
            waiting: list[str], tick: Callable[[int], object]) -> Iterator[Failure]:
    """Take one message of a worker; hand it the next video when it is free."""
    process, name = workers[connection]
    try:
        kind, value = connection.recv()
    except (EOFError, ConnectionResetError):
        del workers[connection]
        process.join()
        if name or process.exitcode:
            yield Failure(name or "(no video)", f"a worker died with exit status {process.exitcode}")
        return
    if kind == "frames":
        tick(value)
        return
    if value is not None:
        yield Failure(name, value)
    name = waiting.pop() if waiting else ""
    workers[connection] = (process, name)
    connection.send(name)


def _work(job: Job, device: str, threads: int, connection: Connection) -> None:
    """A worker: asks for videos until it is told the empty name."""
    torch.set_num_threads(threads)
    cv2.setNumThreads(1)
    videos, engine = job.open_benchmark().videos, job.build_engine(device)

    def tick(frame: int) -> None:
        if frame % SAY_EVERY == SAY_EVERY - 1:
            connection.send(("frames", SAY_EVERY))

    connection.send(("free", None))
    while name := connection.recv():
        failure = _run_one(job, videos, engine, name, tick)
        connection.send(("free", failure.reason if failure else None))
