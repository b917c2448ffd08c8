"""Several targets in one source, frame by frame, with a judgment whether each of them is lost.

    boxes = {1: {0: (210, 95, 60, 80)}, 2: {0: (20, 30, 50, 50), 120: (300, 80, 40, 60)}}    # target -> frame -> box
    for frame in track(source, MultiTracker("MSTGT-nano"), boxes):
        for row in frame.rows:
            print(row.frame, row.target, row.box_xywh, row.score, row.lost)

A target begins at the first frame that it has a box at; at each later one the tracker starts anew from the box given
there (a correction). With ``both_ways`` it is also tracked backwards from its first box.

A target is probably lost while the mean of its last scores is below ``lost_score``. The mean is exponential: 1 where a
box was given, and each readable frame contributes ``NEW_SHARE`` of its score. So one bad frame is not a loss, four or
five are, and two good ones end it. The tracker does not stop: it goes on searching around its last box.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import islice
from typing import Protocol

import numpy as np

from ...geometry.boxes import check_box
from ...utils.errors import UserError
from .source import Frame, Source, in_one_size, read_backwards

LOST_SCORE = 0.4  # on videos with long losses: below it in 1 of 1000 frames with the target, in 1 of 5 without
NEW_SHARE = 0.2
GIVEN_SCORE = 1.0  # of a box that a person gave

Box = Sequence[float] | np.ndarray


class ManyTargets(Protocol):
    """What is used of :class:`~mstgt.test.tracker.MultiTracker`."""

    def add(self, image: np.ndarray, box_xywh: Box) -> int: ...

    def remove(self, target_id: int) -> None: ...

    def update(self, image: np.ndarray) -> dict[int, tuple[np.ndarray, float]]: ...

    def search_xywh(self, target_id: int) -> np.ndarray: ...


@dataclass(frozen=True)
class Row:
    """One target in one frame.

    target       its number, from 1
    box_xywh     (4,) float64, px; in an unreadable frame the last box
    score        in (0, 1); 1 where the box was given, 0 in an unreadable frame
    search_xywh  (4,) the region that was searched, px; None where the box was given and in unreadable frames
    lost         the target is probably lost
    """

    frame: int
    time_s: float
    target: int
    box_xywh: np.ndarray
    score: float
    search_xywh: np.ndarray | None
    lost: bool
    readable: bool = True


@dataclass(frozen=True)
class TrackedFrame:
    """A frame with its rows, ordered by target. Of an unreadable frame, the image is the last readable one."""

    frame: int
    time_s: float
    image_rgb: np.ndarray
    readable: bool
    rows: tuple[Row, ...]


def track(source: Source, tracker: ManyTargets, boxes: Mapping[int, Mapping[int, Box]], frames: int | None = None,
          lost_score: float = LOST_SCORE, kept: Sequence[Row] = (), both_ways: bool = False,
          on_backward: Callable[[TrackedFrame], None] = lambda frame: None) -> Iterator[TrackedFrame]:
    """Track the targets of ``boxes`` (target -> frame -> box), in the order of the frames.

    frames       how many frames to give (None: to the end); with ``both_ways``, at most as many before the first box
    kept         rows of an earlier run, which are given again as they are
    on_backward  is called with each frame that is tracked backwards, which happens before the first frame is given

    Raises :class:`UserError`, before the first frame where that can be known, for a box that is not valid, lies outside
    the image, or belongs to a frame that is unreadable or does not exist.
    """
    if not boxes or not all(boxes.values()):
        raise UserError("there is no target: give a box")
    if source.live and (both_ways or any(frame for by_frame in boxes.values() for frame in by_frame)):
        raise UserError("a webcam or stream cannot be wound back or forth: --start, --correct and --both_ways are for "
                        "files")
    checked = {target: {frame: check_box(box, f"frame {frame}") for frame, box in sorted(by_frame.items())}
               for target, by_frame in sorted(boxes.items())}
    first_box = min(min(by_frame) for by_frame in checked.values())
    begin = min([first_box, *(row.frame for row in kept)])
    _check_frames(checked, begin, frames, source)
    return _track(source, tracker, checked, begin, frames, lost_score, kept, both_ways, on_backward)


def _track(source: Source, tracker: ManyTargets, boxes: dict[int, dict[int, np.ndarray]], begin: int,
           frames: int | None, lost_score: float, kept: Sequence[Row], both_ways: bool,
           on_backward: Callable[[TrackedFrame], None]) -> Iterator[TrackedFrame]:
    known: dict[int, list[Row]] = defaultdict(list)
    for row in kept:
        known[row.frame].append(row)
    count = frames
    if both_ways:
        first_box = min(min(by_frame) for by_frame in boxes.values())
        begin = min(begin, 0 if frames is None else max(0, first_box - frames))
        count = None if frames is None else frames + first_box - begin
        for row in _track_backwards(source, tracker, boxes, begin, lost_score, on_backward):
            known[row.frame].append(row)
    targets = _Targets(tracker, boxes, lost_score)
    last_image = None
    for number, image, time_s in islice(in_one_size(source.read(begin), source.size_wh), count):
        rows = known.pop(number, []) + targets.step(Frame(number, image, time_s))
        last_image = last_image if image is None else image
        if last_image is None and both_ways:
            continue  # the video begins with frames that cannot be read: there is no image to show with their boxes
        if last_image is None:
            raise _changed(source, number)
        rows.sort(key=lambda row: row.target)
        yield TrackedFrame(number, time_s, last_image, image is not None, tuple(rows))
    if targets.waiting:
        raise UserError(f"{source.name} ends before frame {min(targets.waiting)}, where a box was given (frames count "
                        "from 0)")
    if count is None and known:
        raise _changed(source, max(known))


def _changed(source: Source, frame: int) -> UserError:
    return UserError(f"{source.name} has no frame {frame} that can be read, which was tracked before: give the same "
                     "video, or track it anew with --init_box")


def _track_backwards(source: Source, tracker: ManyTargets, boxes: dict[int, dict[int, np.ndarray]], stop: int,
                     lost_score: float, tell: Callable[[TrackedFrame], None]) -> list[Row]:
    """The rows of each target before its first box, down to the frame ``stop``."""
    first = {target: min(by_frame) for target, by_frame in boxes.items()}
    targets = _Targets(tracker, {target: {frame: boxes[target][frame]} for target, frame in first.items()}, lost_score)
    found, last_image = [], None
    for frame in in_one_size(read_backwards(source, max(first.values()), stop), source.size_wh):
        rows = [row for row in targets.step(frame) if row.frame < first[row.target]]
        found += rows
        last_image = last_image if frame.image_rgb is None else frame.image_rgb
        if rows and last_image is not None:
            tell(TrackedFrame(frame.number, frame.time_s, last_image, frame.image_rgb is not None, tuple(rows)))
    targets.clear()
    return found


class _Targets:
    """The targets that are being tracked in one direction, and the boxes that are still to come."""

    def __init__(self, tracker: ManyTargets, boxes: Mapping[int, Mapping[int, np.ndarray]], lost_score: float):
        self.tracker, self.lost_score = tracker, lost_score
        self.waiting: dict[int, dict[int, np.ndarray]] = defaultdict(dict)  # frame -> target -> box
        for target, by_frame in boxes.items():
            for frame, box in by_frame.items():
                self.waiting[frame][target] = box
        self._ids: dict[int, int] = {}  # target -> what the tracker calls it
        self._means: dict[int, float] = {}
        self._last: dict[int, Row] = {}

    def step(self, frame: Frame) -> list[Row]:
        """The rows of all targets in the next frame."""
        starting = self.waiting.pop(frame.number, {})
        if frame.image_rgb is None:
            if starting:
                raise UserError(f"frame {frame.number} cannot be read: give the box at another frame")
            rows = [replace(row, frame=frame.number, time_s=frame.time_s, score=0.0, search_xywh=None, readable=False)
                    for row in self._last.values()]
        else:
            for target in starting:
                if target in self._ids:
                    self.tracker.remove(self._ids.pop(target))
            rows = self._update(frame, frame.image_rgb)
            rows += [self._start(frame, frame.image_rgb, target, box) for target, box in starting.items()]
        self._last = {row.target: row for row in rows}
        return rows

    def clear(self) -> None:
        """Leave the tracker without targets."""
        for target_id in self._ids.values():
            self.tracker.remove(target_id)
        self._ids = {}

    def _update(self, frame: Frame, image_rgb: np.ndarray) -> list[Row]:
        if not self._ids:
            return []
        searched = {target: self.tracker.search_xywh(target_id) for target, target_id in self._ids.items()}
        try:
            found = self.tracker.update(image_rgb)
        except UserError as error:
            raise UserError(f"frame {frame.number}: {error}") from error
        rows = []
        for target, target_id in self._ids.items():
            box, score = found[target_id]
            self._means[target] += NEW_SHARE * (score - self._means[target])
            lost = self._means[target] < self.lost_score
            rows.append(Row(frame.number, frame.time_s, target, box, score, searched[target], lost))
        return rows

    def _start(self, frame: Frame, image_rgb: np.ndarray, target: int, box: np.ndarray) -> Row:
        try:
            self._ids[target] = self.tracker.add(image_rgb, box)
        except UserError as error:
            raise UserError(f"frame {frame.number}: {error}") from error
        self._means[target] = 1.0
        return Row(frame.number, frame.time_s, target, box, GIVEN_SCORE, None, False)


def _check_frames(boxes: Mapping[int, Mapping[int, np.ndarray]], begin: int, frames: int | None,
                  source: Source) -> None:
    for frame in sorted({frame for by_frame in boxes.values() for frame in by_frame}):
        if source.frames is not None and frame >= source.frames:
            raise UserError(f"a box is given at frame {frame}, but the last of {source.name} is {source.frames - 1} "
                            "(frames count from 0)")
        if frames is not None and frame >= begin + frames:
            raise UserError(f"a box is given at frame {frame}, which is not among the {frames} from frame {begin} on "
                            "that are tracked")
