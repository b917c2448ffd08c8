"""Images that claim to be huge, and images of all kinds, whole and in part."""

from __future__ import annotations

import io
import struct
import zlib

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from mstgt.data.images import MAX_PIXELS, MAX_SIDE, decode_image
from mstgt.utils.errors import UserError
from tests.fuzz.bounded import bounded

FORMATS = {"JPEG": {"quality": 95, "subsampling": 0}, "PNG": {}, "BMP": {}, "WEBP": {"lossless": True}, "TIFF": {}}


def random_image(height: int, width: int) -> np.ndarray:
    y, x = np.mgrid[:height, :width][..., None]
    return (127 + 90 * np.sin(x / 9 + [0, 1, 2]) * np.cos(y / 7)).astype(np.uint8)


def stored(image: np.ndarray, kind: str, mode: str | None = None, **options) -> bytes:
    file = io.BytesIO()
    made = Image.fromarray(image)
    (made.convert(mode) if mode else made).save(file, kind, **(FORMATS[kind] | options))
    return file.getvalue()


def png(width: int, height: int) -> bytes:
    def chunk(kind: bytes, body: bytes) -> bytes:
        return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))

    head = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", zlib.compress(bytes(999))) + chunk(b"IEND", b"")


def jpeg(width: int, height: int, *options: int) -> bytes:
    data = bytearray(cv2.imencode(".jpg", random_image(48, 64), list(options))[1].tobytes())
    at = max(data.find(b"\xff\xc0"), data.find(b"\xff\xc2"))
    data[at + 5:at + 9] = struct.pack(">HH", height, width)
    return bytes(data)


def tiff(width: int, height: int) -> bytes:
    tags = ((256, width), (257, height), (258, 8), (259, 1), (262, 1), (273, 8), (277, 1), (278, height), (279, 100))
    body = b"".join(struct.pack("<HHII", tag, 4, 1, value) for tag, value in tags)
    return b"II*\0" + struct.pack("<I", 8) + struct.pack("<H", len(tags)) + body + bytes(104)


def bmp(width: int, height: int) -> bytes:
    return b"BM" + struct.pack("<IIIIiiHHIIiiII", 154, 0, 54, 40, width, height, 1, 24, 0, 100, 0, 0, 0, 0) + bytes(100)


def webp(width: int, height: int) -> bytes:
    body = b"VP8X" + struct.pack("<I", 10) + bytes(4) + (width - 1).to_bytes(3, "little") \
        + (height - 1).to_bytes(3, "little")
    body += bytes(8)  # OpenCV looks at 32 bytes at least
    return b"RIFF" + struct.pack("<I", len(body) + 4) + b"WEBP" + body


@pytest.mark.parametrize("kind", FORMATS)
@given(width=st.integers(1, 70), height=st.integers(1, 70))
def test_the_decoded_size_is_that_of_the_image(kind, width, height):
    data = stored(random_image(height, width), kind)
    assert decode_image(data, "x").shape == (height, width, 3)


@pytest.mark.parametrize("make", [png, jpeg, tiff, bmp, webp])
@pytest.mark.parametrize(("width", "height"), [(60000, 60000), (8192, 8193), (MAX_SIDE + 1, 1), (1, 40000)])
def test_an_image_that_claims_to_be_huge_is_refused_by_its_header(make, width, height):
    says = "image a.jpg is refused: it is larger than 67108864 px or than 32766 px a side"
    with bounded(1 << 26):
        for reduce, rows in ((1, None), (8, None), (1, 10), (8, 60000)):
            with pytest.raises(UserError, match=says):
                decode_image(make(width, height), "a.jpg", reduce, rows)


@pytest.mark.parametrize("junk", [b"", b"junk\xff"])
def test_a_second_header_does_not_get_past_the_limit(junk):
    small, huge = jpeg(64, 48), jpeg(60000, 60000)
    at = small.index(b"\xff\xc0")
    frame = huge[at:at + 2 + int.from_bytes(huge[at + 2:at + 4], "big")]
    top_down, tiles = bmp(64, -60000), tiff(64, 48).replace(struct.pack("<HHII", 277, 4, 1, 1),
                                                            struct.pack("<HHII", 322, 4, 1, 99999))
    for data in (small[:at] + junk + frame + small[at:], jpeg(60000, 60000, cv2.IMWRITE_JPEG_PROGRESSIVE, 1), top_down,
                 tiles):
        with bounded(1 << 26), pytest.raises(UserError, match=r"a\.jpg"):
            decode_image(data, "a.jpg")


@pytest.mark.parametrize("data", [
    b"", b"GIF89a" + bytes(50), b"P6 9 9 255 " + bytes(300), b"\0\0\0\x0cjP  \r\n\x87\n", b"\xff\xd8\xff\xe0",
    b"\x89PNG\r\n\x1a\n", b"BM", b"RIFF0000WEBPVP9 ", b"II*\0", b"text"])
def test_other_kinds_are_not_decoded(data):
    with pytest.raises(UserError, match=r"cannot decode image a\.jpg: no JPEG, PNG, BMP, WebP or TIFF, or cut short"
                                        r"|image a\.jpg is refused|not an image, or cut short"):
        decode_image(data, "a.jpg")


@pytest.mark.parametrize(("kind", "mode"), [("JPEG", "CMYK"), ("JPEG", "L"), ("PNG", "P"), ("PNG", "1"), ("PNG", "LA"),
                                            ("PNG", "RGBA"), ("PNG", "I;16"), ("TIFF", "CMYK"), ("WEBP", "RGBA")])
def test_all_kinds_become_rgb_whole_and_in_part(kind, mode):
    image = random_image(96, 80)
    if mode == "I;16":  # 16 bits a sample: the upper eight are kept
        data = cv2.imencode(".png", image[..., ::-1].astype(np.uint16) * 257)[1].tobytes()
    else:
        data = stored(image, kind, mode)
    whole, top = decode_image(data, "x"), decode_image(data, "x", rows=40)
    assert whole.shape == (96, 80, 3) and whole.dtype == np.uint8 and np.array_equal(top, whole[:40])
    if mode in ("RGBA", "I;16"):
        assert np.array_equal(whole, image)


@pytest.mark.parametrize("turn", range(1, 9))
@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP"])
def test_a_rotation_in_exif_is_not_applied(kind, turn):
    exif = Image.Exif()
    exif[274] = turn
    image = random_image(96, 80)
    for rows in (None, 40, 96):
        got = decode_image(stored(image, kind, exif=exif), "x", rows=rows)
        assert got.shape[1] == 80 and np.abs(got.astype(int) - image[:len(got)]).max() < 12


@pytest.mark.parametrize("kind", FORMATS)
@pytest.mark.parametrize("reduce", [2, 4, 8])
def test_reducing_rounds_up_and_keeps_every_pixel_in_its_place(kind, reduce):
    image = np.zeros((83, 123, 3), np.uint8)
    image[16:24, 112:120] = 255
    small = decode_image(stored(image, kind), "x", reduce)
    assert small.shape == (-(-83 // reduce), -(-123 // reduce), 3)
    lit = np.argwhere(small[..., 0] > 200)
    assert lit.min(0).tolist() == [16 // reduce, 112 // reduce] and len(lit) == (8 // reduce) ** 2


def test_a_great_image_within_the_limit_is_read():
    assert MAX_PIXELS == 8192 * 8192
    with pytest.raises(UserError, match="cannot decode image"):  # its header passes, and its data is not there
        decode_image(png(8192, 8192)[:60], "x")
