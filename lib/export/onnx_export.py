"""The network as ONNX files, which any ONNX runtime can track with. docs/export.md is the manual.

    difference = export_network(network, about(cfg, "MSTGT-nano-128", checkpoint), OnnxFiles(folder, "MSTGT-nano-128"))

Writes ``<name>_start.onnx`` (template crop -> state), ``<name>_step.onnx`` (search crop and state -> box, score, next
guidance), and with TEST.NARROW_SIZE ``<name>_step_narrow.onnx``, the step for narrow search crops. Crops are uint8:
normalization and window are part of the graph. Before the files get their names, they are run with onnxruntime beside
PyTorch on short synthetic videos; where the boxes differ, nothing is written.
"""

from __future__ import annotations

import contextlib
import copy
import json
import tempfile
import warnings
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn

from ..geometry.crop import Crop
from ..models.mstgt import MSTGT, FrameStep, TrackState, hann_window
from ..models.mstgt.checkpoint import load_model
from ..synthetic import synthetic_video
from ..utils.errors import UserError
from ..utils.files import atomic_path, file_sha256
from ..utils.threads import torch_threads
from ..utils.version import code_version
from .onnx_engine import (
    ANSWERS,
    FORMAT,
    START_INPUTS,
    STATE,
    OnnxEngine,
    OnnxFiles,
    OnnxPair,
    load_onnx_engine,
    optional_package,
)

OPSET = 18
OLDEST_TORCH = (2, 10)  # the exporters of 2.6, 2.8 and 2.9 fail, or lose names and the choice of B
TOLERANCE = 1e-3  # of a box as a fraction of the search region, onnxruntime against PyTorch
CHECK_FRAMES = 8
CHECK_DIFFICULTY = 0.2  # of the synthetic videos that the check tracks


def about(cfg: Any, config: str, checkpoint: str | Path) -> dict[str, str]:
    """The metadata of the files, which ONNX stores as text."""
    return {
        "format": FORMAT,
        "config": config,
        "checkpoint": Path(checkpoint).name,
        "checkpoint_sha256": file_sha256(checkpoint),
        "template_size": str(cfg.TEST.TEMPLATE_SIZE),
        "search_size": str(cfg.TEST.SEARCH_SIZE),
        "template_factor": str(cfg.TEST.TEMPLATE_FACTOR),
        "search_factor": str(cfg.TEST.SEARCH_FACTOR),
        "narrow_size": str(cfg.TEST.NARROW_SIZE),
        "template_mark": str(cfg.MODEL.TEMPLATE_MASK),
        "mean": json.dumps(list(cfg.DATA.MEAN)),
        "std": json.dumps(list(cfg.DATA.STD)),
        "code": code_version(),
        "torch": str(torch.__version__),
    }


def frame_step(network: MSTGT, metadata: Mapping[str, str]) -> FrameStep:
    """The computation of the files, in PyTorch."""
    mean, std = (json.loads(metadata[key]) for key in ("mean", "std"))
    return FrameStep(network, hann_window(network.grid), mean, std, torch.float32).eval()


class _Start(nn.Module):
    """uint8 template crops (B, T, T, 3) -> the state's tensors."""

    def __init__(self, network: MSTGT, metadata: Mapping[str, str]):
        super().__init__()
        self.frame = frame_step(network, metadata)

    def forward(self, templates: torch.Tensor) -> tuple[torch.Tensor, ...]:
        return tuple(self.frame.network.init_state(self.frame.input(templates)))


class _Step(_Start):
    """uint8 search crops (B, S, S, 3) and the state -> boxes (B, 4), scores (B,), and what changes of the state."""

    def forward(self, searches: torch.Tensor, *state: torch.Tensor) -> tuple[torch.Tensor, ...]:
        before = TrackState(*state)
        answers, after = self.frame(searches, before)
        return answers[:, :4], answers[:, 4], *after.changed_since(before).values()


