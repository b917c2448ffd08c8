"""Decode the next frames of videos while the current ones are being worked on.

    with ReadAhead() as reader:
        frames = reader.frames(video.frames)
        image = next(frames)                    # frame 0; a thread is at frames 1 and 2 by now

The images, and the errors at the frames that have them, are those of ``Frames.read``.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from types import TracebackType

import numpy as np

from .video import Frames

AHEAD = 2  # frames of a video that wait, decoded, for their turn


class ReadAhead:
    """One thread that reads for any number of videos. Leaving it drops what nobody has asked for."""

    def __enter__(self) -> ReadAhead:
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="read-ahead")
        return self

    def __exit__(self, _kind: type[BaseException] | None, _error: BaseException | None,
                 _trace: TracebackType | None) -> None:
        self._thread.shutdown(cancel_futures=True)

    def frames(self, frames: Frames) -> Iterator[np.ndarray]:
        """The frames in order. ``next`` raises what reading the frame that is due raises, and there it ends."""
        waiting: deque[Future[np.ndarray]] = deque()
        for index in range(len(frames)):
            while len(waiting) <= AHEAD and index + len(waiting) < len(frames):
                waiting.append(self._thread.submit(frames.read, index + len(waiting)))
            yield waiting.popleft().result()
