"""The parameters of a synthetic set on disk, stored in it as ``synthetic.json``.

They determine the content: a set can be rendered again from its spec, and a later run can tell whether it continues
the same set.
"""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from ..utils.errors import UserError, unknown_name
from .object_set import ObjectSet, make_object_set
from .world import World, make_world

FORMAT = 1  # raise when the same arguments no longer give the same images
STYLES: dict[str, Callable[..., World | ObjectSet]] = {"videos": make_world, "still_sets": make_object_set}
OLD_STYLES = {"films": "videos", "casts": "still_sets"}  # still accepted
SPLITS = ("train", "val", "test")
SPEC_FILE = "synthetic.json"


@dataclass(frozen=True)
class SetSpec:
    """Videos and frames of each split, image size, seed, and the first and last difficulty of each split.

    style: ``videos`` (:mod:`mstgt.synthetic.world`) or ``still_sets`` (:mod:`mstgt.synthetic.object_set`); their
    earlier names ``films`` and ``casts`` mean the same.
    """

    videos: dict[str, int]
    frames: dict[str, int]
    size_wh: tuple[int, int]
    seed: int
    difficulty: dict[str, tuple[float, float]]
    style: str = "videos"

    def __post_init__(self) -> None:
        object.__setattr__(self, "style", OLD_STYLES.get(self.style, self.style))
        for split in SPLITS:
            if self.videos[split] < 0 or self.frames[split] < 2:
                raise UserError(f"{split}: {self.videos[split]} videos of {self.frames[split]} frames; "
                                "give 0 or more videos and 2 or more frames")
            low, high = self.difficulty[split]
            if not 0 <= low <= high <= 1:
                raise UserError(f"{split}: difficulty {low} to {high}; give two rising numbers in [0, 1]")
        if min(self.size_wh) < 64 or max(self.size_wh) > 4096:
            raise UserError(f"size {self.size_wh[0]}x{self.size_wh[1]}: sides must lie between 64 and 4096 pixels")
        if self.style not in STYLES:
            raise unknown_name("style", self.style, STYLES)
        if not 0 <= self.seed < 2 ** 63:
            raise UserError(f"seed {self.seed}: give a whole number of 0 or more")

    def video_name(self, split: str, index: int) -> str:
        """``SYN_Train_000001`` for index 0 of train."""
        return f"SYN_{split.capitalize()}_{index + 1:06d}"

    def video_difficulty(self, split: str, index: int) -> float:
        """The difficulty of a video; it rises linearly over the split."""
        low, high = self.difficulty[split]
        return float(np.linspace(low, high, self.videos[split])[index]) if self.videos[split] > 1 else float(low)

    def seed_key(self, split: str, index: int) -> tuple[int, ...]:
        """The seed of a video; it depends on the set's seed, the split and the index only."""
        return self.seed, SPLITS.index(split), index

    def pool_key(self, split: str) -> tuple[int, ...]:
        """The seed of a split's textures. Splits share none, so that a test measures generalization to new ones."""
        return self.seed, SPLITS.index(split)

    def as_json(self) -> dict:
        values = json.loads(json.dumps(dataclasses.asdict(self)))
        # A set that an earlier version began must compare equal to its continuation, so the file keeps the earlier
        # names: no style for videos, "casts" for still sets.
        if self.style == "videos":
            del values["style"]
        else:
            values["style"] = "casts"
        return {"format": FORMAT, **values}
