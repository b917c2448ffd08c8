"""Small folders of material, in the layouts of the public data sets."""

from __future__ import annotations

import json
from pathlib import Path

import cv2
import numpy as np

OBJECT_BOX = (40, 30, 48, 36)  # x, y, w, h in px of the object in every photograph


def texture(seed: int, height: int = 120, width: int = 160) -> np.ndarray:
    """A smooth random image, (height, width, 3) uint8."""
    rng = np.random.default_rng(seed)
    return cv2.resize(rng.integers(0, 256, (6, 8, 3), dtype=np.uint8), (width, height), interpolation=cv2.INTER_CUBIC)


def photograph(seed: int) -> np.ndarray:
    """A texture with a plain red object at ``OBJECT_BOX`` (BGR)."""
    image = texture(seed)
    x, y, w, h = OBJECT_BOX
    image[y:y + h, x:x + w] = (20, 20, 230)
    return image


def save(path: Path, image: np.ndarray) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    assert cv2.imwrite(str(path), image)


def object_mask(value: int = 255) -> np.ndarray:
    mask = np.zeros((120, 160), np.uint8)
    x, y, w, h = OBJECT_BOX
    mask[y:y + h, x:x + w] = value
    return mask


def photograph_folder(folder: Path, count: int = 3) -> Path:
    for i in range(count):
        save(folder / f"{i:03d}.jpg", texture(100 + i))
    return folder


def coco_folder(folder: Path, count: int = 4, polygons: bool = True) -> Path:
    """COCO's layout; the class "empty" has no box."""
    x, y, w, h = OBJECT_BOX
    outline = [x, y, x + w, y, x + w, y + h, x, y + h]
    annotations = [{"id": i, "image_id": i, "category_id": 1 + i % 2, "bbox": list(OBJECT_BOX), "iscrowd": 0,
                    "segmentation": [outline] if polygons else []} for i in range(count)]
    images = [{"id": i, "file_name": f"{i:06d}.png", "width": 160, "height": 120} for i in range(count)]
    categories = [{"id": i + 1, "name": name} for i, name in enumerate(("cup", "dog", "empty"))]
    for i in range(count):
        save(folder / "train2017" / f"{i:06d}.png", photograph(i))
    path = folder / "annotations" / "instances_train2017.json"
    path.parent.mkdir(parents=True)
    path.write_text(json.dumps({"images": images, "annotations": annotations, "categories": categories}))
    return folder


def voc_folder(folder: Path, count: int = 2) -> Path:
    x, y, w, h = OBJECT_BOX
    for i in range(count):
        save(folder / "JPEGImages" / f"{i:06d}.jpg", photograph(i))
        path = folder / "Annotations" / f"{i:06d}.xml"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(
            f"<annotation><filename>{i:06d}.jpg</filename><object><name>bolt</name><bndbox><xmin>{x}</xmin>"
            f"<ymin>{y}</ymin><xmax>{x + w}</xmax><ymax>{y + h}</ymax></bndbox></object></annotation>")
    return folder


def yolo_folder(folder: Path, count: int = 3, inside: str = "") -> Path:
    x, y, w, h = OBJECT_BOX
    for i in range(count):
        save(folder / "images" / inside / f"{i}.jpg", photograph(i))
        path = folder / "labels" / inside / f"{i}.txt"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(f"7 {(x + w / 2) / 160} {(y + h / 2) / 120} {w / 160} {h / 120}\n")
    return folder


def masked_folder(folder: Path, count: int = 2) -> Path:
    for i in range(count):
        save(folder / "images" / f"{i}.jpg", photograph(i))
        save(folder / "masks" / f"{i}.png", object_mask())
    return folder


def mask_video_folder(folder: Path, videos: int = 2, frames: int = 6) -> Path:
    """<video>/img and <video>/mask: the object grows from frame to frame."""
    x, y, w, h = OBJECT_BOX
    for v in range(videos):
        for t in range(frames):
            image, mask = texture(v), np.zeros((120, 160), np.uint8)
            image[y:y + h, x:x + w + 4 * t] = (20, 20, 230)
            mask[y:y + h, x:x + w + 4 * t] = 255
            save(folder / f"video{v}" / "img" / f"{t:05d}.jpg", image)
            save(folder / f"video{v}" / "mask" / f"{t:05d}.png", mask)
    return folder


def davis_folder(folder: Path) -> Path:
    for t in range(4):
        save(folder / "JPEGImages" / "480p" / "bear" / f"{t:05d}.jpg", photograph(0))
        save(folder / "Annotations" / "480p" / "bear" / f"{t:05d}.png", object_mask())
    return folder


def tiny_imagenet_folder(folder: Path, count: int = 3) -> Path:
    for wnid in ("n01", "n02"):
        rows = []
        for i in range(count):
            save(folder / "train" / wnid / "images" / f"{wnid}_{i}.JPEG", texture(i, 64, 64))
            rows.append(f"{wnid}_{i}.JPEG\t10\t12\t49\t43\n")
        (folder / "train" / wnid / f"{wnid}_boxes.txt").write_text("".join(rows))
    return folder


def cutout_folder(folder: Path, count: int = 3) -> Path:
    for i in range(count):
        save(folder / f"animals_birds_{i}.png", np.dstack([photograph(i), object_mask()]))
    return folder
