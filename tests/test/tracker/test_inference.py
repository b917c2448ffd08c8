"""What makes the tracker fast leaves its boxes where they are: each trick alone, and all of them on a video."""

from __future__ import annotations

import copy
from pathlib import Path

import numpy as np
import pytest
import torch
from plain_tracker import PlainTracker
from torch import nn
from torch.nn import functional as F

from mstgt.config import SHIPPED, load_config
from mstgt.data.readers.folder import folder
from mstgt.models.layers.transformer import Attention, AttentionBlock, GroupedAttention, Mlp
from mstgt.models.mstgt import MSTGT, FrameStep, HiViTSpec, TrackState, build_model
from mstgt.models.mstgt.checkpoint import load_pretrained
from mstgt.synthetic import synthetic_video
from mstgt.test.tracker import Tracker
from mstgt.test.tracker.graphs import pad_batch
from mstgt.test.tracker.torch_engine import (
    MANY_TOKENS,
    PackedLinear,
    TorchEngine,
    attend_in_steps,
    can_pack,
    fold_batch_norm,
    pack_linear,
    prepare,
)
from mstgt.utils.errors import UserError

CFG = load_config("MSTGT", "MSTGT-demo-128")
CPU = torch.device("cpu")
REAL = Path(__file__).resolve().parents[3].parent / "shared" / "real" / "otb"
FRAMES = 12
needs_packing = pytest.mark.skipif(not can_pack(torch.float32), reason="no packed products on this CPU")


@pytest.fixture(scope="module")
def network():
    """Random weights, and batch norms that have seen something."""
    torch.manual_seed(0)
    network = build_model(CFG)
    for module in network.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.running_mean.normal_(0, 0.2)
            module.running_var.uniform_(0.5, 2)
            nn.init.uniform_(module.weight, 0.5, 1.5)
            nn.init.normal_(module.bias, 0, 0.2)
    return network.eval()


@pytest.fixture(scope="module", params=["synthetic", "Car4", "Basketball"])
def clip(request):
    """A few frames and the first box; of real videos where they are."""
    if request.param == "synthetic":
        video = synthetic_video(3, frames=FRAMES)
    elif REAL.is_dir():
        video = folder(REAL).load(request.param)
    else:
        pytest.skip("no real videos here")
    return [video.frames.read(i) for i in range(FRAMES)], video.boxes_xywh[0]


def boxes(tracker, clip) -> np.ndarray:
    images, box = clip
    tracker.init(images[0], box)
    return np.array([tracker.update(image)[0] for image in images[1:]])


def test_the_engine_finds_the_boxes_of_the_plain_tracker(network, clip):
    found, expected = boxes(Tracker(TorchEngine(network, CFG)), clip), boxes(PlainTracker(network, CFG), clip)
    assert np.abs(found - expected).max() <= 1e-4
    assert np.abs(expected - expected[0]).max() > 1  # they do move


@pytest.fixture(scope="module")
def shipped() -> MSTGT:
    """The default network: with trained weights its box overlaps the first one, which calibration requires."""
    cfg = load_config("MSTGT", "MSTGT-nano")
    network = build_model(cfg)
    load_pretrained(network, SHIPPED / cfg.MODEL.PRETRAIN_FILE)
    return network


@pytest.mark.parametrize("smoothing, calibrate", [(0.3, True), (0.0, True), (0.3, False)])
def test_smoothed_and_calibrated_sizes_are_those_of_the_plain_tracker(shipped, clip, smoothing, calibrate):
    cfg = load_config("MSTGT", "MSTGT-nano")
    cfg.TEST.SIZE_SMOOTHING, cfg.TEST.CALIBRATE_SIZE = smoothing, calibrate
    plain = PlainTracker(shipped, cfg)
    found, expected = boxes(Tracker(TorchEngine(shipped, cfg)), clip), boxes(plain, clip)
    assert np.abs(found - expected).max() <= 1e-3
    assert (np.abs(plain.size_factors - 1).max() > 0.01) == calibrate
    cfg.TEST.SIZE_SMOOTHING, cfg.TEST.CALIBRATE_SIZE = 0.0, False
    assert np.abs(expected - boxes(PlainTracker(shipped, cfg), clip)).max() > 0.01  # the settings have an effect


