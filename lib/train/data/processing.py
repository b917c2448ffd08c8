"""From sampled frames to the images and boxes of a sample: jitter, random search factor, boundary crops.

Search crops follow DATr (Zhao et al., WACV 2024, arXiv 2309.08264): one random search factor for all frames of a
sample, raised until the center of every target is inside; with some probability a *boundary* crop, whose edge cuts
through the target.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from ...data.video import Video
from ...geometry.boxes import xywh_to_cxcywh
from ...geometry.crop import Crop
from .sampler import SampledFrames

ABSENT_ATTEMPTS = 10  # draws of a search region without the target


@dataclass(frozen=True)
class CropSettings:
    """How a crop is cut: ``size`` px, ``factor`` = side of the region / sqrt(w h), jitters as in the configuration."""

    size: int
    factor: float
    center_jitter: float
    scale_jitter: float


@dataclass(frozen=True)
class Processing:
    """Cuts the template and search crops of sampled frames and draws their photometric augmentation.

    search_factors    lowest and highest random search factor
    border_prob       probability of a boundary crop
    flip, gray        probabilities; all frames of a sample are augmented alike
    brightness        factors are drawn from 1 - this to 1 + this
    """

    template: CropSettings
    search: CropSettings
    search_factors: tuple[float, float]
    border_prob: float = 0.0
    flip: float = 0.5
    gray: float = 0.05
    brightness: float = 0.2

    def __call__(self, draw: SampledFrames, rng: np.random.Generator) -> dict[str, Any]:
        """The sample as arrays.

        template (T, T, 3) uint8; search (N, S, S, 3) uint8; template_box (4,) and boxes (N, 4) float32 cx, cy, w, h
        as fractions of the crops;
        flip, gray bool and brightness (1 + N,) float32, which :mod:`transforms` applies on the device.
        """
        # The template is jittered around its own box; the crop of the tracker at test time is centered.
        boxes = draw.video.boxes_xywh[list(draw.searches)]
        around = jitter(draw.video.boxes_xywh[draw.template], self.template, rng)
        template = Crop.around(around, self.template.factor, self.template.size)
        crops = self._search_crops(boxes, rng)
        frames = (draw.template, *draw.searches)
        first = _blank_images(1, template.size)
        search = _blank_images(len(crops), self.search.size)
        cut_all(draw.video, frames, [template, *crops], [*first, *search])
        return {
            "template": first[0],
            "template_box": template.to_crop(draw.video.boxes_xywh[draw.template]).astype(np.float32),
            "search": search,
            "boxes": np.stack([c.to_crop(b) for c, b in zip(crops, boxes, strict=True)]).astype(np.float32),
            **self._photometric(len(frames), rng),
            "video": draw.video.name,
            "frames": np.array(frames),
        }

    def partner(self, draw: SampledFrames | None, count: int, rng: np.random.Generator) -> dict[str, Any]:
        """The search crops of a partner for a sample of ``count`` search frames; names begin with ``partner_``.

        As :meth:`__call__`, without a template and with ``partner_active``. All values are zero if there is no partner
        (``draw`` is None), so that batches have one shape.
        """
        boxes = np.zeros((count, 4), np.float32)
        images = _blank_images(count, self.search.size)
        if draw is not None:
            truth = draw.video.boxes_xywh[list(draw.searches)]
            crops = self._search_crops(truth, rng)
            cut_all(draw.video, draw.searches, crops, images)
            boxes = np.stack([c.to_crop(b) for c, b in zip(crops, truth, strict=True)]).astype(np.float32)
        found = {"search": images, "boxes": boxes, **self._photometric(count, rng), "active": draw is not None,
                 "video": "" if draw is None else draw.video.name}
        return {f"partner_{name}": value for name, value in found.items()}

    def without_target(self, draw: SampledFrames, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
        """Search crops of the frames of ``draw`` that do not show the target: (N, S, S, 3) uint8, and which of them
        were found, (N,) bool.

        There the tracker is to say that the target is absent, although its surroundings and what looks like it are
        there. A crop has the scale of an ordinary one, its center lies anywhere in the image. None is found
        where the target fills too much of the image.
        """
        images = _blank_images(len(draw.searches), self.search.size)
        found = np.zeros(len(draw.searches), bool)
        for i, frame in enumerate(draw.searches):
            box = draw.video.boxes_xywh[frame]
            image = draw.video.frames.read(frame)
            height, width = image.shape[:2]
            for _ in range(ABSENT_ATTEMPTS):
                around = jitter(box, self.search, rng)
                center = rng.random(2) * (width, height)
                around[:2] = center - around[2:] / 2
                factor = rng.uniform(*self.search_factors)
                reach = (factor * np.sqrt(around[2:].prod()) + box[2:]) / 2
                found[i] = (np.abs(center - xywh_to_cxcywh(box)[:2]) > reach).any()
                if found[i]:
                    Crop.around(around, factor, self.search.size).cut(image, 1, images[i])
                    break
        return images, found

    def _photometric(self, count: int, rng: np.random.Generator) -> dict[str, Any]:
        return {
            "flip": rng.random() < self.flip,
            "gray": rng.random() < self.gray,
            "brightness": rng.uniform(1 - self.brightness, 1 + self.brightness, count).astype(np.float32),
        }

    def _search_crops(self, boxes: np.ndarray, rng: np.random.Generator) -> list[Crop]:
        # All random numbers are drawn in every case: samples with and without boundary crops stay comparable.
        border = rng.random() < self.border_prob
        factor = rng.uniform(*self.search_factors)
        jittered = [jitter(box, self.search, rng) for box in boxes]
        if border:
            jittered = [boundary_jitter(box, j, factor, rng) for box, j in zip(boxes, jittered, strict=True)]
        else:
            # One factor for all frames, large enough for the one that was moved farthest.
            factor = max([factor, *(min_search_factor(b, j) for b, j in zip(boxes, jittered, strict=True))])
        return [Crop.around(j, factor, self.search.size) for j in jittered]


def cut_all(video: Video, frames: Sequence[int], crops: Sequence[Crop],
            out: Sequence[np.ndarray] | np.ndarray) -> None:
    """Cut one crop of each frame into ``out``. A frame that occurs several times is read once.

    Only the rows that the crops need are decoded, at the lowest resolution that they allow.
    """
    # A still image is template and search frame at once: decode it a single time.
    for frame in dict.fromkeys(frames):
        uses = [i for i, f in enumerate(frames) if f == frame]
        reduce = min(crops[i].reduce for i in uses)
        image = video.frames.read(frame, reduce, max(crops[i].rows for i in uses))
        for i in uses:
            crops[i].cut(image, reduce, out[i])


def _blank_images(count: int, size: int) -> np.ndarray:
    return np.zeros((count, size, size, 3), np.uint8)


def jitter(box_xywh: np.ndarray, settings: CropSettings, rng: np.random.Generator) -> np.ndarray:
    """The box that a crop is cut around: sides times exp(s N(0, 1)), center moved by up to c sqrt(w' h') / 2.

    s and c are the scale and center jitter; w' and h' are the sides after the scale jitter. As in STARK and OSTrack.
    """
    cx, cy, w, h = xywh_to_cxcywh(box_xywh)
    # Width and height vary independently, so the crop's scale and the target's aspect ratio in it change.
    size = np.array([w, h]) * np.exp(settings.scale_jitter * rng.standard_normal(2))
    reach = settings.center_jitter * np.sqrt(size.prod())
    center = np.array([cx, cy]) + reach * (rng.random(2) - 0.5)
    return np.concatenate([center - size / 2, size])


def min_search_factor(box_xywh: np.ndarray, around_xywh: np.ndarray) -> float:
    """The smallest search factor at which the crop around ``around`` contains the center of ``box``, plus 5 %."""
    # The crop is square: the larger of the two distances counts.
    distance = np.abs(xywh_to_cxcywh(box_xywh)[:2] - xywh_to_cxcywh(around_xywh)[:2]).max()
    return 1.05 * 2 * float(distance) / float(np.sqrt(around_xywh[2] * around_xywh[3]))


def boundary_jitter(box_xywh: np.ndarray, around_xywh: np.ndarray, factor: float,
                    rng: np.random.Generator) -> np.ndarray:
    """Move ``around`` so that one edge of its crop cuts through the inner half of the target, on a random axis."""
    side = factor * float(np.sqrt(around_xywh[2] * around_xywh[3]))
    cx, cy, w, h = xywh_to_cxcywh(box_xywh)
    axis = int(rng.integers(2))
    sign = rng.choice([-1.0, 1.0])  # which of the two edges
    target, extent = ((cx, w), (cy, h))[axis]
    center = xywh_to_cxcywh(around_xywh)[:2]
    room = max(0.0, side / 2 - (h, w)[axis] / 2)  # on the other axis, the target stays inside
    other = (cy, cx)[axis] + rng.uniform(-room, room)
    # The target's center stays inside: the edge lies 0 to 1/4 of the target's extent beyond it.
    center[axis] = target + sign * (side / 2 - rng.uniform(0, 0.25) * extent)
    center[1 - axis] = other
    return np.concatenate([center - around_xywh[2:] / 2, around_xywh[2:]])
