"""Anything that gives images one after the other: a video file, a folder of images, a network stream, a webcam.

    with open_source("holiday.mp4") as source:
        print(source.name, source.fps, source.frames, source.size_wh)
        for number, image_rgb, time_s in source.read():      # image_rgb is None where the frame cannot be read
            ...

Opening reads the first frame: a source that cannot be read at all is refused there, and iterating meets single broken
frames only. Files can be read again and again, each time from any frame; streams and webcams only once.
"""

from __future__ import annotations

import glob
import logging
import os
import re
from collections.abc import Iterable, Iterator, Sequence
from itertools import islice
from pathlib import Path
from typing import NamedTuple

import numpy as np

from ...utils.errors import UserError

_log = logging.getLogger(__name__)

BACKWARD_BYTES = 512 << 20  # decoded frames held in memory while reading backwards
_URL = re.compile(r"[a-z][a-z0-9+.-]+://", re.IGNORECASE)
HEIC_SUFFIXES = (".heic", ".heif", ".hif")
_DEVICE = re.compile(r"/dev/video(\d+)")
STREAM_PROTOCOLS = ("rtsp", "rtsps", "http", "https", "udp", "tcp", "rtp", "rtmp", "srt")


class Frame(NamedTuple):
    """One frame: its number from 0, its image (None: unreadable) and its time in s since the first frame."""

    number: int
    image_rgb: np.ndarray | None
    time_s: float


class Source:
    """What gives images; a context manager.

    name     a text that may be part of a file name
    fps      frames per second, on average (25 for images)
    frames   how many there should be; None if that is not known beforehand
    size_wh  of the first readable image, in px, rotated upright
    live     frames are gone once they were read, and those that come too fast are dropped
    notes    sentences that the user should read about how the images are shown
    """

    name: str
    fps: float
    frames: int | None
    size_wh: tuple[int, int]
    live = False
    notes: Sequence[str] = ()

    def read(self, start: int = 0) -> Iterator[Frame]:
        """The frames from number ``start`` on. Images are (H, W, 3) uint8 RGB."""
        raise NotImplementedError

    def __enter__(self) -> Source:
        return self

    def __exit__(self, *_error: object) -> None:
        """Files are open only while they are read; a source that holds more closes it here."""


def open_source(what: str | Path | int, reconnect_s: float | None = None) -> Source:
    """Open a video file, an image, a folder or glob of images, a stream's URL, or a webcam by its number or device.

    reconnect_s  how long a stream is tried again after it broke off; default: see ``live``

    Raises :class:`UserError` for anything that cannot be opened or has no readable frame.
    """
    # Imported here: PyAV and OpenCV take a moment, and arguments are checked before.
    from .image_files import is_image, open_folder, open_image
    from .live import open_stream, open_webcam
    from .video_file import VideoFile

    text = str(what)
    if isinstance(what, int) or _is_number(text):
        return open_webcam(int(text))
    if device := _device(text):
        return open_webcam(int(device[1]))
    if _URL.match(text):
        return open_stream(text, reconnect_s)
    path = Path(os.path.expanduser(text))
    if text and os.path.isdir(path):
        return open_folder(path)
    if path.suffix.lower() in HEIC_SUFFIXES and os.path.isfile(path):
        # FFmpeg takes each tile of such an image for a video of its own.
        raise UserError(f"{path} is a HEIC image, which is not read; save it as JPEG or PNG")
    if os.path.isfile(path):
        return open_image(path) if is_image(path) else VideoFile(path)
    if glob.has_magic(text):
        return _open_glob(str(path))
    raise _no_such(text)


def check_source(what: str) -> None:
    """Raise :class:`UserError` for a path that does not exist, without opening anything."""
    if what.isdecimal() or _device(what) or glob.has_magic(what):
        return
    if _URL.match(what):
        if what.split(":", 1)[0].lower() not in STREAM_PROTOCOLS:
            raise UserError(f"cannot read {what.split(':', 1)[0]}:// streams; known: "
                            f"{', '.join(name + '://' for name in STREAM_PROTOCOLS)}; of a file give the path")
        return
    path = os.path.expanduser(what)
    if not what or not (os.path.isfile(path) or os.path.isdir(path)):
        raise _no_such(what)


def is_live(what: str) -> bool:
    """Whether this names a stream or a webcam, without opening anything."""
    return bool(_is_number(what) or _device(what) or _URL.match(what))


def _is_number(text: str) -> bool:
    """Whether this is a webcam's number, and no file of such a name."""
    return text.isdecimal() and not os.path.exists(text)


def _device(text: str) -> re.Match[str] | None:
    """A match of ``/dev/video0``, or of a link to it (``/dev/v4l/by-id/…``)."""
    return _DEVICE.fullmatch(text) or (_DEVICE.fullmatch(os.path.realpath(text)) if text.startswith("/dev/") else None)


def _no_such(text: str) -> UserError:
    path = os.path.expanduser(text)
    if text and os.path.exists(path):
        return UserError(f"{path} is neither a file nor a folder; a webcam is given by its number, such as 0")
    return UserError(f"no such video: {text!r} is not a file, a folder, a glob of images, the URL of a stream or the "
                     "number of a webcam")


def _open_glob(pattern: str) -> Source:
    from .image_files import ImageFiles, in_frame_order, is_image
    from .video_file import VideoFile

    files = [path for path in map(Path, glob.glob(pattern, recursive=True)) if path.is_file()]
    images = in_frame_order([path for path in files if is_image(path)])
    if len(files) == 1 and not images:
        return VideoFile(files[0])
    if not images:
        raise UserError(f"no images match {pattern}; put the glob in quotes and let it match images, as 'frames/*.jpg'")
    return ImageFiles(images, images[0].parent)


def read_backwards(source: Source, last: int, first: int = 0) -> Iterator[Frame]:
    """The frames from number ``last`` down to ``first``.

    A video can only be decoded forwards. It is read in chunks of ``BACKWARD_BYTES``, the last chunk first; each chunk
    decodes the video again from its start.
    """
    width, height = source.size_wh
    chunk = max(1, BACKWARD_BYTES // (3 * width * height))
    while last >= first:
        begin = max(first, last - chunk + 1)
        yield from reversed(list(islice(source.read(begin), last - begin + 1)))
        last = begin - 1


def in_one_size(frames: Iterable[Frame], size_wh: tuple[int, int]) -> Iterator[Frame]:
    """``frames``, of which those of another size than ``size_wh`` are scaled to fit into it, with black bars.

    A camera that changes its resolution, or a recording of a call, shows the same scene in another size.
    """
    from ...visualize.video_writer import fit  # here, because it loads PyAV and OpenCV

    seen = {size_wh}
    for frame in frames:
        if frame.image_rgb is not None and (size := frame.image_rgb.shape[1::-1]) != size_wh:
            if size not in seen:
                seen.add(size)
                _log.warning("frame %d: the images are %d x %d px from here on; they are scaled to the %d x %d px of "
                             "the first one", frame.number, *size, *size_wh)
            frame = frame._replace(image_rgb=fit(frame.image_rgb, size_wh))
        yield frame
