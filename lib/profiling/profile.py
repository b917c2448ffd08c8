"""What a frame costs: parameters, FLOPs, and frames per second on this machine.

FLOPs are counted by ``torch.utils.flop_counter`` (2 per multiply-add; matrix products, convolutions and attention
included); thop's multiply-adds stand beside them (it misses the products inside attention).
"""

from __future__ import annotations

import contextlib
import copy
import io
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import thop
import torch
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

from ..models.mstgt import MSTGT
from ..models.mstgt.checkpoint import unused_published_parameters
from ..test.tracker import TrackerEngine
from ..utils.device import device_name

FRAME_SIZE = (720, 1280)  # height, width
WARM_UP = 3
PAUSE_S = 0.002  # before each timed call: threads of the call before may still spin and keep a core busy


@dataclass(frozen=True)
class Cost:
    """parameters; FLOPs of the template (once per video), of a frame, and of a frame as the published code runs it
    (template and every token of every block in every frame); thop's multiply-adds of the last."""

    parameters: int
    published_parameters: int
    template_flops: int
    frame_flops: int
    published_flops: int
    thop_macs: int


class _PublishedFrame(nn.Module):
    """A frame as the published code runs it: the template again, and every token of every block."""

    def __init__(self, network: MSTGT):
        super().__init__()
        self.network = network

    def forward(self, template: torch.Tensor, search: torch.Tensor) -> torch.Tensor:
        net = self.network
        state = net.init_state(template)
        x = net.embed_search(net.backbone.forward_stem(search))
        guidance = net.guidance.norm(torch.cat([state.template, x, state.guidance], dim=1))
        if net.guidance.recurrent:
            guidance = net.guidance.block(guidance)
        if net.asymmetric:
            features = net.attend(state, x)
        else:
            tokens = torch.cat([state.context, net.guidance.prompt(state.guidance), state.template, x], dim=1)
            features = net.backbone.forward_blocks(tokens)[:, -x.shape[1] :]
        seen = net.predict_head(features)
        return seen.score.sum() + guidance.sum()


def measure_cost(network: MSTGT) -> Cost:
    """Count parameters and FLOPs of a batch of one."""
    network = copy.deepcopy(network).cpu().eval()
    template, search = (torch.zeros(1, 3, s, s) for s in (network.template_size, network.search_size))
    with torch.inference_mode():
        state = network.init_state(template)
        published = _PublishedFrame(network)
        parameters = sum(p.numel() for p in network.parameters())
        template_flops = _flops(lambda: network.init_state(template))
        frame_flops = _flops(lambda: network.forward_frame(search, state))
        published_flops = _flops(lambda: published(template, search))
        with contextlib.redirect_stdout(io.StringIO()):  # thop prints one line per layer
            macs, _ = thop.profile(published, inputs=(template, search), verbose=False)
    return Cost(parameters, parameters + unused_published_parameters(network), template_flops, frame_flops,
                published_flops, int(macs))


@torch.inference_mode()
def network_fps(engine: TrackerEngine, seconds: float) -> float:
    """Frames per second of an engine's network alone, one frame at a time."""
    rng = np.random.default_rng(0)
    template, search = (rng.integers(0, 256, (1, size, size, 3), np.uint8)
                        for size in (engine.settings.TEMPLATE_SIZE, engine.settings.SEARCH_SIZE))
    state = engine.init_state(template)
    return _rate(lambda: engine.forward_frame(search, state), engine.device_name, seconds)


def tracker_fps(engine: TrackerEngine, seconds: float, narrow: bool = False) -> float:
    """Frames per second of the whole tracker on 1280 x 720 images in memory: crop, network, box.

    narrow  of frames whose narrow search crop (TEST.NARROW_SIZE) is enough
    """
    rng = np.random.default_rng(0)
    image = rng.integers(0, 256, (*FRAME_SIZE, 3), np.uint8)
    # Always from the first frame's target: an untrained network would walk away from the image's center.
    target = engine.start(image, (600, 300, 80, 100))
    if not narrow:
        return _rate(lambda: engine.step([image], [target]), engine.device_name, seconds)
    calm = replace(target, motion=0.0)
    # Not the whole step: an untrained network's score is low, so the ordinary crop would be searched as well.
    return _rate(lambda: engine.locate([image], [calm], [engine.search_crop(calm)]), engine.device_name, seconds)


def describe_device(device: str | torch.device) -> str:
    """The name of ``device`` with its number of threads, to be printed."""
    name = device_name(device)
    return name if str(device).startswith("cuda") else f"{name}, {torch.get_num_threads()} threads"


def _flops(run: Callable[[], Any]) -> int:
    with FlopCounterMode(display=False) as counter:
        run()
    return counter.get_total_flops()


def time_rounds(works: Mapping[str, Callable[[], Any]], device: str | torch.device, seconds: float = 0.0,
                rounds: int = 5) -> dict[str, np.ndarray]:
    """The seconds of each of ``works`` in every round, after a warm-up; ``rounds``, and more while ``seconds`` last.

    A round runs all of them one after the other, so that other load on the machine affects them alike.
    """
    for _ in range(WARM_UP):
        for work in works.values():
            work()
    times: dict[str, list[float]] = {name: [] for name in works}
    until, done = time.perf_counter() + seconds, 0
    while done < rounds or time.perf_counter() < until:
        for name, work in works.items():
            _wait(device)
            time.sleep(PAUSE_S)
            started = time.perf_counter()
            work()
            _wait(device)
            times[name].append(time.perf_counter() - started)
        done += 1
    return {name: np.array(taken) for name, taken in times.items()}


def _rate(run: Callable[[], Any], device: str | torch.device, seconds: float) -> float:
    """Calls per second over about ``seconds``: 1 / the median call."""
    return 1 / float(np.median(time_rounds({"": run}, device, seconds)[""]))


def _wait(device: str | torch.device) -> None:
    if str(device).startswith("cuda"):
        torch.cuda.synchronize(device)
