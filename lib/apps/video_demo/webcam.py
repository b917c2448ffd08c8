"""A webcam by its index. It has no end, no known number of frames, and cannot be wound back.

Frame 0 is the picture taken when it was opened, however late it is read: a box drawn on it fits. The others are live.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator

import cv2
import numpy as np

from ...utils.errors import UserError

DEFAULT_FPS = 25.0
WARM_UP = 5  # frames in which a webcam finds its exposure
PATIENCE = 25  # frames in a row that fail before the webcam counts as gone


class Webcam:
    """The webcam ``index`` as a :class:`~mstgt.apps.video_demo.source.Source`."""

    def __init__(self, index: int):
        self.name, self.frames = f"webcam_{index}", None
        cv2.utils.logging.setLogLevel(cv2.utils.logging.LOG_LEVEL_SILENT)  # the error below says what OpenCV would
        self._camera = cv2.VideoCapture(index)
        first = None
        if self._camera.isOpened():
            first = [self._grab() for _ in range(WARM_UP)][-1]
        if first is None:
            self._camera.release()
            raise UserError(f"cannot open webcam {index}: it is not there, in use, or not yours to read")
        fps = self._camera.get(cv2.CAP_PROP_FPS)
        self.fps = fps if 1 <= fps <= 1000 else DEFAULT_FPS
        self._first, self.size_wh = first, (first.shape[1], first.shape[0])

    def read(self, start: int = 0) -> Iterator[tuple[int, np.ndarray | None]]:
        failed = 0
        for index in itertools.count():
            image = self._grab() if index else self._first
            failed = failed + 1 if image is None else 0
            if failed == PATIENCE:
                return
            if index >= start:
                yield index, image

    def __iter__(self) -> Iterator[tuple[int, np.ndarray | None]]:
        return self.read()

    def __enter__(self) -> Webcam:
        return self

    def __exit__(self, *_error: object) -> None:
        self._camera.release()

    def _grab(self) -> np.ndarray | None:
        good, image = self._camera.read()
        return cv2.cvtColor(image, cv2.COLOR_BGR2RGB) if good else None
