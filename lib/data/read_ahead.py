"""Decode the next frames of videos in a thread while the current ones are processed.

    with ReadAhead() as reader:
        frames = reader.frames(video.frames)
        image = next(frames)                    # frame 0; the thread decodes frames 1 and 2

Images and errors are those of ``Frames.read``, in the order of the frames.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from types import TracebackType

import numpy as np

from .video import Frames

AHEAD = 2  # decoded frames that wait, per video


class ReadAhead:
    """One thread that reads for any number of videos. Frames that were not asked for are dropped at the end."""

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
