"""Where the time of a frame goes: decoding, crop, the parts of the network, the box; and the machine's limit.

    profile = profile_frame(engine, seconds=5)
    profile.parts, profile.product_rates    # the latter: FLOP/s of the matrix product that dominates stage 3

A frame of 1280 x 720 px is tracked repeatedly in steps that are timed one by one. The network runs as the engine
prepared it, but neither compiled nor as a CUDA graph, because these have no separate parts. The matrix product is timed
between the frames, under the same load of the machine.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
import torch
from torch import nn
from torch.nn import functional as F
from torch.utils.flop_counter import FlopCounterMode

from ..data.images import decode_image
from ..geometry.boxes import clip_box
from ..geometry.crop import Crop
from ..test.tracker.torch_engine import PackedLinear, TorchEngine
from .profile import FRAME_SIZE, time_rounds

BOX = np.array([600.0, 300, 80, 100])
NETWORK = ("stem", "guidance", "stage 3", "head")


@dataclass(frozen=True)
class Part:
    """A part of a frame: seconds (the median) and floating-point operations; 0 where there are none worth counting."""

    name: str
    seconds: float
    flops: int

    @property
    def rate(self) -> float:
        """FLOP/s."""
        return self.flops / self.seconds


class _Frame:
    """One frame of a video, in steps. Each leaves what the next one needs."""

    def __init__(self, engine: TorchEngine):
        self.engine, self.network = engine, engine.network
        image = np.random.default_rng(0).integers(0, 256, (*FRAME_SIZE, 3), np.uint8)
        self.data = cv2.imencode(".jpg", cv2.GaussianBlur(image, (0, 0), 2))[1].tobytes()
        self.before = engine.start(image, BOX).state
        self.steps: dict[str, Callable[[], None]] = {
            "decode": self.decode, "crop": self.crop, "input": self.input, "stem": self.stem,
            "guidance": self.guidance, "stage 3": self.stage3, "head": self.head, "box": self.box}

    def decode(self) -> None:
        self.image = decode_image(self.data, "the frame of the profile")

    def crop(self) -> None:
        settings = self.engine.settings
        self.region = Crop.around(BOX, settings.SEARCH_FACTOR, settings.SEARCH_SIZE)
        self.search_crop = self.region.cut(self.image)

    def input(self) -> None:
        self.search = self.engine.frame.input(torch.from_numpy(self.search_crop)[None].to(self.engine.device))

    def stem(self) -> None:
        self.x = self.network.embed_search(self.network.backbone.forward_stem(self.search))

    def guidance(self) -> None:
        self.after = self.network.update_state(self.x, self.before)

    def stage3(self) -> None:
        self.features = self.network.attend(self.before, self.x)

    def head(self) -> None:
        self.prediction = self.network.predict_head(self.features)

    def box(self) -> None:
        boxes, scores = self.prediction.decode_boxes(self.engine.frame.window)
        answer = torch.cat([boxes, scores[:, None]], dim=1).tolist()[0]
        clip_box(self.region.from_crop(answer[:4]), FRAME_SIZE[1], FRAME_SIZE[0])


@dataclass(frozen=True)
class FrameProfile:
    """parts          of a frame, in their order
    product_rates  FLOP/s of stage 3's tokens times a C x 4 C matrix: ``plain`` as PyTorch multiplies, and on a
                   CPU where the engine packs its weights ``packed`` as well"""

    parts: list[Part]
    product_rates: dict[str, float]


@torch.inference_mode()
def profile_frame(engine: TorchEngine, seconds: float) -> FrameProfile:
    """The medians over about ``seconds`` of tracking, at least five frames."""
    steps = _Frame(engine).steps
    flops = {}
    for name, step in steps.items():
        with FlopCounterMode(display=False, custom_mapping=_flops_of_packed()) as counter:
            step()
        flops[name] = counter.get_total_flops()
    ways, product_flops = main_products(engine)
    taken = {name: float(np.median(times)) for name, times in
             time_rounds(steps | ways, engine.device, seconds).items()}
    return FrameProfile([Part(name, taken[name], flops[name]) for name in steps],
                        {name: product_flops / taken[name] for name in ways})


def main_products(engine: TorchEngine) -> tuple[dict[str, Callable[[], torch.Tensor]], int]:
    """The matrix product of ``FrameProfile.product_rates`` as the engine can compute it, and its FLOPs."""
    net = engine.network
    state = engine.start(np.zeros((*FRAME_SIZE, 3), np.uint8), BOX).state
    with torch.inference_mode():
        tokens = net.grid**2
        if not net.asymmetric:
            tokens += state.context.shape[1] + net.guidance.prompts + state.template.shape[1]
        x = torch.randn(1, tokens, net.spec.dim).to(state.context)
        layer = nn.Linear(net.spec.dim, 4 * net.spec.dim).to(state.context)
    ways: dict[str, Callable[[], torch.Tensor]] = {
        "plain": torch.inference_mode()(lambda: F.linear(x, layer.weight, layer.bias))}
    if any(isinstance(module, PackedLinear) for module in net.modules()):
        packed = PackedLinear(layer)
        ways["packed"] = torch.inference_mode()(lambda: packed(x))
    return ways, 2 * x.numel() * layer.out_features


def _flops_of_packed() -> dict[Any, Callable[..., int]]:
    """The formula for the one operator of the engine that PyTorch's counter does not know."""
    if not hasattr(torch.ops.mkldnn, "_linear_pointwise"):
        return {}

    def count(x_shape: torch.Size, weight_shape: torch.Size, *_others: Any, **_more: Any) -> int:
        return 2 * x_shape.numel() * weight_shape[0]

    return {torch.ops.mkldnn._linear_pointwise: count}