def test_the_network_given_stays_as_it_is(network):
    before = {name: (id(tensor), tensor.clone()) for name, tensor in network.state_dict(keep_vars=True).items()}
    TorchEngine(network, CFG, precision="bf16")
    after = network.state_dict(keep_vars=True)
    assert before.keys() == after.keys()
    assert all(torch.equal(before[name][1], after[name]) and after[name].dtype == before[name][1].dtype
               for name in before)
    assert all(parameter.requires_grad for parameter in network.parameters())


def test_batch_norm_becomes_part_of_the_convolution(network):
    head, features = copy.deepcopy(network.head), torch.randn(2, network.spec.dim, 8, 8)
    fold_batch_norm(head)
    assert not any(isinstance(module, nn.BatchNorm2d) for module in head.modules())
    with torch.no_grad():
        for plain, folded in zip(network.head(features), head(features), strict=True):
            torch.testing.assert_close(folded, plain, atol=1e-5, rtol=1e-5)


@needs_packing
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_packed_layers_compute_the_same(dtype):
    if not can_pack(dtype):
        pytest.skip(f"no packed products in {dtype}")
    plain = nn.Sequential(nn.Linear(24, 40, bias=False), Mlp(40, 80)).to(dtype).requires_grad_(False)
    packed = copy.deepcopy(plain)
    pack_linear(packed)
    assert sum(isinstance(module, PackedLinear) for module in packed.modules()) == 3
    assert isinstance(packed[1].act, nn.Identity)  # GELU is part of the layer before
    x = torch.randn(2, 5, 24, dtype=dtype)
    precision = 1e-5 if dtype == torch.float32 else 2e-2
    torch.testing.assert_close(packed(x), plain(x), atol=precision, rtol=precision)


@pytest.mark.parametrize("tokens", [MANY_TOKENS - 1, MANY_TOKENS, MANY_TOKENS + 97])
def test_attention_in_steps_computes_the_same(tokens):
    torch.manual_seed(0)
    q, k, v = (torch.randn(2, 3, n, 48) for n in (tokens - 90, tokens, tokens))
    torch.testing.assert_close(attend_in_steps(3 * q, k, v), F.scaled_dot_product_attention(3 * q, k, v),
                               atol=1e-5, rtol=1e-5)


@needs_packing
def test_an_activation_that_is_no_gelu_stays_a_layer():
    plain = Mlp(8, 16).requires_grad_(False)
    plain.act = nn.ReLU()
    packed, x = copy.deepcopy(plain), torch.randn(3, 8)
    pack_linear(packed)
    torch.testing.assert_close(packed(x), plain(x))


@pytest.mark.parametrize("attention", [Attention, GroupedAttention])
@pytest.mark.parametrize("keep", [slice(7), slice(-5, None), slice(4, 11), slice(6, 9), slice(None), slice(1)])
def test_a_block_that_computes_some_tokens_computes_those_of_the_whole(attention, keep):
    torch.manual_seed(0)
    block, x = AttentionBlock(16, 4, 2.0, attention=attention).eval(), torch.randn(2, 18, 16)
    with torch.no_grad():
        torch.testing.assert_close(block(x, keep), block(x)[:, keep], atol=1e-6, rtol=1e-6)


def test_bf16_is_near(network):
    """Its maps; a box jumps where two cells are nearly as good, as they are in a network that has learnt nothing."""
    torch.manual_seed(1)
    template, search = torch.randn(1, 3, 64, 64), torch.randn(1, 3, 128, 128)
    coarse = prepare(network, CPU, "bf16")
    with torch.inference_mode():
        exact, _ = network.forward_frame(search, network.init_state(template))
        near, state = coarse.forward_frame(search.bfloat16(), coarse.init_state(template.bfloat16()))
    assert all(tensor.dtype == torch.bfloat16 for tensor in state)
    for a, b in zip(exact, near, strict=True):
        assert b.dtype == torch.float32 and 0 < (a - b).abs().max() < 0.05 * a.abs().max()


