"""Keep the scores of videos between runs, so that result files are parsed once.

    cache = ScoreCache(save_dir / ".cache" / "scores", benchmark.absent_policy, videos)
    known = cache.load("ATOM", folder)        # video -> VideoScore, of the files that are as they were
    cache.save("ATOM", folder, video_scores)

One file a result folder. A kept score goes with a digest of all that it was made from: the place, size and time of the
video's result files, the parsed annotation, the benchmark's policy, and the source of the modules that make scores.
Where one of these differs, the video is scored again. A corrupt cache file is reported and rebuilt. Deleting the
folder is always safe.
"""

from __future__ import annotations

import hashlib
import logging
import os
from collections.abc import Iterable, Mapping
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np

from ...data.index import digests
from ...data.readers import annotation
from ...data.video import Video
from ...untrusted.arrays import ArraysError, check_arrays, load_arrays
from ...utils.errors import UserError
from ...utils.files import atomic_path
from ..evaluation import results
from ..evaluation.absent_frames import AbsentFramePolicy
from . import metrics, score
from .score import VideoScore

_log = logging.getLogger(__name__)

_MAKERS = (annotation, results, metrics, score)
_CURVES = ("success", "precision_curve", "normalized_curve")
_NUMBERS = ("counted", "timed_frames", "seconds")
_KINDS = {"success": "f2", "precision_curve": "f2", "normalized_curve": "f2", "overlap_totals": "f2", "counted": "i1",
          "timed_frames": "i1", "seconds": "f1", "states": "u1", "names": "U1", "frames": "i1", "overlaps": "f1"}


class ScoreCache:
    """The kept scores of one benchmark. With ``folder`` None nothing is kept and nothing found."""

    def __init__(self, folder: Path | None, policy: AbsentFramePolicy, videos: Mapping[str, Video]):
        self.folder = folder
        self.policy = policy
        self.videos = videos
        self._annotations: dict[str, str] = {}
        self._fingerprints: dict[Path, dict[str, int]] = {}

    def load(self, tracker: str, result_folder: Path) -> dict[str, VideoScore]:
        """The scores of those videos whose files and annotation are as they were. Call it before reading a file."""
        if self.folder is None:
            return {}
        fingerprints = self._digests(result_folder)
        self._fingerprints[result_folder] = fingerprints
        kept = _read(self._file(tracker, result_folder))
        return {video.name: video for fingerprint, video in kept if fingerprints.get(video.name) == fingerprint}

    def save(self, tracker: str, result_folder: Path, scores: Iterable[VideoScore]) -> None:
        """Keep ``scores`` with the fingerprints that the files had at ``load``: they may have changed since.

        A folder that cannot be written is a warning.
        """
        if self.folder is None:
            return
        fingerprints = self._fingerprints[result_folder]
        kept = [score for score in scores if score.name in fingerprints]
        try:
            with atomic_path(self._file(tracker, result_folder)) as temporary:
                arrays: dict[str, Any] = _arrays(kept, [fingerprints[score.name] for score in kept])
                np.savez(temporary, **arrays)
        except UserError as error:
            _log.warning("scores are not kept: %s", error)

    def _file(self, tracker: str, result_folder: Path) -> Path:
        place = os.path.abspath(result_folder)
        names = "".join(c if c.isalnum() or c in "-." else "_" for c in tracker[-40:])
        assert self.folder is not None
        return self.folder / f"{names}-{hashlib.sha256(os.fsencode(place)).hexdigest()[:16]}.npz"

    def _digests(self, folder: Path) -> dict[str, int]:
        """What the score of each video with a result file is made from, as one number."""
        place = os.path.abspath(folder)
        maker = _maker()
        sources = []
        names = []
        for name in self.videos:
            boxes_key = _size_and_mtime(f"{place}/{name}.txt")
            if boxes_key is None:
                continue
            file_keys = (boxes_key, _size_and_mtime(f"{place}/{name}_time.txt"))
            names.append(name)
            sources.append((maker, repr(self.policy), place, name, file_keys, self._annotation(name)))
        return dict(zip(names, digests(sources).tolist(), strict=True))

    def _annotation(self, name: str) -> str:
        """A digest of the parsed annotation of a video."""
        if name not in self._annotations:
            video = self.videos[name]
            digest = hashlib.blake2b(repr((len(video), video.size_wh, video.annotated)).encode(), digest_size=16)
            for values in (video.boxes_xywh, video.visible, video.visible_ratio):
                digest.update(b"none" if values is None else np.ascontiguousarray(values).data)
            self._annotations[name] = digest.hexdigest()
        return self._annotations[name]


@cache
def _maker() -> str:
    """A digest of the source of what makes scores: other code, other scores."""
    return hashlib.sha256(b"".join(Path(str(module.__file__)).read_bytes() for module in _MAKERS)).hexdigest()


def _size_and_mtime(path: str) -> tuple[int, int] | None:
    try:
        state = os.stat(path)
    except OSError:
        return None
    return state.st_size, state.st_mtime_ns


def _arrays(videos: list[VideoScore], fingerprints: list[int]) -> dict[str, np.ndarray]:
    """Everything in a few arrays, one row per video; the overlaps are concatenated."""
    columns = {name: np.array([getattr(v, name) for v in videos]) for name in (*_CURVES, *_NUMBERS, "overlap_totals")}
    overlaps = [v.frame_overlap for v in videos]
    return columns | {"states": np.array(fingerprints, np.uint64), "names": np.array([v.name for v in videos], np.str_),
                      "frames": np.array([len(o) for o in overlaps], np.int64),
                      "overlaps": np.concatenate(overlaps) if overlaps else np.empty(0, np.float32)}


def _read(file: Path) -> list[tuple[int, VideoScore]]:
    """What a file of the cache holds; nothing where there is none or it is corrupt."""
    if not file.is_file():
        return []
    try:
        arrays = load_arrays(file)
        if "normalised_curve" in arrays:  # written by an earlier version, which spelled it so
            return []
        return _videos(arrays)
    except ArraysError as error:
        _log.warning("the kept scores %s are corrupt (%s): scoring again", file, error)
        return []


def _videos(arrays: dict[str, np.ndarray]) -> list[tuple[int, VideoScore]]:
    """Fingerprints and scores from the arrays of a cache file. Raises :class:`ArraysError` where they do not fit."""
    check_arrays(arrays, _KINDS)
    ends = np.cumsum(arrays["frames"])
    videos = len(ends)
    shapes = {"success": (videos, 21), "precision_curve": (videos, 51), "normalized_curve": (videos, 51),
              "overlap_totals": (videos, 3)}
    wrong = [name for name in _KINDS if name != "overlaps" and arrays[name].shape != shapes.get(name, (videos,))]
    frames = int(ends[-1]) if videos else 0
    if wrong or (arrays["frames"] < 0).any() or len(arrays["overlaps"]) != frames:
        raise ArraysError("its parts do not fit")
    # One overlap per frame: the videos' parts lie one after the other.
    overlaps = np.split(arrays["overlaps"], ends[:-1]) if videos else []
    found = []
    for row in range(videos):
        curves = {name: arrays[name][row] for name in _CURVES}
        numbers = {name: arrays[name][row].item() for name in _NUMBERS}
        totals = tuple(arrays["overlap_totals"][row].tolist())
        score = VideoScore(name=str(arrays["names"][row]), frame_overlap=overlaps[row], overlap_totals=totals, **curves,
                           **numbers)
        found.append((int(arrays["states"][row]), score))
    return found
