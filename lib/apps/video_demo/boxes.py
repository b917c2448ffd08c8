"""Parse boxes from the command line or a file.

    parse_box("20 40 32 32")                    # x y w h in pixels
    parse_box("[20, 40, 32, 32]")
    parse_box("52,72", ...)                     # refused, with an example
    parse_box("20,40,52,72", box_format="xyxy")
    parse_box("groundtruth.txt")                # the first row of a text file
    parse_box("box.json")                       # [20, 40, 32, 32], or {"bbox": [20, 40, 32, 32]}
"""

from __future__ import annotations

import json
import math
import os
import re
from collections.abc import Sequence
from pathlib import Path

from ...utils.errors import UserError
from ...utils.files import decode_text

BOX_FORMATS = ("xywh", "xyxy", "cxcywh")
_EXAMPLES = {"xywh": "210 95 60 80", "xyxy": "210 95 270 175", "cxcywh": "240 135 60 80"}
_MEANING = {"xywh": "x y w h, the top-left corner and the size", "xyxy": "x1 y1 x2 y2, two corners",
            "cxcywh": "cx cy w h, the center and the size"}
_SEPARATORS = re.compile(r"[\s,;]+")
_TWO_BOXES = re.compile(r"(\([^()]*\)|\[[^\[\]]*\])[\s,;]*(\([^()]*\)|\[[^\[\]]*\])")
_BOX_KEYS = (("x", "y", "w", "h"), ("x", "y", "width", "height"))  # of a JSON object, besides "bbox" and "box"
_MAX_FILE_BYTES = 1 << 20


def join_numbers(arguments: Sequence[str], flags: dict[str, int]) -> list[str]:
    """Make one argument of the numbers after a flag, so that ``--init_box 20 40 32 32`` and ``--init_box 20,40,32,32``
    reach argparse alike, and what follows the numbers stays an argument of its own.

    flags  flag -> how many numbers it takes
    """
    joined: list[str] = []
    place = 0
    while place < len(arguments):
        flag = arguments[place]
        place += 1
        if flag not in flags:
            joined.append(flag)
            continue
        words: list[str] = []
        numbers = 0
        while place < len(arguments) and numbers < flags[flag] and _looks_numeric(arguments[place]):
            words.append(arguments[place])
            numbers += len(_numbers(arguments[place]))
            place += 1
        if not words and place < len(arguments) and not arguments[place].startswith("--"):  # the name of a file
            words.append(arguments[place])
            place += 1
        joined.append(f"{flag}={' '.join(words)}" if words else flag)
    return joined


def _looks_numeric(word: str) -> bool:
    return re.fullmatch(r"[\s\d.,;:eE()\[\]{}\"'+-]+", word) is not None and any(c.isdigit() for c in word)


def _numbers(text: str) -> list[str]:
    return [word for word in _SEPARATORS.split(re.sub(r"[()\[\]{}\"']", " ", text)) if word]


def parse_box(text: str, box_format: str = "xywh", flag: str = "--init_box") -> tuple[float, float, float, float]:
    """x, y, w, h in pixels from four numbers, separated by spaces, commas or semicolons and with or without brackets;
    or from the first row of a text file, or from a JSON file. Eight numbers are the corners of a polygon, which gives
    its bounding box.

    Raises :class:`UserError` with an example for anything else.
    """
    path = Path(os.path.expanduser(text))
    if os.path.isfile(path):
        source, text = f" from {text}", _first_row(path, flag)
    else:
        source = ""
    words = _numbers(text)
    try:
        values = [float(word) for word in words if "_" not in word]  # float() takes 1_0 for 10
    except ValueError:
        values = []
    if len(values) < len(words):
        if not source and re.fullmatch(r"\S+\.(txt|csv|json)", text):
            raise UserError(f"{flag}: there is no file {text}; give a text file with a box, or four numbers, "
                            f"such as {flag} {_EXAMPLES[box_format]}")
        raise _refused(f"{text!r}{source} is not a box", box_format, flag)
    if _is_two_boxes(text):
        raise _refused(f"{text!r}{source} is two boxes; repeat {flag} for several targets", box_format, flag)
    if len(values) == 8 and all(map(math.isfinite, values)):
        xs, ys = values[::2], values[1::2]
        if not _is_convex(xs, ys):  # 20,5 40,5 32,0 32,0 or 20 40 32 32 90 60 30 30
            raise _refused(f"{text!r}{source} has eight numbers, which are not the corners of a polygon; repeat {flag} "
                           "for several targets, and write decimals with a point", box_format, flag)
        return min(xs), min(ys), max(xs) - min(xs), max(ys) - min(ys)
    if len(values) != 4:
        raise _refused(f"{text!r}{source} has {len(values)} numbers, a box has four", box_format, flag)
    if source and all(map(math.isnan, values)):
        raise UserError(f"{flag}: the first row{source} says that the target is absent there; give a frame and a box "
                        "that show it, with --start and four numbers")
    if not all(map(math.isfinite, values)):
        raise _refused(f"{text!r}{source} is not finite", box_format, flag)
    first, second, third, fourth = values
    if box_format == "xyxy":
        box = first, second, third - first, fourth - second
    elif box_format == "cxcywh":
        box = first - third / 2, second - fourth / 2, third, fourth
    else:
        box = first, second, third, fourth
    if min(box[2:]) <= 0:
        raise _refused(f"{text!r}{source} has no area: width {box[2]:g}, height {box[3]:g}", box_format, flag)
    if max(map(abs, values)) <= 1:
        raise _refused(f"{text!r}{source} seems to be given in fractions of the image; boxes are in pixels", box_format,
                       flag)
    return box


