"""What a GPU is to do without the host: no tensor on the wrong device, no wait for a value. Needs no GPU.

Weights and images are PyTorch's fake tensors, which have a device, a shape and a type, and nothing in them. An
operation that mixes devices is an error, as on a GPU; so is one whose result the host would have to wait for: a
condition, a mask that picks, ``item()``.
"""

from __future__ import annotations

import pytest
import torch
from torch import nn
from torch._subclasses.fake_tensor import (
    DataDependentOutputException,
    DynamicOutputShapeException,
    FakeTensorMode,
)
from torch.func import functional_call

from mstgt.config import load_config
from mstgt.models.mstgt import MSTGT, FrameStep, TrackState, build_model, hann_window
from mstgt.test.tracker.torch_engine import DTYPES, fold_batch_norm
from mstgt.train.actors.mstgt import MSTGTActor
from mstgt.train.data.batch import Batch, PartnerBatch
from mstgt.train.losses import TrackingLoss

pytestmark = pytest.mark.skipif(torch.__version__ < (2, 10), reason="fake tensors of a GPU needed one in torch 2.6")

GPU = torch.device("cuda", 0)
CFG = load_config("MSTGT", "MSTGT-nano-128")
TEMPLATE, SEARCH = CFG.TEST.TEMPLATE_SIZE, CFG.TEST.SEARCH_SIZE
BATCH, FRAMES = 3, 4


class FirstFrame(nn.Module):
    """The template and the first frame after it: all that an engine has the device do."""

    def __init__(self, frame: FrameStep):
        super().__init__()
        self.frame = frame

    def forward(self, template: torch.Tensor, search: torch.Tensor) -> tuple[torch.Tensor, TrackState]:
        return self.frame(search, self.frame.network.init_state(self.frame.input(template)))


def on_gpu(module: nn.Module) -> dict[str, torch.Tensor]:
    """Fake weights and buffers; call with the mode on."""
    kept = {name: torch.empty(tuple(tensor.shape), dtype=tensor.dtype, device=GPU)
            for name, tensor in (*module.named_parameters(), *module.named_buffers())}
    for name, _ in module.named_parameters():
        kept[name].requires_grad_()
    return kept


def images(*shape: int) -> torch.Tensor:
    return torch.empty((*shape, 3), dtype=torch.uint8, device=GPU)


@pytest.fixture(scope="module")
def network() -> MSTGT:
    return build_model(CFG)


@pytest.mark.parametrize("precision", DTYPES)
def test_a_frame_is_tracked_on_the_gpu_alone(precision):
    dtype = DTYPES[precision]
    network = build_model(CFG).eval()
    fold_batch_norm(network)
    frame = FirstFrame(FrameStep(network.to(dtype), hann_window(network.grid), CFG.DATA.MEAN, CFG.DATA.STD, dtype))
    with FakeTensorMode(), torch.no_grad():
        inputs = images(BATCH, TEMPLATE, TEMPLATE), images(BATCH, SEARCH, SEARCH)
        answers, state = functional_call(frame, on_gpu(frame), inputs)
        assert answers.shape == (BATCH, 5) and answers.dtype == torch.float32 and answers.device == GPU
        assert all(tensor.dtype == dtype and tensor.device == GPU for tensor in state)
        with pytest.raises(DataDependentOutputException):  # the one wait of a frame, which is the engine's
            answers.tolist()


@pytest.mark.parametrize("norm", ["global", "channel", "none"])
def test_a_batch_is_trained_on_without_waiting(network, norm):
    """From the loader's batch to the parts of the loss, with feature mixing."""
    with FakeTensorMode():
        weights = on_gpu(network.train())
        actor = MSTGTActor(TrackingLoss(), CFG.DATA.MEAN, CFG.DATA.STD, GPU, norm=norm, template_mask_strength=0.5)
        parts = actor(lambda *inputs: functional_call(network, weights, inputs), loaded())
        assert parts["total"].requires_grad
        assert all(part.device == GPU and part.shape == () for part in parts.values())


def loaded() -> Batch:
    """A batch as the loader stacks it, on the host."""
    yes = torch.zeros(BATCH, dtype=torch.bool)
    search = torch.zeros(FRAMES, BATCH, SEARCH, SEARCH, 3, dtype=torch.uint8)
    boxes = torch.rand(FRAMES, BATCH, 4)
    partner = PartnerBatch(search, boxes, flip=yes, gray=yes, brightness=torch.rand(FRAMES, BATCH), active=yes,
                           videos=[""] * BATCH)
    return Batch(torch.zeros(BATCH, TEMPLATE, TEMPLATE, 3, dtype=torch.uint8), torch.rand(BATCH, 4), search, boxes,
                 flip=yes, gray=yes, brightness=torch.rand(FRAMES + 1, BATCH), videos=[""] * BATCH,
                 frames=[[]] * BATCH, unreadable=[], partner=partner)


@pytest.mark.parametrize("waits", [lambda x: x[x > 0], lambda x: x.sum().item(), lambda x: bool(x.any())])
def test_code_that_waits_for_the_gpu_is_found(waits):
    with FakeTensorMode(), pytest.raises((DataDependentOutputException, DynamicOutputShapeException)):
        waits(torch.empty(4, device=GPU))


def test_code_that_mixes_devices_is_found():
    with FakeTensorMode(), pytest.raises(RuntimeError, match="device"):
        torch.empty(4, device=GPU) + torch.empty(4)
