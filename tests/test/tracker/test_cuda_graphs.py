"""CUDA graphs without a GPU: what they do to a step, done on the CPU.

A graph is a list of kernels with the addresses that they read and write. Python ran once, when it was recorded; a
replay runs the kernels again on the same memory. ``Graph`` does that with PyTorch's operators. So a step that keeps
something in Python, decides by a value, or hands out memory that the next replay writes over, shows here.
"""

from __future__ import annotations

import contextlib
from typing import Any

import numpy as np
import pytest
import torch
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from mstgt.config import load_config
from mstgt.models.mstgt import build_model
from mstgt.synthetic import synthetic_video
from mstgt.test.tracker import Tracker
from mstgt.test.tracker.graphs import WARM_UP, CudaGraphs
from mstgt.test.tracker.torch_engine import TorchEngine

CFG = load_config("MSTGT", "MSTGT-nano-128")
FRAMES = 6
WAITING = {getattr(torch.ops.aten, name) for name in ("item", "is_nonzero", "_local_scalar_dense", "nonzero")}


class Graph:
    """Stands for ``torch.cuda.CUDAGraph``."""

    def __init__(self) -> None:
        self.calls: list[tuple[Any, tuple[Any, ...], dict[str, Any], Any]] = []

    def replay(self) -> None:
        for operator, args, kwargs, result in self.calls:
            if operator._schema.is_mutable:
                operator(*args, **kwargs)
            elif not is_view(args, result):
                for old, new in zip(tree_leaves(result), tree_leaves(operator(*args, **kwargs)), strict=True):
                    if isinstance(old, torch.Tensor):
                        old.copy_(new)


def is_view(args: tuple[Any, ...], result: Any) -> bool:
    """Whether an operator only looked at memory in another way: no kernel."""
    return not memory(args).isdisjoint(memory(result))


def memory(values: Any) -> set[int]:
    """Where the tensors among ``values`` lie; packed weights do not say, and are never looked at in another way."""
    return {leaf.untyped_storage().data_ptr() for leaf in tree_leaves(values)
            if isinstance(leaf, torch.Tensor) and leaf.layout == torch.strided}


class Recording(TorchDispatchMode):
    """Stands for ``torch.cuda.graph``."""

    def __init__(self, graph: Graph, stream: object = None):
        super().__init__()
        self.graph = graph

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        if func.overloadpacket in WAITING:
            raise RuntimeError("a graph cannot wait for a value")
        result = func(*args, **(kwargs or {}))
        self.graph.calls.append((func, args, kwargs or {}, result))
        return result


class Stream:
    def wait_stream(self, other: object) -> None:
        pass


@pytest.fixture(autouse=True)
def graphs_of_the_cpu(monkeypatch):
    monkeypatch.setattr(torch.cuda, "CUDAGraph", Graph)
    monkeypatch.setattr(torch.cuda, "graph", Recording)
    for name in ("Stream", "current_stream"):
        monkeypatch.setattr(torch.cuda, name, Stream)
    for name in ("stream", "device"):
        monkeypatch.setattr(torch.cuda, name, lambda _: contextlib.nullcontext())


@pytest.fixture(scope="module")
def network():
    torch.manual_seed(0)
    return build_model(CFG).eval()


def engine_of_graphs(network) -> TorchEngine:
    engine = TorchEngine(network, CFG)
    engine.run_frame, engine.pads_batches = CudaGraphs(engine.frame), True
    return engine


def clip(index: int) -> tuple[list[np.ndarray], np.ndarray]:
    video = synthetic_video(5, frames=FRAMES, index=index)
    return [video.frames.read(i) for i in range(FRAMES)], video.boxes_xywh[0]


def test_two_videos_that_take_turns_on_one_graph_keep_their_boxes(network):
    graphs, plain = engine_of_graphs(network), TorchEngine(network, CFG)
    clips = [clip(0), clip(1)]
    on_graph = [Tracker(graphs) for _ in clips]
    alone = [Tracker(plain) for _ in clips]
    for trackers in (on_graph, alone):
        for tracker, (images, box) in zip(trackers, clips, strict=True):
            tracker.init(images[0], box)
    for frame in range(1, FRAMES):
        for found, expected, (images, _) in zip(on_graph, alone, clips, strict=True):
            (box, score), (right_box, right_score) = found.update(images[frame]), expected.update(images[frame])
            assert np.abs(box - right_box).max() <= 1e-4 and score == pytest.approx(right_score, abs=1e-6)
    assert len(graphs.run_frame.records) == 1


def test_every_size_of_batch_has_its_graph(network):
    graphs, plain = engine_of_graphs(network), TorchEngine(network, CFG)
    images, box = clip(0)
    targets = [graphs.start(images[0], box + [0, 0, i, i]) for i in range(3)]
    for count, sizes in ((3, [4]), (2, [4, 2]), (3, [4, 2]), (1, [4, 2, 1])):
        found = graphs.step(images[1:2] * count, targets[:count])
        expected = plain.step(images[1:2] * count, targets[:count])
        for (target, _), (right, _) in zip(found, expected, strict=True):
            assert np.abs(target.box_xywh - right.box_xywh).max() <= 1e-3
        assert [shape[0] for shape in graphs.run_frame.records] == sizes


@pytest.mark.parametrize(("batch", "sizes"), [(1, {1}), (4, {4, 2, 1}), (6, {8, 4, 2, 1})])
def test_after_the_warm_up_nothing_is_left_to_record(network, batch, sizes):
    engine = engine_of_graphs(network)
    engine.warm_up(batch)
    images, box = clip(0)
    for count in range(1, batch + 1):
        engine.step(images[1:2] * count, [engine.start(images[0], box)] * count)
    assert {shape[0] for shape in engine.run_frame.records} == sizes


def test_the_step_runs_in_python_only_to_be_recorded(network):
    runs = []
    engine = engine_of_graphs(network)
    engine.run_frame = CudaGraphs(lambda *given: (runs.append(1), engine.frame(*given))[1])
    images, box = clip(0)
    tracker = Tracker(engine)
    tracker.init(images[0], box)
    for image in images[1:]:
        tracker.update(image)
    assert len(runs) == WARM_UP + 1


def test_a_step_that_waits_for_a_value_is_seen(network):
    engine = engine_of_graphs(network)
    engine.run_frame = CudaGraphs(lambda searches, state: engine.frame(searches, state) if searches.sum() else None)
    images, box = clip(0)
    tracker = Tracker(engine)
    tracker.init(images[0], box)
    with pytest.raises(RuntimeError, match="cannot wait"):
        tracker.update(images[1])
