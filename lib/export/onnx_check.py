"""Whether exported files track as the network does, on crops of short synthetic videos.

    largest_difference(frame, pair, batches=[1, 2])    # of PyTorch's boxes and onnxruntime's

The crops lie around the true boxes, so that all see the same, and each carries its own state from frame to frame.
Boxes are shares of the search region.
"""

from __future__ import annotations

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
