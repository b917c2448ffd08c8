"""The index: classes and difficulties of a set's videos, cached between runs so that annotations are parsed once.

    videos = indexed(videos, root)      # the same set with class_of and difficulty_of

The cache is the file ``<root>/../.mstgt_index/<root>-<set>.npz``, or, if that cannot be written, a file in the user's
cache folder. With each video it stores a fingerprint: a digest of the sizes and times of the video's files (in an
archive, of the archive). Videos whose fingerprint has changed are parsed again. Deleting the folder is always safe.

Datasets that are one large annotation (COCO, ImageNet-VID) and large zip archives cache what they parsed in the same
way, through ``cached_arrays``.
"""

from __future__ import annotations

import contextlib
import hashlib
import logging
import math
import os
from collections.abc import Callable, Hashable, Iterable, Mapping
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from ..untrusted.arrays import Arrays, ArraysError, check_arrays, load_arrays
from ..utils.errors import UserError
from ..utils.files import atomic_path, locked
from ..utils.progress import progress
from .video import VideoSet

_log = logging.getLogger(__name__)

FOLDER = ".mstgt_index"
FORMAT = 2  # to be raised when readers come to see other facts in the same files
_FACTS = {"classes": "U1", "difficulties": "f1"}


def indexed(videos: VideoSet, root: Path) -> VideoSet:
    """Return ``videos`` with ``class_of`` and ``difficulty_of``, from the cache as far as its files are unchanged.

    A set without ``fingerprint`` is returned as it is. Raises :class:`UserError` for an annotation that cannot be read.
    """
    if videos.fingerprint is None:
        return videos
    fingerprints = digests((name, videos.fingerprint(name)) for name in videos.video_names)
    facts = cached_arrays(root, videos.name, fingerprints, partial(_collect, videos, fingerprints), _FACTS,
                          _same_length)
    # Empty strings and NaN stand for facts that a video does not have.
    classes = {name: fact or None for name, fact in zip(videos.video_names, facts["classes"].tolist(), strict=True)}
    difficulties = {name: None if math.isnan(fact) else fact
                    for name, fact in zip(videos.video_names, facts["difficulties"].tolist(), strict=True)}
    return replace(videos, class_of=classes.__getitem__ if any(classes.values()) else None,
                   difficulty_of=difficulties.__getitem__ if set(difficulties.values()) - {None} else None)


def digests(fingerprints: Iterable[Hashable]) -> np.ndarray:
    """Return one uint64 for each fingerprint, which consists of names, numbers, None and tuples of these."""
    numbers = []
    for fingerprint in fingerprints:
        text = repr(fingerprint).encode("utf-8", "surrogateescape")
        numbers.append(int.from_bytes(hashlib.blake2b(text, digest_size=8).digest(), "big"))
    return np.array(numbers, np.uint64)


def cached_arrays(root: Path, name: str, fingerprints: np.ndarray, build: Callable[[Arrays | None], Arrays],
                  kinds: Mapping[str, str], fits: Callable[[Arrays], bool]) -> Arrays:
    """Return the result of ``build``, from the cache if it was stored with the same ``fingerprints``.

    build   is called with the arrays stored with other fingerprints, or None
    kinds   the arrays that a cached file must hold (:func:`mstgt.untrusted.arrays.check_arrays`)
    fits    returns whether the arrays are consistent: no index out of range, no name that leads elsewhere. A cached
            file may have come with the dataset from somebody else; one that is not consistent counts as corrupt
    """
    files = [folder / f"{root.name}-{name}.npz" for folder in _folders(root)]
    read = partial(_newest, files, fingerprints, {"states": "u1", **kinds}, fits)
    old = read(warn=True)
    if old is not None and _is_of(old, fingerprints):
        return old
    folder = next((f.parent for f in files if _can_write(f.parent)), None)
    # Only one process builds at a time.
    with contextlib.nullcontext() if folder is None else locked(folder):
        if folder is not None:  # another process may have built it while this one waited
            old = read(warn=False)
            if old is not None and _is_of(old, fingerprints):
                return old
        arrays = build(old) | {"states": fingerprints, "format": np.array(FORMAT)}
        if folder is None:
            _log.warning("the index of %s is not kept: neither %s nor %s can be written", name,
                         *(f.parent for f in files))
        else:
            _write(folder / files[0].name, arrays)
    return arrays


def _collect(videos: VideoSet, fingerprints: np.ndarray, old: Arrays | None) -> Arrays:
    """Return class and difficulty of each video; only those that ``old`` does not have are parsed."""
    rows = {} if old is None else {state: i for i, state in enumerate(old["states"].tolist())}
    kept = [] if old is None else list(zip(*(old[fact].tolist() for fact in _FACTS), strict=True))
    found = []
    missing = sum(state not in rows for state in fingerprints.tolist())
    with progress(total=missing, unit="video", desc=f"index of {videos.name}") as bar:
        for name, state in zip(videos.video_names, fingerprints.tolist(), strict=True):
            if state in rows:
                found.append(kept[rows[state]])
                continue
            video = videos.load(name)
            found.append((video.object_class or "", np.nan if video.difficulty is None else video.difficulty))
            bar.update()
    classes, difficulties = zip(*found, strict=True) if found else ((), ())
    return {"classes": np.array(classes, np.str_), "difficulties": np.array(difficulties, np.float64)}


def _folders(root: Path) -> tuple[Path, Path]:
    """Return the folders for the cache in order of preference: beside the dataset, in the user's cache folder."""
    parent = Path(os.path.abspath(root)).parent
    user = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    return parent / FOLDER, user / "mstgt" / "index" / hashlib.sha256(os.fsencode(parent)).hexdigest()[:16]


def _can_write(folder: Path) -> bool:
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError:
        return False
    return os.access(folder, os.W_OK | os.X_OK)


def _is_of(arrays: Arrays | None, fingerprints: np.ndarray) -> bool:
    return arrays is not None and np.array_equal(arrays["states"], fingerprints)


def _same_length(facts: Arrays) -> bool:
    return len({len(facts[name]) for name in ("states", *_FACTS)}) == 1


def _newest(files: list[Path], fingerprints: np.ndarray, kinds: Mapping[str, str], fits: Callable[[Arrays], bool],
            warn: bool) -> Arrays | None:
    """Return the cached arrays of ``fingerprints``, or older ones, or None."""
    old = None
    for file in files:
        arrays = _read(file, kinds, fits, warn)
        if _is_of(arrays, fingerprints):
            return arrays
        old = arrays if old is None else old
    return old


def _read(file: Path, kinds: Mapping[str, str], fits: Callable[[Arrays], bool], warn: bool) -> Arrays | None:
    if not file.is_file():
        return None
    try:
        arrays = load_arrays(file)
        check_arrays(arrays, {"format": "i0"})
        if arrays["format"] != FORMAT:
            return None
        check_arrays(arrays, kinds)
        if not fits(arrays):
            raise ArraysError("its parts do not fit")
    except ArraysError as error:
        if warn:
            _log.warning("the index %s is corrupt (%s) and is built again", file, error)
        return None
    return arrays


def _write(file: Path, arrays: Arrays) -> None:
    try:
        with atomic_path(file) as temporary:
            values: dict[str, Any] = dict(arrays)
            np.savez_compressed(temporary, **values)
    except UserError as error:
        _log.warning("the index is not kept: %s", error)
