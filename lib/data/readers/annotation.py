"""The one parser of annotation and result files: rows of numbers, strictly.

    boxes_xywh = parse_rows(data, "OTB/Car4/groundtruth_rect.txt", columns=(4,))    # (rows, 4) float64

Numbers may be separated by commas, tabs, spaces or a mix; ``NaN`` is a number here, infinity is not. Every row has as
many numbers as the first. Anything else is a :class:`UserError` that names the file and the line.

Plain files are read at once by ``plain_rows``; every other file, good or bad, is read with care, so that a fault is
found with its line. Both give the same numbers. A file of more than ``MAX_BYTES`` is refused unread.
"""

from __future__ import annotations

import math

import numpy as np

from ...utils.errors import UserError
from ..store import refuse_size
from .plain_rows import plain_digits, plain_rows

MAX_BYTES = 32 << 20  # some 800 000 frames


def parse_rows(data: bytes, where: str, columns: tuple[int, ...] = (4,)) -> np.ndarray:
    """The rows of a file as (rows, columns) float64; the first row's width must be one of ``columns``.

    Blank lines are allowed at the end only. An empty file gives no rows.
    """
    refuse_size(len(data), where, MAX_BYTES)
    rows = plain_rows(data)
    return rows if rows is not None and rows.shape[1] in columns else _careful_rows(data, where, columns)


def _careful_rows(data: bytes, where: str, columns: tuple[int, ...]) -> np.ndarray:
    text = _decode(data, where)
    lines = text.rstrip().splitlines()
    if not lines:
        return np.empty((0, columns[0]))
    spaced = text.replace(",", " ")
    widths = {len(line.split()) for line in spaced.rstrip().splitlines()}
    width = len(lines[0].replace(",", " ").split())
    if width in columns and widths == {width} and not _has_empty_field(text):
        values = _floats(spaced.split())
        if values is not None:
            return values.reshape(-1, width)
    raise _first_fault(lines, where, columns)


def parse_flags(data: bytes, where: str) -> np.ndarray:
    """All numbers of a file in reading order as (n,) float64, however they are spread over lines."""
    refuse_size(len(data), where, MAX_BYTES)
    digits = plain_digits(data)
    if digits is not None:
        return digits
    text = _decode(data, where)
    values = _floats(text.replace(",", " ").split())
    if values is not None and not _has_empty_field(text):
        return values
    for number, line in enumerate(text.splitlines(), 1):
        if _has_empty_field(line) or _floats(line.replace(",", " ").split()) is None:
            raise UserError(f"{where}, line {number}: expected numbers, found {_shown(line)}")
    raise AssertionError(f"{where}: no faulty line found")


def boxes_from_rows(rows: np.ndarray) -> np.ndarray:
    """(rows, 4) boxes x, y, w, h from boxes, or from polygons of four corners (rows, 8).

    A polygon becomes the smallest upright box around it, which is what one-pass evaluation compares with.
    """
    if rows.shape[1] == 4:
        return rows
    x, y = rows[:, 0::2], rows[:, 1::2]
    top_left = np.stack([x.min(1), y.min(1)], axis=1)
    return np.concatenate([top_left, np.stack([x.max(1), y.max(1)], axis=1) - top_left], axis=1)


def fit_rows(values: np.ndarray, frames: int) -> np.ndarray:
    """Make per-frame ``values`` as long as the video: cut what is over, fill the rest with NaN."""
    missing = max(0, frames - len(values))
    return np.concatenate([values[:frames], np.full((missing, *values.shape[1:]), np.nan)])


def _decode(data: bytes, where: str) -> str:
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise UserError(f"{where}: not a text file of numbers ({error.reason} at byte {error.start})") from error


def _has_empty_field(text: str) -> bool:
    """Whether two commas, or a line's start and a comma, have nothing between them."""
    bare = text.replace(" ", "").replace("\t", "")
    return ",," in bare or "\n," in bare or bare.startswith(",")


def _floats(tokens: list[str]) -> np.ndarray | None:
    """The tokens as numbers; None when one of them is no number or infinite."""
    if "_" in "".join(tokens):  # Python's own 1_000
        return None
    try:
        values = np.fromiter(map(float, tokens), np.float64, count=len(tokens))
    except ValueError:
        return None
    return None if np.isinf(values).any() else values


def _first_fault(lines: list[str], where: str, columns: tuple[int, ...]) -> UserError:
    width = None
    for number, line in enumerate(lines, 1):
        tokens = line.replace(",", " ").split()
        for token in tokens:
            if _floats([token]) is None:
                return UserError(f"{where}, line {number}: {token[:40]!r} is not a finite number or NaN")
        expected = " or ".join(map(str, columns)) if width is None else str(width)
        if len(tokens) != width if width is not None else len(tokens) not in columns:
            return UserError(f"{where}, line {number}: expected {expected} numbers, found {_shown(line)}")
        if _has_empty_field(line):
            return UserError(f"{where}, line {number}: an empty field in {_shown(line)}")
        width = len(tokens)
    raise AssertionError(f"{where}: no faulty line found")


def _shown(line: str) -> str:
    line = line.strip()
    return repr(line if len(line) <= 60 else line[:57] + "...") if line else "an empty line"


def as_difficulty(text: str, where: str) -> float:
    """A difficulty as written in ``meta_info.ini``."""
    values = _floats([text.strip()])
    if values is None or math.isnan(values[0]):
        raise UserError(f"{where}: difficulty must be a number, not {text[:60]!r}")
    return float(values[0])
