"""Images whose target is known."""

from __future__ import annotations

import numpy as np


def lit(x: int, y: int, w: int, h: int) -> np.ndarray:
    """(240, 320, 3) uint8: a white rectangle on black."""
    image = np.zeros((240, 320, 3), np.uint8)
    image[y : y + h, x : x + w] = 255
    return image
