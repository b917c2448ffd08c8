"""Writing an MP4 that browsers and phones play (H.264, yuv420p, index at the start); a failed write leaves no file.

    with VideoWriter("out.mp4", fps=25, size_wh=(1280, 720)) as video:
        video.add(image_rgb)                    # shown 1/25 s after the one before
        video.add(image_rgb, time_s=2.2)        # or at a time of its own: variable frame rate
"""

from __future__ import annotations

import contextlib
import math
from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import cv2
import numpy as np
from av.video.stream import VideoStream

from ..utils.errors import UserError
from ..utils.files import atomic_path

ENCODERS = ("libx264", "libopenh264")
BT709, LIMITED_RANGE = 1, 1  # color coding (ITU-T H.273): what players assume by default
MAX_SIDE = 8192  # px
HYBRID_FRAGMENTED = (61, 7)  # the libavformat of FFmpeg 7.1, which has this option
CLOCK = 90_000  # ticks per second of the time stamps, the usual clock of MPEG


class VideoWriter:
    """Writes images to ``path``; a context manager. An exception in it, also an interrupt, leaves no file behind.

    fps        frames per second of frames that come without a time of their own
    size_wh    size of the video in px; odd sides get one more pixel, which yuv420p requires
    keep_part  when the disk is full, keep what can be played of the video, where the caller goes on after the
               :class:`UserError` of :meth:`add` or :meth:`finish`. It needs FFmpeg 7.1, and the index comes last

    ``kept`` says in the end whether there is something to play. Raises :class:`UserError` when the file cannot be
    written, and when no image was added.
    """

    def __init__(self, path: str | Path, fps: float, size_wh: tuple[int, int], keep_part: bool = False):
        self.path = Path(path)
        self.rate = Fraction(fps if math.isfinite(fps) and fps > 0 else 25).limit_denominator(1001)
        width, height = size_wh
        self.size_wh = width + width % 2, height + height % 2
        self.count = 0
        self._last_tick = -1
        self._keep_part = keep_part
        self._error: UserError | None = None
        self._closed = False
        self.kept = True

    def __enter__(self) -> VideoWriter:
        self._session = self._writing()
        self._session.__enter__()
        return self

    def __exit__(self, *error: Any) -> bool | None:
        return self._session.__exit__(*error)

    def add(self, image_rgb: np.ndarray, time_s: float | None = None) -> None:
        """Append (H, W, 3) uint8 RGB. An image of another size is fitted in, with black bars.

        time_s  when the image is shown, in seconds from the start; default: the next place at ``fps``. A time that is
                not later than the one before is moved to just after it.
        """
        seconds = self.count / self.rate if time_s is None else time_s
        frame = av.VideoFrame.from_ndarray(np.ascontiguousarray(fit(image_rgb, self.size_wh)), format="rgb24")
        frame = frame.reformat(format="yuv420p", dst_colorspace="ITU709")
        self._last_tick = max(round(seconds * CLOCK), self._last_tick + 1)
        frame.pts, frame.time_base = self._last_tick, Fraction(1, CLOCK)
        self._encode(frame)
        self.count += 1

    def finish(self) -> None:
        """Write what the encoder still holds, and the index. Leaving the context does that, too."""
        if not self._closed:
            self._encode(None)
            self._close()

    @contextlib.contextmanager
    def _writing(self) -> Iterator[None]:
        encoder = self._encoder()
        with contextlib.suppress(_NothingPlayableError), atomic_path(self.path) as temporary, self._opened(temporary):
            stream = self._container.add_stream(encoder, rate=self.rate)
            assert isinstance(stream, VideoStream)  # encoder is one of ENCODERS
            self._stream = stream
            self._stream.width, self._stream.height = self.size_wh
            self._stream.pix_fmt = "yuv420p"
            self._stream.options = {"crf": "20", "preset": "superfast"} if encoder == "libx264" else {}
            coding = self._stream.codec_context
            coding.time_base = Fraction(1, CLOCK)
            coding.colorspace = coding.color_primaries = coding.color_trc = BT709
            coding.color_range = LIMITED_RANGE
            yield
            if not self.count:
                raise UserError(f"cannot write {self.path}: there are no images for it")
            if self._error is None:
                self.finish()
            elif not self._keep_part:
                raise self._error
            else:
                with contextlib.suppress(UserError):
                    self._close()
                self.kept = _cut(temporary)
                if not self.kept:
                    raise _NothingPlayableError

    @contextlib.contextmanager
    def _opened(self, temporary: Path) -> Iterator[None]:
        options = {"movflags": "+faststart"}
        if self._keep_part and av.library_versions["libavformat"] >= HYBRID_FRAGMENTED:
            # A second of video after the other, each with its own index, and one index of all in the end.
            options = {"movflags": "+hybrid_fragmented", "frag_duration": "1000000", "flush_packets": "1"}
        self._container = av.open(str(temporary), "w", format="mp4", options=options)
        try:
            yield
        finally:
            self._close()

    def _close(self) -> None:
        if self._closed:
            return
        self._closed = True
        try:
            self._container.close()  # writes the index
        except av.FFmpegError as error:
            raise self._failure(error) from error

    def _failure(self, error: av.FFmpegError) -> UserError:
        self._error = UserError(f"cannot write {self.path}: {error.strerror}")
        return self._error

    def _encoder(self) -> str:
        if max(self.size_wh) > MAX_SIDE:
            raise UserError(f"cannot write {self.path}: a video has at most {MAX_SIDE} px per side, not "
                            f"{self.size_wh[0]} x {self.size_wh[1]}")
        for name in ENCODERS:
            if name in av.codecs_available:
                return name
        raise UserError(f"cannot write {self.path}: this PyAV has no H.264 encoder ({', '.join(ENCODERS)}); "
                        "`pip install av` brings one with it")

    def _encode(self, frame: av.VideoFrame | None) -> None:
        """Encode and write a frame; None flushes the encoder."""
        try:
            for packet in self._stream.encode(frame):
                self._container.mux(packet)
        except av.FFmpegError as error:
            raise self._failure(error) from error


