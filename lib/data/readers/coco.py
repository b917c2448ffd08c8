"""COCO 2017 (Lin et al., ECCV 2014) as videos of one frame: each annotated object is one, named by its annotation id.

``images/train2017/*.jpg`` or ``train2017/*.jpg``, and ``annotations/instances_train2017.json``.

Left out: crowds (``iscrowd``), and objects whose box, clipped to its image, is not wider and higher than 50 px. That is
the rule of the OSTrack family; a smaller object would be blurred by the enlargement of its crop, and its box is coarse.
"""

from __future__ import annotations

import contextlib
import io
import json
from functools import partial
from typing import Any

import numpy as np

from ...utils.errors import UserError
from ...utils.progress import progress
from ..index import Arrays, cached_arrays, digests
from ..store import FrameStore
from ..video import Video, VideoSet, make_video, require_videos

ANNOTATION = "annotations/instances_train2017.json"
IMAGE_FOLDERS = ("images/train2017", "train2017")
MIN_SIDE_PX = 50.0
_KINDS = {"ids": "i1", "boxes_xywh": "f2", "images": "i1", "categories": "i1", "image_names": "U1", "image_wh": "i2",
          "category_names": "U1", "missing": "i1"}
_NAME_LENGTH, _MAX_ID = 255, 1 << 63
_FAULTS = (ValueError, KeyError, TypeError, AttributeError, OverflowError, RecursionError)


def coco(name: str, store: FrameStore) -> VideoSet:
    """The objects whose images are there."""
    folder = next((f for f in IMAGE_FOLDERS if store.list(f)), "")
    if not folder or not store.exists(ANNOTATION):
        nothing = VideoSet(name, (), partial(_read_object, store, folder, {}))
        return require_videos(nothing, store, f"{ANNOTATION} with {' or '.join(IMAGE_FOLDERS)}")
    states = digests([(store.mtime_key(ANNOTATION), folder, store.mtime_key(folder))])
    kept = cached_arrays(store.root, name, states, partial(_parse, store, folder), _KINDS, _fit)
    videos = VideoSet(name, tuple(map(str, kept["ids"].tolist())), partial(_read_object, store, folder, kept),
                      tuple(map(str, kept["missing"].tolist())), class_of=partial(_class_of, kept))
    return require_videos(videos, store, f"objects in {ANNOTATION} whose images are in {folder}")


def _fit(kept: Arrays) -> bool:
    """Whether every object has an image and a category, and every image is a file of its folder."""
    objects, ids = len(kept["ids"]), kept["ids"]
    return (objects == len(kept["images"]) == len(kept["categories"]) and kept["boxes_xywh"].shape == (objects, 4)
            and kept["image_wh"].shape == (len(kept["image_names"]), 2) and bool((np.diff(ids) > 0).all())
            and all(not objects or kept[rows].min() >= 0 and kept[rows].max() < len(kept[names])
                    for rows, names in (("images", "image_names"), ("categories", "category_names")))
            and not (np.char.find(kept["image_names"], "/") >= 0).any())


def _row(kept: Arrays, video: str) -> int:
    row = int(np.searchsorted(kept["ids"], int(video)))
    if row == len(kept["ids"]) or kept["ids"][row] != int(video):
        raise KeyError(video)
    return row


def _class_of(kept: Arrays, video: str) -> str:
    return str(kept["category_names"][kept["categories"][_row(kept, video)]])


def _read_object(store: FrameStore, folder: str, kept: Arrays, video: str) -> Video:
    row = _row(kept, video)
    image = kept["images"][row]
    width, height = kept["image_wh"][image].tolist()
    key = f"{folder}/{kept['image_names'][image]}"
    return make_video(video, store, (key,), kept["boxes_xywh"][row:row + 1].copy(),
                         object_class=_class_of(kept, video), size_wh=(width, height))


def _parse(store: FrameStore, folder: str, _old: Arrays | None) -> Arrays:
    """The objects of the annotation file as arrays, sorted by id."""
    where = store.where(ANNOTATION)
    dataset = _load(store.read(ANNOTATION), where)
    present = set(store.list(folder))
    image_rows = {image: i for i, image in enumerate(dataset.imgs)}
    category_rows = {category: i for i, category in enumerate(dataset.cats)}
    found, missing = [], []
    try:
        image_names = [_name(image["file_name"]) for image in dataset.imgs.values()]
        image_wh = np.array([(image["width"], image["height"]) for image in dataset.imgs.values()], np.int64)
        category_names = [_name(category["name"]) for category in dataset.cats.values()]
        for entry in progress(dataset.anns.values(), unit="object", desc="index of COCO"):
            image = image_rows[entry["image_id"]]
            box = _clipped(entry["bbox"], image_wh[image])
            if entry.get("iscrowd", 0) or not all(side > MIN_SIDE_PX for side in box[2:]):
                continue
            if image_names[image] in present:
                found.append((_id(entry["id"]), box, image, category_rows[entry["category_id"]]))
            else:
                missing.append(_id(entry["id"]))
    except _FAULTS as error:
        raise _refusal(where, error) from error
    found.sort()
    ids, boxes, images, categories = zip(*found, strict=True) if found else ((), (), (), ())
    return {"ids": np.array(ids, np.int64), "boxes_xywh": np.array(boxes, np.float64).reshape(-1, 4),
            "images": np.array(images, np.int32), "categories": np.array(categories, np.int32),
            "image_names": np.array(image_names, np.str_), "image_wh": image_wh.reshape(-1, 2),
            "category_names": np.array(category_names, np.str_), "missing": np.array(sorted(missing), np.int64)}


def _load(data: bytes, where: str) -> Any:
    """Return the annotation as a ``pycocotools.coco.COCO``."""
    from pycocotools.coco import COCO  # only this data set needs it

    dataset = COCO()
    try:
        dataset.dataset = json.loads(data)
        with contextlib.redirect_stdout(io.StringIO()):  # it tells of its progress
            dataset.createIndex()
    except _FAULTS as error:
        raise _refusal(where, error) from error
    return dataset


def _refusal(where: str, error: Exception) -> UserError:
    return UserError(f"{where}: not COCO's annotation of objects ({type(error).__name__}: {str(error)[:80]}); fetch it "
                     "again")


def _name(value: Any) -> str:
    if not isinstance(value, str) or len(value) > _NAME_LENGTH:
        raise ValueError("a name that is no text, or too long")
    return value


def _id(value: Any) -> int:
    if type(value) is not int or not 0 <= value < _MAX_ID:
        raise ValueError(f"the id {value!r}")
    return value


def _clipped(box_xywh: list[float], size_wh: np.ndarray) -> tuple[float, float, float, float]:
    """The part of a box inside its image; without area where the box is outside."""
    x, y, w, h = map(float, box_xywh)
    left, top = max(x, 0.0), max(y, 0.0)
    right, bottom = min(x + w, float(size_wh[0])), min(y + h, float(size_wh[1]))
    return left, top, max(right - left, 0.0), max(bottom - top, 0.0)
