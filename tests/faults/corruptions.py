"""Ways to corrupt a file: it is cut short, bits flip, it is emptied, a folder or a link to nowhere is in its place.

Unreadable files are made by the last two, for who runs as root may read everything.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from random import Random

CORRUPTIONS: dict[str, Callable[[Path, Random], str]] = {}


def _corruption(function: Callable[[Path, Random], str]) -> Callable[[Path, Random], str]:
    CORRUPTIONS[function.__name__] = function
    return function


@_corruption
def truncate(path: Path, random: Random) -> str:
    size = path.stat().st_size
    kept = random.randrange(size)
    os.truncate(path, kept)
    return f"{path} cut to {kept} of {size} bytes"


@_corruption
def flip(path: Path, random: Random) -> str:
    data = bytearray(path.read_bytes())
    bits = [random.randrange(8 * len(data)) for _ in range(random.choice((1, 1, 3)))]
    for bit in bits:
        data[bit // 8] ^= 1 << bit % 8
    with open(path, "r+b") as file:  # in place: a second name of the file sees it, too
        file.write(data)
    return f"bits {bits} of {path} flipped"


@_corruption
def empty(path: Path, _random: Random) -> str:
    os.truncate(path, 0)
    return f"{path} emptied"


@_corruption
def folder(path: Path, _random: Random) -> str:
    path.unlink()
    path.mkdir()
    return f"a folder in place of {path}"


@_corruption
def broken_link(path: Path, _random: Random) -> str:
    path.unlink()
    path.symlink_to(path.with_name("nowhere"))
    return f"{path} is a link to nowhere"
