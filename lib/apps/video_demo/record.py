"""The files of a track in one folder: ``film.mp4``, ``boxes.csv`` (also MOTChallenge text or JSON), ``sheet.png``.

    recording = record(track(source, tracker, boxes), Path("out"), source)
    recording.lost[1], recording.unreadable        # frame numbers

Either all of them are written or none: files of an earlier track stay until the new ones are complete. A live source
cannot be tracked again: when the disk is full, what was recorded until then is kept.
"""

from __future__ import annotations

import contextlib
import math
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import cv2
import numpy as np
from tqdm import tqdm

from ...utils.errors import UserError, explain_os_error
from ...utils.files import atomic_path
from ...utils.progress import progress
from ...visualize.draw import contact_sheet, draw_boxes, tracked_box, video_zoom, write_png
from ...visualize.video_writer import VideoWriter
from .results import FILES, write_results
from .source import Source
from .track import Row, TrackedFrame

VIDEO, SHEET = "film.mp4", "sheet.png"  # a name that scripts of users read: keep it
TILES, TILE_AREA = 12, 480 * 300  # of the sheet; px
ROW_BYTES, RESERVE_BYTES = 256, 1 << 16  # more than a row takes in any file of results; how much is reserved at a time


@dataclass(frozen=True)
class Recording:
    """What came of a track: the numbers of its first and last frame, target -> frames in which it is probably lost,
    unreadable frames, the time that it took, the files, and why a live source was not recorded to its end."""

    first: int
    last: int
    count: int
    lost: dict[int, list[int]]
    unreadable: list[int]
    seconds: float
    files: list[Path]
    failure: UserError | None = None


def record(frames: Iterable[TrackedFrame], out: Path, source: Source, total: int | None = None,
           formats: Sequence[str] = ("csv",)) -> Recording:
    """Draw and write ``frames`` to the folder ``out``, with a progress bar of ``total`` frames.

    formats  keys of :data:`FILES`; "csv" is always written, for tracks are continued from it, and so is what an earlier
             track left in ``out``

    Raises :class:`UserError` when a file cannot be written. Where that is so after a frame of a live source, the rows
    until then and what can be played of the video are saved, without a sheet, and ``failure`` of the result says why.
    """
    started, track = time.monotonic(), _Track()
    failure: UserError | None = None
    # What an earlier track left is written anew, too: beside the new boxes.csv it would be taken for the same track.
    forms = [form for form, name in FILES.items() if form == "csv" or form in formats or (out / name).exists()]
    width, height = (max(1, round(video_zoom(source.size_wh) * side)) for side in source.size_wh)
    # An interrupt leaves the `with`, which removes the temporary files.
    with contextlib.ExitStack() as stack:
        result_files = {form: stack.enter_context(atomic_path(out / FILES[form])) for form in forms}
        video = stack.enter_context(VideoWriter(out / VIDEO, source.fps, (width, height), keep_part=source.live))
        bar = stack.enter_context(progress(frames, total=total, unit="frame", desc="tracking"))
        try:
            _draw_frames(bar, source, video, list(result_files.values()), track)
            if not track.numbers:
                raise UserError(f"nothing was tracked, so there is nothing to write to {out}")
            video.finish()
        except UserError as error:
            if not source.live or not track.numbers:
                raise
            failure = error
            with contextlib.suppress(UserError):
                video.finish()
        about = {"video": source.name, "fps": source.fps, "size_wh": list(source.size_wh)}
        for form, path in result_files.items():
            write_results(path, form, track.rows, about)
        if failure is None:
            try:
                with atomic_path(out / SHEET) as sheet_file:
                    write_png(sheet_file, contact_sheet(track.tiles.chosen()))
            except UserError as error:
                if not source.live:
                    raise
                failure = error
    files = [out / VIDEO, *(out / FILES[form] for form in forms), out / SHEET]
    if failure:
        for path in [out / SHEET] if video.kept else [out / SHEET, out / VIDEO]:
            path.unlink(missing_ok=True)  # an earlier track's
            files.remove(path)
    lost = {target: [row.frame for row in track.rows if row.lost and row.target == target]
            for target in sorted({row.target for row in track.rows})}
    return Recording(track.numbers[0], track.numbers[-1], len(track.numbers), lost, track.unreadable,
                     time.monotonic() - started, files, failure)


