"""Parse annotation and result files, strictly: rows of numbers, flags, and GOT-10k's ``meta_info.ini``.

    boxes_xywh = parse_rows(data, "OTB/Car4/groundtruth_rect.txt", columns=(4,))    # (rows, 4) float64

Numbers are separated by commas, tabs, spaces or a mix of these, or by semicolons. ``NaN`` is a number here, infinity is
not. Every row has as many numbers as the first. Anything else raises a :class:`UserError` that names the file and the
line. A file of more than ``MAX_BYTES`` is refused unread.
"""

from __future__ import annotations

import configparser
import io
import math
import re

import numpy as np

from ...untrusted.limits import refuse_size
from ...utils.errors import UserError
from ...utils.files import decode_text
from ..store import FrameStore, join

MAX_BYTES = 32 << 20  # some 800 000 frames
GOT10K_FILES = ("groundtruth.txt", "absence.label", "cover.label", "meta_info.ini")
LASOT_ABSENCE = ("full_occlusion.txt", "out_of_view.txt")
MAX_META_BYTES = 1 << 16
MAX_CLASS_LENGTH = 200
TO_SPACES = str.maketrans(",;\t", "   ")
_SIZE = re.compile(r"\s*\(?\s*([1-9]\d{0,5})\s*,\s*([1-9]\d{0,5})\s*\)?\s*", re.ASCII)
_NO_BOX = ("none", "null", "na", "n/a")  # a row of these taken for a header would move all others by one
_NUMBER = re.compile(r"[+-]?((\d+\.?\d*|\.\d+)(e[+-]?\d+)?|nan)", re.ASCII | re.IGNORECASE)


def parse_rows(data: bytes, where: str, columns: tuple[int, ...] = (4,), header: bool = False) -> np.ndarray:
    """Return the rows of a file as (rows, columns) float64; the first row's width must be one of ``columns``.

    Blank lines are allowed at the end only. An empty file gives no rows. With ``header`` the first line may hold
    names instead of numbers, after lines of comments (# or %); they are skipped.
    """
    refuse_size(len(data), where, MAX_BYTES)
    lines = _decode(data, where).rstrip().splitlines()
    skipped = _header_lines(data) if header else 0
    lines = lines[skipped:]
    if not lines:
        return np.empty((0, columns[0]))
    rows = _load(lines)
    if rows is None or rows.shape[1] not in columns:
        raise _first_fault(lines, where, columns, skipped)
    return rows


def read_box_rows(store: FrameStore, key: str) -> np.ndarray:
    """Return the boxes in an annotation file, (rows, 4) float64 x, y, w, h."""
    return parse_rows(store.read(key), store.where(key))


def read_flags(store: FrameStore, key: str) -> np.ndarray | None:
    """Return the flags in a file as :func:`parse_flags` does; None where there is no such file."""
    return parse_flags(store.read(key), store.where(key)) if store.exists(key) else None


def read_text(store: FrameStore, key: str, kind: str) -> str:
    """Return the text of a file. Raises :class:`UserError` that says it is not ``kind`` where it is no text."""
    try:
        return decode_text(store.read(key))
    except UnicodeDecodeError as error:
        raise UserError(f"{store.where(key)}: not {kind} ({error.reason})") from error


def has_header(data: bytes) -> bool:
    """Return whether a file begins with a line that is no row: a comment (# or %), or one that names columns."""
    return _header_lines(data) > 0


def _header_lines(data: bytes) -> int:
    """Return how many lines come before the rows: comments, and at most one line that begins with a letter or a quote
    and has no field that is a number, or a word for an absent box such as None."""
    count = 0
    for line in decode_text(data[:1000], errors="replace").splitlines():
        fields = line.translate(TO_SPACES).split()
        if any(_NUMBER.fullmatch(field) or field.lower() in _NO_BOX for field in fields):
            break
        first = line.strip()[:1]
        if not (first.isalpha() or first in tuple("#%\"'")):
            break
        count += 1
        if first not in ("#", "%"):
            break
    return count


def parse_flags(data: bytes, where: str) -> np.ndarray:
    """Return all numbers of a file in reading order as (n,) float64, however they are spread over lines."""
    refuse_size(len(data), where, MAX_BYTES)
    lines = _decode(data, where).splitlines()
    text = " ".join(lines)
    if not text.strip():
        return np.empty(0)
    # Fields are checked per line: where one line ends with a comma, the next one may begin with a number.
    values = None if any(map(_has_empty_field, lines)) else _load([text])
    if values is not None:
        return values[0]
    for number, line in enumerate(lines, 1):
        if _has_empty_field(line) or not all(map(_is_finite_or_nan, line.translate(TO_SPACES).split())):
            raise UserError(f"{where}, line {number}: expected numbers, found {_shown(line)}")
    raise UserError(f"{where}: expected numbers")


def _load(lines: list[str]) -> np.ndarray | None:
    """Return the rows as float64; None where a line is blank or of another width, or a field is no finite number."""
    text = "\n".join(lines)
    if _has_empty_field(text) or not all(map(str.strip, lines)) or (";" in text and "," in text):
        return None
    try:
        rows = np.loadtxt(io.StringIO(text.translate(TO_SPACES)), comments=None, ndmin=2)
    except ValueError:
        return None
    return None if np.isinf(rows).any() else rows


