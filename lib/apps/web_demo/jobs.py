"""Tracking jobs of the web demo: a bounded number run at once, each in a thread; the others wait.

    jobs = Jobs(places=2)
    async for event in jobs.follow(Job(video, Order({1: {0: box_xywh}}), make_tracker, max_frames=3000)):
        ...
    await jobs.close()

Events are dicts, ready for JSON: ``waiting`` (how many must end before), ``start``, ``frame`` (its targets with box,
score, …), and at last ``done`` or ``error``.
"""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import AsyncGenerator, Callable, Iterable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

import numpy as np

from ...utils.errors import UserError
from ..video_demo.record import record
from ..video_demo.track import ManyTargets, TrackedFrame, track
from .videos import Video

Event = dict[str, Any]
INTERNAL = "the server met an error of its own; the window that it runs in says more"
REPLACED = "tracking of this video was started anew from another window"


class Dropped(Exception):
    """Nobody follows the job any more: it ends, and what it has half written is removed."""


@dataclass(frozen=True)
class Order:
    """What a visitor asks for.

    boxes      target -> frame -> box_xywh that was drawn there; a target begins at its first
    both_ways  also track backwards from there
    """

    boxes: Mapping[int, Mapping[int, np.ndarray]]
    both_ways: bool = False


class Job:
    """One tracking of a video, from the first box to the video, the CSV and the sheet."""

    def __init__(self, video: Video, order: Order, make_tracker: Callable[[], ManyTargets], max_frames: int):
        self.video, self.order, self.make_tracker, self.max_frames = video, order, make_tracker, max_frames
        self.tell: Callable[[Event], None] = lambda event: None
        self.running = False
        self.ended = asyncio.Event()
        self._stop, self._drop = threading.Event(), threading.Event()
        self._drop_reason = ""

    def stop(self) -> None:
        """End at the next frame and keep the results so far."""
        self._stop.set()

    def drop(self, reason: str = "") -> None:
        """End at the next frame and keep nothing; ``reason`` is told to whoever still follows."""
        self._drop_reason = self._drop_reason or reason
        self._drop.set()

    @property
    def dropped(self) -> bool:
        return self._drop.is_set()

    def run(self) -> None:
        """The whole job, in the calling thread. User errors are told to the visitor, other errors also raised."""
        try:
            self._run()
        except Dropped:
            if self._drop_reason:
                self.tell({"kind": "error", "message": self._drop_reason})
        except UserError as error:
            self.tell({"kind": "error", "message": str(error)})
        except Exception:
            self.tell({"kind": "error", "message": INTERNAL})
            raise

    def _run(self) -> None:
        self._check_dropped()
        self.running = True
        self.tell({"kind": "start"})
        started = time.monotonic()
        order = self.order
        with self.video.open() as source:
            frames = track(source, self.make_tracker(), order.boxes, self.max_frames, both_ways=order.both_ways,
                           on_backward=lambda frame: self._show(frame, started, backward=True))
            first = 0 if order.both_ways else min(min(by_frame) for by_frame in order.boxes.values())
            left = None if source.frames is None else source.frames - first
            recording = record(self._shown(frames, started), self.video.results, source, left)
        self.tell({"kind": "done", "frames": recording.count, "seconds": round(recording.seconds, 3),
                   "limited": recording.count == self.max_frames != left})

    def _shown(self, frames: Iterable[TrackedFrame], started: float) -> Iterator[TrackedFrame]:
        """``frames``, each told as it comes, until the visitor stops the job."""
        for frame in frames:
            self._show(frame, started)
            yield frame
            if self._stop.is_set():
                return

    def _show(self, frame: TrackedFrame, started: float, backward: bool = False) -> None:
        self._check_dropped()
        self.video.keep_frame(frame.frame, frame.image_rgb)
        self.tell(frame_event(frame, time.monotonic() - started, backward))

    def _check_dropped(self) -> None:
        if self.dropped:
            raise Dropped


def frame_event(frame: TrackedFrame, seconds: float, backward: bool = False) -> Event:
    """What the page draws of a frame; ``seconds`` since the job began, ``backward``: tracked on the way back."""
    targets = [{"target": row.target, "box": _rounded(row.box_xywh), "score": round(float(row.score), 4),
                "search": None if row.search_xywh is None else _rounded(row.search_xywh), "lost": bool(row.lost)}
               for row in frame.rows]
    return {"kind": "frame", "frame": frame.frame, "time_s": round(frame.time_s, 3), "readable": frame.readable,
            "targets": targets, "backward": backward, "seconds": round(seconds, 3)}


def _rounded(box: np.ndarray) -> list[float]:
    return [round(float(value), 2) for value in box]


class Jobs:
    """The jobs of all visitors: ``places`` run at once, first come, first served."""

    def __init__(self, places: int):
        self.places = places
        self._threads = ThreadPoolExecutor(places, thread_name_prefix="track")
        self._jobs: dict[Job, asyncio.Queue[Event | None]] = {}  # in the order in which they came

    async def follow(self, job: Job) -> AsyncGenerator[Event, None]:
        """Run ``job`` and yield its events. Leaving early drops it; so does another job of the same video."""
        while job.video.job is not None:
            job.video.job.drop(REPLACED)
            await job.video.job.ended.wait()
        job.video.job = job
        loop = asyncio.get_running_loop()
        events = self._jobs[job] = asyncio.Queue()

        def tell(event: Event) -> None:
            loop.call_soon_threadsafe(self._hear, events, event)

        job.tell = tell
        work = loop.run_in_executor(self._threads, job.run)
        work.add_done_callback(lambda _work: self._end(job))
        self._announce()
        try:
            while (event := await events.get()) is not None:
                yield event
            await work  # raises errors that are not the visitor's
        finally:
            job.drop()

    async def close(self) -> None:
        """Drop all jobs and wait until their threads have ended."""
        for job in self._jobs:
            job.drop()
        await asyncio.to_thread(self._threads.shutdown, cancel_futures=True)

    def _hear(self, events: asyncio.Queue[Event | None], event: Event) -> None:
        events.put_nowait(event)
        if event["kind"] == "start":
            self._announce()

    def _end(self, job: Job) -> None:
        self._jobs.pop(job).put_nowait(None)
        job.video.free()
        job.ended.set()
        self._announce()

    def _announce(self) -> None:
        """Tell those who wait how many must end before them."""
        for place, job in enumerate(job for job in self._jobs if not job.dropped):
            if place >= self.places and not job.running:
                self._jobs[job].put_nowait({"kind": "waiting", "ahead": place - self.places + 1})
