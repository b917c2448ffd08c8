"""Anything that gives pictures one after the other: a video file, a folder or glob of pictures, a webcam.

    with open_source("holiday.mp4") as source:
        print(source.name, source.fps, source.frames, source.size_wh)
        for index, image_rgb in source:      # image_rgb is None where the frame cannot be read
            ...

Opening looks at the source: what cannot be read at all is said there, so that iterating meets broken frames only.
A source can be iterated again and again, each time from frame 0.
"""

from __future__ import annotations

import glob
import os
from collections.abc import Iterator
from pathlib import Path
from types import TracebackType
from typing import Protocol

import numpy as np

from ...utils.errors import UserError
from .pictures import Pictures, is_picture, natural_order, pictures_in
from .video_file import VideoFile
from .webcam import Webcam

Indexed = tuple[int, np.ndarray | None]


class Source(Protocol):
    """name     a file name's worth of text
    fps      frames a second (25 for pictures)
    frames   how many there should be; None where that is not known before the last
    size_wh  of the first readable picture, in px, as it is seen (rotated)"""

    name: str
    fps: float
    frames: int | None
    size_wh: tuple[int, int]

    def read(self, start: int = 0) -> Iterator[Indexed]:
        """Each frame from ``start`` on: its index and its picture, (H, W, 3) uint8 RGB; None where it is unreadable."""

    def __iter__(self) -> Iterator[Indexed]:
        """:meth:`read` from the first frame."""

    def __enter__(self) -> Source: ...

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None,
                 trace: TracebackType | None) -> None: ...


def open_source(what: str | Path | int) -> Source:
    """Open a video file, a picture, a folder or glob of pictures, or a webcam by its index (3 or "3").

    Raises :class:`UserError` for all that cannot be opened or holds no readable frame.
    """
    if isinstance(what, int):
        return Webcam(what)
    text = str(what)
    path = Path(text).expanduser()
    if text and os.path.isdir(path):
        return Pictures(pictures_in(path), path)
    if os.path.isfile(path):
        return Pictures([path], path) if is_picture(path) else VideoFile(path)
    if text.isdecimal():
        return Webcam(int(text))
    if glob.has_magic(text):
        return _open_glob(str(path))
    if text and os.path.exists(path):
        raise UserError(f"{path} is neither a file nor a folder; a webcam is given by its number, such as 0")
    raise UserError(f"no such video: {text!r} is no file, folder, glob of pictures or number of a webcam")


def _open_glob(pattern: str) -> Source:
    found = sorted(map(Path, glob.glob(pattern, recursive=True)), key=natural_order)
    files = [path for path in found if path.is_file()]
    pictures = [path for path in files if is_picture(path)]
    if len(files) == 1 and not pictures:
        return VideoFile(files[0])
    if not pictures:
        raise UserError(f"no pictures match {pattern}; quote a glob, and let it name pictures, as in 'frames/*.jpg'")
    return Pictures(pictures, pictures[0].absolute().parent)
