"""Find the frames of a video among the files of a folder, and their order, from the numbers in their names.

    frames = find_frames(["10_camA.png", "9_camA.png", "preview.jpg"])
    frames.names        # ("9_camA.png", "10_camA.png")
    frames.numbers      # (9, 10)
    frames.ignored      # ("preview.jpg",)

Names are compared by number, not by letters, so ``10.jpg`` follows ``9.jpg``. The number may have text before it
(``frame10.jpg``) or behind it (``10_camA.png``).
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import NamedTuple

IMAGE_SUFFIXES = (".jpg", ".jpeg", ".png", ".bmp", ".webp", ".tif", ".tiff")
_LAST_NUMBER = re.compile(r"([0-9]+)\.[^.]+$")
_NUMBER = re.compile(r"[0-9]+")


class FrameNames(NamedTuple):
    """Names of frames in order, the number of each, and the images that are no frames."""

    names: tuple[str, ...]
    numbers: tuple[int, ...]
    ignored: tuple[str, ...]


def find_frames(names: Iterable[str]) -> FrameNames:
    """Return the frames among the file names of one folder; files that are no images are left out."""
    images = [name for name in names if name.lower().endswith(IMAGE_SUFFIXES) and not name.startswith(".")]
    frames = _by_last_number(images) or _by_pattern(images)
    frames.sort()
    chosen = {name for _, name in frames}
    ignored = tuple(name for name in images if name not in chosen)
    return FrameNames(tuple(name for _, name in frames), tuple(number for number, _ in frames), ignored)


def _by_last_number(images: list[str]) -> list[tuple[int, str]]:
    """Return (number, name) of the names that end in a number; none if two of them end in the same one."""
    frames = []
    for name in images:
        match = _LAST_NUMBER.search(name)
        if match:
            frames.append((int(match[1]), name))
    distinct = len({number for number, _ in frames}) == len(frames)
    return frames if distinct else []


def _by_pattern(images: list[str]) -> list[tuple[int, str]]:
    """Return (number, name) of the names that differ in their numbers only.

    If the folder has several kinds of names, such as ``1_rgb.png`` and ``1_depth.png``, the kind with the most files
    is taken, and the first one of those with equally many.
    """
    kinds: dict[str, list[str]] = {}
    for name in sorted(images):
        pattern = _NUMBER.sub("#", name.lower())
        if "#" in pattern.rpartition(".")[0]:
            kinds.setdefault(pattern, []).append(name)
    if not kinds:
        return []
    names = max(kinds.values(), key=len)
    numbers = [[int(number) for number in _NUMBER.findall(name.rpartition(".")[0])] for name in names]
    # The frame number is the one that differs in every name; in "cam1_0009_x2.png" that is the second.
    for place in reversed(range(len(numbers[0]))):
        values = [row[place] for row in numbers]
        if len(set(values)) == len(values):
            return list(zip(values, names, strict=True))
    # No single number identifies a frame ("scene1_1.png" … "scene2_1.png"): the order is that of all numbers together.
    order = sorted(range(len(names)), key=lambda row: (numbers[row], names[row]))
    return [(position, names[row]) for position, row in enumerate(order)]