class _Track:
    """What is known of the frames that were drawn until now: rows, numbers, and images for the sheet."""

    def __init__(self) -> None:
        self.rows: list[Row] = []
        self.numbers: list[int] = []
        self.unreadable: list[int] = []
        self.tiles = Spread(TILES)


def _draw_frames(bar: tqdm, source: Source, video: VideoWriter, result_files: Sequence[Path], track: _Track) -> None:
    """Draw the frames of ``bar`` into ``video``, and note them in ``track``.

    result_files  files in which room for the rows of a live source is reserved, frame by frame
    """
    zoom = video_zoom(source.size_wh)
    tile_zoom = math.sqrt(TILE_AREA / (source.size_wh[0] * source.size_wh[1]))
    first_time: float | None = None
    for frame in bar:
        first_time = frame.time_s if first_time is None else first_time
        track.rows += frame.rows
        track.numbers.append(frame.frame)
        if not frame.readable:
            track.unreadable.append(frame.frame)
        if source.live:
            _reserve(result_files, ROW_BYTES * len(track.rows))
        video.add(drawn(frame, zoom), frame.time_s - first_time)
        track.tiles.offer(partial(drawn, frame, tile_zoom))
        bar.set_postfix_str(_state(frame), refresh=False)


def _reserve(paths: Iterable[Path], size: int) -> None:
    """Fill files with zeros to at least ``size`` bytes: they will have room for rows when the disk is full."""
    for path in paths:
        with explain_os_error(f"cannot write {path.parent}"), open(path, "ab") as file:
            while file.tell() < size:
                file.write(bytes(RESERVE_BYTES))


def _state(frame: TrackedFrame) -> str:
    lost = [row.target for row in frame.rows if row.lost]
    if len(frame.rows) == 1:
        return "probably lost" if lost else f"score {frame.rows[0].score:.2f}"
    return f"{len(frame.rows)} targets" + (f", {len(lost)} probably lost" if lost else "")


def drawn(frame: TrackedFrame, zoom: float = 1.0) -> np.ndarray:
    """The image of a frame in a video. An unreadable frame shows the last readable image, dark and without color."""
    caption = f"frame {frame.frame}  {frame.time_s:.1f} s"
    # A single target needs no number, but a target that is left of several keeps its own.
    several = len(frame.rows) > 1 or any(row.target > 1 for row in frame.rows)
    boxes = [tracked_box(row.box_xywh, row.score if frame.readable else None, row.lost, row.target if several else None)
             for row in frame.rows]
    if frame.readable:
        regions = [row.search_xywh for row in frame.rows if row.search_xywh is not None]
        return draw_boxes(frame.image_rgb, boxes, regions, caption, zoom)
    gray = cv2.cvtColor(cv2.cvtColor(frame.image_rgb, cv2.COLOR_RGB2GRAY), cv2.COLOR_GRAY2RGB) // 2
    return draw_boxes(gray, boxes, (), f"{caption}  cannot be read", zoom)


class Spread:
    """At most ``count`` images, evenly spread over a number of images that is not known beforehand."""

    def __init__(self, count: int):
        self.count, self.step, self.offered = count, 1, 0
        self.kept: list[np.ndarray] = []
        self.make_last: Callable[[], np.ndarray] | None = None

    def offer(self, make: Callable[[], np.ndarray]) -> None:
        """Offer the next image; ``make`` is called only if it is kept for now, or the last."""
        self.make_last = make
        if self.offered % self.step == 0:
            self.kept.append(make())
        self.offered += 1
        if len(self.kept) > 4 * self.count:
            self.kept, self.step = self.kept[::2], 2 * self.step

    def chosen(self) -> list[np.ndarray]:
        """The first, the last, and others between them."""
        places = np.linspace(0, len(self.kept) - 1, min(self.count, len(self.kept))).round().astype(int)
        found = [self.kept[place] for place in places]
        if len(found) > 1 and self.make_last:
            found[-1] = self.make_last()
        return found


def spans(frames: Sequence[int], limit: int = 10) -> str:
    """Ascending frame numbers as a person would write them: "3, 7 to 9"."""
    parts: list[list[int]] = []
    for frame in frames:
        if parts and frame == parts[-1][1] + 1:
            parts[-1][1] = frame
        else:
            parts.append([frame, frame])
    words = [f"{first}" if first == last else f"{first} to {last}" for first, last in parts[:limit]]
    return ", ".join(words) + (f" and {len(parts) - limit} more" if len(parts) > limit else "")
