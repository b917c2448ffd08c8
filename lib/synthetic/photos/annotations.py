"""Readers of photographs with annotated objects.

    read_coco(folder)       annotations/*.json, or *.json beside the images: boxes, polygons
    read_voc(folder)        Annotations/*.xml and JPEGImages/: boxes
    read_yolo(folder)       images/ and labels/*.txt: class, center x, center y, width, height as shares, one per line
    read_masked(folder)     images/ and masks/: a mask of the same name for each photograph, each color one object

Photographs that are annotated but not on disk, and classes without boxes, are named in a warning.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Sequence
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import cv2
import numpy as np

from ...untrusted.xml import parse_xml
from ...utils.errors import UserError, shortened, warn_once
from .images import image_size, list_images
from .photographs import AnnotatedPhotographs, PhotoObject, label_image

_log = logging.getLogger(__name__)

_FAULTS = (KeyError, TypeError, ValueError, AttributeError)
MAX_NAMED = 5  # items that a warning names
MIN_MASK_PX = 50  # colors with fewer pixels (the rim of a lossy mask) are no object


def coco_files(folder: Path) -> list[Path]:
    """Return the annotation files of a folder in COCO's layout; those of the training split if there are some."""
    files = sorted((folder / "annotations").glob("instances_*.json")) \
        or sorted((folder / "annotations").glob("*.json")) or sorted(folder.glob("*.json"))
    return [file for file in files if "train" in file.name] or files


def read_coco(folder: Path) -> AnnotatedPhotographs:
    """Return the photographs and objects of COCO's object annotation. Crowds are left out."""
    paths: list[str] = []
    objects: list[PhotoObject] = []
    for file in coco_files(folder):
        try:
            data = json.loads(file.read_bytes())
            found = _coco_objects(folder, file, data)
        except (OSError, *_FAULTS) as error:
            fault = f"it lacks {error}" if isinstance(error, KeyError) else f"{type(error).__name__}: {str(error)[:80]}"
            raise UserError(f"{file}: not COCO's annotation of objects ({fault}); export it as COCO, or take it out of "
                            "the folder") from error
        paths += found.paths
        objects += found.objects
    return AnnotatedPhotographs(paths, objects)


def _coco_objects(folder: Path, file: Path, data: dict[str, Any]) -> AnnotatedPhotographs:
    class_names = {entry["id"]: str(entry["name"]) for entry in data["categories"]}
    images = {entry["id"]: _inside(entry["file_name"]) for entry in data["images"]}
    place = _image_folder(folder, file, list(images.values()))
    on_disk = {key: str(place / name) for key, name in images.items() if (place / name).is_file()}
    _warn(f"{file}: photographs are missing in {place}", [n for key, n in images.items() if key not in on_disk])
    objects = []
    for entry in data["annotations"]:
        path = on_disk.get(entry["image_id"])
        if path is None or entry.get("iscrowd"):
            continue
        x, y, w, h = (float(value) for value in entry["bbox"])
        polygons = entry.get("segmentation")
        if not isinstance(polygons, list):  # run lengths: only the box is used
            polygons = []
        outlines = tuple(np.array(p, np.float32).reshape(-1, 2) for p in polygons)
        if w > 0 and h > 0:
            objects.append(PhotoObject(path, (x, y, x + w, y + h), class_names[entry["category_id"]], outlines))
    unused = set(class_names.values()) - {item.class_name for item in objects}
    _warn(f"{file}: classes without boxes", sorted(unused))
    return AnnotatedPhotographs(list(on_disk.values()), objects)


def _inside(name: str) -> str:
    """Return a file name that stays inside its folder. One that was written on Windows has backslashes."""
    name = name.replace("\\", "/")
    if Path(name).is_absolute() or ".." in Path(name).parts:
        raise ValueError(f"the file name {name[:60]!r} leads out of the folder")
    return name


