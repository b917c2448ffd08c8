"""Several targets in one video: every frame, they go through the network as one batch for each size of search crop.

    tracker = MultiTracker("MSTGT-nano-128")
    first = tracker.add(image_rgb, (20, 40, 32, 32))
    second = tracker.add(image_rgb, (90, 60, 30, 30))
    for image_rgb in video:
        for target_id, (box_xywh, score) in tracker.update(image_rgb).items():
            ...
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from .engine import Target, TrackerEngine, TrackerInputError, check_image, check_image_size
from .load import load_tracker
from .tracker import Tracker


class MultiTracker:
    """Tracks any number of targets in one video.

    source   the name of an experiment, such as "MSTGT-nano-128"; or an engine, or a tracker whose engine to share
    options  those of :func:`load_tracker`, where ``source`` is a name

    A copy goes on from the same frame, independently.
    """

    def __init__(self, source: str | TrackerEngine | Tracker, **options: Any):
        if options and isinstance(source, TrackerEngine | Tracker):
            raise TrackerInputError(f"{', '.join(options)}: options go with an experiment's name; this "
                                    f"{type(source).__name__} has its own already")
        if isinstance(source, TrackerEngine):
            self.engine = source
        elif isinstance(source, Tracker):
            self.engine = source.engine
        else:
            self.engine = load_tracker(source, **options).engine
        self.targets: dict[int, Target] = {}
        self._next_id = 1  # 1 as in MOTChallenge; never given twice
        self._image_size: tuple[int, int] | None = None  # height, width of the video

    def add(self, image: np.ndarray, box_xywh: Sequence[float] | np.ndarray) -> int:
        """Start a target at its box (x, y, w, h in pixels) in an image, (H, W, 3) uint8 RGB; gives its id.

        ``image`` is the one of the last update, or the first of the video. A call that is refused with
        :class:`TrackerInputError` leaves the other targets as they are.
        """
        # Without targets, another video may begin, with images of another size.
        if self.targets and self._image_size is not None:
            check_image_size(image, self._image_size)
        # First what may be refused: a box that is no box uses up no id.
        target = self.engine.start(image, box_xywh)
        target_id = self._next_id
        self._next_id += 1
        # Never changed in place: a copy of this tracker has the same dictionary, and its own targets from here on.
        self.targets = {**self.targets, target_id: target}
        self._image_size = image.shape[:2]
        return target_id

    def remove(self, target_id: int) -> None:
        """Stop tracking a target. Raises :class:`TrackerInputError` where there is none of this id."""
        self._require(target_id)
        self.targets = {other: target for other, target in self.targets.items() if other != target_id}

    def update(self, image: np.ndarray) -> dict[int, tuple[np.ndarray, float]]:
        """All targets in the next image: id -> (box (4,) float64 x, y, w, h in pixels, score in (0, 1)).

        Without targets the dictionary is empty. Raises :class:`TrackerInputError` for an image of another size than
        the one that targets were added in.
        """
        if not self.targets:
            check_image(image)
            return {}
        assert self._image_size is not None
        check_image_size(image, self._image_size)
        # Dictionaries keep their order, so targets and results belong together by position.
        targets = list(self.targets.values())
        found = self.engine.step([image] * len(targets), targets)
        results = dict(zip(self.targets, found, strict=True))
        self.targets = {target_id: target for target_id, (target, _) in results.items()}
        return {target_id: (target.box_xywh.copy(), score) for target_id, (target, score) in results.items()}

    def search_xywh(self, target_id: int) -> np.ndarray:
        """The square that the next update looks at for a target, (4,) x, y, w, h in pixels."""
        self._require(target_id)
        crop = self.engine.search_crop(self.targets[target_id])
        return np.array([*(crop.center - crop.side / 2), crop.side, crop.side])

    def _require(self, target_id: int) -> None:
        if target_id not in tuple(self.targets):  # compared, not looked up: it may be unhashable
            known = ", ".join(map(str, self.targets)) or "none"
            raise TrackerInputError(f"no target {target_id!r}; there are: {known}")
