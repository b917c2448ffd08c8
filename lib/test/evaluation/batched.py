"""Track videos with one engine, several of them in each forward pass of the network.

    for name, outcome in track_videos(engine, benchmark.videos, batch=8):
        ...                                     # a Track, or the UserError that ended the video

Up to ``batch`` videos are tracked side by side, each at its own frame. A video that ends is replaced by the next one.
A video that fails does not affect the others. A thread decodes the next frames meanwhile. The seconds of a frame are
those of the tracker alone, without reading and decoding: in a batch, the seconds of the step divided by the number of
videos.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from types import TracebackType

import numpy as np

from ...data.video import Frames, Video
from ...utils.errors import UserError
from ..tracker import Target, TrackerEngine

AHEAD = 2  # decoded frames that wait, per video
Outcome = tuple[str, "Track | UserError"]  # a video's name, and its track or what ended it


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
    """

    video: Video
    images: Iterator[np.ndarray]
    target: Target
    track: Track
    frames: int = 1

    @property
    def done(self) -> bool:
        return self.frames == len(self.video)

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
                    images.append(next(slot.images))
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
    return _Slot(video, images, target, track)


class ReadAhead:
    """One thread that decodes the next frames of any number of videos while the current ones are tracked.

    Frames that were not asked for are dropped at the end.
    """

    def __enter__(self) -> ReadAhead:
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="read-ahead")
        return self

    def __exit__(self, _kind: type[BaseException] | None, _error: BaseException | None,
                 _trace: TracebackType | None) -> None:
        self._thread.shutdown(cancel_futures=True)

    def frames(self, frames: Frames) -> Iterator[np.ndarray]:
        """Yield the frames in order. If a frame cannot be read, its error is raised when the frame is due."""
        waiting: deque[Future[np.ndarray]] = deque()
        for index in range(len(frames)):
            while len(waiting) <= AHEAD and index + len(waiting) < len(frames):
                waiting.append(self._thread.submit(frames.read, index + len(waiting)))
            yield waiting.popleft().result()