@torch_threads(1)  # several would wait for one another on a busy machine, and most of this is not products
def export_network(network: MSTGT, metadata: Mapping[str, str], files: OnnxFiles, batch: int | None = None,
                   on_stage: Callable[[str], object] = lambda stage: None) -> float:
    """Write and check the files of ``network``; the largest difference of any box between onnxruntime and PyTorch, as a
    fraction of the search region.

    metadata  from :func:`about`
    batch     a fixed batch; None: any, chosen at run time
    on_stage  is called with the name of each stage when it begins

    Raises :class:`UserError` where a package is missing or too old, or where onnxruntime's boxes are not PyTorch's.
    """
    if not has_exporter(torch.__version__):
        raise UserError(f"the exporter of torch {torch.__version__} cannot write this network; install a newer torch, "
                        "as `bash install.sh locked` does")
    for package in ("onnx", "onnxscript", "onnxruntime"):
        optional_package(package)
    network = copy.deepcopy(network).cpu().float().eval()
    metadata = {**metadata, "precision": "fp32", "batch": str(batch or "any")}
    narrow = int(metadata["narrow_size"])
    with contextlib.ExitStack() as stack:
        start, step = (stack.enter_context(atomic_path(path)) for path in (files.start, files.step))
        on_stage("template step")
        template, search, *state = _example(network, network.search_size, batch)
        _write(_Start(network, metadata), (template,), START_INPUTS, STATE, metadata, batch, start)
        on_stage("frame step")
        _write_step(network, (search, *state), metadata, batch, step)
        narrow_step = stack.enter_context(atomic_path(files.narrow_step)) if narrow else None
        if narrow_step:
            _write_step(network, _example(network, narrow, batch)[1:], metadata, batch, narrow_step)
        on_stage("check")
        pair, batches = OnnxPair(start, step, narrow_step), [batch] if batch else [1, 2]
        frame = frame_step(network, metadata)
        # np.max: NaN where any is, unlike the built-in max.
        difference = float(np.max([_largest_difference(frame, pair, count) for count in batches]))
        if not difference <= TOLERANCE:
            raise UserError(f"onnxruntime's boxes differ from PyTorch's by {difference:.2g} of the search region, more "
                            f"than {TOLERANCE:g}; nothing was written (an untrained network may waver between cells)")
        return difference


def export_checkpoint(cfg: Any, checkpoint: str | Path, files: OnnxFiles) -> None:
    """Write and check the files of ``checkpoint``, built as ``cfg`` says. Errors: those of :func:`export_network`."""
    export_network(load_model(cfg, checkpoint), about(cfg, Path(checkpoint).name.split(".")[0], checkpoint), files)


def has_exporter(torch_version: str) -> bool:
    """Whether the ONNX exporter of this version of PyTorch can write the network."""
    major, minor, *_ = torch_version.split(".")
    return (int(major), int(minor)) >= OLDEST_TORCH


def onnx_engine_of(network: MSTGT, cfg: Any, device: str = "cpu", threads: int | None = None) -> OnnxEngine:
    """The engine of a network in memory, such as one with random weights that is to be timed."""
    with tempfile.TemporaryDirectory() as folder:
        weights, files = Path(folder) / "weights", OnnxFiles(Path(folder), "network")
        weights.touch()  # there is no checkpoint whose hash the files could name
        export_network(network, about(cfg, "network", weights), files)
        return load_onnx_engine(cfg, files, device, threads)


def _example(network: MSTGT, search_size: int, batch: int | None) -> tuple[torch.Tensor, ...]:
    """A template, a search crop and a state to trace the graphs with."""
    count = batch or 2  # tracing takes a size of 1 for a constant
    template, search = (torch.zeros(count, size, size, 3, dtype=torch.uint8)
                        for size in (network.template_size, search_size))
    with torch.no_grad():
        state = network.init_state(torch.zeros(count, 3, network.template_size, network.template_size))
    return template, search, *(tensor.clone() for tensor in state)


