"""Tracking for visitors: a bounded number of jobs at once, each in a thread; the others wait in line.

    jobs = Jobs(places=2)
    async for event in jobs.follow(Job(video, {0: box_xywh}, tracker, most_frames=3000)):
        ...
    await jobs.close()

Events are dicts, ready for JSON: ``waiting`` (how many must end before), ``start``, ``frame`` (box, score, …), and at
last ``done`` or ``error``.
"""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import AsyncIterator, Callable, Iterable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np

from ...test.tracker import Tracker
from ...utils.errors import UserError
from ..video_demo.record import record
from ..video_demo.track import Tracked, track
from .videos import Video

Event = dict[str, Any]
INTERNAL = "the server met an error of its own; the window that it runs in says more"


class Dropped(Exception):
    """Nobody looks any more: the job ends, and what it has half written goes."""


class Job:
    """One tracking of a video, from the first box to the film, the CSV and the sheet.

    boxes    frame -> box_xywh that the visitor drew; the first is where the track begins
    """

    def __init__(self, video: Video, boxes: Mapping[int, np.ndarray], make_tracker: Callable[[], Tracker],
                 most_frames: int):
        self.video, self.boxes, self.make_tracker, self.most_frames = video, boxes, make_tracker, most_frames
        self.tell: Callable[[Event], None] = lambda event: None
        self.running = False
        self.ended = asyncio.Event()
        self._stop, self._drop = threading.Event(), threading.Event()

    def stop(self) -> None:
        """End at the next frame and keep what there is."""
        self._stop.set()

    def drop(self) -> None:
        """End at the next frame and keep nothing."""
        self._drop.set()

    @property
    def dropped(self) -> bool:
        return self._drop.is_set()

    def run(self) -> None:
        """The whole job, in the calling thread. What the visitor can mend is told, other errors are raised too."""
        try:
            self._run()
        except Dropped:
            pass
        except UserError as error:
            self.tell({"kind": "error", "message": str(error)})
        except Exception:
            self.tell({"kind": "error", "message": INTERNAL})
            raise

    def _run(self) -> None:
        self._go_on()
        self.running = True
        self.tell({"kind": "start"})
        first, most = min(self.boxes), self.most_frames
        corrections = {frame: box for frame, box in self.boxes.items() if frame != first}
        with self.video.open() as source:
            seen = track(source, self.make_tracker(), self.boxes[first], first, most, corrections=corrections)
            left = None if source.frames is None else source.frames - first
            recording = record(self._told(seen), self.video.results, source.fps, source.size_wh, left)
        count = recording.last - recording.first + 1
        self.tell({"kind": "done", "frames": count, "seconds": round(recording.seconds, 3),
                   "limited": count == most != left})

    def _told(self, seen: Iterable[Tracked]) -> Iterator[Tracked]:
        """What comes by is told, until somebody says that it is enough."""
        started = time.monotonic()
        for item in seen:
            self._go_on()
            self.video.keep_frame(item.frame, item.image_rgb)
            self.tell(frame_event(item, time.monotonic() - started))
            yield item
            if self._stop.is_set():
                return

    def _go_on(self) -> None:
        if self.dropped:
            raise Dropped


def frame_event(seen: Tracked, seconds: float) -> Event:
    """What the page draws of a frame; ``seconds`` since the job began."""
    return {"kind": "frame", "frame": seen.frame, "box": _rounded(seen.box_xywh), "score": round(float(seen.score), 4),
            "search": None if seen.search_xywh is None else _rounded(seen.search_xywh), "lost": bool(seen.lost),
            "readable": seen.readable, "seconds": round(seconds, 3)}


def _rounded(box: np.ndarray) -> list[float]:
    return [round(float(value), 2) for value in box]


class Jobs:
    """The jobs of all visitors: ``places`` run at once, first come, first served."""

    def __init__(self, places: int):
        self.places = places
        self._threads = ThreadPoolExecutor(places, thread_name_prefix="track")
        self._jobs: dict[Job, asyncio.Queue[Event | None]] = {}  # in the order in which they came

    async def follow(self, job: Job) -> AsyncIterator[Event]:
        """Run ``job`` and give its events to the last one. Leaving early drops it; so does another job of the video."""
        while job.video.job is not None:
            job.video.job.drop()
            await job.video.job.ended.wait()
        job.video.job = job
        loop = asyncio.get_running_loop()
        events = self._jobs[job] = asyncio.Queue()
        job.tell = lambda event: loop.call_soon_threadsafe(self._hear, events, event)
        work = loop.run_in_executor(self._threads, job.run)
        work.add_done_callback(lambda _work: self._end(job))
        self._announce()
        try:
            while (event := await events.get()) is not None:
                yield event
            await work  # raises what was no mistake of the visitor
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
