"""Which frames make a sample: a template and the search frames that follow it in time ("causal" sampling).

A draw is a function of the random generator alone, so that (seed, epoch, index) decides it, whatever the number of
workers.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Sequence as Seq
from dataclasses import dataclass

import numpy as np

from lib.data.sequence import Sequence, VideoSet
from lib.utils.errors import UserError

ATTEMPTS = 200  # draws of a video before the sets are declared unfit
GAP_STEP = 5  # by how many frames the search window widens when too few visible frames lie in it


@dataclass(frozen=True)
class Draw:
    """A video and the frames of it that make a sample; ``searches`` rise in time."""

    video: Sequence
    template: int
    searches: tuple[int, ...]


class CausalSampler:
    """Draws samples from several sets by ratio.

    num_searches  search frames a sample
    max_interval  they come from this many frames after the template
    """

    def __init__(self, sets: Seq[VideoSet], ratios: Seq[float], num_searches: int, max_interval: int):
        empty = [s.name for s in sets if not len(s)]
        if empty or not sets:
            raise UserError(f"no video in the training set {empty[0]}" if empty else "no training set is configured")
        self.sets = tuple(sets)
        self.ladders = tuple(_Ladder(s) for s in sets)
        self.shares = np.asarray(ratios, np.float64) / np.sum(ratios)
        self.num_searches, self.max_interval = num_searches, max_interval

    def draw(self, rng: np.random.Generator, difficulty: float = 1.0) -> Draw:
        """One sample; ``difficulty`` in [0, 1] leaves out the harder videos of sets that say how hard theirs are."""
        for _ in range(ATTEMPTS):
            video = self.ladders[rng.choice(len(self.sets), p=self.shares)].choose(rng, difficulty)
            frames = self._frames(np.flatnonzero(video.visible), len(video), rng)
            if frames is not None:
                return Draw(video, *frames)
        raise UserError(f"{ATTEMPTS} videos in a row of {', '.join(s.name for s in self.sets)} have fewer than "
                        f"{self.num_searches + 1} frames with a visible target; check their annotations")

    def _frames(self, visible: np.ndarray, length: int,
                rng: np.random.Generator) -> tuple[int, tuple[int, ...]] | None:
        if length == 1 and len(visible):  # a still image, repeated
            return 0, (0,) * self.num_searches
        if len(visible) <= self.num_searches:
            return None
        template = int(visible[rng.integers(len(visible) - self.num_searches)])
        later = visible[visible > template]
        reach = self.max_interval
        while (count := bisect_right(later, template + reach)) < self.num_searches:
            reach += GAP_STEP
        chosen = rng.choice(later[:count], self.num_searches, replace=False)
        return template, tuple(int(i) for i in np.sort(chosen))


class _Ladder:
    """The videos of a set from easy to hard, where the set knows; all alike where it does not."""

    def __init__(self, videos: VideoSet):
        self.videos = videos
        rated = [videos.difficulty_of(n) or 0.0 for n in videos.video_names] if videos.difficulty_of else None
        self.order = np.argsort(rated, kind="stable") if rated else np.arange(len(videos))
        self.difficulties = sorted(rated) if rated else None

    def choose(self, rng: np.random.Generator, difficulty: float) -> Sequence:
        """A random video no harder than ``difficulty`` (the easiest where all are harder)."""
        count = len(self.order) if self.difficulties is None else bisect_right(self.difficulties, difficulty)
        return self.videos[int(self.order[rng.integers(max(1, count))])]
