"""A benchmark of all videos in folders of folders: <root>/otb/Car4, <root>/tlp/Bike, …

    benchmark = nested_benchmark([Path("/data/real")])

Each folder with a ground-truth file is read as ``mstgt.data.readers.folder`` reads it, wherever it lies. Videos that
would have the same name are called after the folder around them, too: ``otb_Bike`` and ``tlp_Bike``.
"""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Hashable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from mstgt.data.readers.folder import absolute, folder
from mstgt.data.video import Video, VideoSet
from mstgt.geometry.boxes import check_box
from mstgt.test.evaluation import absent_frames
from mstgt.test.evaluation.benchmarks import Benchmark
from mstgt.utils.errors import UserError


@dataclass(frozen=True)
class _Source:
    """Where a video comes from: ``name`` is that in ``videos``, which are those of the folder ``place``."""

    place: Path
    videos: VideoSet
    name: str


def nested_benchmark(roots: Sequence[Path]) -> Benchmark:
    """All videos in ``roots``, at any depth, under the roots' names; in the order of their folders.

    Raises :class:`UserError` where there is none, or where names are the same in spite of all.
    """
    found = [_Source(place, videos, name) for place in _video_folders(roots)
             for videos in [folder(place)] for name in videos.video_names]
    if not found:
        raise UserError(f"no videos in {', '.join(map(str, roots))}: expected folders with frames and a "
                        "groundtruth.txt or groundtruth_rect.txt, at any depth; give such folders")
    counts = Counter(source.name for source in found)
    sources: dict[str, _Source] = {}
    for source in found:
        name = source.name if counts[source.name] == 1 else f"{source.place.parent.name}_{source.name}"
        if name in sources:
            raise UserError(f"{source.place} and {sources[name].place} would both be called {name}: rename one of them")
        sources[name] = source

    def load(name: str) -> Video:
        video = replace(sources[name].videos.load(sources[name].name), name=name)
        check_box(video.boxes_xywh[0] if len(video) else (), f"{sources[name].place}: the first frame's box")
        return video

    def fingerprint(name: str) -> Hashable:
        source = sources[name]
        state = source.videos.fingerprint
        return str(source.place), source.name, state(source.name) if state else None

    title = "+".join(dict.fromkeys(absolute(root).name for root in roots))
    videos = VideoSet(title, tuple(sources), load, fingerprint=fingerprint)
    return Benchmark(title, videos, len(sources), absent_frames.DROP)


def _video_folders(roots: Sequence[Path]) -> Iterator[Path]:
    """The folders with a ground-truth file, each once; links are followed."""
    seen: set[str] = set()
    for root in map(absolute, roots):
        if not root.is_dir():
            raise UserError(f"no folder {root}: give folders of videos (archives must be unpacked)")
        for here, inner, files in os.walk(root, followlinks=True):
            real = os.path.realpath(here)
            if real in seen:
                inner.clear()
                continue
            seen.add(real)
            inner[:] = sorted(name for name in inner if not name.startswith("."))
            if any(name.startswith("groundtruth") and name.endswith(".txt") for name in files):
                inner.clear()
                yield Path(here)