@torch.no_grad()
def _largest_difference(frame: FrameStep, pair: OnnxPair, batch: int) -> float:
    """The largest difference of any box between PyTorch and the files, as a fraction of the search region.

    Both track ``batch`` synthetic videos, each from its own state. The crops lie around the true boxes, so that both
    see the same pixels in every frame; every second one is narrow, where there are narrow ones.
    """
    sizes = {"template": (float(pair.metadata["template_factor"]), int(pair.metadata["template_size"])),
             "search": (float(pair.metadata["search_factor"]), int(pair.metadata["search_size"]))}
    factor, size = sizes["search"]
    narrow = int(pair.metadata["narrow_size"]) or size
    sizes["narrow"] = (factor * narrow / size, narrow)
    videos = [synthetic_video(0, CHECK_FRAMES + 1, difficulty=CHECK_DIFFICULTY, index=i) for i in range(batch)]

    def crops(number: int, kind: str) -> np.ndarray:
        last = max(0, number - 1)
        return np.stack([Crop.around(video.boxes_xywh[last], *sizes[kind]).cut(video.frames.read(number))
                         for video in videos])

    templates = crops(0, "template")
    state = frame.network.init_state(frame.input(torch.from_numpy(templates)))
    exported_state = pair.start(templates)
    differences = []
    for number in range(1, CHECK_FRAMES + 1):
        searches = crops(number, ("search", "narrow")[number % 2])
        rows, state = frame(torch.from_numpy(searches), state)
        boxes, _, exported_state = pair.step(searches, exported_state)
        differences.append(np.abs(rows[:, :4].numpy() - boxes).max())
    return float(np.max(differences))


def _write_step(network: MSTGT, example: tuple[torch.Tensor, ...], metadata: Mapping[str, str], batch: int | None,
                path: Path) -> None:
    """Write the step of the frames whose search crops have the size of the one in ``example``."""
    module = _Step(network, metadata)
    with torch.no_grad():
        changed = len(module(*example)) - len(ANSWERS)
    outputs = (*ANSWERS, *(f"next_{name}" for name in STATE[len(STATE) - changed:]))
    _write(module, example, (*START_INPUTS, *STATE), outputs, metadata, batch, path)


def _write(module: nn.Module, example: tuple[torch.Tensor, ...], inputs: tuple[str, ...], outputs: tuple[str, ...],
           metadata: Mapping[str, str], batch: int | None, path: Path) -> None:
    """Trace ``module`` and write it, with torch's exporter of the torch.export kind."""
    any_batch = {0: torch.export.Dim("batch", min=1, max=1 << 16)}
    variable = len(inputs) > 1  # _Step takes the state as *state: its shapes are a tuple of their own
    shapes = (any_batch, (any_batch,) * (len(inputs) - 1)) if variable else (any_batch,)
    with torch.no_grad(), warnings.catch_warnings():
        # All first axes have the same name: they are the batch.
        warnings.filterwarnings("ignore", "# The axis name", UserWarning)
        program = torch.onnx.export(module.eval(), example, dynamo=True, opset_version=OPSET, verbose=False,
                                    input_names=list(inputs), output_names=list(outputs),
                                    dynamic_shapes=None if batch else shapes)
    assert program is not None  # None is for the TorchScript exporter, which writes a file itself
    _save(program.model_proto, metadata, path)


def _save(model: Any, metadata: Mapping[str, str], path: Path) -> None:
    """Check and write a model. The exporter's notes (source lines and paths of this machine) are removed."""
    onnx = optional_package("onnx")
    for node in model.graph.node:
        del node.metadata_props[:]
        node.ClearField("doc_string")
    for value in (*model.graph.value_info, *model.graph.input, *model.graph.output, *model.graph.initializer):
        del value.metadata_props[:]
    del model.metadata_props[:], model.graph.metadata_props[:]
    onnx.helper.set_model_props(model, dict(metadata))
    onnx.checker.check_model(model)
    path.write_bytes(model.SerializeToString())