def boxes_from_rows(rows: np.ndarray) -> np.ndarray:
    """Return (rows, 4) boxes x, y, w, h from boxes, or from polygons of four corners (rows, 8).

    A polygon becomes the smallest upright box around it, which is what one-pass evaluation compares with.
    """
    if rows.shape[1] == 4:
        return rows
    x, y = rows[:, 0::2], rows[:, 1::2]
    top_left = np.stack([x.min(1), y.min(1)], axis=1)
    return np.concatenate([top_left, np.stack([x.max(1), y.max(1)], axis=1) - top_left], axis=1)


def _decode(data: bytes, where: str) -> str:
    try:
        return decode_text(data)
    except UnicodeDecodeError as error:
        raise UserError(f"{where}: not a text file of numbers ({error.reason} at byte {error.start})") from error


def _has_empty_field(text: str) -> bool:
    """Return whether two commas, or a line's start and a comma, have nothing between them."""
    bare = text.replace(" ", "").replace("\t", "").replace(";", ",")
    return ",," in bare or "\n," in bare or bare.startswith(",")


def _is_finite_or_nan(token: str) -> bool:
    return _NUMBER.fullmatch(token) is not None and not math.isinf(float(token))


def _first_fault(lines: list[str], where: str, columns: tuple[int, ...], skipped: int) -> UserError:
    """Return an error that names the first faulty line; ``skipped``: how many lines of the file come before them."""
    expected = columns
    for number, line in enumerate(lines, 1 + skipped):
        place = f"{where}, line {number}"
        tokens = line.translate(TO_SPACES).split()
        if ";" in line and "," in line:
            return UserError(f"{place}: both commas and semicolons in {_shown(line)}; separate numbers by one of them")
        for token in tokens:
            if not _is_finite_or_nan(token):
                return UserError(f"{place}: {token[:40]!r} is not a finite number or NaN")
        if len(tokens) not in expected:
            counts = " or ".join(map(str, expected))
            advice = _advice(len(tokens), expected)
            return UserError(f"{place}: expected {counts} numbers, found {_shown(line)}{advice}")
        if _has_empty_field(line):
            return UserError(f"{place}: an empty field in {_shown(line)}")
        expected = (len(tokens),)  # every row has as many numbers as the first
    return UserError(f"{where}: the lines are not separated alike; use one separator in all of them")


def _advice(count: int, expected: tuple[int, ...]) -> str:
    """Return what to do with rows of ``count`` numbers where boxes are expected; "" where that is not known."""
    if 4 not in expected:
        return ""
    if count == 5:
        return "; remove the score or the frame number"
    if count == 8:
        return "; give the upright box around each polygon: x, y, w, h"
    if count in (9, 10):
        return "; of rows of MOTChallenge keep one target, and its box: x, y, w, h (numbers 3 to 6)"
    return ""


def _shown(line: str) -> str:
    line = line.strip()
    if not line:
        return "an empty line"
    return repr(line if len(line) <= 60 else line[:57] + "...")


def as_difficulty(text: str, where: str) -> float:
    """Return a difficulty as written in ``meta_info.ini``."""
    if not _is_finite_or_nan(text.strip()) or math.isnan(float(text)):
        raise UserError(f"{where}: difficulty must be a number, not {text[:60]!r}")
    return float(text)


def read_absence(store: FrameStore, folder: str) -> np.ndarray | None:
    """(rows,) non-zero where the target is fully occluded or out of view; None where the folder has no flags."""
    keys = [key for name in LASOT_ABSENCE if store.exists(key := join(folder, name))]
    flags = [parse_flags(store.read(key), store.where(key)) for key in keys]
    if len({len(f) for f in flags}) > 1:
        raise UserError(f"{store.where(keys[0])} has {len(flags[0])} flags, {store.where(keys[1])} has {len(flags[1])}")
    return np.stack(flags).max(axis=0) if flags else None


def read_meta(store: FrameStore, folder: str) -> dict:
    """``object_class``, ``attributes``, ``difficulty`` and ``size_wh``, as far as ``meta_info.ini`` has them."""
    key = join(folder, "meta_info.ini")
    values: dict[str, str] = {}
    if store.exists(key):
        parser = configparser.RawConfigParser()
        data = store.read(key)
        refuse_size(len(data), store.where(key), MAX_META_BYTES)
        try:
            parser.read_string(decode_text(data))
        except (configparser.Error, UnicodeDecodeError) as error:
            first_line = str(error).splitlines()[0]
            raise UserError(f"{store.where(key)}: not a file of sections and keys ({first_line})") from error
        values = {k: v for section in parser.sections() for k, v in parser.items(section)}
    difficulty = values.get("difficulty")
    if len(values.get("object_class", "")) > MAX_CLASS_LENGTH:
        raise UserError(f"{store.where(key)}: object_class is longer than {MAX_CLASS_LENGTH} characters; shorten it")
    return {"object_class": values.get("object_class"),
            "attributes": tuple(a.strip() for a in values.get("attributes", "").split(",") if a.strip()),
            "difficulty": None if difficulty is None else as_difficulty(difficulty, store.where(key)),
            "size_wh": _size(values.get("resolution"), store.where(key))}


def _size(text: str | None, where: str) -> tuple[int, int] | None:
    """``(1920, 1080)`` as written."""
    if text is None:
        return None
    match = _SIZE.fullmatch(text)
    if not match:
        raise UserError(f"{where}: resolution must be (width, height) in pixels, not {text[:60]!r}")
    return int(match[1]), int(match[2])
