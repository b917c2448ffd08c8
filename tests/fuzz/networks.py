"""Readers of weights: checkpoints of trackers and of training, pre-trained backbones, ONNX files."""

from __future__ import annotations

import functools
import importlib.util
import io
import json
import random
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import safetensors.torch
import torch

from mstgt.config import load_config
from mstgt.export.onnx_engine import ANSWERS, FORMAT, START_INPUTS, STATE, OnnxEngine, OnnxPair
from mstgt.models.mstgt import MSTGT, HiViTSpec
from mstgt.models.mstgt.checkpoint import load_network, load_pretrained
from mstgt.models.mstgt.reference import read_reference
from mstgt.train.trainers.state import read_checkpoint
from tests.fuzz.mutate import as_json, mutate, mutate_tree
from tests.fuzz.target import CONFIG, Target

SPEC = HiViTSpec(16, (1, 1, 1), 2)


def tiny() -> MSTGT:
    """The smallest network there is, always with the same weights."""
    torch.manual_seed(0)
    return MSTGT(SPEC, 64, 64, head_channels=8)


@functools.cache
def _weights() -> dict[str, torch.Tensor]:
    return dict(tiny().state_dict())


@functools.cache
def _content() -> dict[str, Any]:
    moments = {i: {"step": torch.tensor(1.0), "exp_avg": v, "exp_avg_sq": v} for i, v in enumerate(_weights().values())}
    return {"net": _weights(), "ema": None, "scaler": {}, "epoch": 1, "step": 3, "best": {"epoch": 1, "iou": 0.5},
            "optimizer": {"state": moments, "param_groups": [{"lr": 0.1, "params": [0]}]},
            "config": "TRAIN: {SEED: 1}", "code": "x", "world": 1,
            "meter": {"sums": {"total": 1.0}, "batches": 1, "samples": 2, "unreadable": 0, "seconds": 1.0,
                      "waited": 0.5}}


def saved(value: Any) -> bytes:
    """``value`` as ``torch.save`` writes it."""
    file = io.BytesIO()
    torch.save(value, file)
    return file.getvalue()


@functools.cache
def _checkpoints() -> tuple[bytes, ...]:
    return (saved(_content()),)


def _checkpoint_tree(rng: random.Random) -> bytes:
    value = mutate_tree(_content(), rng)
    if rng.random() < 0.5 and isinstance(value, dict) and isinstance(value.get("net"), dict) and value["net"]:
        name = rng.choice(list(value["net"]))
        value["net"][name] = rng.choice((
            torch.zeros(1, 2), torch.full((3,), torch.nan), torch.zeros(2, dtype=torch.int8),
            torch.zeros(2).to_sparse(), torch.zeros(1).expand(1 << 40), torch.zeros(1, device="meta"),
            _weights()["norm.bias"] + torch.inf))
    return saved(value) if rng.random() < 0.6 else _with_pickle(saved(value), rng)


def _with_pickle(data: bytes, rng: random.Random) -> bytes:
    """A checkpoint whose pickle is corrupt, and has the checksum of what it is now."""
    file = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(data)) as old, zipfile.ZipFile(file, "w") as new:
        for info in old.infolist():
            member = old.read(info)
            new.writestr(info, mutate(member, rng) if info.filename.endswith("data.pkl") else member)
    return file.getvalue()


def _network(data: bytes, at: Path) -> None:
    (at / "x.pth.tar").write_bytes(data)
    network = tiny()
    load_network(network, at / "x.pth.tar")
    assert all(bool(torch.isfinite(v).all()) for v in network.state_dict().values())


@functools.cache
def _safetensors() -> tuple[bytes, ...]:
    return (safetensors.torch.save(_weights(), {"config": "x"}),)


def _safetensors_tree(rng: random.Random) -> bytes:
    """Weights with a corrupt header of the right length."""
    data = rng.choice(_safetensors())
    end = 8 + int.from_bytes(data[:8], "little")
    header = as_json(mutate_tree(json.loads(data[8:end]), rng))
    return len(header).to_bytes(8, "little") + header + data[end:]