def test_compiling_traces_the_whole_step_once_for_every_size_of_batch_and_keeps_the_boxes(monkeypatch):
    """As far as tracing: what inductor makes of it takes minutes, and benchmarks/tracking_speed.py asserts it."""
    compiler, traced = torch.compile, []

    def backend(graph: torch.fx.GraphModule, inputs: list[torch.Tensor]):
        traced.append([len(tensor) for tensor in inputs if tensor.dtype == torch.uint8])
        return graph.forward

    monkeypatch.setattr(torch, "compile", lambda step, **options: compiler(step, backend=backend, **options))
    torch.manual_seed(0)
    small = MSTGT(HiViTSpec(32, (1, 1, 1), 2), 64, 128, head_channels=8)
    video = synthetic_video(3, frames=4)
    clip = [video.frames.read(i) for i in range(4)], video.boxes_xywh[0]
    engine = TorchEngine(small, CFG, compile=True)
    engine.warm_up(4)
    assert traced == [[4], [2], [1]]
    found = boxes(Tracker(engine), clip)
    targets = [engine.start(clip[0][0], clip[1])] * 3
    for image in clip[0][1:]:
        targets = [target for target, _ in engine.step([image] * len(targets), targets)]
    assert len(traced) == 3
    assert np.abs(found - boxes(Tracker(TorchEngine(small, CFG)), clip)).max() <= 1e-4


@pytest.mark.parametrize(("count", "filled"), [(1, 1), (2, 2), (3, 4), (5, 8), (8, 8)])
def test_batches_of_fixed_sizes(count, filled):
    crops = torch.arange(count)[:, None].repeat(1, 3)
    state = TrackState(*(crops + 10 * i for i in range(3)))
    wide, wide_state = pad_batch(crops, state)
    assert wide[:count].equal(crops) and wide.shape == (filled, 3) and (wide[count:] == count - 1).all()
    assert all(a[:count].equal(b) and len(a) == filled for a, b in zip(wide_state, state, strict=True))


def test_videos_in_a_padded_batch_keep_their_boxes(network, clip, monkeypatch):
    """An engine of fixed shapes, with the step as it is."""
    monkeypatch.setattr("mstgt.test.tracker.torch_engine.compiled", lambda step: step)
    images, box = clip
    plain, fixed = TorchEngine(network, CFG), TorchEngine(network, CFG, compile=True)
    targets = [fixed.start(images[0], box + [0, 0, i, i]) for i in range(3)]
    together = fixed.step([images[1]] * 3, targets)
    assert len(together) == 3
    for (target, score), before in zip(together, targets, strict=True):
        [(alone, alone_score)] = plain.step([images[1]], [before])
        assert np.abs(target.box_xywh - alone.box_xywh).max() <= 1e-3 and score == pytest.approx(alone_score, abs=1e-5)
        assert target.state.guidance.shape[0] == 1


def test_unsupported_options_are_refused_in_one_line(network):
    wrong = ({"precision": "fp8"}, "fp32"), ({"precision": "fp16"}, "bf16"), ({"cuda_graph": True}, "GPU")
    for options, words in wrong:
        with pytest.raises(UserError, match=words):
            TorchEngine(network, CFG, **options)


@pytest.mark.skipif(not torch.cuda.is_available(), reason="no GPU here")
@pytest.mark.parametrize(("precision", "most_px"), [("fp32", 1e-4), ("bf16", 1e-4)])
def test_a_cuda_graph_gives_the_boxes_of_its_kernels(network, clip, precision, most_px):
    plain = TorchEngine(network, CFG, "cuda", precision)
    graph = TorchEngine(network, CFG, "cuda", precision, cuda_graph=True)
    one, other = Tracker(graph), Tracker(graph)
    images, box = clip
    one.init(images[0], box)
    other.init(images[0][::-1].copy(), box)
    found = []
    for image in images[1:]:
        found.append(one.update(image)[0])
        other.update(image[::-1].copy())  # on the same graph, which must not keep anything of it
    assert np.abs(np.array(found) - boxes(Tracker(plain), clip)).max() <= most_px
    assert len(graph.run_frame.records) == 1


def test_normalizing_on_the_device_is_that_of_training(network):
    crops = torch.randint(0, 256, (2, 128, 128, 3), dtype=torch.uint8)
    step = FrameStep(network, torch.ones(8, 8), CFG.DATA.MEAN, CFG.DATA.STD, torch.float32)
    expected = (crops.permute(0, 3, 1, 2) / 255 - torch.tensor(CFG.DATA.MEAN).view(1, 3, 1, 1)) \
        / torch.tensor(CFG.DATA.STD).view(1, 3, 1, 1)
    torch.testing.assert_close(step.input(crops), expected, atol=1e-5, rtol=1e-5)
