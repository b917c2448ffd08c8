"""Chooses the frames of a sample: a template and search frames that follow it in time ("causal" sampling), and the
partner video for feature mixing, of the same class if the set has classes.

The choice depends on the random generator alone, and so on (seed, epoch, index), whatever the number of workers.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from ...data.video import Video, VideoSet
from ...utils.errors import UserError

ATTEMPTS = 200  # draws of a video before the sets are reported as unusable
PARTNER_ATTEMPTS = 20  # draws of a partner of the same class, and then of any class
GAP_STEP = 5  # frames by which the search window grows while it has too few visible frames


@dataclass(frozen=True)
class SampledFrames:
    """A video and its frames that make a sample; ``searches`` are in the order of time.

    place  (set, video): the index of the sampler's set and of the video in it
    """

    video: Video
    template: int
    searches: tuple[int, ...]
    place: tuple[int, int] = (0, 0)


class CausalSampler:
    """Draws samples from several sets.

    ratios        how often each set is drawn, relative to the others
    num_searches  search frames per sample
    max_interval  search frames are drawn from this many frames after the template
    partners      prepare for :meth:`draw_partner`
    """

    def __init__(self, sets: Sequence[VideoSet], ratios: Sequence[float], num_searches: int, max_interval: int,
                 partners: bool = False):
        empty = [s.name for s in sets if not len(s)]
        if empty or not sets:
            raise UserError(f"no video in the training set {empty[0]}" if empty else "no training set is configured")
        self.sets = tuple(sets)
        self.difficulties = tuple(DifficultyIndex(s) for s in sets)
        self.probabilities = np.asarray(ratios, np.float64) / np.sum(ratios)
        self.num_searches = num_searches
        self.max_interval = max_interval
        self.classes = tuple(ClassIndex(s) for s in sets) if partners else ()

    def draw(self, rng: np.random.Generator, difficulty: float = 1.0) -> SampledFrames:
        """One sample. ``difficulty`` in [0, 1] excludes harder videos of sets whose videos have a difficulty.

        Raises :class:`UserError` if hardly any video has enough visible frames.
        """
        # A bounded number of attempts: broken annotations must not become an endless loop.
        for _ in range(ATTEMPTS):
            # First the set, by its ratio, then a video of it: large sets do not crowd out small ones.
            origin = int(rng.choice(len(self.sets), p=self.probabilities))
            index = self.difficulties[origin].choose(rng, difficulty)
            draw = self._try(origin, index, rng)
            if draw is not None:
                return draw
        raise UserError(f"{ATTEMPTS} videos in a row of {', '.join(s.name for s in self.sets)} have fewer than "
                        f"{self.num_searches + 1} frames with a visible target; check their annotations")

    def draw_partner(self, own: SampledFrames, rng: np.random.Generator) -> SampledFrames | None:
        """Another video of the same set and class; of any class if there is none; else None."""
        origin, index = own.place
        for pool in self.classes[origin].candidates(index):
            for _ in range(PARTNER_ATTEMPTS if len(pool) > 1 else 0):
                draw = self._try(origin, _another(pool, index, rng), rng)
                if draw is not None:
                    return draw
        return None

    def _try(self, origin: int, index: int, rng: np.random.Generator) -> SampledFrames | None:
        video = self.sets[origin][index]
        frames = self._frames(np.flatnonzero(video.visible), len(video), rng)
        return None if frames is None else SampledFrames(video, *frames, place=(origin, index))

    def _frames(self, visible: np.ndarray, length: int,
                rng: np.random.Generator) -> tuple[int, tuple[int, ...]] | None:
        if length == 1 and len(visible):  # a still image (COCO): the same frame as template and search
            return 0, (0,) * self.num_searches
        if len(visible) <= self.num_searches:
            return None
        # Any visible frame that is followed by enough visible ones.
        template = int(visible[rng.integers(len(visible) - self.num_searches)])
        later = visible[visible > template]
        # Widen the window where the target is hidden for long, so that every video can be used.
        reach = self.max_interval
        while (count := bisect_right(later, template + reach)) < self.num_searches:
            reach += GAP_STEP
        # Drawn at random and sorted: the state runs forward in time, over gaps of varying length.
        chosen = rng.choice(later[:count], self.num_searches, replace=False)
        return template, tuple(int(i) for i in np.sort(chosen))


class DifficultyIndex:
    """The videos of a set in the order of their difficulty. Sets without difficulties have one level."""

    def __init__(self, videos: VideoSet):
        # Videos without a difficulty count as the easiest.
        rated = [videos.difficulty_of(n) or 0.0 for n in videos.video_names] if videos.difficulty_of else None
        self.order = np.argsort(rated, kind="stable") if rated else np.arange(len(videos))
        self.difficulties = sorted(rated) if rated else None

    def choose(self, rng: np.random.Generator, difficulty: float) -> int:
        """The index of a random video that is not harder than ``difficulty`` (the easiest if all are harder)."""
        count = len(self.order) if self.difficulties is None else bisect_right(self.difficulties, difficulty)
        return int(self.order[rng.integers(max(1, count))])


class ClassIndex:
    """The videos of a set by the class of their target, if the set has classes."""

    def __init__(self, videos: VideoSet):
        self.everything = range(len(videos))
        self.names = [videos.class_of(n) for n in videos.video_names] if videos.class_of else None
        self.members: dict[str | None, list[int]] = {}
        for index, name in enumerate(self.names or ()):
            self.members.setdefault(name, []).append(index)

    def candidates(self, index: int) -> Iterator[Sequence[int]]:
        """Pools of videos to draw a partner from, best first: sorted indices that include the video itself."""
        # A distractor of the same class is the hardest to tell from the target.
        if self.names is not None and self.names[index] is not None:
            yield self.members[self.names[index]]
        yield self.everything


def _another(pool: Sequence[int], index: int, rng: np.random.Generator) -> int:
    """A random element of the sorted ``pool``, which contains ``index``, other than ``index``."""
    # Draw among one element less and skip over the excluded one.
    chosen = int(rng.integers(len(pool) - 1))
    return pool[chosen + (pool[chosen] >= index)]
