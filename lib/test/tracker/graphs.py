"""A frame's step with a fixed shape: compiled, or recorded as one CUDA graph.

    step = FrameStep(network, window, mean, std, torch.float32)
    rows, state = step(searches, state)                 # compiled(step) and CudaGraphs(step) are called the same way

Batches are padded to a power of two first (:func:`pad_batch`), so that a batch that shrinks as its videos end needs few
shapes.
"""

from __future__ import annotations

from collections.abc import Callable

import torch

from ...models.mstgt import FrameStep, TrackState

Step = Callable[[torch.Tensor, TrackState], tuple[torch.Tensor, TrackState]]
WARM_UP = 3  # runs before a recording, in which libraries select kernels and allocate memory


def compiled(step: FrameStep) -> Step:
    """``step`` compiled by inductor, with the weights as constants. The first call of every shape takes minutes."""
    from torch._inductor import config  # imported here because it is slow to import

    # fullgraph: a break in the graph would only show as a slower step. Not dynamic: code for one shape is faster, and
    # pad_batch keeps the shapes few.
    fast = torch.compile(step, fullgraph=True, dynamic=False)

    def call(searches: torch.Tensor, state: TrackState) -> tuple[torch.Tensor, TrackState]:
        with config.patch(freezing=True):  # read when the step is compiled, which happens inside a call
            return fast(searches, state)

    return call


class CudaGraphs:
    """Records ``step`` as a CUDA graph at the first call of every shape and replays it from then on."""

    def __init__(self, step: Step):
        self.step = step
        self.records: dict[torch.Size, _Record] = {}

    def __call__(self, searches: torch.Tensor, state: TrackState) -> tuple[torch.Tensor, TrackState]:
        record = self.records.get(searches.shape)
        # The caller's current GPU need not be the network's.
        with torch.cuda.device(searches.device):
            if record is None:
                record = self.records[searches.shape] = _Record(self.step, searches, state)
            return record.replay(searches, state)


class _Record:
    """A CUDA graph with the memory that it reads and writes."""

    def __init__(self, step: Step, searches: torch.Tensor, state: TrackState):
        # A graph reads from fixed addresses. These are its inputs; every replay copies the given tensors into them.
        self.inputs = [tensor.clone(memory_format=torch.contiguous_format) for tensor in (searches, *state)]
        # Graphs cannot be recorded on the default stream. The runs before use the same stream, so that what libraries
        # allocate at their first call is there already.
        stream = torch.cuda.Stream()
        stream.wait_stream(torch.cuda.current_stream())
        with torch.cuda.stream(stream):
            for _ in range(WARM_UP):
                step(self.inputs[0], TrackState(*self.inputs[1:]))
        torch.cuda.current_stream().wait_stream(stream)
        self.graph = torch.cuda.CUDAGraph()
        with torch.cuda.graph(self.graph, stream=stream):
            before = TrackState(*self.inputs[1:])
            self.rows, after = step(self.inputs[0], before)
        self.changed = after.changed_since(before)

    def replay(self, searches: torch.Tensor, state: TrackState) -> tuple[torch.Tensor, TrackState]:
        for own, given in zip(self.inputs, (searches, *state), strict=True):
            own.copy_(given)
        self.graph.replay()
        # Clone: the next replay overwrites the graph's outputs.
        return self.rows.clone(), state._replace(**{name: tensor.clone() for name, tensor in self.changed.items()})


def pad_batch(searches: torch.Tensor, state: TrackState) -> tuple[torch.Tensor, TrackState]:
    """The batch with its last row repeated up to the next power of two."""
    missing = (1 << (len(searches) - 1).bit_length()) - len(searches)
    if not missing:
        return searches, state
    searches, *tensors = (torch.cat([t, t[-1:].expand(missing, *t.shape[1:])]) for t in (searches, *state))
    return searches, TrackState(*tensors)
