"""Parity with the published network: replays recorded inputs and compares every output.

A reference file (``.npz``) holds ``meta`` = C, three depths, heads, head channels; ``state/<published name>`` weights;
``track/template``, ``track/searchN`` and what followed each frame (``score_mapN``, ``size_mapN``, ``offset_mapN``,
``pred_boxesN``, ``guidance_stateN``); ``train/template`` and ``train/search`` (frames, batch, 3, S, S) with frame-major
outputs. All outputs are those of the network in evaluation mode, fp32.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from pathlib import Path

import numpy as np
import torch

from ...config.backbones import HiViTSpec
from ...untrusted.arrays import ArraysError, load_arrays
from ...utils.errors import UserError
from .checkpoint import convert_published, load_strict
from .head import Prediction
from .mstgt import MSTGT

MAX_META = (1024, 64, 64, 64, 64, 1024)  # upper bounds of the values of meta: a network of about 3 GB
Arrays = Mapping[str, np.ndarray]


def read_reference(path: str | Path) -> Arrays:
    """The arrays of a reference file. Raises :class:`UserError` when it is none."""
    try:
        arrays = load_arrays(path)
    except ArraysError as error:
        raise UserError(f"{path} is no reference file: {error}") from error
    invalid = [name for name, array in arrays.items() if array.dtype.kind not in "iuf" or array.dtype.byteorder == ">"]
    if invalid:
        raise UserError(f"{path} is no reference file: {invalid[0][:100]!r} holds no numbers")
    for name in ("meta", "track/template", "track/search1", "train/template", "train/search"):
        if name not in arrays:
            raise UserError(f"{path} is no reference file: it lacks {name}")
    # The numbers decide how much memory the network takes, so they are checked before it is built.
    meta = arrays["meta"]
    if meta.shape != (6,) or meta.dtype.kind not in "iu" or not ((meta >= 0) & (meta <= MAX_META)).all():
        raise UserError(f"{path}: meta must hold C, three depths, heads, head channels, at most "
                        f"{', '.join(map(str, MAX_META))}")
    return arrays


def build_reference_model(arrays: Arrays, where: str) -> MSTGT:
    """The network that ``meta`` describes with the weights of ``state/*``, in evaluation mode."""
    dim, d1, d2, d3, heads, head_channels = (int(v) for v in arrays["meta"])
    sizes = arrays["track/template"].shape[-1], arrays["track/search1"].shape[-1]
    try:
        model = MSTGT(HiViTSpec(dim, (d1, d2, d3), heads), *sizes, head_channels=head_channels)
    except ValueError as error:
        raise UserError(f"{where}: cannot build the network of its meta: {error}") from error
    state = {n.removeprefix("state/"): torch.from_numpy(v) for n, v in arrays.items() if n.startswith("state/")}
    load_strict(model, convert_published(state, where), where)
    return model.eval()


@torch.inference_mode()
def replay(model: MSTGT, arrays: Arrays) -> Iterator[tuple[str, float]]:
    """Run ``track/*`` and ``train/*``; yield (output name, largest absolute difference) for all that is recorded."""
    state = model.init_state(_tensor(arrays["track/template"]))
    # Frame by frame, with the state passed on: the way of a tracker.
    for frame in sorted(int(m[1]) for n in arrays if (m := re.fullmatch(r"track/search(\d+)", n))):
        prediction, state = model.forward_frame(_tensor(arrays[f"track/search{frame}"]), state)
        outputs = _outputs(prediction) | {"guidance_state": state.guidance}
        yield from _compare(arrays, {f"track/{n}{frame}": v for n, v in outputs.items()})
    # All frames at once: the way of training.
    prediction = model(_tensor(arrays["train/template"]), _tensor(arrays["train/search"]))
    yield from _compare(arrays, {f"train/{n}": v for n, v in _outputs(prediction).items()})


def _outputs(prediction: Prediction) -> dict[str, torch.Tensor]:
    return {
        "score_map": prediction.score,
        "size_map": prediction.size,
        "offset_map": prediction.offset,
        "pred_boxes": prediction.decode_boxes()[0][:, None],
    }


def _compare(arrays: Arrays, outputs: Mapping[str, torch.Tensor]) -> Iterator[tuple[str, float]]:
    for name, value in outputs.items():
        if name not in arrays:
            raise UserError(f"the reference file lacks {name}")
        expected = _tensor(arrays[name])
        if expected.shape != value.shape:
            raise UserError(f"{name} has the shape {tuple(expected.shape)}, the network gives {tuple(value.shape)}")
        yield name, float((value - expected).abs().max())


def _tensor(array: np.ndarray) -> torch.Tensor:
    return torch.from_numpy(array).float()
