"""Writing an MP4 that browsers and phones play (H.264, yuv420p, index first), whole or not at all.

    with FilmWriter("film.mp4", fps=25, size_wh=(1280, 720)) as film:
        film.add(image_rgb)
"""

from __future__ import annotations

import contextlib
import math
from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path
from types import TracebackType

import av
import cv2
import numpy as np

from ..utils.errors import UserError
from ..utils.files import atomic_path

ENCODERS = ("libx264", "libopenh264")
BT709, LIMITED = 1, 1  # how colours are coded (ITU-T H.273), which is what players take for granted
MOST_SIDE = 8192  # px


class FilmWriter:
    """Writes pictures to ``path``; a context manager. An exception in it, an interrupt too, leaves nothing behind.

    size_wh  of the film in px; an odd side becomes one pixel longer, for this kind of film has even ones

    Raises :class:`UserError` when the file cannot be written, and when no picture was added.
    """

    def __init__(self, path: str | Path, fps: float, size_wh: tuple[int, int]):
        self.path = Path(path)
        self.rate = Fraction(fps if math.isfinite(fps) and fps > 0 else 25).limit_denominator(1001)
        width, height = size_wh
        self.size_wh = width + width % 2, height + height % 2
        self.count = 0

    def __enter__(self) -> FilmWriter:
        self._session = self._writing()
        self._session.__enter__()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None,
                 trace: TracebackType | None) -> bool | None:
        return self._session.__exit__(kind, error, trace)

    def add(self, image_rgb: np.ndarray) -> None:
        """Append (H, W, 3) uint8 RGB. A picture of another size is fitted in, with black beside it."""
        frame = av.VideoFrame.from_ndarray(np.ascontiguousarray(fit(image_rgb, self.size_wh)), format="rgb24")
        self._encode(frame.reformat(format="yuv420p", dst_colorspace="ITU709"))
        self.count += 1

    @contextlib.contextmanager
    def _writing(self) -> Iterator[None]:
        encoder = self._encoder()
        with atomic_path(self.path) as temporary, self._opened(temporary):
            self._stream = self._container.add_stream(encoder, rate=self.rate)
            self._stream.width, self._stream.height = self.size_wh
            self._stream.pix_fmt = "yuv420p"
            self._stream.options = {"crf": "20", "preset": "superfast"} if encoder == "libx264" else {}
            coding = self._stream.codec_context
            coding.colorspace = coding.color_primaries = coding.color_trc = BT709
            coding.color_range = LIMITED
            yield
            if not self.count:
                raise UserError(f"cannot write {self.path}: there are no pictures for it")
            self._encode(None)

    @contextlib.contextmanager
    def _opened(self, temporary: Path) -> Iterator[None]:
        self._container = av.open(str(temporary), "w", format="mp4", options={"movflags": "+faststart"})
        try:
            yield
        finally:
            try:
                self._container.close()  # which writes the index
            except av.FFmpegError as error:
                raise UserError(f"cannot write {self.path}: {error.strerror}") from error

    def _encoder(self) -> str:
        if max(self.size_wh) > MOST_SIDE:
            raise UserError(f"cannot write {self.path}: a film has at most {MOST_SIDE} px a side, not "
                            f"{self.size_wh[0]} x {self.size_wh[1]}")
        for name in ENCODERS:
            if name in av.codecs_available:
                return name
        raise UserError(f"cannot write {self.path}: this PyAV has no H.264 encoder ({', '.join(ENCODERS)}); "
                        "`pip install av` brings one with it")

    def _encode(self, frame: av.VideoFrame | None) -> None:
        """Encode and write a frame; None: what the encoder holds back."""
        try:
            for packet in self._stream.encode(frame):
                self._container.mux(packet)
        except av.FFmpegError as error:
            raise UserError(f"cannot write {self.path}: {error.strerror}") from error


def fit(image: np.ndarray, size_wh: tuple[int, int]) -> np.ndarray:
    """``image`` as large as fits in ``size_wh``, in the middle. One that lacks a row or column repeats its last."""
    width, height = size_wh
    right, below = width - image.shape[1], height - image.shape[0]
    if right in (0, 1) and below in (0, 1):
        return cv2.copyMakeBorder(image, 0, below, 0, right, cv2.BORDER_REPLICATE) if right or below else image
    zoom = min(width / image.shape[1], height / image.shape[0])
    inner = [max(1, min(most, round(side * zoom))) for side, most in zip(image.shape[1::-1], size_wh, strict=True)]
    small = cv2.resize(image, inner, interpolation=cv2.INTER_AREA if zoom < 1 else cv2.INTER_LINEAR)
    left, top = (width - inner[0]) // 2, (height - inner[1]) // 2
    return cv2.copyMakeBorder(small, top, height - inner[1] - top, left, width - inner[0] - left, cv2.BORDER_CONSTANT)
