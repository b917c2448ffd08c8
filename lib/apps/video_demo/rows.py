"""A track as a CSV file, one row a frame, and how it is taken up again from there.

    frame,time_s,x,y,w,h,score,search_x,search_y,search_w,search_h,lost,readable

Boxes are in px, from the picture's top-left. The search region is empty where the box was given and in unreadable
frames. ``lost`` and ``readable`` are 0 or 1.
"""

from __future__ import annotations

import csv
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from ...data.readers.annotation import MAX_BYTES
from ...data.store import refuse_size
from ...geometry.boxes import MAX_PX
from ...utils.errors import UserError
from .source import Source
from .track import Tracked

FIELDS = ("frame", "time_s", "x", "y", "w", "h", "score", "search_x", "search_y", "search_w", "search_h", "lost",
          "readable")


@dataclass(frozen=True)
class Row:
    """A :class:`~mstgt.apps.video_demo.track.Tracked` without its picture."""

    frame: int
    box_xywh: np.ndarray
    score: float
    search_xywh: np.ndarray | None
    lost: bool
    readable: bool

    @classmethod
    def of(cls, seen: Tracked) -> Row:
        return cls(seen.frame, seen.box_xywh, seen.score, seen.search_xywh, seen.lost, seen.readable)


def write_rows(path: Path, rows: Iterable[Row], fps: float) -> None:
    """Write ``rows`` to ``path``."""
    with open(path, "w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(FIELDS)
        for row in rows:
            search = [""] * 4 if row.search_xywh is None else _numbers(row.search_xywh)
            writer.writerow([row.frame, f"{row.frame / fps:.3f}", *_numbers(row.box_xywh), f"{row.score:.4f}", *search,
                             int(row.lost), int(row.readable)])


def _numbers(box_xywh: np.ndarray) -> list[str]:
    return [f"{value:.2f}" for value in box_xywh]


def read_rows(path: Path) -> list[Row]:
    """The rows of ``path``. Raises :class:`UserError` for a file that is not what :func:`write_rows` writes."""
    try:
        refuse_size(path.stat().st_size, str(path), MAX_BYTES)
        with open(path, newline="", encoding="utf-8") as file:
            reader = csv.DictReader(file)
            if tuple(reader.fieldnames or ()) != FIELDS:
                raise UserError(f"{path} has not the columns {','.join(FIELDS)}: track the video anew with --init_box")
            return [_parse(row, f"{path}, line {line}") for line, row in enumerate(reader, 2)]
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise UserError(f"cannot read {path}: {error}") from error


def _parse(row: dict[str, str], where: str) -> Row:
    try:
        box, search = ([row[prefix + side] for side in "xywh"] for prefix in ("", "search_"))
        return Row(int(row["frame"]), _box(box), float(row["score"]), _box(search) if any(search) else None,
                   row["lost"] == "1", row["readable"] == "1")
    except (ValueError, TypeError) as error:
        raise UserError(f"{where}: not a row of a track ({error}); track the video anew with --init_box") from error


def _box(words: Sequence[str]) -> np.ndarray:
    box_xywh = np.array(words, np.float64)
    if not ((np.abs(box_xywh) <= MAX_PX).all() and (box_xywh[2:] >= 0).all()):
        raise ValueError(f"no box: {', '.join(words)[:80]}")
    return box_xywh


def rows_before(path: Path, frame: int) -> list[Row]:
    """The rows of ``path`` that stay when the box at ``frame`` is corrected.

    Raises :class:`UserError` when they do not reach from their first frame to ``frame``.
    """
    if not path.is_file():
        raise UserError(f"there is no {path} to correct: track the video first, with --init_box x y w h")
    rows = read_rows(path)
    kept = [row for row in rows if row.frame < frame]
    if not rows or len(kept) != frame - rows[0].frame or any(row.frame != rows[0].frame + place
                                                             for place, row in enumerate(kept)):
        there = f"frames {rows[0].frame} to {rows[-1].frame}" if rows else "no frames"
        raise UserError(f"{path} has {there}: the first correction cannot be at frame {frame}; correct one of them, or "
                        "track the video anew with --init_box")
    return kept


def replay(source: Source, rows: Sequence[Row]) -> Iterator[Tracked]:
    """``rows`` with their pictures, as they were tracked. Raises :class:`UserError` when the source has changed."""
    picture = None
    frames = source.read(rows[0].frame) if rows else iter(())
    for row in rows:
        index, image = next(frames, (None, None))
        picture = picture if image is None else image
        if index != row.frame or picture is None:
            raise UserError(f"{source.name} has no frame {row.frame} that can be read, which was tracked before: give "
                            "the same video, or track it anew with --init_box")
        yield Tracked(row.frame, picture, row.box_xywh, row.score, row.search_xywh, row.lost, row.readable)
