"""The size of a picture from its header, before anybody makes room for its pixels.

    size = picture_size(data)        # (width, height) in pixels; None: of none of the kinds that are read here

JPEG, PNG, BMP, WebP and TIFF. The kind is told by the first bytes, as the decoder tells it, and not by a file's name.
What can be said more than once in a hostile file (a frame of a JPEG, a tag of a TIFF) is read as often, and the
greatest counts.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Literal

Size = tuple[int, int]
Order = Literal["little", "big"]

_FRAMES = frozenset({*range(0xC0, 0xD0)} - {0xC4, 0xC8, 0xCC})  # markers of JPEG that say the size
_BARE = frozenset({0x01, *range(0xD0, 0xD9)})  # ... that have no length
_SCAN, _END = 0xDA, 0xD9
_TIFF_WIDTHS, _TIFF_HEIGHTS = (256, 322), (257, 323)  # tags: of the picture, of a tile
_TIFF_TYPES = {1: 1, 3: 2, 4: 4, 16: 8}  # whole numbers: bytes of each
_MOST_TAGS = 4096


def picture_size(data: bytes) -> Size | None:
    """Width and height of the picture in ``data``; None where they cannot be told."""
    for begins, read in _READERS:
        if data.startswith(begins):
            return read(data)
    return None


def _number(data: bytes, at: int, count: int, order: Order = "little") -> int:
    """The whole number at ``at``; what is cut off counts as zero."""
    return int.from_bytes(data[at:at + count].ljust(count, b"\0"), order)


def _jpeg(data: bytes) -> Size | None:
    """ITU-T T.81, annex B; what stands between two markers is passed over, as libjpeg does it."""
    sizes = []
    at = 2
    while (at := data.find(b"\xff", at)) >= 0:
        while data[at:at + 1] == b"\xff":
            at += 1
        marker = _number(data, at, 1)
        at += 1
        if marker in (_SCAN, _END):
            break
        if marker in _FRAMES:
            sizes.append((_number(data, at + 5, 2, "big"), _number(data, at + 3, 2, "big")))
        if marker and marker not in _BARE:
            at += _number(data, at, 2, "big")
    return _greatest(sizes)


def _png(data: bytes) -> Size | None:
    return (_number(data, 16, 4, "big"), _number(data, 20, 4, "big")) if data[12:16] == b"IHDR" else None


def _bmp(data: bytes) -> Size | None:
    if _number(data, 14, 4) == 12:  # OS/2
        return _number(data, 18, 2), _number(data, 20, 2)
    width, height = (int.from_bytes(data[at:at + 4].ljust(4, b"\0"), "little", signed=True) for at in (18, 22))
    return abs(width), abs(height)  # a height below zero: the first row is the top one


def _webp(data: bytes) -> Size | None:
    kind = data[12:16]
    if data[8:12] != b"WEBP":
        return None
    if kind == b"VP8X":
        return _number(data, 24, 3) + 1, _number(data, 27, 3) + 1
    if kind == b"VP8L":
        bits = _number(data, 21, 4)
        return (bits & 0x3FFF) + 1, (bits >> 14 & 0x3FFF) + 1
    return (_number(data, 26, 2) & 0x3FFF, _number(data, 28, 2) & 0x3FFF) if kind == b"VP8 " else None


def _tiff(data: bytes) -> Size | None:
    """TIFF 6.0 and BigTIFF, the first directory: the one that is decoded."""
    order: Order = "little" if data.startswith(b"II") else "big"
    big = _number(data, 2, 2, order) == 43
    at = _number(data, 8, 8, order) if big else _number(data, 4, 4, order)
    tags = list(_tiff_tags(data, at, order, big))
    widths = [value for tag, value in tags if tag in _TIFF_WIDTHS]
    heights = [value for tag, value in tags if tag in _TIFF_HEIGHTS]
    return (max(widths), max(heights)) if widths and heights else None


def _tiff_tags(data: bytes, at: int, order: Order, big: bool) -> Iterator[tuple[int, int]]:
    """The tags of a directory that are whole numbers, as far as the data goes."""
    head, entry, value = (8, 20, 12) if big else (2, 12, 8)
    count = min(_number(data, at, head, order), _MOST_TAGS)
    for place in range(at + head, min(at + head + entry * count, len(data)), entry):
        size = _TIFF_TYPES.get(_number(data, place + 2, 2, order))
        if size:
            yield _number(data, place, 2, order), _number(data, place + value, size, order)


def _greatest(sizes: list[Size]) -> Size | None:
    return (max(width for width, _ in sizes), max(height for _, height in sizes)) if sizes else None


_READERS: tuple[tuple[bytes, Callable[[bytes], Size | None]], ...] = (
    (b"\xff\xd8\xff", _jpeg), (b"\x89PNG\r\n\x1a\n", _png), (b"BM", _bmp), (b"RIFF", _webp),
    (b"II*\0", _tiff), (b"MM\0*", _tiff), (b"II+\0", _tiff), (b"MM\0+", _tiff))
