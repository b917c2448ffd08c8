"""Small text on images, in an outline font (OpenCV's own letters are single strokes).

    put_tag(image, "0.87", (40, 60), height=24, ink=(0, 0, 0), background=(255, 160, 40))
"""

from __future__ import annotations

from functools import lru_cache

import numpy as np
from PIL import Image, ImageDraw, ImageFont

Color = tuple[int, int, int]  # RGB, 0 to 255


def put_tag(image: np.ndarray, text: str, corner_xy: tuple[int, int], height: int, ink: Color, background: Color,
            opacity: float = 1.0) -> None:
    """Write ``text`` into ``image`` on a rounded background of ``height`` px.

    Its top-left is at ``corner_xy``, or as near to it as keeps the tag inside the image.
    """
    letters, shape = _masks(text, height)
    letters, shape = letters[:image.shape[0], :image.shape[1]], shape[:image.shape[0], :image.shape[1]]
    rows, columns = letters.shape
    x = min(max(0, corner_xy[0]), image.shape[1] - columns)
    y = min(max(0, corner_xy[1]), image.shape[0] - rows)
    region = image[y : y + rows, x : x + columns]
    mixed = region + (np.array(background, np.float32) - region) * (shape[..., None] * opacity)
    region[:] = np.rint(mixed + (np.array(ink, np.float32) - mixed) * letters[..., None])


def tag_width(text: str, height: int) -> int:
    """Width in px of a tag of ``height`` px."""
    return _masks(text, height)[0].shape[1]


@lru_cache(maxsize=512)
def _masks(text: str, height: int) -> tuple[np.ndarray, np.ndarray]:
    """Opacity of letters and background, (height, W) float32 in [0, 1]. All digits get the same width, so that numbers
    that change from frame to frame do not jump."""
    font = ImageFont.load_default(size=0.66 * height)
    digit = max(font.getlength(c) for c in "0123456789")
    steps = [digit if c.isdecimal() else font.getlength(c) for c in text]
    margin = 0.34 * height
    width = max(1, round(sum(steps) + 2 * margin))
    letters = Image.new("L", (width, height))
    pen, x = ImageDraw.Draw(letters), margin
    for character, step in zip(text, steps, strict=True):
        pen.text((x + step / 2, 0.72 * height), character, 255, font, anchor="ms")
        x += step
    # drawn four times as large and reduced, for Pillow draws rounded corners without anti-aliasing
    large = Image.new("L", (4 * width, 4 * height))
    ImageDraw.Draw(large).rounded_rectangle((0, 0, 4 * width - 1, 4 * height - 1), radius=height, fill=255)
    background = large.resize((width, height), Image.Resampling.BOX)
    return np.asarray(letters, np.float32) / 255, np.asarray(background, np.float32) / 255
