"""The tracker's network in PyTorch, on a CPU, a CUDA GPU, or an Apple GPU (MPS; not tested by the authors)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch

from ...models.mstgt import MSTGT, TrackState
from ...utils.errors import UserError
from ...utils.machine import set_up
from .engine import Target, TrackerEngine
from .frame import CudaGraphs, FrameStep, Step, compiled, hann_window, pad_batch
from .inference import PRECISIONS, prepare


class TorchEngine(TrackerEngine):
    """A :class:`TrackerEngine` that runs ``network`` in PyTorch. ``cfg`` gives TEST.* and the normalisation.

    network     is copied and made ready for inference (:mod:`mstgt.test.tracker.inference`)
    precision   what it computes in: fp32, bf16 or fp16
    compile     compile a frame's step, which takes minutes for every size of batch (powers of two)
    cuda_graph  record a frame's step as a CUDA graph; needs a GPU
    threads     sets how many threads PyTorch computes with on a CPU, in the whole process
    """

    backend = "torch"

    def __init__(self, network: MSTGT, cfg: Any, device: str | torch.device = "cpu", precision: str = "fp32",
                 compile: bool = False, cuda_graph: bool = False, threads: int | None = None):
        super().__init__(cfg, str(device), precision)
        self.device = torch.device(device)
        sizes = (cfg.TEST.TEMPLATE_SIZE, cfg.TEST.SEARCH_SIZE)
        if sizes != (network.template_size, network.search_size):
            raise UserError(f"TEST.TEMPLATE_SIZE and TEST.SEARCH_SIZE {sizes} differ from the network's "
                            f"{(network.template_size, network.search_size)}")
        if cuda_graph and self.device.type != "cuda":
            raise UserError(f"CUDA graphs need a GPU, not {self.device}: leave --cuda_graph out")
        set_up(self.device)
        if threads:
            torch.set_num_threads(threads)
        self.network = prepare(network, self.device, precision)
        self.frame = FrameStep(self.network, hann_window(network.grid).to(self.device), cfg.DATA.MEAN, cfg.DATA.STD,
                               PRECISIONS[precision])
        self.run_frame: Step = compiled(self.frame) if compile else self.frame
        if cuda_graph:
            self.run_frame = CudaGraphs(self.run_frame)
        self.fixed_shapes = compile or cuda_graph

    @property
    def pads_batches(self) -> bool:
        return self.fixed_shapes

    @torch.inference_mode()
    def start(self, image: np.ndarray, box_xywh: Sequence[float] | np.ndarray) -> Target:
        return super().start(image, box_xywh)

    @torch.inference_mode()
    def step(self, images: Sequence[np.ndarray], targets: Sequence[Target]) -> list[tuple[Target, float]]:
        return super().step(images, targets)

    def init_state(self, templates: np.ndarray) -> TrackState:
        state = self.network.init_state(self.frame.input(torch.from_numpy(templates).to(self.device)))
        # Clone: the guidance of frame 0 must not alias the template, which stays constant.
        return state._replace(guidance=state.guidance.clone())

    def forward_frame(self, searches: np.ndarray, state: TrackState) -> tuple[list[list[float]], TrackState]:
        count = len(searches)
        batch = torch.from_numpy(searches).to(self.device, non_blocking=True)
        if self.fixed_shapes:
            batch, state = pad_batch(batch, state)
        rows, state = self.run_frame(batch, state)
        if len(batch) > count:
            rows, state = rows[:count], TrackState(*(tensor[:count] for tensor in state))
        # The one copy from the device, and so the only time that the host waits for it.
        return rows.tolist(), state

    def cat_states(self, states: Sequence[TrackState]) -> TrackState:
        return TrackState(*map(torch.cat, zip(*states, strict=True)))

    def split_state(self, state: TrackState) -> list[TrackState]:
        return [TrackState(*tensors) for tensors in zip(*(tensor.split(1) for tensor in state), strict=True)]

    def _alloc_crops(self, count: int) -> np.ndarray:
        # Pinned memory is copied to a GPU without the host's help.
        size = self.settings.SEARCH_SIZE
        on_gpu = self.device.type == "cuda"
        return torch.empty((count, size, size, 3), dtype=torch.uint8, pin_memory=on_gpu).numpy()
