"""From encoded bytes to images, and of a JPEG no more than is wanted.

    image = decode_image(data, where)                        # (H, W, 3) uint8 RGB
    top = decode_image(data, where, reduce=2, rows=300)      # at half the size, what shows the first 300 rows

Most of a training sample's time goes into decoding, and most of that into the entropy coding of JPEG, which can only
be read from its start; but reading may stop at the last row that a crop needs. No library offers that alone, so the
height in the file's header is set to where the decoder should stop: it then never looks at the rows below. That works
for what cameras and data sets hold: JPEGs in one scan of all three components. JPEGs in color that are asked for whole
are decoded by simplejpeg as well, everything else by OpenCV.

The pixels of both ways are the same but for one thing: where a JPEG holds its colors at half the resolution of what is
asked for, their pixels are doubled here and interpolated by OpenCV. In crops of real videos that makes 0.3 to 0.8 of
255 levels (root of the mean square, no bias); it saves 3 % of a sample's time.

What is read: JPEG, PNG, BMP, WebP and TIFF of at most ``MAX_PIXELS`` and ``MAX_SIDE``. The size is checked before
anything is decoded: of a JPEG by simplejpeg, of the other kinds by OpenCV, which gets the limits from environment
variables when it is loaded (``mstgt/__init__.py`` sets them). Gray, palette and CMYK images become RGB, alpha is
dropped, and of an animation the first image is taken. A rotation written into EXIF is not applied: boxes are annotated
on the pixels as they are stored. TIFF is the exception, which OpenCV may turn.

Images of 16 bits, of 32-bit integers and of floating point have no fixed range: :func:`decode_full_depth` gives their
values, and :func:`stretch` makes 8 bits of them over a range that the caller keeps for a whole video.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from dataclasses import dataclass

import cv2
import numpy as np
import simplejpeg

from ..utils.errors import UserError

# 8192 x 8192, twice 8K, which is 0.2 GB when decoded; and the longest side that OpenCV can warp.
MAX_PIXELS = int(os.environ["OPENCV_IO_MAX_IMAGE_PIXELS"])
MAX_SIDE = int(os.environ["OPENCV_IO_MAX_IMAGE_WIDTH"])

_REDUCED = {1: cv2.IMREAD_COLOR, 2: cv2.IMREAD_REDUCED_COLOR_2, 4: cv2.IMREAD_REDUCED_COLOR_4,
            8: cv2.IMREAD_REDUCED_COLOR_8}
_FRAME_MARKERS, _SCAN_MARKER, _END = (0xC0, 0xC1), 0xDA, b"\xff\xd9"  # C0, C1: sequential, Huffman coded
_JPEG = b"\xff\xd8\xff"
_PNG = b"\x89PNG\r\n\x1a\n"
_TIFF = (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+")  # the last two: BigTIFF
_OTHER_KINDS = (_PNG, b"BM", b"RIFF", *_TIFF)  # RIFF: WebP
_COMMON_SUBSAMPLINGS = ("444", "422", "420")  # of color, which tests compare with OpenCV's pixels
_MIN_SIDE = 16  # px, from which the reductions of an image have different sizes


def decode_image(data: bytes, where: str, reduce: int = 1, rows: int | None = None) -> np.ndarray:
    """Decode JPEG, PNG, … to (H, W, 3) uint8 RGB. Raises :class:`UserError` naming ``where`` on broken bytes.

    reduce  in {1, 2, 4, 8}: by how much both sides shrink, rounded up
    rows    how many of the image's first rows are wanted, in pixels before reducing (at least 1); None: all
    """
    _check_kind_and_size(data, where)
    image = None if rows is None else _decode_top(data, reduce, rows)
    if image is None:
        image = _decode_whole(data, where, reduce)
    return image if rows is None else image[:-(-rows // reduce)]


def may_be_deep(data: bytes) -> bool:
    """Whether an encoded image may have more than 8 bits: a PNG of 16 bits, or any TIFF."""
    return data[24:25] == b"\x10" if data.startswith(_PNG) else data.startswith(_TIFF)


def decode_full_depth(data: bytes, where: str, upright: bool = True) -> np.ndarray:
    """An encoded image as (H, W, 3) RGB in the depth of the file.

    upright  turn it as its EXIF orientation says

    Raises :class:`UserError` naming ``where`` for what is no image, or a too large one.
    """
    _check_kind_and_size(data, where)
    flags = cv2.IMREAD_ANYDEPTH | (0 if upright else cv2.IMREAD_IGNORE_ORIENTATION)
    try:
        # cvtColor does not take every depth.
        return cv2.merge(cv2.split(_decode_bgr(data, where, flags | cv2.IMREAD_COLOR))[::-1])
    except UserError:
        if not data.startswith(_TIFF):
            raise
        # OpenCV does not make color of a gray TIFF of more than 16 bits.
        return np.repeat(_decode_bgr(data, where, flags | cv2.IMREAD_GRAYSCALE)[..., None], 3, axis=2)


def value_range(image: np.ndarray) -> tuple[float, float]:
    """The lowest and the highest finite value of an image."""
    finite = image[np.isfinite(image)]
    return (float(finite.min()), float(finite.max())) if finite.size else (0.0, 1.0)


def stretch(image: np.ndarray, low: float, high: float) -> np.ndarray:
    """An image of any depth as uint8: ``low`` becomes 0, ``high`` 255, and what lies beyond them is clipped."""
    values = np.nan_to_num(image.astype(np.float64), posinf=high, neginf=low)
    return np.rint(((values - low) * (255 / max(high - low, 1e-9))).clip(0, 255)).astype(np.uint8)


def _check_kind_and_size(data: bytes, where: str) -> None:
    """Raise :class:`UserError` for an unknown kind, and for a JPEG whose header gives a size beyond the limits.

    A file of a few bytes can claim to be huge; the claim must be refused before memory is reserved for the pixels.
    """
    if data.startswith(_JPEG):
        try:
            height, width = simplejpeg.decode_jpeg_header(data, strict=False)[:2]
        except (ValueError, KeyError) as error:  # KeyError: a color space that it does not know
            raise UserError(f"cannot decode image {where}: not an image, or cut short") from error
        if height * width > MAX_PIXELS or max(height, width) > MAX_SIDE:
            raise _too_large(where)
    elif not data.startswith(_OTHER_KINDS):
        raise UserError(f"cannot decode image {where}: no JPEG, PNG, BMP, WebP or TIFF, or cut short")


def _too_large(where: str) -> UserError:
    return UserError(f"image {where} is refused: it is larger than {MAX_PIXELS} px or than {MAX_SIDE} px a side")


def _decode_whole(data: bytes, where: str, reduce: int) -> np.ndarray:
    if reduce == 1 and data.startswith(_JPEG):
        image = _decode_color_jpeg(data)
        if image is not None:
            return image
    by_decoder = data.startswith(_JPEG)  # others would be shrunk to whole pixels, rounded down
    flags = (_REDUCED[reduce] if by_decoder else cv2.IMREAD_COLOR) | cv2.IMREAD_IGNORE_ORIENTATION
    image = _decode_bgr(data, where, flags)
    return cv2.cvtColor(image if by_decoder else shrink(image, reduce), cv2.COLOR_BGR2RGB)


def _decode_color_jpeg(data: bytes) -> np.ndarray | None:
    """What OpenCV decodes, to the same pixels, in 0.8 of the time; None for an image that OpenCV is to judge.

    simplejpeg writes RGB at once, where OpenCV writes BGR that would have to be converted.
    """
    _, _, color_space, subsampling = simplejpeg.decode_jpeg_header(data, strict=False)
    if color_space != "YCbCr" or subsampling not in _COMMON_SUBSAMPLINGS:
        return None
    try:
        return simplejpeg.decode_jpeg(data, "RGB")
    except ValueError:  # cut short, or with bytes left over: OpenCV decodes what can be decoded
        return None


@contextlib.contextmanager
def quiet_opencv() -> Iterator[None]:
    """Within the block OpenCV prints no lines of its own; what it cannot do is raised or returned all the same."""
    # OpenCV 5 has the function in another place than OpenCV 4.
    set_level = getattr(cv2, "setLogLevel", None) or cv2.utils.logging.setLogLevel
    before = set_level(0)  # LOG_LEVEL_SILENT
    try:
        yield
    finally:
        set_level(before)


def _decode_bgr(data: bytes, where: str, flags: int) -> np.ndarray:
    """What OpenCV decodes with ``flags``. Raises :class:`UserError` naming ``where``."""
    try:
        with quiet_opencv():
            image = cv2.imdecode(np.frombuffer(data, np.uint8), flags) if data else None
    except cv2.error as error:
        if "CV_IO_MAX_IMAGE" in error.err:
            raise _too_large(where) from error
        raise UserError(f"cannot decode image {where}: {error.err}") from error
    if image is None:
        raise UserError(f"cannot decode image {where}: not an image, or cut short")
    return image


def shrink(image: np.ndarray, reduce: int) -> np.ndarray:
    """Both sides divided by ``reduce``, rounded up; each pixel is the mean of those it stands for."""
    if reduce == 1:
        return image
    height, width = (-(-side // reduce) for side in image.shape[:2])
    image = cv2.copyMakeBorder(image, 0, height * reduce - image.shape[0], 0, width * reduce - image.shape[1],
                               cv2.BORDER_REPLICATE)
    return cv2.resize(image, (width, height), interpolation=cv2.INTER_AREA)


def _decode_top(data: bytes, reduce: int, rows: int) -> np.ndarray | None:
    """The first ``rows`` and some more; None where that cannot be had, or for :func:`_decode_whole` to judge."""
    layout = _Layout.of(data)
    if layout is None or data.rfind(_END, layout.scan) < 0 or min(layout.width, layout.height) < _MIN_SIDE:
        return None
    stop = -(-rows // layout.block) * layout.block
    height = min(stop, layout.height)
    if height < layout.height:
        shortened = bytearray(data)
        shortened[layout.height_at:layout.height_at + 2] = height.to_bytes(2, "big")
        data = bytes(shortened)
    least = {} if reduce == 1 else {"min_height": -(-height // reduce), "min_width": -(-layout.width // reduce)}
    try:
        # strict would mind the rows left over
        return simplejpeg.decode_jpeg(data, "RGB", fastupsample=True, strict=False, **least)
    except ValueError:
        return None


@dataclass(frozen=True)
class _Layout:
    """Of a JPEG in one sequential scan: sides in px, rows of a block (MCU), offsets of the height and the scan."""

    height: int
    width: int
    block: int
    height_at: int
    scan: int

    @classmethod
    def of(cls, data: bytes) -> _Layout | None:
        """Read the header (ITU-T T.81, annex B); None for another kind of JPEG, or none at all."""
        frame: tuple[int, int, int, int] | None = None
        at = 2
        while data[at:at + 1] == b"\xff" and at + 10 <= len(data):
            marker, length = data[at + 1], int.from_bytes(data[at + 2:at + 4], "big")
            if marker in _FRAME_MARKERS and (data[at + 4], data[at + 9]) == (8, 3) and at + 19 <= len(data):
                height, width = (int.from_bytes(data[at + i:at + i + 2], "big") for i in (5, 7))
                frame = height, width, 8 * max(data[at + i] & 15 for i in (11, 14, 17)), at + 5
            elif marker == _SCAN_MARKER:
                return cls(*frame, at) if frame and data[at + 4] == 3 else None
            at += 2 + length
        return None
