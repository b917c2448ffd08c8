"""The tracker's network in PyTorch, on a CPU, a CUDA GPU, or an Apple GPU (MPS; not tested by the authors)."""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import Any

import numpy as np
import torch

from ...models.mstgt import MSTGT, TrackState
from ...utils.errors import UserError
from ...utils.machine import set_up
from ...utils.threads import ThreadChoice, given_threads, quiet_threads
from .engine import Target, TrackerEngine
from .frame import CudaGraphs, FrameStep, Step, compiled, hann_window, pad_batch
from .inference import PRECISIONS, prepare


class TorchEngine(TrackerEngine):
    """A :class:`TrackerEngine` that runs ``network`` in PyTorch. ``cfg`` gives TEST.* and the normalisation.

    network     is copied and made ready for inference (:mod:`mstgt.test.tracker.inference`)
    precision   what it computes in: fp32, bf16 or fp16
    compile     compile a frame's step, which takes minutes for every size of batch (powers of two)
    cuda_graph  record a frame's step as a CUDA graph; needs a GPU
    threads     how many threads compute a frame on a CPU; default: OMP_NUM_THREADS; else what is fastest at the moment
                (:class:`mstgt.utils.threads.ThreadChoice`), between PyTorch's own number and one. The last bits of
                sums depend on it.
    """

    backend = "torch"

    def __init__(self, network: MSTGT, cfg: Any, device: str | torch.device = "cpu", precision: str = "fp32",
                 compile: bool = False, cuda_graph: bool = False, threads: int | None = None):
        super().__init__(cfg, str(device), precision)
        self.device = torch.device(device)
        # The position embeddings have a fixed grid, which crops of another size would not fit.
        sizes = (cfg.TEST.TEMPLATE_SIZE, cfg.TEST.SEARCH_SIZE)
        if sizes != (network.template_size, network.search_size):
            raise UserError(f"TEST.TEMPLATE_SIZE and TEST.SEARCH_SIZE {sizes} differ from the network's "
                            f"{(network.template_size, network.search_size)}")
        if cuda_graph and self.device.type != "cuda":
            raise UserError(f"CUDA graphs need a GPU, not {self.device}: leave --cuda_graph out")
        set_up(self.device)
        fixed = threads or given_threads()
        options = (fixed,) if fixed else (min(quiet_threads(_bytes_of(network)), torch.get_num_threads()), 1)
        self._choice = ThreadChoice(*options)
        self.network = prepare(network, self.device, precision)
        self.frame = FrameStep(self.network, hann_window(network.grid).to(self.device), cfg.DATA.MEAN, cfg.DATA.STD,
                               PRECISIONS[precision])
        self.run_frame: Step = compiled(self.frame) if compile else self.frame
        # Recorded last: with both options the graph replays the compiled kernels.
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
        # The copy from pinned memory (_alloc_crops) runs beside the host; rows.tolist() below waits for all of it.
        batch = torch.from_numpy(searches).to(self.device, non_blocking=True)
        if self.fixed_shapes:
            batch, state = pad_batch(batch, state)
        rows, state = self._run_frame_with_threads(batch, state)
        if len(batch) > count:
            rows, state = rows[:count], TrackState(*(tensor[:count] for tensor in state))
        # The one copy from the device, and so the only time that the host waits for it.
        return rows.tolist(), state

    def _run_frame_with_threads(self, searches: torch.Tensor, state: TrackState) -> tuple[torch.Tensor, TrackState]:
        """``run_frame``, on a CPU with the number of threads that is chosen for this call."""
        if self.device.type != "cpu":
            return self.run_frame(searches, state)
        before = torch.get_num_threads()
        threads = self._choice.current()
        # The number belongs to the whole process, and the caller's own computations go on with theirs.
        if threads != before:
            torch.set_num_threads(threads)
        try:
            started = time.perf_counter()
            found = self.run_frame(searches, state)
            self._choice.record(threads, (time.perf_counter() - started) / len(searches))
            return found
        finally:
            if threads != before:
                torch.set_num_threads(before)

    def cat_states(self, states: Sequence[TrackState]) -> TrackState:
        return TrackState(*map(torch.cat, zip(*states, strict=True)))

    def split_state(self, state: TrackState) -> list[TrackState]:
        return [TrackState(*tensors) for tensors in zip(*(tensor.split(1) for tensor in state), strict=True)]

    def _alloc_crops(self, count: int) -> np.ndarray:
        # Pinned memory is copied to a GPU without the host's help.
        size = self.settings.SEARCH_SIZE
        on_gpu = self.device.type == "cuda"
        return torch.empty((count, size, size, 3), dtype=torch.uint8, pin_memory=on_gpu).numpy()


def _bytes_of(network: torch.nn.Module) -> int:
    return sum(tensor.numel() * tensor.element_size() for tensor in network.parameters())