def parse_correction(text: str, box_format: str = "xywh") -> tuple[int, int, tuple[float, float, float, float]]:
    """(target, frame, box) from "FRAME BOX", or "TARGET:FRAME BOX" for another target than the first."""
    head, _, rest = text.replace(",", " ", 1).strip().partition(" ")
    target, colon, frame = head.rpartition(":")
    try:
        numbers = float(frame), float(target) if colon else 1.0
    except ValueError:
        numbers = (-1.0, -1.0)
    if not all(number.is_integer() and number >= 0 for number in numbers) or numbers[1] < 1:
        raise UserError(f"--correct {text}: FRAME is a whole number, counted from 0, and TARGET another, counted from "
                        "1; such as --correct 120 300 80 40 60 or --correct 2:120 300 80 40 60")
    return int(numbers[1]), int(numbers[0]), parse_box(rest, box_format, "--correct FRAME")


def _first_row(path: Path, flag: str) -> str:
    try:
        if path.stat().st_size > _MAX_FILE_BYTES:
            raise UserError(f"{flag} {path}: not a text file with a box (larger than 1 MiB)")
        text = decode_text(path.read_bytes())
    except (OSError, UnicodeError) as error:
        raise UserError(f"{flag}: cannot read a box from {path}: {error}") from error
    if path.suffix.lower() == ".json":
        return _json_box(text, path, flag)
    rows_without_comments = (re.sub(r"(#|//).*", "", row) for row in text.splitlines())
    filled = [row for row in rows_without_comments if row.strip()]
    # A header line such as x1,y1,x2,y2 is passed over. Not so a row of NaN: the target is absent.
    rows = (row for row in filled if _looks_numeric(row) or re.search(r"\bnan\b", row, re.IGNORECASE))
    return next(rows, filled[0] if filled else "")


def _json_box(text: str, path: Path, flag: str) -> str:
    """The numbers of the first box in a JSON text."""
    try:
        value = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise UserError(f"{flag} {path}: not JSON ({error})") from error
    while isinstance(value, (list, dict)):
        if isinstance(value, list) and value and isinstance(value[0], (list, dict)):
            value = value[0]  # the first of several
        elif isinstance(value, dict) and ("bbox" in value or "box" in value):
            value = value.get("bbox", value.get("box"))
        else:
            break
    if isinstance(value, dict):
        keys = next((keys for keys in _BOX_KEYS if all(key in value for key in keys)), ())
        value = [value[key] for key in keys]
    if not isinstance(value, list) or not value:
        raise UserError(f'{flag} {path}: no box in this JSON file; write [210, 95, 60, 80] or '
                        '{"bbox": [210, 95, 60, 80]}')
    return " ".join(map(str, value))


def _is_convex(xs: Sequence[float], ys: Sequence[float]) -> bool:
    """Whether four corners, in this order, turn to the same side at each of them."""
    turns = [(xs[i - 1] - xs[i - 2]) * (ys[i] - ys[i - 1]) - (ys[i - 1] - ys[i - 2]) * (xs[i] - xs[i - 1])
             for i in range(4)]
    return min(turns) > 0 or max(turns) < 0


def _is_two_boxes(text: str) -> bool:
    """Whether a text such as ``[1,2,3,4],[5,6,7,8]`` holds two boxes; four pairs are the corners of a polygon."""
    match = _TWO_BOXES.search(text)
    return match is not None and all(len(_numbers(group)) == 4 for group in match.groups())


def _refused(problem: str, box_format: str, flag: str) -> UserError:
    corners = " (corners: --box_format xyxy)" if box_format == "xywh" else ""
    return UserError(f"{flag}: {problem}; give {_MEANING[box_format]}, in pixels, such as {flag} "
                     f"{_EXAMPLES[box_format]}{corners}")
