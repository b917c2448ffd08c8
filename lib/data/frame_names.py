"""The frames of a video among the files of a folder, found and put in order by the numbers in their names.

    keys = image_keys(store, "Car4/img")            # ("Car4/img/0001.jpg", "Car4/img/0002.jpg", …)
    rows, names = missing_frames(keys, rows=659)    # frames that are missing in between
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from decimal import Decimal
from functools import lru_cache
from typing import NamedTuple

from .store import FrameStore, join

IMAGE_SUFFIXES = (".jpg", ".jpeg", ".png", ".bmp", ".webp", ".tif", ".tiff")
_LAST_NUMBER = re.compile(r"([0-9]+)\.[^.]+$")
_NUMBER = re.compile(r"[0-9]+")
_POINT = re.compile(r"[0-9]\.[0-9]")
_DECIMAL = re.compile(r"(.*?)(?<![0-9])(?<![0-9]\.)([0-9]+)(?:\.([0-9]+))?([^0-9]*\.[^.]+)")


class FrameNames(NamedTuple):
    """Names of frames in order, the number of each, and the images that are no frames."""

    names: tuple[str, ...]
    numbers: tuple[int, ...]
    ignored: tuple[str, ...]


def find_frames(names: Iterable[str]) -> FrameNames:
    """Return the frames among the file names of one folder; files that are no images are left out.

    Frames are found and put in order by the numbers in their names: ``10.jpg`` follows ``9.jpg``. The number may have
    text before it (``frame10.jpg``) or behind it (``10_camA.png``). Where names are times (``12-00-59.jpg``,
    ``12-01-00.jpg``), their order is that of all numbers together, or that of decimal numbers (``9.75.jpg``,
    ``9.8.jpg``, ``10.jpg``), and ``numbers`` are the places in it, from 1.

        frames = find_frames(["10_camA.png", "9_camA.png", "preview.jpg"])
        frames.names        # ("9_camA.png", "10_camA.png")
        frames.numbers      # (9, 10)
        frames.ignored      # ("preview.jpg",)
    """
    images = [name for name in names if name.lower().endswith(IMAGE_SUFFIXES) and not name.startswith(".")]
    frames = []
    for name in images:
        match = _LAST_NUMBER.search(name)
        if match:
            frames.append((int(match[1]), name))
    # Where two names end in the same number, it is another number that counts the frames.
    if not frames or len({number for number, _ in frames}) < len(frames):
        frames = _by_pattern(images)
    frames.sort()
    if not _are_counted(frames):
        frames = _in_natural_order([name for _, name in frames])
    decimals = _in_decimal_order(images)
    if decimals and decimals != [name for _, name in frames]:
        frames = list(enumerate(decimals, 1))
    chosen = {name for _, name in frames}
    ignored = tuple(name for name in images if name not in chosen)
    return FrameNames(tuple(name for _, name in frames), tuple(number for number, _ in frames), ignored)


def _are_counted(frames: list[tuple[int, str]]) -> bool:
    """Return whether the numbers of (number, name), in their order, count the frames: they are consecutive, or the
    other numbers of the names are in order, too.

    The seconds of a time of day, or the decimals of seconds, do not: they begin again.
    """
    names = [name for _, name in frames]
    if names == sorted(names) or frames[-1][0] - frames[0][0] + 1 == len(frames):
        return True
    if len({_NUMBER.sub("#", name.lower()) for name in names}) > 1:
        return True  # the names are not built alike: their other numbers cannot be compared
    numbers = list(map(_all_numbers, names))
    return numbers == sorted(numbers)


def _all_numbers(name: str) -> tuple[int, ...]:
    return tuple(int(number) for number in _NUMBER.findall(name.rpartition(".")[0]))


def _in_natural_order(names: list[str]) -> list[tuple[int, str]]:
    """Return (place from 1, name) in the order of all numbers of the names together."""
    # Names with the same numbers ("1.jpg" and "01.jpg") are one frame; the others are ignored.
    first_of: dict[tuple[int, ...], str] = {}
    for name in sorted(names):
        first_of.setdefault(_all_numbers(name), name)
    return [(place, first_of[numbers]) for place, numbers in enumerate(sorted(first_of), 1)]


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
    numbers = list(map(_all_numbers, names))
    # The frame number is the one that differs in every name; in "cam1_0009_x2.png" that is the second.
    for place in reversed(range(len(numbers[0]))):
        values = [row[place] for row in numbers]
        if len(set(values)) == len(values):
            return list(zip(values, names, strict=True))
    # No single number identifies a frame ("scene1_1.png" … "scene2_1.png"): the order is that of all numbers together.
    return _in_natural_order(names)


def _in_decimal_order(images: list[str]) -> list[str]:
    """Return the names that differ in one decimal number only, in the order of its value; [] where it is none.

    Two numbers that count, such as scene and frame of ``1.9.jpg``, ``1.10.jpg``, look alike. Decimals without padding
    never end in 0, and those behind one and the same number are not evenly spaced from digit to digit.
    """
    if not _POINT.search("\n".join(images)):
        return []  # at once: almost all folders are such
    kinds: dict[tuple[str, str], list[re.Match[str]]] = {}
    for name in sorted(images):
        match = _DECIMAL.fullmatch(name)
        if match:
            kinds.setdefault((match[1].lower(), match[4].lower()), []).append(match)
    matches = max(kinds.values(), key=len, default=[])
    fractions = [match[3] for match in matches if match[3]]
    if not fractions or 3 * len(fractions) < len(matches):
        return []  # a few names with a point are copies of others
    if len(set(map(len, fractions))) > 1 and any(len(text) > 1 and text.endswith("0") for text in fractions):
        return []
    if len({int(match[2]) for match in matches}) == 1 and len(fractions) == len(matches):
        counts = sorted(map(int, fractions))
        steps = {after - before for before, after in zip(counts, counts[1:], strict=False)}
        if len(steps) < 2 or counts[-1] - counts[0] < 2 * len(counts):
            return []
    first_of: dict[Decimal, str] = {}
    for match in matches:
        first_of.setdefault(Decimal(f"{match[2]}.{match[3] or 0}"), match[0])
    return [first_of[value] for value in sorted(first_of)]


def image_keys(store: FrameStore, folder: str) -> tuple[str, ...]:
    """Return the frames directly in ``folder`` in the order of their numbers (:func:`find_frames`)."""
    return tuple(join(folder, name) for name in find_frames(store.list(folder)).names)


def frame_keys(store: FrameStore, folder: str, rows: int, digits: int = 8, first: int = 1) -> tuple[str, ...]:
    """The images in ``folder``; where there is none, ``rows`` names by rule (``00000001.jpg`` …)."""
    start = folder and f"{folder}/"
    # In whole thousands, so that the cached names serve many videos.
    names = _names_by_rule(-(-rows // 1000), digits, first)[:rows]
    return image_keys(store, folder) or tuple([start + name for name in names])


@lru_cache(8)
def _names_by_rule(thousands: int, digits: int, first: int) -> tuple[str, ...]:
    return tuple(f"{n:0{digits}d}.jpg" for n in range(first, first + 1000 * thousands))


def missing_frames(keys: tuple[str, ...], rows: int, first_only: bool = False,
                   first: int | None = None) -> tuple[tuple[int, ...], tuple[str, ...]]:
    """Return the rows (from 0) and the names of frames that are missing among ``keys``, by the numbers in their names.

    A frame is missing where the annotation has as many rows as the numbers span, from the first frame's number or
    from 1, or more (frames at the end are not there either), and fewer frames are there. With ``first_only`` there are
    no rows to compare with: then the numbers must be consecutive except for gaps. Frames that are numbered in steps
    (every fifth) have no gaps.

    first  the number of the first row's frame, where the annotation says it
    """
    if not keys or (len(keys) < 2 and first is None) or (rows <= len(keys) and not first_only):
        return (), ()
    folder, slash, _ = keys[0].rpartition("/")
    names = tuple(key.rpartition("/")[2] for key in keys)
    frames = find_frames(names)
    if frames.names != names:
        return (), ()
    start, last = frames.numbers[0], frames.numbers[-1]
    if first is not None:
        start = first
    elif first_only:
        if last - start + 1 > 2 * len(keys):
            return (), ()
    elif last - start + 1 != rows:
        if last == rows and start >= 1:
            start = 1  # the first frames are missing
        elif not len(keys) < last - start + 1 < min(rows, 2 * len(keys)):
            return (), ()  # no gap, or numbers that are not those of rows
    missing = sorted(set(range(start, last + 1)) - set(frames.numbers))
    return tuple(number - start for number in missing), tuple(
        f"{folder}{slash}{_numbered_like(names[0], frames.numbers[0], number)}" for number in missing)


def _numbered_like(name: str, own: int, number: int) -> str:
    """Return ``name`` with ``number`` in place of its ``own`` number, with as many digits."""
    match = re.search(rf"(?<![0-9])0*{own}(?![0-9])", name)
    if match is None:
        return f"frame {number}"
    return f"{name[:match.start()]}{number:0{len(match[0])}d}{name[match.end():]}"
