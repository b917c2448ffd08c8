"""GOT-10k (Huang et al., TPAMI 2021), and everything kept in its layout: the synthetic world, your own training videos.

    <root>/{train,val,test}/list.txt                  the names of the videos, one per line
    <root>/train/<video>/00000001.jpg …               the frames
                         groundtruth.txt              x, y, w, h (test: the first frame only)
                         absence.label, cover.label   one flag per frame; how much is visible, 0 … 8
                         meta_info.ini                object_class, resolution; synthetic: attributes, difficulty

The root may also be a split's folder itself (the one that holds ``list.txt``). Without ``list.txt`` the folders are the
videos. The splits of the official training set are index lists (``got10k_splits.txt``) into its 9335 names.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

from ..frame_names import frame_keys
from ..store import FrameStore, MtimeKey, fingerprint, join
from ..video import Video, VideoSet, make_video, require_videos, split_present
from .annotation import GOT10K_FILES, read_box_rows, read_flags, read_meta, read_text
from .split_lists import read_index_ranges

TRAIN_VIDEOS = 9335
_FULLY_VISIBLE = 8  # cover.label counts eighths


def got10k_folder(name: str, store: FrameStore, split: str, *, hidden_truth: bool = False,
                  synthetic: bool = False) -> VideoSet:
    """All videos of ``<root>/<split>``; ``hidden_truth``: only the first box of each is known."""
    prefix, folders = _split_folder(store, split)
    list_key = join(prefix, "list.txt")
    names = read_list(store, list_key) if store.exists(list_key) else \
        [n for n in folders if store.exists(join(prefix, n, "groundtruth.txt"))]
    looked_for = f"{split}/list.txt and {split}/<video>/groundtruth.txt"
    return _video_set(name, store, prefix, names, folders, looked_for, hidden_truth, with_difficulty=synthetic)


def got10k_train(name: str, store: FrameStore, index_split: str) -> VideoSet:
    """The videos of the official training set that ``index_split`` of ``got10k_splits.txt`` selects."""
    prefix, folders = _split_folder(store, "train")
    list_key = join(prefix, "list.txt")
    official = read_list(store, list_key) if store.exists(list_key) else ()
    if len(official) != TRAIN_VIDEOS:  # a part of the dataset: the names follow a rule
        official = tuple(f"GOT-10k_Train_{i + 1:06d}" for i in range(TRAIN_VIDEOS))
    names = [official[i] for i in read_index_ranges("got10k_splits.txt", index_split)]
    return _video_set(name, store, prefix, names, folders, "train/GOT-10k_Train_000001/ and so on")


def _split_folder(store: FrameStore, split: str) -> tuple[str, tuple[str, ...]]:
    """The key prefix of a split and the names in its folder, the videos among them."""
    inside = tuple(store.list(split))
    prefix = split if inside or not store.exists("list.txt") else ""
    # A point is no proof of a file; to ask about every name would take long in a training set.
    return prefix, tuple(n for n in inside or store.list() if "." not in n or not store.exists(join(prefix, n)))


def read_list(store: FrameStore, key: str) -> tuple[str, ...]:
    """The names in a file such as ``list.txt``, one per line."""
    lines = read_text(store, key, "a list of names").splitlines()
    return tuple(name for line in lines if (name := line.strip()))


def _video_set(name: str, store: FrameStore, prefix: str, names: Sequence[str], folders: Sequence[str],
               looked_for: str, hidden_truth: bool = False, with_difficulty: bool = False) -> VideoSet:
    here, missing = split_present(names, folders)
    videos = VideoSet(
        name, here, partial(_read_video, store, prefix, hidden_truth), missing,
        difficulty_of=partial(_read_difficulty, store, prefix) if with_difficulty else None,
        class_of=partial(_read_class, store, prefix), fingerprint=partial(_fingerprint, store, prefix))
    return require_videos(videos, store, looked_for)


def _read_difficulty(store: FrameStore, prefix: str, video: str) -> float | None:
    return read_meta(store, join(prefix, video))["difficulty"]


def _read_class(store: FrameStore, prefix: str, video: str) -> str | None:
    return read_meta(store, join(prefix, video))["object_class"]


def _fingerprint(store: FrameStore, prefix: str, video: str) -> tuple[MtimeKey | None, ...]:
    folder = join(prefix, video)
    return fingerprint(store, folder, *(join(folder, file) for file in GOT10K_FILES))


def _read_video(store: FrameStore, prefix: str, hidden_truth: bool, name: str) -> Video:
    """One video folder in the layout of this module; all files but ``groundtruth.txt`` may be absent."""
    folder = join(prefix, name)
    boxes_xywh = read_box_rows(store, join(folder, "groundtruth.txt"))
    absent = read_flags(store, join(folder, "absence.label"))
    cover = read_flags(store, join(folder, "cover.label"))
    return make_video(
        name, store, frame_keys(store, folder, len(boxes_xywh)), boxes_xywh, absent=absent,
        visible_ratio=None if cover is None else cover / _FULLY_VISIBLE, first_only=hidden_truth,
        **read_meta(store, folder))
