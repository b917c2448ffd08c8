"""The part of tracking that all runtimes share: crop around the last box, run the network, map its box back.

``TrackerEngine`` holds what all videos share (network, settings, device) and no state of any video. One call takes the
next image of any number of unrelated videos. What executes the network is up to the subclass: PyTorch
(:mod:`.torch_engine`), OpenVINO or onnxruntime (:mod:`mstgt.export`). This module must not import torch: with a
converted network in the cache, a tracker starts without it.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any, NoReturn

import numpy as np

from ...geometry.boxes import check_box, clip_box, overlaps_image
from ...geometry.crop import MASK_COLOR, Crop
from ...utils.errors import UserError

CALIBRATION_MIN_OVERLAP = 0.3  # with the given box; with less the network has found something else
CALIBRATION_MAX_FACTOR = 1.6  # of a side, and 1 / this


class TrackerInputError(UserError, ValueError):
    """A call with arguments that the tracker cannot use, such as an image that is not uint8 RGB."""


@dataclass(frozen=True)
class Target:
    """A target after a frame.

    box_xywh    (4,) float64, in pixels of the image
    state       the network's recurrent state, a batch of one, as the engine represents it
    mean_score  running mean of the scores: 1 at the first frame, then every new score has weight one half
    size_correction  (w, h) factors of the sizes that the network gives for this target (TEST.CALIBRATE_SIZE)
    motion      how far the center moved in the last frame, the larger of both axes, as a share of sqrt(w h); infinite
                at the first frame
    """

    box_xywh: np.ndarray
    state: Any
    mean_score: float = 1.0
    size_correction: tuple[float, float] = (1.0, 1.0)
    motion: float = math.inf


def search_sizes(cfg: Any) -> list[int]:
    """The sizes of the tracker's search crops, px; the ordinary one first."""
    return [size for size in (cfg.TEST.SEARCH_SIZE, cfg.TEST.NARROW_SIZE) if size]


Located = tuple[np.ndarray, float, Any]  # the box as the network gives it, its score, and the state after


