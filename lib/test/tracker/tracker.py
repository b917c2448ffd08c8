"""From pictures to boxes: crop around the last box, one step of the network, box of the best cell, back to the picture.

``TrackerEngine`` holds what all videos share (network, settings, device) and keeps nothing of any video; one step of
it takes the next pictures of any number of unrelated videos. ``Tracker`` holds one video's target and has the interface
that people know from the GOT-10k toolkit.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from ...geometry.boxes import check_box, clip_box, overlaps_image
from ...geometry.crop import Crop
from ...models.mstgt import MSTGT, TrackState
from ...models.picture import mask_background
from ...utils.errors import UserError
from ...utils.machine import set_up
from .frame import CudaGraphs, FrameStep, Step, compiled, filled_batch
from .inference import PRECISIONS, prepare


@dataclass(frozen=True)
class Target:
    """One video's target after a frame: its box in pixels, the network's state (batch of one), and the mean of its last
    scores: 1 at the first frame, then half of it is always the newest."""

    box_xywh: np.ndarray
    state: TrackState
    mean_score: float = 1.0


def hann_window(grid: int) -> torch.Tensor:
    """(grid, grid) outer product of 0.5 (1 - cos(2 pi k / (grid + 1))), k = 1 … grid."""
    line = torch.hann_window(grid + 2, periodic=False, dtype=torch.float64)[1:-1]
    return torch.outer(line, line).float()


class TrackerEngine:
    """Maps pictures and targets to the next targets. ``cfg`` gives TEST.* and the normalisation.

    network     is copied and made ready for inference (:mod:`mstgt.test.tracker.inference`)
    precision   what it computes in: fp32, bf16 or fp16
    compile     compile a frame's step, which takes minutes for every size of batch (powers of two)
    cuda_graph  record a frame's step as a CUDA graph; needs a GPU
    """

    def __init__(self, network: MSTGT, cfg: Any, device: str | torch.device = "cpu", precision: str = "fp32",
                 compile: bool = False, cuda_graph: bool = False):
        self.device, self.settings, self.precision = torch.device(device), cfg.TEST, precision
        self.template_mask_strength = cfg.MODEL.TEMPLATE_MASK
        sizes = (cfg.TEST.TEMPLATE_SIZE, cfg.TEST.SEARCH_SIZE)
        if sizes != (network.template_size, network.search_size):
            raise UserError(f"TEST.TEMPLATE_SIZE and TEST.SEARCH_SIZE {sizes} differ from the network's "
                            f"{(network.template_size, network.search_size)}")
        if cuda_graph and self.device.type != "cuda":
            raise UserError(f"CUDA graphs need a GPU, not {self.device}: leave --cuda_graph out")
        set_up(self.device)
        self.network = prepare(network, self.device, precision)
        self.frame = FrameStep(self.network, hann_window(network.grid).to(self.device), cfg.DATA.MEAN, cfg.DATA.STD,
                               PRECISIONS[precision])
        self.run_frame: Step = compiled(self.frame) if compile else self.frame
        if cuda_graph:
            self.run_frame = CudaGraphs(self.run_frame)
        self.fixed_shapes = compile or cuda_graph

    @torch.inference_mode()
    def start(self, image: np.ndarray, box_xywh: Sequence[float] | np.ndarray) -> Target:
        """The target in its first picture, (H, W, 3) uint8 RGB; the box as given."""
        _check_image(image)
        box = check_box(box_xywh, "initial box")
        height, width = image.shape[:2]
        if not overlaps_image(box, width, height):
            raise UserError(f"the initial box {box.tolist()} lies outside the picture of {width} x {height} px")
        crop = Crop.around(box, self.settings.TEMPLATE_FACTOR, self.settings.TEMPLATE_SIZE)
        picture = torch.from_numpy(crop.cut(image))
        box_in_crop = torch.from_numpy(crop.to_crop(box))
        marked = mask_background(picture, box_in_crop, self.template_mask_strength).round().byte()
        return Target(box, self.start_batch(marked.numpy()[None]))

    @torch.inference_mode()
    def step(self, images: Sequence[np.ndarray], targets: Sequence[Target]) -> list[tuple[Target, float]]:
        """Each target in the next picture of its video, and the score in (0, 1) of the cell it was read at.

        The targets may be those of any videos, at any frame: they go through the network as one batch.
        """
        for image in images:
            _check_image(image)
        crops = [self.search_crop(target) for target in targets]
        pictures = self._room(len(crops))
        for crop, image, out in zip(crops, images, pictures, strict=True):
            crop.cut(image, out=out)
        answers, state = self.step_batch(pictures, _join([target.state for target in targets]))
        found = []
        for image, crop, answer, own, old in zip(images, crops, answers, _part(state), targets, strict=True):
            if not np.isfinite(answer).all():
                raise UserError(f"the network answers {answer}: its weights are damaged, or too large for "
                                f"{self.precision}; take another checkpoint, or fp32")
            height, width = image.shape[:2]
            box, score = clip_box(crop.from_crop(np.array(answer[:4])), width, height), answer[4]
            found.append((Target(box, own, (old.mean_score + score) / 2), score))
        return found

    def warm_up(self, batch: int = 1) -> None:
        """Track nothing in a black picture, in ``batch`` videos: so what only a first step takes (memory, kernels to be
        chosen, compiled or recorded) is in no frame's time. Where shapes are fixed, in fewer videos, too."""
        image, box = np.zeros((64, 64, 3), np.uint8), np.array([16.0, 16, 32, 32])
        target, counts = self.start(image, box), [batch]
        while self.fixed_shapes and counts[-1] > 1:
            counts.append((counts[-1] + 1) // 2)
        for count in counts:
            self.step([image] * count, [target] * count)

    def search_crop(self, target: Target) -> Crop:
        """Where the next step looks for ``target``: in a wider region where its last scores were low."""
        test = self.settings
        wider = test.WIDEN_BY if target.mean_score < test.WIDEN_BELOW else 1.0
        return Crop.around(target.box_xywh, test.SEARCH_FACTOR * wider, test.SEARCH_SIZE)

    def start_batch(self, pictures: np.ndarray) -> TrackState:
        """Template crops (B, T, T, 3) uint8 -> the state before the first frame."""
        state = self.network.init_state(self.frame.input(torch.from_numpy(pictures).to(self.device)))
        return state._replace(guidance=state.guidance.clone())  # no longer the template itself: nor is it later

    def step_batch(self, pictures: np.ndarray, state: TrackState) -> tuple[list[list[float]], TrackState]:
        """Search crops (B, S, S, 3) uint8 and the state before -> B rows of box and score, the state after.

        Boxes are cx, cy, w, h as shares of the crop. What is below this is all that an engine of another kind
        (:mod:`mstgt.export.onnx_engine`) does in its own way.
        """
        count, batch = len(pictures), torch.from_numpy(pictures).to(self.device, non_blocking=True)
        if self.fixed_shapes:
            batch, state = filled_batch(batch, state)
        answers, state = self.run_frame(batch, state)
        if len(batch) > count:
            answers, state = answers[:count], TrackState(*(tensor[:count] for tensor in state))
        return answers.tolist(), state  # one copy from the device, the only time that the host waits for it

    def _room(self, count: int) -> np.ndarray:
        """Memory for search crops, which a GPU copies without help of the host."""
        size = self.settings.SEARCH_SIZE
        on_gpu = self.device.type == "cuda"
        return torch.empty((count, size, size, 3), dtype=torch.uint8, pin_memory=on_gpu).numpy()


def _join(states: Sequence[TrackState]) -> TrackState:
    """The states of single videos as one batch."""
    return states[0] if len(states) == 1 else TrackState(*map(torch.cat, zip(*states, strict=True)))


def _part(state: TrackState) -> list[TrackState]:
    """The state of a batch as those of its videos."""
    return [TrackState(*tensors) for tensors in zip(*(tensor.split(1) for tensor in state), strict=True)]


class Tracker:
    """Tracks one target. Many may share an engine."""

    def __init__(self, engine: TrackerEngine):
        self.engine = engine
        self.target: Target | None = None

    def init(self, image: np.ndarray, box_xywh: Sequence[float] | np.ndarray) -> None:
        """Begin with the target's box (x, y, w, h in pixels) in a picture, (H, W, 3) uint8 RGB.

        Raises :class:`UserError` for a box that is not four finite numbers with w, h > 0, or lies outside the picture.
        """
        self.target = self.engine.start(image, box_xywh)

    def update(self, image: np.ndarray) -> tuple[np.ndarray, float]:
        """The box in the next picture as (4,) float64 x, y, w, h, and a score in (0, 1)."""
        [(self.target, score)] = self.engine.step([image], [self._begun()])
        return self.target.box_xywh, score

    @property
    def search_xywh(self) -> np.ndarray:
        """The square that the next update looks at, (4,) in pixels; it may reach beyond the picture."""
        crop = self.engine.search_crop(self._begun())
        return np.array([*(crop.center - crop.side / 2), crop.side, crop.side])

    def _begun(self) -> Target:
        if self.target is None:
            raise RuntimeError("call init before update")
        return self.target


def _check_image(image: np.ndarray) -> None:
    if not isinstance(image, np.ndarray) or image.ndim != 3 or image.shape[2] != 3 or image.dtype != np.uint8:
        what = f"{image.dtype} {image.shape}" if isinstance(image, np.ndarray) else type(image).__name__
        raise UserError(f"a picture is an (H, W, 3) uint8 RGB array, not {what}")
