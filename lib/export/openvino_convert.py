"""Convert the network from PyTorch to OpenVINO's graphs.

    convert_checkpoint(cfg, checkpoint, folder)

writes ``init.xml`` (template crops -> the state) and, for every size of search crops, ``frame_SIZE.xml`` (search crops
and the state -> boxes, scores and what the frame changes of the state), each with its weights in fp32 in a ``.bin``
file. Crops are uint8 as they are cut: normalization, the Hann window and the choice of the best cell are part of the
graphs. The graphs take batches of any size. They come from ``torch.jit.trace``, which takes a seventh of the time of
``torch.export`` and gives graphs that are as fast; before they are kept, their answers are compared with PyTorch's.
"""

from __future__ import annotations

import copy
import tempfile
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn

from ..models.mstgt import MSTGT, FrameStep, TrackState, hann_window
from ..models.mstgt.checkpoint import load_model
from ..test.tracker.engine import search_sizes
from ..utils.errors import UserError, first_line
from ..utils.threads import torch_threads
from .openvino_engine import (
    FRAME_INPUTS,
    INIT_FILE,
    OpenVinoEngine,
    frame_file,
    import_openvino,
    new_core,
)

TOLERANCE = 1e-4  # of boxes (fractions of the crop) and scores; measured: 5e-7


class _InitState(nn.Module):
    """(B, T, T, 3) uint8 template crops -> ``template`` and ``context`` of the state (:class:`TrackState`).

    The guidance before the first frame equals the template tokens: it is not an output of its own.
    """

    def __init__(self, frame: FrameStep):
        super().__init__()
        self.frame = frame

    def forward(self, template: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        state = self.frame.network.init_state(self.frame.input(template))
        return state.template, state.context


class _ForwardFrame(nn.Module):
    """(B, S, S, 3) uint8 search crops and the state -> (B, 5) cx, cy, w, h, score; what the frame changes of the state,
    in the state's order."""

    def __init__(self, frame: FrameStep):
        super().__init__()
        self.frame = frame

    def forward(self, search: torch.Tensor, template: torch.Tensor, context: torch.Tensor, guidance: torch.Tensor
                ) -> tuple[torch.Tensor, ...]:
        before = TrackState(template, context, guidance)
        rows, after = self.frame(search, before)
        # What stays is no output: it would be copied in every frame.
        return rows, *after.changed_since(before).values()


def convert_checkpoint(cfg: Any, checkpoint: str | Path, folder: Path) -> None:
    """Write the graphs of ``checkpoint``, built as ``cfg`` says, to ``folder``.

    Raises :class:`UserError` where OpenVINO cannot convert the network or gives other boxes than PyTorch.
    """
    convert_network(load_model(cfg, checkpoint), cfg, folder)


def openvino_engine_of(network: MSTGT, cfg: Any, precision: str = "fp32", threads: int | None = None) -> OpenVinoEngine:
    """The engine of a network in memory, such as one with random weights that is to be timed."""
    with tempfile.TemporaryDirectory() as folder:
        convert_network(network, cfg, Path(folder))
        return OpenVinoEngine(Path(folder), cfg, precision, threads, keep_files=False)


@torch.no_grad()
@torch_threads(1)  # several would wait for one another on a busy machine, and most of this is not products
def convert_network(network: MSTGT, cfg: Any, folder: Path) -> None:
    """Write the graphs of ``network``, which is left as it is, to ``folder``. Errors: :func:`convert_checkpoint`."""
    network = copy.deepcopy(network).cpu().float().eval().requires_grad_(False)
    frame = FrameStep(network, hann_window(network.grid), cfg.DATA.MEAN, cfg.DATA.STD, torch.float32).eval()
    rng = np.random.default_rng(0)

    def crops(size: int) -> torch.Tensor:
        # Of two videos: tracing takes a size of 1 for a constant.
        return torch.from_numpy(rng.integers(0, 256, (2, size, size, 3), np.uint8))

    template = crops(network.template_size)
    state = TrackState(*(tensor.clone() for tensor in network.init_state(frame.input(template))))
    _convert(_InitState(frame), (template,), ("template",), folder / INIT_FILE)
    for size in search_sizes(cfg):
        _convert(_ForwardFrame(frame), (crops(size), *state), FRAME_INPUTS, folder / frame_file(size))


def _convert(module: nn.Module, example: tuple[torch.Tensor, ...], inputs: Sequence[str], path: Path) -> None:
    """Convert ``module``, compare it with PyTorch on ``example`` and write it."""
    openvino = import_openvino()
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of sizes that become constants, and of what PyTorch plans to deprecate
            traced = torch.jit.trace(module.eval(), example, check_trace=False)
            model = _import_traced(traced, example)
    except (ArithmeticError, AssertionError, AttributeError, ImportError, LookupError, RuntimeError, TypeError,
            ValueError, openvino.frontend.GeneralFailure, openvino.frontend.OpConversionFailure) as error:
        # Which of these an exporter raises for what it cannot convert depends on the versions of both packages.
        raise UserError(f"OpenVINO {openvino.__version__} cannot convert this network ({first_line(error)}); "
                        "take --backend torch") from error
    for port, name in zip(model.inputs, inputs, strict=True):
        port.get_tensor().set_names({name})
    # Static shapes where there are some let OpenVINO plan its memory; the batch stays open.
    model.reshape({port: [-1, *tensor.shape[1:]] for port, tensor in zip(model.inputs, example, strict=True)})
    _simplify(model)
    _compare(openvino, model, module, example)
    openvino.save_model(model, path, compress_to_fp16=False)


def _import_traced(traced: Any, example: tuple[torch.Tensor, ...]) -> Any:
    """The ``openvino.Model`` of a traced module. ``openvino.convert_model`` makes it, too, in four times the time."""
    from openvino.frontend import FrontEndManager
    from openvino.frontend.pytorch.ts_decoder import TorchScriptPythonDecoder

    frontend = FrontEndManager().load_by_framework("pytorch")
    decoder = TorchScriptPythonDecoder(traced, example_input=example)  # OpenVINO calls it and does not keep it alive
    return frontend.convert(frontend.load(decoder))


def _simplify(model: Any) -> None:
    """Do now what OpenVINO would do whenever the graph is compiled: a third of its nodes are left."""
    from openvino._offline_transformations import apply_moc_transformations

    apply_moc_transformations(model, cf=False)


def _compare(openvino: Any, model: Any, module: nn.Module, example: tuple[torch.Tensor, ...]) -> None:
    """Raise :class:`UserError` where the graph's answers for one video and for two are not PyTorch's."""
    compiled = new_core(openvino).compile_model(model, "CPU", {"INFERENCE_PRECISION_HINT": "f32"})
    for count in (1, 2):
        inputs = tuple(tensor[:count].contiguous() for tensor in example)
        found = compiled([tensor.numpy() for tensor in inputs]).to_tuple()
        for own, expected in zip(found, module(*inputs), strict=True):
            scale = max(1.0, float(expected.abs().max()))
            difference = float(np.abs(own - expected.numpy()).max()) / scale
            if not difference <= TOLERANCE:
                raise UserError(f"OpenVINO's answers differ from PyTorch's by {difference:.2g}, more than "
                                f"{TOLERANCE:g}; take --backend torch")