class TrackerEngine(ABC):
    """Maps images and targets to the next targets.

    settings   the TEST section of the configuration
    precision  what the network computes in: fp32, bf16 or fp16
    backend    name of the runtime that executes the network
    device     where the network runs, such as "cpu" or "cuda:0"
    """

    backend: str
    runtime: dict[str, str] = {}  # the package that executes the network, and its version; nothing of PyTorch
    pads_batches = False  # whether batches are padded to a power of two: every new size costs a compilation

    def __init__(self, cfg: Any, device: str = "cpu", precision: str = "fp32"):
        self.settings, self.device_name, self.precision = cfg.TEST, device, precision
        # A property of the weights: a network that was trained with masked templates needs them when it tracks, too.
        self.template_mask_strength = cfg.MODEL.TEMPLATE_MASK
        # How to build this engine again in another process; set by load_engine.
        self.rebuild: Callable[[], TrackerEngine] | None = None

    @abstractmethod
    def init_state(self, templates: np.ndarray) -> Any:
        """Template crops (B, T, T, 3) uint8 RGB -> the network's state before the first frame."""

    @abstractmethod
    def forward_frame(self, searches: np.ndarray, state: Any) -> tuple[list[list[float]], Any]:
        """Search crops (B, S, S, 3) uint8 RGB and the state before -> B rows cx, cy, w, h, score; the state after.

        S is TEST.SEARCH_SIZE or TEST.NARROW_SIZE. Boxes are fractions of the crop's side, scores lie in (0, 1). The
        state that comes out equals the given one where the crop is narrow; else it shares no memory with what the next
        call returns.
        """

    @abstractmethod
    def cat_states(self, states: Sequence[Any]) -> Any:
        """The states of single videos as one batch."""

    @abstractmethod
    def split_state(self, state: Any) -> list[Any]:
        """The state of a batch as the states of its videos."""

    def start(self, image: np.ndarray, box_xywh: Sequence[float] | np.ndarray) -> Target:
        """The target in its first image, (H, W, 3) uint8 RGB, with the box as given.

        Raises :class:`TrackerInputError` for another kind of array, and for a box that is not four finite numbers with
        w, h > 0, or that lies outside the image.
        """
        check_image(image)
        box = _checked_box(box_xywh)
        height, width = image.shape[:2]
        # Partly outside is fine, because crops are padded. Wholly outside there is no target to look at.
        if not overlaps_image(box, width, height):
            raise TrackerInputError(f"the initial box {box.tolist()} lies outside the image of {width} x {height} px")
        # Cut once: the template is never updated. Changes of the target's appearance are the guidance's part.
        crop = Crop.around(box, self.settings.TEMPLATE_FACTOR, self.settings.TEMPLATE_SIZE)
        template = mask_template(crop.cut(image), crop.to_crop(box), self.template_mask_strength)
        target = Target(box, self.init_state(template[None]))
        return self._calibrated(image, target) if self.settings.CALIBRATE_SIZE else target

    def step(self, images: Sequence[np.ndarray], targets: Sequence[Target]) -> list[tuple[Target, float]]:
        """Each target in its next image, and the score in (0, 1) of the grid cell that its box was read from.

        The targets may belong to any videos, at any frame: they go through the network as one batch for each size of
        search crop. Several targets of one video are given the same image several times.
        """
        for image in images:
            check_image(image)
        found = []
        for image, old, (box, score, state) in zip(images, targets, self._find(images, targets), strict=True):
            # First corrected, then smoothed: the old sides that it is smoothed with were corrected in their frame.
            sides = box[2:] * old.size_correction
            if self.settings.SIZE_SMOOTHING:
                sides = follow_size(old.box_xywh[2:], sides, (1 - self.settings.SIZE_SMOOTHING) * score)
            height, width = image.shape[:2]
            # Clipped last: the next search region is cut around this box and must overlap the image.
            box = clip_box(with_sides(box, sides), width, height)
            # Recent frames count 1/2, 1/4, 1/8 …: search_crop tells from it that the target may be lost.
            mean_score = (old.mean_score + score) / 2
            found.append((Target(box, state, mean_score, old.size_correction, motion(old.box_xywh, box)), score))
        return found

    def _find(self, images: Sequence[np.ndarray], targets: Sequence[Target]) -> list[Located]:
        """Each target in its next image: in the narrow region where that will do, else in the ordinary one, and where
        that does not show it either, in a wide one."""
        def look(crops: dict[int, Crop]) -> dict[int, Located]:
            located = self.locate([images[i] for i in crops], [targets[i] for i in crops], list(crops.values()))
            return dict(zip(crops, located, strict=True))

        test = self.settings
        found: dict[int, Located] = {}
        if narrow := {i: self.search_crop(target) for i, target in enumerate(targets) if self.is_narrow(target)}:
            # A doubtful answer is not taken: the ordinary region shows what the narrow one may have missed.
            found = {i: located for i, located in look(narrow).items() if located[1] >= test.NARROW_ABOVE
                     and motion(targets[i].box_xywh, located[0]) <= test.NARROW_MOTION}
        if rest := {i: self._crop(target.box_xywh) for i, target in enumerate(targets) if i not in found}:
            found |= look(rest)
        if lost := {i: self._crop(targets[i].box_xywh, test.WIDEN_BY) for i in rest
                    if max(targets[i].mean_score, found[i][1]) < test.WIDEN_BELOW}:
            # The network knows targets at one scale. What it finds at a coarser one is searched again at its own.
            seen = {i: self._crop(clip_box(box, images[i].shape[1], images[i].shape[0]))
                    for i, (box, score, _) in look(lost).items() if score >= test.WIDEN_BELOW}
            if seen:
                found |= {i: located for i, located in look(seen).items() if located[1] >= test.WIDEN_BELOW}
        return [found[i] for i in range(len(targets))]

    def locate(self, images: Sequence[np.ndarray], targets: Sequence[Target], crops: Sequence[Crop]) -> list[Located]:
        """Each target in its next image, in its crop; all crops have the same size in px."""
        searches = self._alloc_crops(len(crops), crops[0].size)
        for crop, image, out in zip(crops, images, searches, strict=True):
            crop.cut(image, out=out)
        # A single target is the usual case; it needs no copies of its state into a batch and back.
        states = [target.state for target in targets]
        rows, state = self.forward_frame(searches, states[0] if len(states) == 1 else self.cat_states(states))
        if crops[0].size != self.settings.SEARCH_SIZE:
            after = states  # a narrow crop leaves the state as it is: nothing to copy out of the batch
        else:
            after = [state] if len(states) == 1 else self.split_state(state)
        located = []
        for crop, row, own_state in zip(crops, rows, after, strict=True):
            # Weights that overflow give NaN, and a NaN box would crop garbage in every later frame.
            if not all(map(math.isfinite, row)):
                raise UserError(f"the network answers {row}: its weights are corrupt, or too large for "
                                f"{self.precision}; take another checkpoint, or fp32")
            located.append((crop.from_crop(row[:4]), row[4], own_state))
        return located

    def _calibrated(self, image: np.ndarray, target: Target) -> Target:
        """``target`` with the factors that bring the network's box in its first image to the size that was given.

        Whether a box includes a bicycle's wheels or a walker's arms is a matter of who draws it; the first box tells.
        Where the network finds something else in the first image, nothing is corrected.
        """
        # The state after this pass is dropped: the guidance must not take in the first frame before tracking begins.
        [(box, _, _)] = self.locate([image], [target], [self._crop(target.box_xywh)])
        height, width = image.shape[:2]
        # Compared inside the image: of a target that is partly outside, the network finds what it sees.
        found, given = clip_box(box, width, height), clip_box(target.box_xywh, width, height)
        if overlap(found, given) <= CALIBRATION_MIN_OVERLAP:
            return target
        # Bounded: a size that is farther off is a wrong box rather than another way to draw the same one.
        factors = np.clip(given[2:] / found[2:], 1 / CALIBRATION_MAX_FACTOR, CALIBRATION_MAX_FACTOR)
        return replace(target, size_correction=(float(factors[0]), float(factors[1])))

    def warm_up(self, batch: int = 1) -> None:
        """Run the network once on a black image, for ``batch`` videos.

        The first run allocates memory and selects, compiles or records kernels; after this call no frame pays for it.
        An engine that pads batches is run for every smaller padded batch too, since videos end one by one.
        """
        # A small image will do: the network sees crops, and these always have the same size.
        image, box = np.zeros((64, 64, 3), np.uint8), np.array([16.0, 16, 32, 32])
        target = self.start(image, box)
        counts = [batch]
        # ceil(n / 2) is padded to the next smaller power of two, so each padded size is run once.
        while self.pads_batches and counts[-1] > 1:
            counts.append((counts[-1] + 1) // 2)
        # The first step looks at the ordinary region, one without motion at the narrow one.
        targets = [target, replace(target, motion=0.0)] if self.settings.NARROW_SIZE else [target]
        for count in counts:
            for each in targets:
                self.step([image] * count, [each] * count)

    def is_narrow(self, target: Target) -> bool:
        """Whether the next step looks at the narrow region first: where the target was surely found and moved little.

        A small region takes a fraction of the time (TEST.NARROW_SIZE).
        """
        test = self.settings
        return bool(test.NARROW_SIZE) and target.mean_score >= test.NARROW_ABOVE and target.motion <= test.NARROW_MOTION

    def search_crop(self, target: Target) -> Crop:
        """The region that the next step looks at first."""
        if self.is_narrow(target):
            # At the scale of the ordinary region.
            size = self.settings.NARROW_SIZE
            return self._crop(target.box_xywh, size / self.settings.SEARCH_SIZE, size)
        return self._crop(target.box_xywh)

    def _crop(self, box_xywh: np.ndarray, by: float = 1.0, size: int = 0) -> Crop:
        """The search region around a box, ``by`` times as wide as the ordinary one; ``size`` px, by default as that."""
        return Crop.around(box_xywh, self.settings.SEARCH_FACTOR * by, size or self.settings.SEARCH_SIZE)

    def _alloc_crops(self, count: int, size: int) -> np.ndarray:
        """Memory for ``count`` search crops of ``size`` px."""
        # One array that the crops are cut into: stacking them afterwards would copy every pixel again.
        return np.empty((count, size, size, 3), np.uint8)

    def __copy__(self) -> TrackerEngine:
        return self

    def __deepcopy__(self, memo: dict[int, Any]) -> TrackerEngine:
        # An engine never changes after it is built, so copies of a tracker share it instead of doubling the weights.
        return self

    def __reduce__(self) -> NoReturn | tuple[Any, ...]:
        # Packed weights and compiled networks have no bytes that another process could read: it loads them again.
        if self.rebuild is None:
            raise TypeError(f"a {type(self).__name__} that was built from a network in memory cannot be pickled; "
                            "one from load_tracker or load_engine can")
        return _rebuild, (self.rebuild,)


ArrayState = tuple[np.ndarray, ...]  # template, context, guidance: TrackState as NumPy arrays


def with_changes(state: ArrayState, changed: Sequence[np.ndarray]) -> ArrayState:
    """``state`` with its last arrays replaced by ``changed``: what a frame changes comes last."""
    return (*state[:len(state) - len(changed)], *changed)


class ArrayEngine(TrackerEngine):
    """An engine whose states are tuples of NumPy arrays, first axis: the batch."""

    def cat_states(self, states: Sequence[ArrayState]) -> ArrayState:
        return tuple(np.concatenate(arrays) for arrays in zip(*states, strict=True))

    def split_state(self, state: ArrayState) -> list[ArrayState]:
        count = len(state[0])
        # Copies: a view would keep the whole batch's memory alive as long as one of its videos.
        return [tuple(array[row : row + 1].copy() for array in state) for row in range(count)]


def _rebuild(build: Callable[[], TrackerEngine]) -> TrackerEngine:
    return build()


def mask_template(template: np.ndarray, box_cxcywh: np.ndarray, strength: float) -> np.ndarray:
    """The template crop (S, S, 3) uint8 with everything outside the target's box blended with magenta.

    box_cxcywh  fractions of the crop's side (:meth:`mstgt.geometry.crop.Crop.to_crop`)
    strength    share of magenta outside the box, 0 to 1

    Training does the same to batches (:func:`mstgt.train.data.transforms.mask_background`).
    """
    if not strength:
        return template
    size = template.shape[0]
    # Pixel u lies at u / S because the box's center does: (S - 1) / 2 pixels are (S - 1) / (2 S) of the side.
    positions = np.arange(size, dtype=np.float32) / np.float32(size)
    x_inside = np.abs(positions - box_cxcywh[0]) <= box_cxcywh[2] / 2
    y_inside = np.abs(positions - box_cxcywh[1]) <= box_cxcywh[3] / 2
    inside = y_inside[:, None, None] & x_inside[None, :, None]
    pixels = template.astype(np.float32)
    blended = pixels + np.float32(strength) * (np.array(MASK_COLOR, np.float32) - pixels)
    return np.round(np.where(inside, pixels, blended)).astype(np.uint8)


def motion(before_xywh: np.ndarray, after_xywh: np.ndarray) -> float:
    """How far the center of a box moved, the larger of both axes, as a share of sqrt(w h) before."""
    x, y, w, h = before_xywh.tolist()
    new_x, new_y, new_w, new_h = after_xywh.tolist()
    moved = max(abs(new_x + new_w / 2 - x - w / 2), abs(new_y + new_h / 2 - y - h / 2))
    return moved / math.sqrt(w * h)


def follow_size(old_wh: np.ndarray, new_wh: np.ndarray, rate: float) -> np.ndarray:
    """The old sides, moved by ``rate`` in [0, 1] of the way to the new ones.

    A target changes its size slowly, but a single frame's estimate may take in much of the background; the next search
    region would then be too large as well. A rate proportional to the score follows SiamRPN (Li et al., CVPR 2018).
    """
    return old_wh + rate * (new_wh - old_wh)


def with_sides(box_xywh: np.ndarray, sides_wh: np.ndarray) -> np.ndarray:
    """A box of these sides around the same center."""
    center = box_xywh[:2] + box_xywh[2:] / 2
    return np.concatenate([center - sides_wh / 2, sides_wh])


def overlap(a_xywh: np.ndarray, b_xywh: np.ndarray) -> float:
    """Intersection over union of two boxes."""
    # In NumPy, and not from torchvision.ops: this module must work without torch.
    top_left = np.maximum(a_xywh[:2], b_xywh[:2])
    bottom_right = np.minimum(a_xywh[:2] + a_xywh[2:], b_xywh[:2] + b_xywh[2:])
    shared = float(np.maximum(bottom_right - top_left, 0).prod())
    union = float(a_xywh[2:].prod() + b_xywh[2:].prod()) - shared
    return shared / union if union > 0 else 0.0


def check_image(image: object) -> None:
    """Raise :class:`TrackerInputError` unless ``image`` is an (H, W, 3) uint8 array.

    A masked array is refused: its masked pixels would be used as if they were valid. Other subclasses, such as
    ``np.memmap``, hold the pixels that they show.
    """
    if isinstance(image, np.ma.MaskedArray):
        raise TrackerInputError("an image is an (H, W, 3) uint8 RGB array, not a masked one: give masked pixels a "
                                "value with image.filled(value), or use them with image.data")
    if isinstance(image, np.ndarray) and image.ndim == 3 and image.shape[2] == 3 and image.dtype == np.uint8:
        return
    what = f"{image.dtype} {image.shape}" if isinstance(image, np.ndarray) else type(image).__name__
    raise TrackerInputError(f"an image is an (H, W, 3) uint8 RGB array, not {what}")


def check_image_size(image: object, size: tuple[int, int]) -> None:
    """Raise :class:`TrackerInputError` unless ``image`` is (H, W, 3) uint8 with ``size`` = (height, width).

    Boxes are in pixels of the first image, so they mean nothing in an image of another size.
    """
    check_image(image)
    assert isinstance(image, np.ndarray)
    height, width = image.shape[:2]
    if (height, width) != size:
        raise TrackerInputError(f"this image is {width} x {height} px, the first one was {size[1]} x {size[0]} px; "
                                "scale it to that size, or call init again")


def _checked_box(box_xywh: object) -> np.ndarray:
    try:
        # Callers catch one class for all unusable arguments, boxes and images alike.
        return check_box(box_xywh, "initial box")
    except UserError as error:
        raise TrackerInputError(str(error)) from error
