"""Objects of tiny-imagenet-200: 100 000 photographs of 64 px, each with the box of one object.

    <root>/train/<wnid>/images/<name>.JPEG
    <root>/train/<wnid>/<wnid>_boxes.txt     name, x0, y0, x1, y1 a line; the last column and row are inside the box
"""

from __future__ import annotations

import logging
from pathlib import Path

import numpy as np

from ...utils.errors import UserError
from .cutout import Cutout, Rng, from_box
from .images import in_split, read_image
from .source import ObjectSource

_log = logging.getLogger(__name__)

MIN_OBJECT_PX = 20  # √(w·h) of the smallest object that is used
MAX_AREA = 0.75 * 64 ** 2  # px; larger boxes leave no surroundings to fade into


class TinyImageNet(ObjectSource):
    """The training images of tiny-imagenet-200, cut out softly by box."""

    weight = 0.45

    def __init__(self, folder: str | Path, split: str = "all"):
        root = Path(folder) / "train"
        self.all_paths: list[str] = []  # of all images, objects of any size
        self.paths: list[str] = []
        self.classes: list[str] = []
        boxes: list[list[float]] = []
        groups: list[list[int]] = []
        for wnid in sorted(path.name for path in root.iterdir() if (path / "images").is_dir()):
            rows = read_boxes(root / wnid / f"{wnid}_boxes.txt")
            if not rows:
                _log.warning("%s: the class has no boxes; it is not used", root / wnid)
            group = []
            for row, (name, (x0, y0, x1, y1)) in enumerate(rows):
                if not in_split(row, split):
                    continue
                path = f"{root}/{wnid}/images/{name}"
                self.all_paths.append(path)
                area = (x1 + 1 - x0) * (y1 + 1 - y0)
                if MIN_OBJECT_PX ** 2 <= area <= MAX_AREA:
                    group.append(len(self.paths))
                    self.paths.append(path)
                    self.classes.append(wnid)
                    boxes.append([x0, y0, x1 + 1, y1 + 1])
            groups.append(group)
        if not self.paths:
            raise UserError(f"no objects in {folder}: expected train/<wnid>/<wnid>_boxes.txt with boxes of "
                            f"{MIN_OBJECT_PX} px and more, as in tiny-imagenet-200")
        self.boxes_xyxy = np.array(boxes)
        super().__init__(groups)

    def class_name(self, number: int) -> str:
        return self.classes[number]

    def cutouts(self, number: int, frames: int, rng: Rng) -> list[Cutout]:
        return [from_box(read_image(self.paths[number]), self.boxes_xyxy[number], rng)]

    def random_image(self, rng: Rng) -> np.ndarray:
        """Return any image of the split, (64, 64, 3) uint8."""
        return read_image(self.all_paths[int(rng.integers(len(self.all_paths)))])


def read_boxes(path: Path) -> list[tuple[str, tuple[float, float, float, float]]]:
    """Return (name, (x0, y0, x1, y1)) of every line; an empty list if there is no such file.

    Raises :class:`UserError` naming the file and the line that cannot be parsed."""
    if not path.is_file():
        return []
    try:
        lines = path.read_text("utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise UserError(f"cannot read {path}: {error}") from error
    rows = []
    for number, line in enumerate(lines, 1):
        parts = line.split()
        if not parts:
            continue
        try:
            x0, y0, x1, y1 = (float(value) for value in parts[1:])
        except ValueError:
            raise UserError(f"{path}, line {number}: expected a name and 4 numbers, not {line[:60]!r}") from None
        rows.append((parts[0], (x0, y0, x1, y1)))
    return rows
