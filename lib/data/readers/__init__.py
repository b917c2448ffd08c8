"""Readers: from a dataset on disk to a ``VideoSet``. One module a dataset, all through a ``FrameStore``.

    videos = read_training_set("GOT10K_votval", paths.dataset)
    videos = read_training_set("FOLDER:/data/my_videos", paths.dataset)
    videos = read_training_set("FOLDER_val:/data/my_videos", paths.dataset)     # the held-out videos of a folder
    videos = read_training_set("PHOTOS:/data/my_photos", paths.dataset)

``TRAINING_SETS`` is the table of the names that configs use under DATA.TRAIN.DATASETS_NAME; the test sets are in
``mstgt.test.evaluation.benchmarks``. A new set also needs its folder in ``DATASET_FOLDERS`` (``mstgt.config.paths``);
docs/training.md has an example. Training sets remember the videos they parsed last and, where the reader gives a
``fingerprint``, come with an index of their facts (``mstgt.data.index``).
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import lru_cache, partial
from pathlib import Path

from ...utils.errors import UserError, one_line, unknown_name
from ..index import indexed
from ..store import FrameStore, open_store, require_photos
from ..video import Video, VideoSet
from .coco import coco
from .folder import absolute, folder
from .got10k import got10k_folder, got10k_train
from .imagenet_vid import imagenet_vid
from .lasot import lasot_train
from .trackingnet import trackingnet_train

_log = logging.getLogger(__name__)

MAX_CACHED_VIDEOS = 256  # parsed videos kept by each process
FOLDER_PREFIX = "FOLDER:"
# The two parts of a folder of videos, for training and validation: every tenth video is held out.
FOLDER_SPLITS = {"FOLDER_train:": False, "FOLDER_val:": True}  # prefix: whether it is the held-out part
HOLD_OUT_EVERY = 10
PHOTO_SETS = {"PHOTOS": "train", "PHOTOS_val": "val"}  # name -> split; with ":<path>" any folder, else data/photos

TRAINING_SETS: dict[str, tuple[str, Callable[[str, FrameStore], VideoSet]]] = {
    "LASOT": ("lasot", lasot_train),
    "GOT10K_train_full": ("got10k", partial(got10k_train, index_split="train_full")),
    "GOT10K_vottrain": ("got10k", partial(got10k_train, index_split="vot_train")),
    "GOT10K_votval": ("got10k", partial(got10k_train, index_split="vot_val")),
    "GOT10K_official_val": ("got10k", partial(got10k_folder, split="val")),
    "COCO17": ("coco", coco),
    "VID": ("imagenet_vid", imagenet_vid),
    "TRACKINGNET": ("trackingnet", trackingnet_train),
    "SYNTHETIC": ("synthetic", partial(got10k_folder, split="train", synthetic=True)),
    "SYNTHETIC_val": ("synthetic", partial(got10k_folder, split="val", synthetic=True)),
}


def read_training_set(name: str, dataset_dir: Callable[[str], Path]) -> VideoSet:
    """The videos of a training or validation set by its name in a config, or of a folder as ``FOLDER:<path>``, or
    samples composed of a folder's photographs as ``PHOTOS:<path>``.

    ``dataset_dir`` gives the folder of a dataset by its key (``Paths.dataset``).
    """
    kind, colon, path = name.partition(":")
    prefix = kind + colon
    if prefix in (FOLDER_PREFIX, *FOLDER_SPLITS):
        root = absolute(path)
        videos = folder(root)
    elif kind in PHOTO_SETS:
        # imported here because the world of photographs reads what it has written through this package
        from ...synthetic.photos.dataset import photos
        root = absolute(path) if path else dataset_dir("photos")
        videos = photos(root, PHOTO_SETS[kind])
    elif name in TRAINING_SETS:
        key, read = TRAINING_SETS[name]
        store = open_store(dataset_dir(key), key)
        root, videos = store.root, read(name, store)
    else:
        raise _unknown_set(name)
    for note in videos.notes:
        _log.warning("%s", one_line(note))
    videos = indexed(videos, root)
    if prefix in FOLDER_SPLITS:
        # After indexing, so that both parts share one index.
        videos = replace(videos, video_names=split_videos(videos.video_names, held_out=FOLDER_SPLITS[prefix]))
    return replace(videos, load=CachedLoad(videos.load))


def require_training_set(name: str, dataset_dir: Callable[[str], Path]) -> None:
    """Raise :class:`UserError` where a set of :func:`read_training_set` has an unknown name or no folder.

    Its videos are not searched for, which takes long for large sets; only an empty folder is refused.
    """
    kind, colon, path = name.partition(":")
    if kind + colon in (FOLDER_PREFIX, *FOLDER_SPLITS):
        if not open_store(absolute(path)).list():
            folder(path)  # says what was expected in it
    elif kind in PHOTO_SETS:
        require_photos(absolute(path) if path else dataset_dir("photos"))
    elif name in TRAINING_SETS:
        key, _ = TRAINING_SETS[name]
        open_store(dataset_dir(key), key)
    else:
        raise _unknown_set(name)


def _unknown_set(name: str) -> UserError:
    prefixes = [FOLDER_PREFIX, *FOLDER_SPLITS, "PHOTOS:"]
    known = [*TRAINING_SETS, *PHOTO_SETS, *(prefix + "<path>" for prefix in prefixes)]
    return unknown_name("training set", name, known)


def split_videos(names: Sequence[str], held_out: bool) -> tuple[str, ...]:
    """One part of a folder's videos: every tenth (of fewer than ten, the last) is held out.

    A single video is in both parts.
    """
    if len(names) == 1:
        _log.warning("the folder holds one video: training and validation use the same frames")
        return tuple(names)
    chosen = set(names[HOLD_OUT_EVERY - 1 :: HOLD_OUT_EVERY] or names[-1:])
    return tuple(name for name in names if (name in chosen) == held_out)


class CachedLoad:
    """Cache the last videos that ``load`` parsed, in each process separately. Their arrays are read-only."""

    def __init__(self, load: Callable[[str], Video]):
        self.load = load
        self._kept = lru_cache(MAX_CACHED_VIDEOS)(self._load)

    def __call__(self, name: str) -> Video:
        return self._kept(name)

    def __reduce__(self) -> tuple:
        return CachedLoad, (self.load,)

    def _load(self, name: str) -> Video:
        video = self.load(name)
        for array in (video.boxes_xywh, video.visible, video.visible_ratio):
            if array is not None:
                array.setflags(write=False)
        return video