def _alone(data: bytes, at: Path) -> None:
    (at / "x.safetensors").write_bytes(data)
    load_pretrained(tiny(), at / "x.safetensors")


def _training(data: bytes, at: Path) -> None:
    (at / "x.pth.tar").write_bytes(data)
    content = read_checkpoint(at / "x.pth.tar")
    assert content["epoch"] >= 0 and content["meter"]["batches"] is not None


@functools.cache
def _encoders() -> tuple[bytes, ...]:
    state = {n: v for n, v in tiny().backbone.state_dict().items() if not n.startswith("pos_embed")}
    return (saved({"model": {**state, "absolute_pos_embed": torch.zeros(1, 196, SPEC.dim)}}),)


def _pretrained(data: bytes, at: Path) -> None:
    (at / "mae.pth").write_bytes(data)
    load_pretrained(tiny(), at / "mae.pth")


@functools.cache
def _references() -> tuple[bytes, ...]:
    arrays = {f"{part}/{name}": np.zeros((1, 3, 16, 16), np.float32) for part in ("track", "train")
              for name in ("template", "search", "search1")}
    file = io.BytesIO()
    np.savez(file, meta=np.array([16, 1, 1, 1, 2, 8]), **arrays)
    return (file.getvalue(),)


def _reference(data: bytes, at: Path) -> None:
    (at / "r.npz").write_bytes(data)
    meta = read_reference(at / "r.npz")["meta"]
    assert meta.shape == (6,) and meta.max() <= 1024


def onnx_file(inputs: tuple[str, ...], outputs: tuple[str, ...], **metadata: str) -> bytes:
    """An ONNX file of the project's kind whose graph does next to nothing."""
    from onnx import TensorProto, helper

    cfg = load_config("MSTGT", CONFIG)
    said = {"format": FORMAT, "template_size": str(cfg.TEST.TEMPLATE_SIZE), "search_size": str(cfg.TEST.SEARCH_SIZE),
            "mean": str(list(cfg.DATA.MEAN)), "std": str(list(cfg.DATA.STD)), "precision": "fp32", "batch": "any",
            "checkpoint": "c.pth", "checkpoint_sha256": "a" * 64} | metadata
    ends = [[helper.make_tensor_value_info(name, TensorProto.FLOAT, ["n", 4]) for name in names]
            for names in (inputs, outputs)]
    nodes = [helper.make_node("Identity", [inputs[-1]], [name]) for name in outputs]
    model = helper.make_model(helper.make_graph(nodes, "g", *ends), opset_imports=[helper.make_opsetid("", 18)],
                              ir_version=9)
    helper.set_model_props(model, said)
    return model.SerializeToString()


@functools.cache
def _onnx_files() -> tuple[bytes, ...]:
    return (onnx_file((*START_INPUTS, *STATE), (*ANSWERS, "next_guidance")),)


def _onnx(data: bytes, at: Path) -> None:
    start = at / "s.onnx"
    if not start.exists():
        start.write_bytes(onnx_file(START_INPUTS, STATE))
    (at / "x.onnx").write_bytes(data)
    pair = OnnxPair(start, at / "x.onnx")
    OnnxEngine(pair, load_config("MSTGT", CONFIG))
    pair.start(np.zeros((1, 4), np.float32))


TARGETS: dict[str, Target] = {
    "checkpoint": Target(_checkpoints, _network, "x.pth.tar", _checkpoint_tree),
    "training_state": Target(_checkpoints, _training, "x.pth.tar", _checkpoint_tree),
    "pretrained": Target(_encoders, _pretrained, "mae.pth", lambda rng: _with_pickle(_encoders()[0], rng)),
    "safetensors": Target(_safetensors, _alone, "x.safetensors", _safetensors_tree),
    "reference": Target(_references, _reference, "r.npz"),
}
if importlib.util.find_spec("onnx") and importlib.util.find_spec("onnxruntime"):
    TARGETS["onnx"] = Target(_onnx_files, _onnx, "")
