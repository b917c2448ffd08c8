"""Objects that are cut out already: a folder of PNG files with alpha.

A file name's first word (``animals_birds_robin.png``: animals) is the class, its first two words the group of similar
objects.
"""

from __future__ import annotations

import functools
from pathlib import Path

import cv2
import numpy as np

from ...utils.errors import UserError, explain_os_error
from .cutout import Cutout, Rng, from_mask
from .images import MAX_CACHED, items_of_split, list_images
from .source import ObjectSource

MAX_CUTOUT_PX = 320  # longer sides are shrunk when the file is read
BORDER = 3  # px of transparent border that is added


class CutoutFiles(ObjectSource):
    """PNG files with alpha, each one object."""

    weight = 0.13

    def __init__(self, folder: str | Path, split: str = "all"):
        self.folder = Path(folder)
        names = [name for name in list_images(self.folder) if name.lower().endswith(".png")]
        if not names:
            raise UserError(f"no cut-outs in {folder}: put PNG files with alpha there, or give another folder")
        self.names = items_of_split(names, split)
        groups: dict[tuple[str, ...], list[int]] = {}
        for number, name in enumerate(self.names):
            groups.setdefault(tuple(Path(name).stem.split("_")[:2]), []).append(number)
        super().__init__(list(groups.values()))

    def class_name(self, number: int) -> str:
        return Path(self.names[number]).stem.split("_")[0]

    def cutouts(self, number: int, frames: int, rng: Rng) -> list[Cutout]:
        path = str(self.folder / self.names[number])
        found = from_mask(*_read_cutout(path), rng)
        if found is None:
            raise UserError(f"{path}: no pixel is opaque; remove the file")
        return [found]


@functools.lru_cache(MAX_CACHED)
def _read_cutout(path: str) -> tuple[np.ndarray, np.ndarray]:
    """Return (h, w, 3) RGB and (h, w) alpha, with a transparent border."""
    with explain_os_error(f"cannot read {path}"):
        data = np.frombuffer(Path(path).read_bytes(), np.uint8)
    image = cv2.imdecode(data, cv2.IMREAD_UNCHANGED) if len(data) else None
    if image is None:
        raise UserError(f"cannot decode image {path}: not an image, or cut short")
    if image.dtype == np.uint16:
        image = np.right_shift(image.astype(np.uint16), 8).astype(np.uint8)
    if image.ndim != 3 or image.shape[2] != 4:
        raise UserError(f"{path}: the file has no alpha; save the cut-out as PNG with transparency, or remove it")
    rgb, alpha = cv2.cvtColor(image, cv2.COLOR_BGRA2RGB), image[:, :, 3]
    scale = min(1.0, MAX_CUTOUT_PX / max(alpha.shape))
    if scale < 1:
        rgb = cv2.resize(rgb, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA)
        alpha = cv2.resize(alpha, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA)
    borders = (BORDER,) * 4
    return (cv2.copyMakeBorder(rgb, *borders, cv2.BORDER_REPLICATE),
            cv2.copyMakeBorder(alpha, *borders, cv2.BORDER_CONSTANT, value=0))
