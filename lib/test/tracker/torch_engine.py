"""The tracker's network in PyTorch, on a CPU, a CUDA GPU, or an Apple GPU (MPS; not tested by the authors).

:class:`TorchEngine` runs a copy of the network that :func:`prepare` has made ready for inference. Its outputs are the
same, and it cannot be trained:

- Weights and activations are in the chosen precision; head outputs are cast to fp32.
- Batch norm is folded into the head's convolutions.
- Convolutions use the channels-last memory format, which their kernels are fastest with.
- On an x86 CPU the weights of the linear layers are stored in the blocked layout that oneDNN computes with, and GELU is
  fused into the product before it. ``torch.compile`` inserts the same operators. They have private names only; where
  they are missing the layers stay as they are. In bf16, attention is computed in separate steps.
"""

from __future__ import annotations

import contextlib
import copy
import logging
import platform
import time
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import torch
from torch import nn
from torch.nn import functional as F
from torch.nn.utils.fusion import fuse_conv_bn_eval

from ...config.arguments import PRECISIONS
from ...models.layers.transformer import Attention, Mlp
from ...models.mstgt import MSTGT, FrameStep, TrackState, hann_window
from ...utils.device import is_fast_in, set_up, slowness
from ...utils.errors import UserError, unknown_name
from ...utils.threads import ThreadChoice, given_threads, quiet_threads, torch_threads
from .engine import TrackerEngine, search_sizes
from .graphs import CudaGraphs, Step, compiled, pad_batch

_log = logging.getLogger(__name__)

MANY_TOKENS = 256  # with fewer, the scores cost more to write to memory than the faster products save
DTYPES = dict(zip(PRECISIONS, (torch.float32, torch.bfloat16, torch.float16), strict=True))


