"""A video file, read by PyAV: upright whatever way the phone was held, and with its broken frames in their places.

A frame is unreadable when the decoder refuses it, says that it made up parts of it, or gives pixels that cannot be made
RGB. Frames come in the order in which they are shown; a refused one takes the place that its time stamp gives it.
Refused is also what has more pixels than a picture may have (``mstgt.data.images``), before there is room made for it.
"""

from __future__ import annotations

import heapq
import math
from collections.abc import Iterator
from pathlib import Path

import av
import numpy as np
from av.container import InputContainer
from av.video.stream import VideoStream

from ...data.images import MAX_PIXELS, MAX_SIDE
from ...utils.errors import UserError

DEFAULT_FPS = 25.0
# Containers of one file. Playlists are not among them: a video must not make us read other files.
FORMATS = "mov,matroska,avi,mpeg,mpegts,mpegvideo,m4v,h264,hevc,av1,obu,ivf,flv,ogg,asf,rm,mxf,wtv,dv,gif,yuv4mpegpipe"
_LIMIT = {"max_pixels": str(MAX_PIXELS)}  # for FFmpeg's decoders


class VideoFile:
    """The video at ``path`` as a :class:`~mstgt.apps.video_demo.source.Source`."""

    def __init__(self, path: Path):
        self.path, self.name = path, path.stem
        with self._open() as container:
            stream = container.streams.video[0]
            self.fps, self.frames = _fps(stream), stream.frames or None
        first = next((image for _, image in self if image is not None), None)
        if first is None:
            raise UserError(f"cannot read {path}: it has no frame that can be decoded, or its pictures have more than "
                            f"{MAX_PIXELS} px or {MAX_SIDE} a side")
        self.size_wh = first.shape[1], first.shape[0]

    def read(self, start: int = 0) -> Iterator[tuple[int, np.ndarray | None]]:
        with self._open() as container:
            for index, frame in enumerate(_decode(container)):
                if index >= start:
                    yield index, _picture(frame) if _is_good(frame) else None

    def __iter__(self) -> Iterator[tuple[int, np.ndarray | None]]:
        return self.read()

    def __enter__(self) -> VideoFile:
        return self

    def __exit__(self, *_error: object) -> None:
        pass

    def _open(self) -> InputContainer:
        try:
            container = av.open(str(self.path), options={"format_whitelist": FORMATS, **_LIMIT},
                                metadata_errors="replace")
        except (av.FFmpegError, OSError) as error:
            raise UserError(f"cannot read {self.path}: it is no video, or cut short ({error.strerror})") from error
        if not container.streams.video:
            container.close()
            raise UserError(f"cannot read {self.path}: there are no pictures in it")
        decoder = container.streams.video[0].codec_context
        if decoder is not None:  # without one no frame is decoded
            decoder.options = _LIMIT
        return container


def _decode(container: InputContainer) -> Iterator[av.VideoFrame | None]:
    """The frames in the order in which they are shown; None for each that the decoder refuses."""
    refused: list[int] = []  # a heap of time stamps
    for packet in _packets(container):
        try:
            frames = packet.decode()
        except av.FFmpegError:
            frames = []
            if packet.size:  # the last packet is empty: it asks for what the decoder holds back
                heapq.heappush(refused, packet.dts or 0 if packet.pts is None else packet.pts)
        for frame in frames:
            while refused and frame.pts is not None and refused[0] < frame.pts:
                heapq.heappop(refused)
                yield None
            yield frame
    yield from (None for _ in refused)


def _packets(container: InputContainer) -> Iterator[av.Packet]:
    """Those of the pictures, up to where the file is cut short."""
    try:
        yield from container.demux(container.streams.video[0])
    except av.FFmpegError:
        return


def _fps(stream: VideoStream) -> float:
    for rate in (stream.average_rate, stream.guessed_rate):
        if rate and math.isfinite(rate) and 1 <= rate <= 1000:
            return float(rate)
    return DEFAULT_FPS


def _is_good(frame: av.VideoFrame | None) -> bool:
    return frame is not None and not frame.is_corrupt and max(frame.width, frame.height) <= MAX_SIDE


def _picture(frame: av.VideoFrame) -> np.ndarray | None:
    """RGB and upright; None where the frame's own kind of pixels cannot be made RGB."""
    try:
        image = frame.to_ndarray(format="rgb24")
    except av.FFmpegError:
        return None
    matrix = frame.side_data.get("DISPLAYMATRIX")
    return image if matrix is None else np.ascontiguousarray(upright(image, np.frombuffer(matrix, np.int32)))


def upright(image: np.ndarray, matrix: np.ndarray) -> np.ndarray:
    """``image`` turned and mirrored as a display matrix says, to the nearest quarter.

    matrix  (9,) a b u c d v x y w (ISO/IEC 14496-12): what is shown at (a x + c y, b x + d y) is stored at (x, y)
    """
    a, b, c, d = matrix[[0, 1, 3, 4]]
    if abs(int(b)) > abs(int(a)):
        image, to_right, down = image.transpose(1, 0, 2), c, b
    else:
        to_right, down = a, d
    return image[:: -1 if down < 0 else 1, :: -1 if to_right < 0 else 1]
