"""One target in one video, with the interface of the GOT-10k toolkit: ``init`` once, then ``update`` for every frame.

    tracker = load_tracker("MSTGT-nano-128")
    tracker.init(image_rgb, box_xywh)
    box_xywh, score = tracker.update(image_rgb)

A tracker may be copied (both go on from the same frame, independently) and, where ``load_tracker`` made it, pickled.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from .engine import Target, TrackerEngine, TrackerInputError, check_image_size


class Tracker:
    """Tracks one target. Many trackers may share an engine, also from several threads."""

    def __init__(self, engine: TrackerEngine):
        self.engine = engine
        self.target: Target | None = None
        self._image_size: tuple[int, int] | None = None  # height, width of the first image

    def init(self, image: np.ndarray, box_xywh: Sequence[float] | np.ndarray) -> None:
        """Start with the target's box (x, y, w, h in pixels) in an image, (H, W, 3) uint8 RGB.

        Raises :class:`TrackerInputError` for another kind of image, and for a box that is not four finite numbers with
        w, h > 0, or that lies outside the image. After a refused call the tracker has no target.
        """
        # Dropped first: a caller who ignores the error must not go on with the target of another video.
        self.target, self._image_size = None, None
        self.target = self.engine.start(image, box_xywh)
        self._image_size = image.shape[:2]

    def update(self, image: np.ndarray) -> tuple[np.ndarray, float]:
        """The box in the next image as (4,) float64 x, y, w, h in pixels, and its score in (0, 1).

        Raises :class:`TrackerInputError` before ``init``, and for an image of another size or type than the first.
        """
        target = self._current_target()
        if self._image_size is not None:
            check_image_size(image, self._image_size)
        # Assigned after the step: where it fails the target is that of the last frame, and update can be called again.
        [(self.target, score)] = self.engine.step([image], [target])
        return self.target.box_xywh.copy(), score  # the caller's to change

    @property
    def search_xywh(self) -> np.ndarray:
        """The square that the next update looks at, (4,) x, y, w, h in pixels; it may reach beyond the image."""
        crop = self.engine.search_crop(self._current_target())
        return np.array([*(crop.center - crop.side / 2), crop.side, crop.side])

    def _current_target(self) -> Target:
        if self.target is None:
            raise TrackerInputError("this tracker has no target: call init before update")
        return self.target
