"""A tracker over a source, frame by frame, with a word on whether the target is lost.

    for seen in track(source, tracker, box_xywh, corrections={120: (300, 80, 40, 60)}):
        print(seen.frame, seen.box_xywh, seen.score, seen.lost)

The target is probably lost while the mean of the last scores is below ``lost_score``. The mean is exponential: it
starts at 1 where a box was given, and of each readable frame it takes ``NEW_SHARE`` of the score. So a single bad frame
is no loss, four or five are, and two good ones end it. The tracker does not stop there: it goes on looking around its
last box.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from types import MappingProxyType

import numpy as np

from ...geometry.boxes import check_box
from ...test.tracker import Tracker
from ...utils.errors import UserError
from .source import Source

LOST_SCORE = 0.4  # of films with long losses: below it in 1 of 1000 frames with the target, in 1 of 5 without
NEW_SHARE = 0.2
GIVEN_SCORE = 1.0  # of a box that a person gave

Box = Sequence[float] | np.ndarray


@dataclass(frozen=True)
class Tracked:
    """What is known after a frame.

    image_rgb    (H, W, 3) uint8; of an unreadable frame the last readable picture
    box_xywh     (4,) float64, px; in an unreadable frame the last box
    score        in (0, 1); 1 where the box was given, 0 in an unreadable frame
    search_xywh  (4,) the region that was searched, px; None where the box was given and in unreadable frames
    lost         the target is probably lost
    """

    frame: int
    image_rgb: np.ndarray
    box_xywh: np.ndarray
    score: float
    search_xywh: np.ndarray | None
    lost: bool
    readable: bool


def track(source: Source, tracker: Tracker, box_xywh: Box, start: int = 0, frames: int | None = None,
          lost_score: float = LOST_SCORE, corrections: Mapping[int, Box] = MappingProxyType({})) -> Iterator[Tracked]:
    """Track what ``box_xywh`` shows at the frame ``start``, over ``frames`` frames (None: to the end).

    corrections  frame -> a box from which the tracker begins anew there

    Raises :class:`UserError`, before the first frame where that can be known, for a box that is none, lies outside the
    picture, or belongs to a frame that is unreadable or not there.
    """
    given = {start: box_xywh} | dict(corrections)
    given = {frame: check_box(box, f"frame {frame}") for frame, box in given.items()}
    _check_frames(given, start, frames, source)
    return _track(source, tracker, given, start, frames, lost_score)


def _track(source: Source, tracker: Tracker, given: dict[int, np.ndarray], start: int, frames: int | None,
           lost_score: float) -> Iterator[Tracked]:
    box, picture, mean = given[start], None, 1.0
    for frame, image in islice(source.read(start), frames):
        if frame in given:
            box, picture, mean = given.pop(frame), image, 1.0
            _begin(tracker, image, box, frame)
            yield Tracked(frame, image, box, GIVEN_SCORE, None, False, True)
        elif image is None:
            yield Tracked(frame, picture, box, 0.0, None, mean < lost_score, False)
        else:
            search, picture = tracker.search_xywh, image
            box, score = tracker.update(image)
            mean += NEW_SHARE * (score - mean)
            yield Tracked(frame, image, box, score, search, mean < lost_score, True)
    if given:
        raise UserError(f"{source.name} ends before frame {min(given)}, where a box was given (frames count from 0)")


def _begin(tracker: Tracker, image: np.ndarray | None, box: np.ndarray, frame: int) -> None:
    if image is None:
        raise UserError(f"frame {frame} cannot be read: give the box at another frame")
    try:
        tracker.init(image, box)
    except UserError as error:
        raise UserError(f"frame {frame}: {error}") from error


def _check_frames(given: Mapping[int, np.ndarray], start: int, frames: int | None, source: Source) -> None:
    for frame in sorted(given):
        if source.frames is not None and frame >= source.frames:
            raise UserError(f"a box is given at frame {frame}, but the last of {source.name} is {source.frames - 1} "
                            "(frames count from 0)")
        if frame < start or (frames is not None and frame >= start + frames):
            raise UserError(f"a box is given at frame {frame}, which is not among the {frames or 'frames'} from frame "
                            f"{start} on that are tracked")
