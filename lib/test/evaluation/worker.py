"""The work of one worker: it loads the network once, tracks the videos it is given and writes their results.

    for name, outcome in track_videos(engine, benchmark.videos, batch=8):
        ...                                     # a Track, or the UserError that ended the video

Up to ``batch`` videos are tracked side by side, each at its own frame. A video that ends is replaced by the next one.
A video that fails does not affect the others. A thread decodes the next frames meanwhile. The seconds of a frame are
those of the tracker alone, without reading and decoding: in a batch, the seconds of the step divided by the number of
videos.

:func:`track_and_save` writes the results; it runs in the calling process. :func:`worker_process` runs it in a process
of its own, which is connected to the parent by a pipe and sends these messages:

    ("next", None)              asks for a video; the answer is a Video, or None when none is left
    ("frames", {video: n})      n more frames of each video are done
    ("end", (video, reason))    the video has ended; reason is None where its result is written
    ("unfit", reason)           the worker cannot start at all (no checkpoint, no memory on the GPU)

SIGTERM ends a worker with status 143 after it has removed half-written files. It also ends with its parent. Ctrl-C is
left to the parent.
"""

from __future__ import annotations

import contextlib
import logging
import multiprocessing as mp
import os
import signal
import sys
import threading
import time
from collections import Counter, deque
from collections.abc import Callable, Generator, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from multiprocessing.connection import Connection, wait
from pathlib import Path
from typing import NoReturn

import cv2
import numpy as np
import torch

from ...data.video import Frames, Video
from ...geometry.boxes import usable_boxes
from ...utils.errors import UserError
from ...utils.threads import torch_threads
from ..tracker import Target, TrackerEngine
from .results import write_result

_log = logging.getLogger(__name__)

AHEAD = 2  # decoded frames that wait, per video
REPORT_INTERVAL_S = 0.5  # between two messages about frames: one per frame would cost more than the progress bar shows
SHUTDOWN_GRACE_S = 10.0  # how long a worker may take to end after SIGTERM

Outcome = tuple[str, "Track | UserError"]  # a video's name, and its track or what ended it


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


@dataclass(frozen=True)
class Track:
    """What was found in the N frames of a video: boxes (N, 4) x, y, w, h in pixels, seconds (N,), scores (N,).

    Frame 0 has the given box and score 1.
    """

    boxes_xywh: np.ndarray
    seconds: np.ndarray
    scores: np.ndarray


@dataclass
class _Slot:
    """One place of the batch: a video that is being tracked.

    images  the frames that come next
    target  the tracker's state after the last frame
    track   filled up to ``frames`` frames
    size    height, width of the first image; None after a frame of another size was reported
    """

    video: Video
    images: Iterator[np.ndarray]
    target: Target
    track: Track
    size: tuple[int, int] | None
    frames: int = 1

    @property
    def done(self) -> bool:
        return self.frames == len(self.video)

    def next_image(self) -> np.ndarray:
        """The next frame. The first one of another size gives a warning."""
        image = next(self.images)
        if self.size is not None and image.shape[:2] != self.size:
            height, width = image.shape[:2]
            _log.warning("%s: image %d has %d x %d px, the first one %d x %d px; it is tracked as it is, with boxes in "
                         "its own pixels", self.video.name, self.frames + 1, width, height, *self.size[::-1])
            self.size = None
        return image

    def add(self, target: Target, score: float, seconds: float) -> None:
        self.track.boxes_xywh[self.frames] = target.box_xywh
        self.track.scores[self.frames] = score
        self.track.seconds[self.frames] = seconds
        self.target = target
        self.frames += 1


