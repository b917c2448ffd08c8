"""Whether exported files track as the network does, and how fast: on crops of short synthetic videos.

    largest_difference(frame, pair, batches=[1, 2])    # of PyTorch's boxes and onnxruntime's
    differences(pair, quantised, batch=2)              # of two pairs of files
    step_seconds([pair, quantised], batch=1)

The crops lie around the true boxes, so that all see the same, and each carries its own state from frame to frame.
Boxes are shares of the search region.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from ..geometry.crop import Crop
from ..models.mstgt import TrackState
from ..synthetic import synthetic_video
from ..test.tracker.frame import FrameStep
from .onnx_engine import OnnxPair

FRAMES, DIFFICULTY = 8, 0.2
TIMED_RUNS = 15


@dataclass(frozen=True)
class Pictures:
    """Crops of as many videos as the batch, uint8: template (B, T, T, 3), searches (frames, B, S, S, 3)."""

    template: np.ndarray
    searches: np.ndarray

    @classmethod
    def make(cls, metadata: Mapping[str, str], batch: int) -> Pictures:
        """Crops of the sizes and factors in ``metadata``."""
        videos = [synthetic_video(0, FRAMES + 1, difficulty=DIFFICULTY, index=i) for i in range(batch)]

        def crops(frame: int, kind: str) -> np.ndarray:
            factor, size, last = float(metadata[f"{kind}_factor"]), int(metadata[f"{kind}_size"]), max(0, frame - 1)
            return np.stack([Crop.around(video.boxes_xywh[last], factor, size).cut(video.frames.read(frame))
                             for video in videos])

        return cls(crops(0, "template"), np.stack([crops(t, "search") for t in range(1, FRAMES + 1)]))


def follow(start: Callable[[np.ndarray], Any], step: Callable[[np.ndarray, Any], tuple[Any, Any, Any]],
           pictures: Pictures) -> np.ndarray:
    """The boxes (frames, B, 4) that two steps find; ``step`` gives boxes, scores and the state after."""
    state, found = start(pictures.template), []
    for search in pictures.searches:
        boxes, _, state = step(search, state)
        found.append(np.asarray(boxes))
    return np.stack(found)


@torch.no_grad()
def largest_difference(frame: FrameStep, pair: OnnxPair, batches: Sequence[int]) -> float:
    """The greatest difference of any box between PyTorch and the files, over batches of these sizes."""
    def start(picture: np.ndarray) -> TrackState:
        return frame.network.init_state(frame.input(torch.from_numpy(picture)))

    def step(picture: np.ndarray, state: TrackState) -> tuple[torch.Tensor, torch.Tensor, TrackState]:
        answers, state = frame(torch.from_numpy(picture), state)
        return answers[:, :4], answers[:, 4], state

    worst = []
    for batch in batches:
        pictures = Pictures.make(pair.metadata, batch)
        worst.append(np.abs(follow(start, step, pictures) - follow(pair.start, pair.step, pictures)).max())
    return float(np.max(worst))  # NaN where any is


def differences(pair: OnnxPair, other: OnnxPair, batch: int) -> tuple[float, float]:
    """The greatest and the mean difference of the boxes of two pairs."""
    pictures = Pictures.make(pair.metadata, batch)
    apart = np.abs(follow(pair.start, pair.step, pictures) - follow(other.start, other.step, pictures))
    return float(apart.max()), float(apart.mean())


def step_seconds(pairs: Sequence[OnnxPair], batch: int) -> tuple[float, ...]:
    """Seconds of one frame step of each pair: medians of runs that take turns."""
    pictures = Pictures.make(pairs[0].metadata, batch)
    state, times = pairs[0].start(pictures.template), [[] for _ in pairs]
    for run in range(TIMED_RUNS + 1):
        for pair, taken in zip(pairs, times, strict=True):
            began = time.perf_counter()
            pair.step(pictures.searches[0], state)
            if run:  # the first warms up
                taken.append(time.perf_counter() - began)
    return tuple(float(np.median(taken)) for taken in times)
