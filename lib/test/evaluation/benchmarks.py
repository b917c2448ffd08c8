"""Benchmarks by name.

    benchmark = load_benchmark("lasot", paths.dataset)      # a name of BENCHMARKS or ALIASES
    benchmark = folder_benchmark("/data/my_videos")         # any folder of videos (mstgt.data.readers.folder)
    for video in benchmark.videos: ...

To add one: a reader in ``mstgt.data.readers``, an entry in ``BENCHMARKS`` with its rule for absent frames
(:mod:`.absent_frames`), and its folder in ``DATASET_FOLDERS`` (``mstgt.config.paths``).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from ...data.readers.folder import absolute, folder
from ...data.readers.frame_ranges import nfs, otb, uav123
from ...data.readers.got10k import got10k_folder
from ...data.readers.lasot import lasot_extension_subset, lasot_test
from ...data.readers.tnl2k import tnl2k
from ...data.readers.trackingnet import trackingnet_test
from ...data.readers.vot import vot
from ...data.store import FrameStore, open_store
from ...data.video import Video, VideoSet
from ...utils.errors import shortened, unknown_name
from . import absent_frames
from .absent_frames import AbsentFramePolicy


@dataclass(frozen=True)
class Benchmark:
    """A test set and how it is evaluated.

    expected      how many videos the complete benchmark has
    hidden_truth  only the first box of a video is known; results are submitted to the benchmark's server
    root          the folder of a folder benchmark; None for a named one
    """

    name: str
    videos: VideoSet
    expected: int
    absent_policy: AbsentFramePolicy
    hidden_truth: bool = False
    root: Path | None = None

    @property
    def absent(self) -> int:
        """The number of videos of the complete benchmark that are not on disk."""
        return self.expected - len(self.videos)


@dataclass(frozen=True)
class _Entry:
    dataset: str  # the key of the dataset's folder
    read: Callable[[FrameStore], VideoSet]
    videos: int | None  # None: as many as its folder lists
    absent_policy: AbsentFramePolicy
    hidden_truth: bool = False


# With the number of videos that the published set has: a copy with fewer must not pass for the whole benchmark.
BENCHMARKS: dict[str, _Entry] = {
    "lasot": _Entry("lasot", lasot_test, 280, absent_frames.LASOT),
    "lasot_extension_subset": _Entry("lasot_extension_subset", lasot_extension_subset, 150, absent_frames.LASOT),
    "got10k_test": _Entry("got10k", partial(got10k_folder, "got10k_test", split="test", hidden_truth=True), 180,
                          absent_frames.GOT10K, hidden_truth=True),
    "got10k_val": _Entry("got10k", partial(got10k_folder, "got10k_val", split="val"), 180, absent_frames.GOT10K),
    "trackingnet": _Entry("trackingnet", trackingnet_test, 511, absent_frames.OTB, hidden_truth=True),
    "uav": _Entry("uav", uav123, 123, absent_frames.UAV),
    "otb": _Entry("otb", otb, 100, absent_frames.OTB),
    "nfs": _Entry("nfs", nfs, 100, absent_frames.OTB),
    "tnl2k": _Entry("tnl2k", tnl2k, 700, absent_frames.OTB),
    "vot": _Entry("vot", vot, None, absent_frames.DROP),
    "synthetic": _Entry("synthetic", partial(got10k_folder, "synthetic", split="test", synthetic=True), None,
                        absent_frames.DROP),
}
ALIASES = {"got10k": "got10k_test"}


def load_benchmark(name: str, dataset_dir: Callable[[str], Path]) -> Benchmark:
    """The benchmark ``name``. ``dataset_dir`` maps the key of a dataset to its folder (``Paths.dataset``)."""
    name = ALIASES.get(name, name)
    if name not in BENCHMARKS:
        raise unknown_name("benchmark", name, [*BENCHMARKS, *ALIASES])
    entry = BENCHMARKS[name]
    videos = entry.read(open_store(dataset_dir(entry.dataset), name))
    # A set's own list may name more videos than the published number, or none at all.
    expected = max(entry.videos or 0, len(videos) + len(videos.missing))
    return Benchmark(name, videos, expected, entry.absent_policy, entry.hidden_truth)


def missing_frames(video: Video) -> str:
    """One line about the frames of ``video`` that are missing."""
    names = shortened(video.missing_names, 1)
    return f"{video.name}: a frame is missing: {names} (fetch the video again)"


def folder_benchmark(path: str | Path) -> Benchmark:
    """All videos in a folder, under the name of the folder (with ``_folder`` if a benchmark has that name)."""
    videos = folder(path)
    root = absolute(path)
    # A folder that is called lasot must neither be scored by LaSOT's rules nor share its results folder.
    name = f"{root.name}_folder" if root.name in (*BENCHMARKS, *ALIASES) else root.name
    return Benchmark(name, videos, len(videos) + len(videos.missing), absent_frames.DROP, root=root)
