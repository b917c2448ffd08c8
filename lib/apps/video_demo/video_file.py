"""A video file, read by PyAV: rotated upright, with the time of every frame, and with broken frames in their places.

A frame is unreadable when the decoder refuses it, reports that parts of it are made up, or gives pixels that cannot be
converted to RGB. Frames come in the order in which they are shown; a refused one takes the place of its time stamp.
Images with more pixels than ``mstgt.data.images`` allows are refused before memory is allocated for them.
"""

from __future__ import annotations

import heapq
import math
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import av
import numpy as np
from av.container import InputContainer
from av.video.stream import VideoStream

from ...data.images import MAX_PIXELS, MAX_SIDE
from ...utils.errors import UserError
from .source import Frame, Source

DEFAULT_FPS = 25.0
# Containers of a single file. Playlists are excluded: a video must not make the program read other files.
FORMATS = "mov,matroska,avi,mpeg,mpegts,mpegvideo,m4v,h264,hevc,av1,obu,ivf,flv,ogg,asf,rm,mxf,wtv,dv,gif,yuv4mpegpipe"
_LIMIT = {"max_pixels": str(MAX_PIXELS)}  # for FFmpeg's decoders


class VideoFile(Source):
    """The video at ``path``."""

    def __init__(self, path: Path):
        self.path, self.name = path, path.stem
        with self._open() as container:
            stream = container.streams.video[0]
            self.fps, self.frames = frame_rate(stream), stream.frames or None
        first = next((frame.image_rgb for frame in self.read() if frame.image_rgb is not None), None)
        if first is None:
            raise UserError(f"cannot read {path}: it has no frame that can be decoded, or its images have more than "
                            f"{MAX_PIXELS} px or {MAX_SIDE} px on a side")
        self.size_wh = first.shape[1], first.shape[0]

    def read(self, start: int = 0) -> Iterator[Frame]:
        with self._open() as container:
            clock = _Clock(container.streams.video[0], self.fps)
            for index, (frame, pts) in enumerate(_decode(container)):
                time_s = clock.seconds(pts)
                if index >= start:
                    yield Frame(index, to_rgb(frame) if frame is not None and _is_good(frame) else None, time_s)

    def _open(self) -> InputContainer:
        try:
            # FFmpeg takes what is before the colon of a relative path, such as 12:30.mp4, for a protocol.
            container = av.open(os.path.abspath(self.path), options={"format_whitelist": FORMATS, **_LIMIT},
                                metadata_errors="replace")
        except (av.FFmpegError, OSError) as error:
            raise UserError(f"cannot read {self.path}: it is not a video, or truncated ({error.strerror})") from error
        if not container.streams.video:
            container.close()
            raise UserError(f"cannot read {self.path}: it has no video stream")
        decoder = container.streams.video[0].codec_context
        if decoder is not None:  # without a decoder no frame is decoded
            decoder.options = _LIMIT
        return container


class _Clock:
    """Time stamps as seconds since the first frame. Without a usable one, the time is 1/fps after the frame before."""

    def __init__(self, stream: VideoStream, fps: float):
        self._tick = float(stream.time_base or 0)
        self._step = 1 / fps
        self._first: int | None = None
        self._last: float | None = None

    def seconds(self, pts: int | None) -> float:
        if self._first is None and pts is not None:
            self._first = pts
        if self._last is None:
            time_s = 0.0
        else:
            time_s = -1.0 if pts is None or self._first is None else (pts - self._first) * self._tick
            if time_s <= self._last:  # missing, or not in order
                time_s = self._last + self._step
        self._last = time_s
        return time_s


def _decode(container: InputContainer) -> Iterator[tuple[av.VideoFrame | None, int | None]]:
    """The frames in the order in which they are shown, with their time stamps; None for each that was refused."""
    refused: list[int] = []  # a heap of time stamps
    for packet in _packets(container):
        try:
            frames = packet.decode()
        except av.FFmpegError:
            frames = []
            if packet.size:  # the last packet is empty: it flushes the decoder
                heapq.heappush(refused, packet.dts or 0 if packet.pts is None else packet.pts)
        for frame in frames:
            while refused and frame.pts is not None and refused[0] < frame.pts:
                yield None, heapq.heappop(refused)
            yield frame, frame.pts
    while refused:
        yield None, heapq.heappop(refused)


def _packets(container: InputContainer) -> Iterator[av.Packet]:
    """The packets of the video stream, up to where the file is truncated."""
    try:
        yield from container.demux(container.streams.video[0])
    except av.FFmpegError:
        return


def frame_rate(stream: VideoStream) -> float:
    """Frames per second as the container states it; ``DEFAULT_FPS`` if that is missing or impossible."""
    for rate in (stream.average_rate, stream.guessed_rate):
        if rate and math.isfinite(rate) and 1 <= rate <= 1000:
            return float(rate)
    return DEFAULT_FPS


def _is_good(frame: av.VideoFrame) -> bool:
    return not frame.is_corrupt and max(frame.width, frame.height) <= MAX_SIDE


def to_rgb(frame: av.VideoFrame) -> np.ndarray | None:
    """(H, W, 3) uint8 RGB, upright; None if the pixel format cannot be converted."""
    try:
        # RGB has no matrix of its own; but only where another is named, PyAV 13 and 14 look at the frame's.
        image = frame.reformat(format="rgb24", dst_colorspace="ITU601").to_ndarray()
    except av.FFmpegError:
        return None
    matrix: Any = frame.side_data.get("DISPLAYMATRIX")  # has the buffer interface
    return image if matrix is None else np.ascontiguousarray(upright(image, np.frombuffer(matrix, np.int32)))


def upright(image: np.ndarray, matrix: np.ndarray) -> np.ndarray:
    """``image`` rotated and mirrored as a display matrix says, to the nearest quarter turn.

    matrix  (9,) a b u c d v x y w (ISO/IEC 14496-12): what is shown at (a x + c y, b x + d y) is stored at (x, y)
    """
    a, b, c, d = matrix[[0, 1, 3, 4]]
    if abs(int(b)) > abs(int(a)):
        image, to_right, down = image.transpose(1, 0, 2), c, b
    else:
        to_right, down = a, d
    return image[:: -1 if down < 0 else 1, :: -1 if to_right < 0 else 1]