class TorchEngine(TrackerEngine):
    """A :class:`TrackerEngine` that runs ``network`` in PyTorch. ``cfg`` gives TEST.* and the normalization.

    network     is copied and made ready for inference (:func:`prepare`)
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
        network_bytes = sum(tensor.numel() * tensor.element_size() for tensor in network.parameters())
        options = (fixed,) if fixed else (min(quiet_threads(network_bytes), torch.get_num_threads()), 1)
        # Of every size of crops: what is fastest for a small one need not be for a large one.
        self._choices = {size: ThreadChoice(*options) for size in search_sizes(cfg)}
        self.network = prepare(network, self.device, precision)
        self.frame = FrameStep(self.network, hann_window(network.grid).to(self.device), cfg.DATA.MEAN, cfg.DATA.STD,
                               DTYPES[precision])
        self.run_frame: Step = compiled(self.frame) if compile else self.frame
        # Recorded last: with both options the graph replays the compiled kernels.
        if cuda_graph:
            self.run_frame = CudaGraphs(self.run_frame)
        self.pads_batches = compile or cuda_graph

    @torch.inference_mode()
    def init_state(self, templates: np.ndarray) -> TrackState:
        state = self.network.init_state(self.frame.input(torch.from_numpy(templates).to(self.device)))
        # Clone: the guidance of frame 0 must not alias the template, which stays constant.
        return state._replace(guidance=state.guidance.clone())

    @torch.inference_mode()
    def forward_frame(self, searches: np.ndarray, state: TrackState) -> tuple[list[list[float]], TrackState]:
        count = len(searches)
        # The copy from pinned memory (_alloc_crops) runs beside the host; rows.tolist() below waits for all of it.
        batch = torch.from_numpy(searches).to(self.device, non_blocking=True)
        if self.pads_batches:
            batch, state = pad_batch(batch, state)
        with self._chosen_threads(*batch.shape[:2]):
            rows, state = self.run_frame(batch, state)
        if len(batch) > count:
            rows, state = rows[:count], TrackState(*(tensor[:count] for tensor in state))
        # The one copy from the device, and so the only time that the host waits for it.
        return rows.tolist(), state

    @contextlib.contextmanager
    def _chosen_threads(self, videos: int, size: int) -> Iterator[None]:
        """On a CPU: compute with the number of threads that is chosen for this call, and measure the call."""
        if self.device.type != "cpu":
            yield
            return
        choice = self._choices[size]
        threads = choice.current()
        with torch_threads(threads):
            started = time.perf_counter()
            yield
            choice.record(threads, (time.perf_counter() - started) / videos)

    @torch.inference_mode()
    def cat_states(self, states: Sequence[TrackState]) -> TrackState:
        return TrackState(*map(torch.cat, zip(*states, strict=True)))

    @torch.inference_mode()
    def split_state(self, state: TrackState) -> list[TrackState]:
        return [TrackState(*tensors) for tensors in zip(*(tensor.split(1) for tensor in state), strict=True)]

    def _alloc_crops(self, count: int, size: int) -> np.ndarray:
        # Pinned memory is copied to a GPU without the host's help.
        on_gpu = self.device.type == "cuda"
        return torch.empty((count, size, size, 3), dtype=torch.uint8, pin_memory=on_gpu).numpy()


def prepare(network: MSTGT, device: torch.device, precision: str = "fp32") -> MSTGT:
    """A copy of ``network`` for inference on ``device``. ``network`` stays as it is."""
    if precision not in DTYPES:
        raise unknown_name("precision", precision, DTYPES)
    if precision == "fp16" and device.type == "cpu":
        raise UserError("no CPU is fast in fp16: take bf16, or a GPU")
    dtype = DTYPES[precision]
    if not is_fast_in(dtype, device):
        _log.warning("precision %s: %s", precision, slowness(precision, device))
    # A copy: the caller's network may still be trained, and what follows cannot be undone.
    fast = copy.deepcopy(network).eval().requires_grad_(False)
    # Folded in fp32, before the weights are rounded to the chosen precision.
    fold_batch_norm(fast)
    fast = fast.to(device, dtype).to(memory_format=torch.channels_last)
    if device.type == "cpu" and can_pack(dtype):
        pack_linear(fast)
        if dtype == torch.bfloat16:
            for module in fast.modules():
                if isinstance(module, Attention):
                    # On the instance: the class keeps the operator that training uses.
                    module.attend = attend_in_steps
    return fast


def attend_in_steps(q: torch.Tensor, k: torch.Tensor, v: torch.Tensor) -> torch.Tensor:
    """``scaled_dot_product_attention``; among many tokens as two products with the scores in memory between them.

    oneDNN multiplies in bf16, which PyTorch's fused operator for CPUs does not make use of.
    """
    if k.shape[-2] < MANY_TOKENS:
        return F.scaled_dot_product_attention(q, k, v)
    return (q * q.shape[-1] ** -0.5 @ k.transpose(-2, -1)).softmax(dim=-1) @ v


def fold_batch_norm(network: nn.Module) -> None:
    """Make every batch norm that follows a convolution in a Sequential a part of it."""
    for layers in [module for module in network.modules() if isinstance(module, nn.Sequential)]:
        for at in range(len(layers) - 1):
            convolution, norm = layers[at], layers[at + 1]
            if isinstance(convolution, nn.Conv2d) and isinstance(norm, nn.BatchNorm2d):
                layers[at] = fuse_conv_bn_eval(convolution, norm)
                layers[at + 1] = nn.Identity()


def can_pack(dtype: torch.dtype) -> bool:
    """Whether this CPU has the operators of :class:`PackedLinear` for ``dtype``."""
    if platform.machine().lower() not in ("x86_64", "amd64") or not torch.backends.mkldnn.is_available():
        return False
    # Private operators: another version of PyTorch may not have them.
    operators = torch.ops.mkldnn
    if not (hasattr(operators, "_reorder_linear_weight") and hasattr(operators, "_linear_pointwise")):
        return False
    return is_fast_in(dtype, torch.device("cpu"))


class PackedLinear(nn.Module):
    """What ``linear`` computes on a CPU, followed by GELU where ``gelu`` is set."""

    def __init__(self, linear: nn.Linear, gelu: bool = False):
        super().__init__()
        # The order in memory is changed once, here, and not in every frame.
        weight = torch.ops.mkldnn._reorder_linear_weight(linear.weight.detach(), None)
        self.register_buffer("weight", weight)  # a buffer, so that compiling may take it for a constant
        self.register_buffer("bias", None if linear.bias is None else linear.bias.detach())
        self.then = ("gelu", "none") if gelu else ("none", "")  # what follows, and its kind: exact, not tanh

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        what, kind = self.then
        return torch.ops.mkldnn._linear_pointwise(x, self.weight, self.bias, what, [], kind)


def pack_linear(module: nn.Module) -> None:
    """Replace the linear layers below ``module`` by packed ones."""
    for name, child in module.named_children():
        if isinstance(child, nn.Linear):
            # In an Mlp nothing but GELU follows fc1: the kernel can apply it before it writes its result to memory.
            gelu = (isinstance(module, Mlp) and name == "fc1" and isinstance(module.act, nn.GELU)
                    and module.act.approximate == "none")
            setattr(module, name, PackedLinear(child, gelu))
            if gelu:
                module.act = nn.Identity()
        else:
            pack_linear(child)
