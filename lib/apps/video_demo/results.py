"""A track as files: ``boxes.csv``, from which it can be continued, MOTChallenge text and JSON.

    frame,time_s,x,y,w,h,score,search_x,search_y,search_w,search_h,lost,readable,target

Boxes are in px from the top-left of the image. The search region is empty where the box was given and in unreadable
frames. ``lost`` and ``readable`` are 0 or 1, targets count from 1. A table without the column ``target``, as earlier
versions wrote it, has one target.

``boxes.txt`` has the rows of MOTChallenge, frame,id,x,y,w,h,score,-1,-1,-1, with frames and ids from 1 and boxes as in
``boxes.csv``. ``boxes.json`` has a list of frames for each target.
"""

from __future__ import annotations

import csv
import json
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from ...data.readers.annotation import MAX_BYTES
from ...geometry.boxes import MAX_PX
from ...untrusted.limits import refuse_size
from ...utils.errors import UserError
from .track import Row

FIELDS = ("frame", "time_s", "x", "y", "w", "h", "score", "search_x", "search_y", "search_w", "search_h", "lost",
          "readable", "target")
FILES = {"csv": "boxes.csv", "mot": "boxes.txt", "json": "boxes.json"}


def write_results(path: Path, form: str, rows: Sequence[Row], about: Mapping[str, Any]) -> None:
    """Write ``rows`` to ``path`` as "csv", "mot" or "json" (which holds ``about`` as well)."""
    {"csv": _write_csv, "mot": _write_mot, "json": _write_json}[form](path, rows, about)


def _write_csv(path: Path, rows: Iterable[Row], _about: Mapping[str, Any]) -> None:
    with open(path, "w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(FIELDS)
        for row in rows:
            search = [""] * 4 if row.search_xywh is None else _numbers(row.search_xywh)
            writer.writerow([row.frame, f"{row.time_s:.3f}", *_numbers(row.box_xywh), f"{row.score:.4f}", *search,
                             int(row.lost), int(row.readable), row.target])


def _write_mot(path: Path, rows: Iterable[Row], _about: Mapping[str, Any]) -> None:
    with open(path, "w", encoding="utf-8") as file:
        for row in rows:
            values = [row.frame + 1, row.target, *_numbers(row.box_xywh), f"{row.score:.4f}", -1, -1, -1]
            print(*values, sep=",", file=file)


def _write_json(path: Path, rows: Iterable[Row], about: Mapping[str, Any]) -> None:
    targets: dict[int, list[dict[str, Any]]] = {}
    for row in rows:
        targets.setdefault(row.target, []).append({
            "frame": row.frame, "time_s": round(row.time_s, 3), "box_xywh": [round(float(v), 2) for v in row.box_xywh],
            "score": round(float(row.score), 4), "lost": bool(row.lost), "readable": row.readable})
    content = {**about, "targets": [{"target": target, "frames": frames} for target, frames in sorted(targets.items())]}
    path.write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")


def _numbers(box_xywh: np.ndarray) -> list[str]:
    return [f"{value:.2f}" for value in box_xywh]


def read_rows(path: Path) -> list[Row]:
    """The rows of a ``boxes.csv``. Raises :class:`UserError` for a file that is not one."""
    try:
        refuse_size(path.stat().st_size, str(path), MAX_BYTES)
        with open(path, newline="", encoding="utf-8") as file:
            reader = csv.DictReader(file)
            if tuple(reader.fieldnames or ()) not in (FIELDS, FIELDS[:-1]):
                raise UserError(f"{path} does not have the columns {','.join(FIELDS)}: track the video anew with "
                                "--init_box")
            return [_parse(row, f"{path}, line {line}") for line, row in enumerate(reader, 2)]
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise UserError(f"cannot read {path}: {error}") from error


def _parse(row: dict[str, str], where: str) -> Row:
    try:
        box, search = ([row[prefix + side] for side in "xywh"] for prefix in ("", "search_"))
        return Row(int(row["frame"]), float(row["time_s"]), int(row.get("target", 1)), _box(box), float(row["score"]),
                   _box(search) if any(search) else None, row["lost"] == "1", row["readable"] == "1")
    except (ValueError, TypeError) as error:
        raise UserError(f"{where}: not a row of a track ({error}); track the video anew with --init_box") from error


def _box(words: Sequence[str]) -> np.ndarray:
    box_xywh = np.array(words, np.float64)
    if not ((np.abs(box_xywh) <= MAX_PX).all() and (box_xywh[2:] >= 0).all()):
        raise ValueError(f"not a box: {', '.join(words)[:80]}")
    return box_xywh


def rows_to_keep(path: Path, corrected: Mapping[int, int]) -> list[Row]:
    """The rows of ``path`` that stay when targets are corrected: all of other targets, and of each corrected one those
    before its correction.

    corrected  target -> the first frame at which it is corrected

    Raises :class:`UserError` when the rows of a corrected target do not reach from their first frame to that one.
    """
    if not path.is_file():
        raise UserError(f"there is no {path} to correct: track the video first, with --init_box x y w h")
    rows = read_rows(path)
    targets = sorted({row.target for row in rows})
    for target, frame in corrected.items():
        own = sorted(row.frame for row in rows if row.target == target)
        if rows and not own:
            raise UserError(f"{path} has no target {target}, only {', '.join(map(str, targets))}: --correct "
                            "TARGET:FRAME x y w h names one of them")
        before = [number for number in own if number < frame]
        # counted, not listed: the frame numbers of a file may be far apart
        if not own or frame < own[0] or not len(before) == len(set(before)) == frame - own[0]:
            there = f"frames {own[0]} to {own[-1]}" if own else "no frames"
            raise UserError(f"{path} has {there}: the first correction cannot be at frame {frame}; correct one of "
                            "them, or track the video anew with --init_box")
    return [row for row in rows if row.target not in corrected or row.frame < corrected[row.target]]
