"""Read the images of the material, and divide material into a training and a validation part.

    image = read_image(path)                    # (H, W, 3) uint8 RGB
    image, scale = cached_image(path, 480)      # at most 480 px on the longer side, kept in memory
    names = list_images(folder)
"""

from __future__ import annotations

import functools
import os
from collections.abc import Sequence
from pathlib import Path
from typing import TypeVar

import cv2
import numpy as np
import simplejpeg

from ...data.frame_names import IMAGE_SUFFIXES
from ...data.images import decode_image
from ...utils.errors import UserError, explain_os_error

SPLITS = ("train", "val", "all")
VAL_EVERY = 20  # one item of so many belongs to the validation part
MAX_SIDE = 480  # px; larger photographs are shrunk when they are read
MAX_CACHED = 1500  # images that each process keeps

Item = TypeVar("Item")


def read_image(path: str | Path, reduce: int = 1) -> np.ndarray:
    """Return (H, W, 3) uint8 RGB, both sides divided by ``reduce`` in {1, 2, 4, 8}.

    Raises :class:`UserError` naming the file if it cannot be read or decoded."""
    with explain_os_error(f"cannot read {path}"):
        data = Path(path).read_bytes()
    return decode_image(data, str(path), reduce)


def image_size(path: Path) -> tuple[int, int]:
    """Return the width and height of an image in px; of a JPEG without decoding it.

    Raises :class:`UserError` naming the file if it cannot be read."""
    try:
        height, width = simplejpeg.decode_jpeg_header(path.read_bytes(), strict=False)[:2]
    except OSError as error:
        raise UserError(f"cannot read {path}: {error.strerror or error}") from error
    except (ValueError, KeyError):  # no JPEG, or one of an unusual kind
        height, width = read_image(path).shape[:2]
    return width, height


@functools.lru_cache(MAX_CACHED)
def cached_image(path: str, max_side: int = MAX_SIDE) -> tuple[np.ndarray, float]:
    """Return the image, its longer side at most ``max_side`` px, and the scale by which it was shrunk."""
    image = read_image(path)
    scale = min(1.0, max_side / max(image.shape[:2]))
    if scale < 1:
        image = cv2.resize(image, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA)
    return image, scale


def list_images(folder: Path) -> list[str]:
    """Return the sorted names of the image files directly in ``folder``."""
    with explain_os_error(f"cannot list {folder}"), os.scandir(folder) as entries:
        return sorted(e.name for e in entries if e.name.lower().endswith(IMAGE_SUFFIXES) and not e.name.startswith("."))


def in_split(index: int, split: str) -> bool:
    """Return whether item ``index`` belongs to ``split``: every 20th item is validation material."""
    return split == "all" or (index % VAL_EVERY == 0) == (split == "val")


def items_of_split(items: Sequence[Item], split: str) -> list[Item]:
    """Return the items of ``split``; all of them where there is only one item."""
    return [item for i, item in enumerate(items) if in_split(i, split)] or list(items)
