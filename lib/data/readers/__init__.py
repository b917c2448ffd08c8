"""Readers: from a dataset on disk to a ``VideoSet``. One module a dataset, all through a ``FrameStore``.

    videos = read_training_set("GOT10K_votval", paths.dataset)
    videos = read_training_set("FOLDER:/data/my_videos", paths.dataset)

``TRAINING_SETS`` is the table of the names that configs use under DATA.TRAIN.DATASETS_NAME; the test sets are in
``lib.test.evaluation.benchmarks``.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path

from lib.data.readers.common import open_store
from lib.data.readers.folder import folder
from lib.data.readers.got10k import got10k_folder, got10k_train
from lib.data.sequence import VideoSet
from lib.data.store import FrameStore
from lib.utils.errors import unknown_name

FOLDER_PREFIX = "FOLDER:"

TRAINING_SETS: dict[str, tuple[str, Callable[[str, FrameStore], VideoSet]]] = {
    "GOT10K_train_full": ("got10k", partial(got10k_train, index_split="train_full")),
    "GOT10K_vottrain": ("got10k", partial(got10k_train, index_split="vot_train")),
    "GOT10K_votval": ("got10k", partial(got10k_train, index_split="vot_val")),
    "GOT10K_official_val": ("got10k", partial(got10k_folder, split="val")),
    "SYNTHETIC": ("synthetic", partial(got10k_folder, split="train", synthetic=True)),
    "SYNTHETIC_val": ("synthetic", partial(got10k_folder, split="val", synthetic=True)),
}


def read_training_set(name: str, dataset_dir: Callable[[str], Path]) -> VideoSet:
    """The videos of a training or validation set by its name in a config, or of a folder as ``FOLDER:<path>``.

    ``dataset_dir`` says where a dataset lies by its key (``Paths.dataset``).
    """
    if name.startswith(FOLDER_PREFIX):
        return folder(name[len(FOLDER_PREFIX):])
    if name not in TRAINING_SETS:
        raise unknown_name("training set", name, [*TRAINING_SETS, FOLDER_PREFIX + "<path>"])
    key, read = TRAINING_SETS[name]
    return read(name, open_store(dataset_dir(key), key))
