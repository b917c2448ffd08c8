"""The lists that come with the project (``lib/data/specs``): split lists, frame ranges, index ranges.

    names = read_names("lasot_test.txt")
    videos = read_frame_ranges("otb100.csv")       # one FrameRange a video
    indices = read_index_ranges("got10k_splits.txt", "vot_val")
"""

from __future__ import annotations

import csv
from dataclasses import dataclass
from functools import cache
from importlib import resources


@dataclass(frozen=True)
class FrameRange:
    """The files of one video's frames: ``frames/{number:0{digits}d}.{ext}`` for first + skip_first … last.

    ``skip_first`` leading frames are left out, and as many leading rows of the annotation with them.
    """

    name: str
    frames: str
    first: int
    last: int
    skip_first: int
    digits: int
    ext: str
    annotation: str
    object_class: str

    def keys(self) -> tuple[str, ...]:
        numbers = range(self.first + self.skip_first, self.last + 1)
        return tuple(f"{self.frames}/{n:0{self.digits}d}.{self.ext}" for n in numbers)


def _text(file: str) -> str:
    return resources.files("mstgt.data.specs").joinpath(file).read_text(encoding="utf-8")


@cache
def read_names(file: str) -> tuple[str, ...]:
    """One name a line."""
    return tuple(_text(file).split())


@cache
def read_frame_ranges(file: str) -> tuple[FrameRange, ...]:
    """The rows of a table of frame ranges."""
    ranges = []
    for row in csv.DictReader(_text(file).splitlines()):
        numbers = {name: int(row[name]) for name in ("first", "last", "skip_first", "digits")}
        texts = {name: row[name] for name in ("name", "frames", "ext", "annotation", "object_class")}
        ranges.append(FrameRange(**numbers, **texts))  # type: ignore[arg-type]
    return tuple(ranges)


@cache
def read_index_ranges(file: str, split: str) -> tuple[int, ...]:
    """The indices of ``split`` from lines ``<split> (…): 0 2-10 12-24``; both ends of a range belong to it."""
    for line in _text(file).splitlines():
        head, _, ranges = line.partition(":")
        if head.split(" ")[0] == split:
            ends = [tuple(map(int, item.split("-"))) for item in ranges.split()]
            return tuple(i for end in ends for i in range(end[0], end[-1] + 1))
    raise KeyError(f"no split {split!r} in {file}")
