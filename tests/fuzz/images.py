"""Decoders of images: what the header says is what comes out, or less."""

from __future__ import annotations

import random
import zlib
from pathlib import Path

import cv2
import numpy as np

from mstgt.data.images import MAX_PIXELS, MAX_SIDE, decode_image
from tests.fuzz.mutate import mutate
from tests.fuzz.target import Target, sample_image


def encoded(suffix: str, *options: tuple[int, ...]) -> tuple[bytes, ...]:
    """A colored and a gray image with each of ``options``."""
    image = sample_image()
    return tuple(cv2.imencode(suffix, shown, list(option))[1].tobytes() for shown in (image, image[..., 0])
                 for option in options or ((),))


def _png_tree(rng: random.Random) -> bytes:
    """A PNG with a corrupt chunk whose checksum is right."""
    data = rng.choice(encoded(".png"))
    chunks, at = [], 8
    while at < len(data):
        length = int.from_bytes(data[at:at + 4], "big")
        chunks.append((data[at + 4:at + 8], data[at + 8:at + 8 + length]))
        at += 12 + length
    place = rng.choice((0, rng.randrange(len(chunks))))
    chunks[place] = chunks[place][0], mutate(chunks[place][1], rng)
    return data[:8] + b"".join(len(body).to_bytes(4, "big") + kind + body + zlib.crc32(kind + body).to_bytes(4, "big")
                               for kind, body in chunks)


def _decode(data: bytes, _at: Path) -> None:
    for reduce, rows in ((1, None), (2, None), (1, 9), (4, 9)):
        image = decode_image(data, "the image", reduce, rows)
        assert image.dtype == np.uint8 and image.ndim == 3 and image.shape[2] == 3
        assert image.shape[0] * image.shape[1] <= MAX_PIXELS and max(image.shape[:2]) <= MAX_SIDE


TARGETS: dict[str, Target] = {
    "jpeg": Target(lambda: encoded(".jpg", (), (cv2.IMWRITE_JPEG_PROGRESSIVE, 1),
                                   (cv2.IMWRITE_JPEG_RST_INTERVAL, 1, cv2.IMWRITE_JPEG_QUALITY, 50)), _decode,
                   "the image"),
    "png": Target(lambda: encoded(".png"), _decode, "the image", _png_tree),
    "bmp": Target(lambda: encoded(".bmp"), _decode, "the image"),
    "webp": Target(lambda: encoded(".webp", (cv2.IMWRITE_WEBP_QUALITY, 60), (cv2.IMWRITE_WEBP_QUALITY, 101)), _decode,
                   "the image"),
    "tiff": Target(lambda: encoded(".tif"), _decode, "the image"),
}