def _image_folder(folder: Path, file: Path, names: list[str]) -> Path:
    """Return the folder that holds the images of an annotation file: its split's, images/, or beside it."""
    split = file.stem.removeprefix("instances_")
    candidates = [folder / split, folder / "images" / split, folder / "images", folder, file.parent]
    for candidate in candidates:
        if any((candidate / name).is_file() for name in names[:50]):
            return candidate
    looked_in = ", ".join(str(candidate) for candidate in candidates[:4])
    example = f", such as {names[0][:60]!r}," if names else ""
    raise UserError(f"{file}: none of its photographs{example} is on disk; looked in {looked_in}")


def read_voc(folder: Path) -> AnnotatedPhotographs:
    """Return the photographs and objects of Annotations/*.xml (Pascal VOC's layout)."""
    images = folder / "JPEGImages" if (folder / "JPEGImages").is_dir() else folder / "images"
    image_of = {Path(name).stem: name for name in list_images(images)}
    paths: list[str] = []
    objects: list[PhotoObject] = []
    missing = []
    for file in sorted((folder / "Annotations").glob("*.xml")):
        if file.stem not in image_of:
            missing.append(file.stem)
            continue
        path = str(images / image_of[file.stem])
        paths.append(path)
        objects += [PhotoObject(path, box, name) for name, box in read_voc_boxes(file)]
    _warn(f"{folder}: photographs are missing in {images}", missing)
    return AnnotatedPhotographs(paths, objects)


def read_voc_boxes(file: Path) -> list[tuple[str, tuple[float, float, float, float]]]:
    """Return (class, (x0, y0, x1, y1)) of each object. Raises :class:`UserError` naming a file that is not VOC's."""
    try:
        found = []
        for item in parse_xml(file.read_bytes(), str(file)).iter("object"):
            x0, y0, x1, y1 = (float(item.findtext(f"bndbox/{key}") or "") for key in ("xmin", "ymin", "xmax", "ymax"))
            found.append((item.findtext("name") or "object", (x0, y0, x1, y1)))
        return found
    except (OSError, ElementTree.ParseError, *_FAULTS) as error:
        raise UserError(f"{file}: not an annotation in VOC's format ({str(error)[:80]}); export it again") from error


def read_yolo(folder: Path) -> AnnotatedPhotographs:
    """Return the photographs and objects of images/ and labels/*.txt (YOLO's layout).

    Where both folders are divided into ``train`` and others, ``train`` is read."""
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
    """Return (class number as text, (4,) center x, y, w, h as shares of the image) of each line.

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


def read_masked(folder: Path) -> AnnotatedPhotographs:
    """Return the photographs in images/ and the objects of the masks in masks/."""
    image_of = {Path(name).stem: name for name in list_images(folder / "images")}
    paths: list[str] = []
    objects: list[PhotoObject] = []
    mask_of = {Path(name).stem: name for name in list_images(folder / "masks")}
    for stem, name in image_of.items():
        path = str(folder / "images" / name)
        paths.append(path)
        if stem in mask_of:
            objects += _objects_of_mask(path, folder / "masks" / mask_of[stem])
    _warn(f"{folder}/masks: masks without a photograph of that name in images/", sorted(mask_of.keys() - image_of))
    return AnnotatedPhotographs(paths, objects)


def _objects_of_mask(path: str, mask_path: Path) -> list[PhotoObject]:
    labels = label_image(mask_path)
    values, counts = np.unique(labels, return_counts=True)
    objects = []
    for value, count in zip(values.tolist(), counts.tolist(), strict=True):
        if value and count >= MIN_MASK_PX:
            x, y, w, h = cv2.boundingRect((labels == value).astype(np.uint8))
            objects.append(PhotoObject(path, (x, y, x + w, y + h), "object", (), str(mask_path), value))
    return objects


def _warn(message: str, items: Sequence[str]) -> None:
    """Log one line that names the first of the items, if there are some."""
    if items:
        # Once: training and validation read the same annotation.
        warn_once(_log, f"{message}: {shortened(items, MAX_NAMED)}")