class _NothingPlayableError(Exception):
    """The part of a video that could be written has no whole fragment."""


def _cut(path: Path) -> bool:
    """Cut an unfinished MP4 file after its last whole fragment, and return whether there is one: players stop with an
    error at half a fragment."""
    end, indexed = 0, False
    with open(path, "r+b") as file:
        length = path.stat().st_size
        while len(header := file.read(8)) == 8:  # of a box: its length, which counts the header, and its name
            position = file.tell() - 8 + int.from_bytes(header[:4], "big")
            if position < file.tell() or position > length:
                break
            indexed |= header[4:] in (b"moov", b"moof")
            if header[4:] == b"mdat" and indexed:
                end = position
            file.seek(position)
        file.truncate(end)
    return end > 0


def fit(image: np.ndarray, size_wh: tuple[int, int]) -> np.ndarray:
    """``image`` scaled to fit into ``size_wh``, centered. If it lacks one row or column, its last is repeated."""
    width, height = size_wh
    right, below = width - image.shape[1], height - image.shape[0]
    if right in (0, 1) and below in (0, 1):
        return cv2.copyMakeBorder(image, 0, below, 0, right, cv2.BORDER_REPLICATE) if right or below else image
    zoom = min(width / image.shape[1], height / image.shape[0])
    inner = [max(1, min(limit, round(side * zoom))) for side, limit in zip(image.shape[1::-1], size_wh, strict=True)]
    small = cv2.resize(image, inner, interpolation=cv2.INTER_AREA if zoom < 1 else cv2.INTER_LINEAR)
    left, top = (width - inner[0]) // 2, (height - inner[1]) // 2
    return cv2.copyMakeBorder(small, top, height - inner[1] - top, left, width - inner[0] - left, cv2.BORDER_CONSTANT)