def track_videos(engine: TrackerEngine, videos: Iterable[Video], batch: int = 1,
                 on_frame: Callable[[str], object] = lambda name: None) -> Iterator[Outcome]:
    """The outcome of each of ``videos``, in the order in which they end.

    videos    the next one is taken only when a place in the batch is free
    on_frame  called with the video's name after each of its frames
    """
    waiting = iter(videos)
    slots: list[_Slot] = []
    with ReadAhead() as reader:
        while True:
            # Fill the free places. A video that cannot be started is reported at once and takes no place.
            while len(slots) < batch and (video := next(waiting, None)) is not None:
                try:
                    slots.append(_start(engine, video, reader))
                except UserError as error:
                    yield video.name, error
                else:
                    on_frame(video.name)
            if not slots:
                return
            # Take out what has ended, and fill its places before the next step, so that batches stay full.
            if any(slot.done for slot in slots):
                ended = [slot for slot in slots if slot.done]
                slots = [slot for slot in slots if not slot.done]
                for slot in ended:
                    yield slot.video.name, slot.track
                continue
            # All frames are read before the step: a video whose frame cannot be read leaves the batch, and the others
            # go on.
            images = []
            readable = []
            for slot in slots:
                try:
                    images.append(slot.next_image())
                    readable.append(slot)
                except UserError as error:
                    yield slot.video.name, error
            slots = readable
            if not slots:
                continue
            started = time.perf_counter()
            found = engine.step(images, [slot.target for slot in slots])
            # The videos share the step, so each gets its share of the time: FPS over all of them is the throughput.
            seconds = (time.perf_counter() - started) / len(slots)
            for slot, (target, score) in zip(slots, found, strict=True):
                slot.add(target, score, seconds)
                on_frame(slot.video.name)


def _start(engine: TrackerEngine, video: Video, reader: ReadAhead) -> _Slot:
    """Initialize the tracker on the first frame of ``video``."""
    if not len(video):
        raise UserError(f"{video.name} has no frames")
    if not usable_boxes(video.boxes_xywh[0]):
        usable = np.flatnonzero(usable_boxes(video.boxes_xywh))
        advice = f"the first box is that of frame {usable[0] + 1}: remove the frames and rows before it" \
            if usable.size else "no row of it has a box"
        given = ", ".join(f"{value:g}" for value in video.boxes_xywh[0])
        raise UserError(f"the ground truth has no box in the first frame ({given}); {advice}")
    images = reader.frames(video.frames)
    # Decode before the clock starts: the seconds are the tracker's own.
    image = next(images)
    started = time.perf_counter()
    target = engine.start(image, video.boxes_xywh[0])
    seconds = time.perf_counter() - started
    # Frame 0 is given and not found: it keeps the given box and the score 1.
    track = Track(np.empty((len(video), 4)), np.empty(len(video)), np.ones(len(video)))
    track.boxes_xywh[0] = video.boxes_xywh[0]
    track.seconds[0] = seconds
    return _Slot(video, images, target, track, image.shape[:2])


class ReadAhead(ThreadPoolExecutor):
    """One thread that decodes the next frames of any number of videos while the current ones are tracked.

    Frames that were not asked for are dropped at the end.
    """

    def __init__(self) -> None:
        super().__init__(1, thread_name_prefix="read-ahead")

    def __exit__(self, *_error: object) -> None:
        self.shutdown(cancel_futures=True)

    def frames(self, frames: Frames) -> Iterator[np.ndarray]:
        """Yield the frames in order. If a frame cannot be read, its error is raised when the frame is due."""
        waiting: deque[Future[np.ndarray]] = deque()
        for index in range(len(frames)):
            while len(waiting) <= AHEAD and index + len(waiting) < len(frames):
                waiting.append(self.submit(frames.read, index + len(waiting)))
            yield waiting.popleft().result()


@contextlib.contextmanager
def _fixed_threads() -> Iterator[None]:
    """Compute with one thread, or with as many as OMP_NUM_THREADS says.

    The last bits of a sum depend on how many threads it is split over. The number of threads must therefore not depend
    on the load of the machine or on the number of workers. Parallelism comes from several workers instead.
    """
    opencv_threads = cv2.getNumThreads()
    cv2.setNumThreads(1)
    try:
        with torch_threads(torch.get_num_threads() if "OMP_NUM_THREADS" in os.environ else 1):
            yield
    finally:
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
        # The parent has ended: there is no process to report to.
        sys.exit(1)


def _requested(connection: Connection) -> Iterator[Video]:
    """The videos from the parent, each requested only when there is a free place for it.

    This balances the load: a fast worker requests more often.
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
