"""What happens to a frame on the device: pictures in, boxes out; as it is written, compiled, or as one CUDA graph.

    step = FrameStep(network, window, mean, std, torch.float32)
    answers, state = step(pictures, state)              # or compiled(step), or CudaGraphs(step): the same to call

Compiling and recording fix the shapes; so batches are filled up to a power of two before (:func:`filled_batch`), and
a batch that shrinks as its videos end costs few of them.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from torch import nn

from ...models.mstgt import MSTGT, TrackState
from ...models.picture import to_input

Step = Callable[[torch.Tensor, TrackState], tuple[torch.Tensor, TrackState]]
WARM_UP = 3  # runs before a recording, in which libraries choose their kernels and get their memory


class FrameStep(nn.Module):
    """(B, S, S, 3) uint8 pictures and the state before -> (B, 5) cx, cy, w, h as shares of the picture, score; and
    the state after. ``dtype`` is what the network computes in."""

    def __init__(self, network: MSTGT, window: torch.Tensor, mean: Sequence[float], std: Sequence[float],
                 dtype: torch.dtype):
        super().__init__()
        self.network, self.dtype = network, dtype
        self.register_buffer("window", window)
        self.register_buffer("mean", torch.tensor(mean, device=window.device))
        self.register_buffer("std", torch.tensor(std, device=window.device))

    def forward(self, pictures: torch.Tensor, state: TrackState) -> tuple[torch.Tensor, TrackState]:
        prediction, state = self.network.forward_frame(self.input(pictures), state)
        boxes, scores = prediction.decode_boxes(self.window)
        return torch.cat([boxes, scores[:, None]], dim=1), state

    def input(self, pictures: torch.Tensor) -> torch.Tensor:
        """(B, S, S, 3) uint8 -> what the network takes."""
        return to_input(pictures, self.mean, self.std).to(self.dtype)


def compiled(step: FrameStep) -> Step:
    """``step`` compiled by inductor, its weights as constants. The first call of every shape takes minutes."""
    from torch._inductor import config  # only here: it takes its time

    fast = torch.compile(step, fullgraph=True, dynamic=False)

    def call(pictures: torch.Tensor, state: TrackState) -> tuple[torch.Tensor, TrackState]:
        with config.patch(freezing=True):  # looked at when it compiles, which is in a call
            return fast(pictures, state)

    return call


class CudaGraphs:
    """Records ``step`` as a CUDA graph at the first call of every shape, and replays it from then on."""

    def __init__(self, step: Step):
        self.step = step
        self.records: dict[torch.Size, _Record] = {}

    def __call__(self, pictures: torch.Tensor, state: TrackState) -> tuple[torch.Tensor, TrackState]:
        record = self.records.get(pictures.shape)
        with torch.cuda.device(pictures.device):
            if record is None:
                record = self.records[pictures.shape] = _Record(self.step, pictures, state)
            return record.replay(pictures, state)


class _Record:
    """A graph with the memory that it reads and writes."""

    def __init__(self, step: Step, pictures: torch.Tensor, state: TrackState):
        self.inputs = [tensor.clone(memory_format=torch.contiguous_format) for tensor in (pictures, *state)]
        stream = torch.cuda.Stream()
        stream.wait_stream(torch.cuda.current_stream())
        with torch.cuda.stream(stream):
            for _ in range(WARM_UP):
                step(self.inputs[0], TrackState(*self.inputs[1:]))
        torch.cuda.current_stream().wait_stream(stream)
        self.graph = torch.cuda.CUDAGraph()
        with torch.cuda.graph(self.graph, stream=stream):
            answers, after = step(self.inputs[0], TrackState(*self.inputs[1:]))
        self.outputs = (answers, after.guidance)

    def replay(self, pictures: torch.Tensor, state: TrackState) -> tuple[torch.Tensor, TrackState]:
        for own, given in zip(self.inputs, (pictures, *state), strict=True):
            own.copy_(given)
        self.graph.replay()
        answers, guidance = (tensor.clone() for tensor in self.outputs)  # the next replay writes over them
        return answers, state._replace(guidance=guidance)


def filled_batch(pictures: torch.Tensor, state: TrackState) -> tuple[torch.Tensor, TrackState]:
    """The batch with its last row repeated up to the next power of two."""
    lacking = (1 << (len(pictures) - 1).bit_length()) - len(pictures)
    if not lacking:
        return pictures, state
    pictures, *tensors = (torch.cat([t, t[-1:].expand(lacking, *t.shape[1:])]) for t in (pictures, *state))
    return pictures, TrackState(*tensors)
