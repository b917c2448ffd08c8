"""Small text on pictures, in a face made for screens (OpenCV's own letters are made of strokes).

    put_tag(picture, "0.87", (40, 60), height=24, ink=(0, 0, 0), ground=(255, 160, 40))
"""

from __future__ import annotations

from functools import lru_cache

import numpy as np
from PIL import Image, ImageDraw, ImageFont

Colour = tuple[int, int, int]


def put_tag(picture: np.ndarray, text: str, corner_xy: tuple[int, int], height: int, ink: Colour, ground: Colour,
            opacity: float = 1.0) -> None:
    """Write ``text`` into ``picture`` on a rounded ground of ``height`` px.

    Its top-left is at ``corner_xy`` or, where that would leave the picture, as near to it as can be.
    """
    letters, shape = _masks(text, height)
    letters, shape = letters[:picture.shape[0], :picture.shape[1]], shape[:picture.shape[0], :picture.shape[1]]
    rows, columns = letters.shape
    x, y = (min(max(0, at), side - own) for at, side, own in
            zip(corner_xy, picture.shape[1::-1], (columns, rows), strict=True))
    place = picture[y : y + rows, x : x + columns]
    mixed = place + (np.array(ground, np.float32) - place) * (shape[..., None] * opacity)
    place[:] = np.rint(mixed + (np.array(ink, np.float32) - mixed) * letters[..., None])


def tag_width(text: str, height: int) -> int:
    """How many px a tag of ``height`` px takes."""
    return _masks(text, height)[0].shape[1]


@lru_cache(maxsize=512)
def _masks(text: str, height: int) -> tuple[np.ndarray, np.ndarray]:
    """Letters and ground, (height, W) float32 in [0, 1]. Digits are set as wide as each other, so that numbers that
    change do not jump."""
    font = ImageFont.load_default(size=0.66 * height)
    digit = max(font.getlength(c) for c in "0123456789")
    steps = [digit if c.isdecimal() else font.getlength(c) for c in text]
    margin = 0.34 * height
    width = max(1, round(sum(steps) + 2 * margin))
    sheets = [Image.new("L", (width, height)), Image.new("L", (4 * width, 4 * height))]
    pen, x = ImageDraw.Draw(sheets[0]), margin
    for character, step in zip(text, steps, strict=True):
        pen.text((x + step / 2, 0.72 * height), character, 255, font, anchor="ms")
        x += step
    ImageDraw.Draw(sheets[1]).rounded_rectangle((0, 0, 4 * width - 1, 4 * height - 1), radius=height, fill=255)
    ground = sheets[1].resize((width, height), Image.Resampling.BOX)
    return tuple(np.asarray(sheet, np.float32) / 255 for sheet in (sheets[0], ground))
