"""Reader of photographs with boxes in YOLO's layout: a text file for each photograph.

    <root>/images/<name>.jpg, <root>/labels/<name>.txt      class, centre x, centre y, width, height as shares, a line

A line with more numbers is a polygon, of which the extent is taken. Both folders may be divided into ``train`` and
others; then ``train`` is read.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np

from ...utils.errors import UserError
from .images import image_size, list_images
from .photographs import AnnotatedPhotographs, PhotoObject


def read_yolo(folder: Path) -> AnnotatedPhotographs:
    """Return the photographs and objects of labels/*.txt (YOLO's layout), or of labels/train and images/train."""
    inside = "train" if (folder / "labels" / "train").is_dir() else ""
    images, labels = folder / "images" / inside, folder / "labels" / inside
    paths: list[str] = []
    objects: list[PhotoObject] = []
    for name in list_images(images):
        path = images / name
        paths.append(str(path))
        file = labels / f"{path.stem}.txt"
        boxes = read_yolo_boxes(file) if file.is_file() else []
        if boxes:
            size_wh = image_size(path)
            objects += [PhotoObject(str(path), _in_pixels(box, size_wh), kind) for kind, box in boxes]
    return AnnotatedPhotographs(paths, objects)


def read_yolo_boxes(file: Path) -> list[tuple[str, np.ndarray]]:
    """Return (class number as text, (4,) centre x, y, w, h as shares of the image) of each line.

    A polygon (more than four numbers) is replaced by its extent. Raises :class:`UserError` naming file and line."""
    found = []
    for number, line in enumerate(file.read_text("utf-8", "replace").splitlines(), 1):
        parts = line.split()
        if not parts:
            continue
        try:
            values = np.array([float(value) for value in parts[1:]])
        except ValueError:
            values = np.empty(0)
        if len(values) > 5 and len(values) % 2 == 0:
            points = values.reshape(-1, 2)
            values = np.concatenate([(points.min(0) + points.max(0)) / 2, np.ptp(points, axis=0)])
        if len(values) != 4 or not (np.abs(values) <= 2).all():
            raise UserError(f"{file}, line {number}: expected a class and 4 numbers between 0 and 1, not {line[:60]!r}")
        found.append((parts[0], values))
    return found


def _in_pixels(box: np.ndarray, size_wh: tuple[int, int]) -> tuple[float, float, float, float]:
    """Return x0, y0, x1, y1 in px of a box given as shares of the image."""
    middle, side = box[:2] * size_wh, box[2:] * size_wh
    x0, y0 = (middle - side / 2).tolist()
    x1, y1 = (middle + side / 2).tolist()
    return x0, y0, x1, y1
