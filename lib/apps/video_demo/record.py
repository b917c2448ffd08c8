"""What a track leaves: ``film.mp4``, ``boxes.csv`` and ``sheet.png`` in one folder, all of them or none.

    recording = record(track(source, tracker, box_xywh), Path("out"), source.fps, source.size_wh)
    recording.lost, recording.unreadable        # frames
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np

from ...utils.errors import UserError
from ...utils.files import atomic_path
from ...utils.progress import progress
from ...visualize.draw import contact_sheet, draw_boxes, tracked_box, video_zoom
from ...visualize.video_writer import VideoWriter
from .rows import Row, write_rows
from .track import Tracked

FILM, ROWS, SHEET = "film.mp4", "boxes.csv", "sheet.png"
TILES, TILE_AREA = 12, 480 * 300  # of the sheet; px


@dataclass(frozen=True)
class Recording:
    """What came of a track. first, last, lost, unreadable: frames; files: where to look."""

    first: int
    last: int
    lost: list[int]
    unreadable: list[int]
    seconds: float
    files: list[Path]


def record(seen: Iterable[Tracked], out: Path, fps: float, size_wh: tuple[int, int],
           total: int | None = None) -> Recording:
    """Draw and write ``seen`` to the folder ``out``, with a progress bar of ``total`` frames.

    Raises :class:`UserError` when a file cannot be written; whatever is raised, files of an earlier track stay.
    """
    started, rows, tiles = time.monotonic(), [], Spread(TILES)
    zoom = video_zoom(size_wh)
    tile_zoom = math.sqrt(TILE_AREA / (size_wh[0] * size_wh[1]))
    width, height = (zoom * side for side in size_wh)
    with atomic_path(out / ROWS) as rows_file, atomic_path(out / SHEET) as sheet_file, \
            VideoWriter(out / FILM, fps, (width, height)) as film, progress(seen, total=total, unit="frame") as bar:
        for item in bar:
            film.add(drawn(item, fps, zoom))
            tiles.offer(lambda item=item: drawn(item, fps, tile_zoom))
            rows.append(Row.of(item))
            bar.set_postfix_str("probably lost" if item.lost else f"score {item.score:.2f}", refresh=False)
        if not rows:
            raise UserError(f"nothing was tracked, so there is nothing to write to {out}")
        write_rows(rows_file, rows, fps)
        cv2.imwrite(str(sheet_file), cv2.cvtColor(contact_sheet(tiles.chosen()), cv2.COLOR_RGB2BGR))
    return Recording(rows[0].frame, rows[-1].frame, [row.frame for row in rows if row.lost],
                     [row.frame for row in rows if not row.readable], time.monotonic() - started,
                     [out / name for name in (FILM, ROWS, SHEET)])


def drawn(seen: Tracked, fps: float, zoom: float = 1.0) -> np.ndarray:
    """The picture of a frame in a film. An unreadable frame shows the last picture without its colours."""
    caption = f"frame {seen.frame}  {seen.frame / fps:.1f} s"
    if seen.readable:
        search = [] if seen.search_xywh is None else [seen.search_xywh]
        return draw_boxes(seen.image_rgb, [tracked_box(seen.box_xywh, seen.score, seen.lost)], search, caption, zoom)
    grey = cv2.cvtColor(cv2.cvtColor(seen.image_rgb, cv2.COLOR_RGB2GRAY), cv2.COLOR_GRAY2RGB) // 2
    return draw_boxes(grey, [tracked_box(seen.box_xywh, None, seen.lost)], (), f"{caption}  cannot be read", zoom)


class Spread:
    """At most ``most`` things, evenly spread over any number that is offered one after the other."""

    def __init__(self, most: int):
        self.most, self.step, self.offered = most, 1, 0
        self.kept: list[np.ndarray] = []
        self.make_last: Callable[[], np.ndarray] | None = None

    def offer(self, make: Callable[[], np.ndarray]) -> None:
        """``make`` is called when the thing is wanted for now, or is the last."""
        self.make_last = make
        if self.offered % self.step == 0:
            self.kept.append(make())
        self.offered += 1
        if len(self.kept) > 4 * self.most:
            self.kept, self.step = self.kept[::2], 2 * self.step

    def chosen(self) -> list[np.ndarray]:
        """The first, the last, and others between them."""
        places = np.linspace(0, len(self.kept) - 1, min(self.most, len(self.kept))).round().astype(int)
        found = [self.kept[place] for place in places]
        return found[:-1] + [self.make_last()] if len(found) > 1 and self.make_last else found


def spans(frames: Sequence[int], most: int = 10) -> str:
    """Ascending frame numbers as a person writes them: "3, 7 to 9"."""
    parts: list[list[int]] = []
    for frame in frames:
        if parts and frame == parts[-1][1] + 1:
            parts[-1][1] = frame
        else:
            parts.append([frame, frame])
    said = [f"{first}" if first == last else f"{first} to {last}" for first, last in parts[:most]]
    return ", ".join(said) + (f" and {len(parts) - most} more" if len(parts) > most else "")
