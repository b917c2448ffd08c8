"""Track videos with one engine, several of them in each step of the network.

    for name, outcome in track_videos(engine, benchmark.videos.load, names, batch=8):
        ...                                     # a Track, or the UserError that ended the video

Up to ``batch`` videos stand at different frames side by side. One that ends makes room for the next; one that fails
leaves the others as they are. A thread decodes the next frames meanwhile. The seconds of a frame are those of the
tracker alone, without reading and decoding: in a batch, the seconds of the step divided by the number of its videos.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass

import numpy as np

from ...data.read_ahead import ReadAhead
from ...data.video import Video
from ...utils.errors import UserError
from ..tracker import Target, TrackerEngine


@dataclass(frozen=True)
class Track:
    """What was found in the N frames of a video: boxes (N, 4) x, y, w, h in pixels, seconds (N,), scores (N,).

    Frame 0 keeps its given box and has score 1.
    """

    boxes_xywh: np.ndarray
    seconds: np.ndarray
    scores: np.ndarray


@dataclass
class _Slot:
    """A video on its way: ``frames`` of them are in ``track``, the last gave ``target``, ``images`` are next."""

    video: Video
    images: Iterator[np.ndarray]
    target: Target
    track: Track
    frames: int = 1

    @property
    def done(self) -> bool:
        return self.frames == len(self.video)

    def add(self, target: Target, score: float, seconds: float) -> None:
        at, self.target, self.frames = self.frames, target, self.frames + 1
        self.track.boxes_xywh[at], self.track.scores[at], self.track.seconds[at] = target.box_xywh, score, seconds


def track_videos(engine: TrackerEngine, load: Callable[[str], Video], names: Iterable[str], batch: int = 1,
                 on_frame: Callable[[str], object] = lambda name: None) -> Iterator[tuple[str, Track | UserError]]:
    """The outcome of each video in ``names`` as soon as it is known, from one pass over it.

    The next name is taken from ``names`` only when a place in the batch is free. ``on_frame`` is called with the
    video's name after each of its frames.
    """
    with ReadAhead() as reader:
        yield from _track(engine, load, iter(names), batch, on_frame, reader)


def _track(engine: TrackerEngine, load: Callable[[str], Video], names: Iterator[str], batch: int,
           on_frame: Callable[[str], object], reader: ReadAhead) -> Iterator[tuple[str, Track | UserError]]:
    slots: list[_Slot] = []
    while True:
        while len(slots) < batch and (name := next(names, None)) is not None:
            try:
                slots.append(_start(engine, load(name), reader))
            except UserError as error:
                yield name, error
            else:
                on_frame(name)
        if not slots:
            return
        if ended := [slot for slot in slots if slot.done]:
            slots = [slot for slot in slots if not slot.done]
            yield from ((slot.video.name, slot.track) for slot in ended)
            continue  # their room is for the next ones
        images, unread = [], []
        for slot in slots:
            try:
                images.append(next(slot.images))
            except UserError as error:
                unread.append(slot)
                yield slot.video.name, error
        slots = [slot for slot in slots if slot not in unread]
        _step(engine, images, slots)
        for slot in slots:
            on_frame(slot.video.name)


def _start(engine: TrackerEngine, video: Video, reader: ReadAhead) -> _Slot:
    if not len(video):
        raise UserError(f"{video.name} has no frames")
    images = reader.frames(video.frames)
    image = next(images)
    started = time.perf_counter()
    target = engine.start(image, video.boxes_xywh[0])
    track = Track(np.empty((len(video), 4)), np.empty(len(video)), np.ones(len(video)))
    track.boxes_xywh[0], track.seconds[0] = video.boxes_xywh[0], time.perf_counter() - started
    return _Slot(video, images, target, track)


def _step(engine: TrackerEngine, images: list[np.ndarray], slots: list[_Slot]) -> None:
    if not slots:
        return
    started = time.perf_counter()
    found = engine.step(images, [slot.target for slot in slots])
    seconds = (time.perf_counter() - started) / len(slots)
    for slot, (target, score) in zip(slots, found, strict=True):
        slot.add(target, score, seconds)
