"""Prepare the network for tracking: a copy with the same outputs that cannot be trained.

    fast = prepare(network, torch.device("cpu"), "bf16")

- Weights and activations are in the chosen precision; head outputs are cast to fp32.
- Batch norm is folded into the head's convolutions.
- Convolutions use the channels-last memory format, which their kernels are fastest with.
- On an x86 CPU the weights of the linear layers are stored in the blocked layout that oneDNN computes with, and GELU is
  fused into the product before it. ``torch.compile`` inserts the same operators. They have private names only; where
  they are missing the layers stay as they are. In bf16, attention is computed in separate steps.
"""

from __future__ import annotations

import copy
import logging
import platform

import torch
from torch import nn
from torch.nn import functional as F
from torch.nn.utils.fusion import fuse_conv_bn_eval

from ...models.layers.attention import Attention
from ...models.layers.block import Mlp
from ...models.mstgt import MSTGT
from ...utils.errors import UserError, unknown_name
from ...utils.machine import is_fast_in, slowness

_log = logging.getLogger(__name__)

MANY_TOKENS = 256  # with fewer, the scores cost more to write to memory than the faster products save
PRECISIONS: dict[str, torch.dtype] = {"fp32": torch.float32, "bf16": torch.bfloat16, "fp16": torch.float16}


def prepare(network: MSTGT, device: torch.device, precision: str = "fp32") -> MSTGT:
    """A copy of ``network`` for inference on ``device``. ``network`` stays as it is."""
    if precision not in PRECISIONS:
        raise unknown_name("precision", precision, PRECISIONS)
    if precision == "fp16" and device.type == "cpu":
        raise UserError("no CPU is fast in fp16: take bf16, or a GPU")
    dtype = PRECISIONS[precision]
    if not is_fast_in(dtype, device):
        _log.warning("precision %s: %s", precision, slowness(precision, device))
    # A copy: the caller's network may still be trained, and what follows cannot be undone.
    fast = copy.deepcopy(network).eval().requires_grad_(False)
    # Folded in fp32, before the weights are rounded to the chosen precision.
    fold_batch_norm(fast)
    fast = fast.to(device, dtype).to(memory_format=torch.channels_last)
    if device.type == "cpu" and can_pack(dtype):
        pack_linear(fast)
        if dtype == torch.bfloat16:
            for module in fast.modules():
                if isinstance(module, Attention):
                    # On the instance: the class keeps the operator that training uses.
                    module.attend = attend_in_steps
    return fast


def attend_in_steps(q: torch.Tensor, k: torch.Tensor, v: torch.Tensor) -> torch.Tensor:
    """``scaled_dot_product_attention``; among many tokens as two products with the scores in memory between them.

    oneDNN multiplies in bf16, which PyTorch's fused operator for CPUs does not make use of.
    """
    if k.shape[-2] < MANY_TOKENS:
        return F.scaled_dot_product_attention(q, k, v)
    return (q * q.shape[-1] ** -0.5 @ k.transpose(-2, -1)).softmax(dim=-1) @ v


def fold_batch_norm(network: nn.Module) -> None:
    """Make every batch norm that follows a convolution in a Sequential a part of it."""
    for layers in [module for module in network.modules() if isinstance(module, nn.Sequential)]:
        for at in range(len(layers) - 1):
            convolution, norm = layers[at], layers[at + 1]
            if isinstance(convolution, nn.Conv2d) and isinstance(norm, nn.BatchNorm2d):
                layers[at] = fuse_conv_bn_eval(convolution, norm)
                layers[at + 1] = nn.Identity()


def can_pack(dtype: torch.dtype) -> bool:
    """Whether this CPU has the operators of :class:`PackedLinear` for ``dtype``."""
    if platform.machine().lower() not in ("x86_64", "amd64") or not torch.backends.mkldnn.is_available():
        return False
    # Private operators: another version of PyTorch may not have them.
    operators = torch.ops.mkldnn
    if not (hasattr(operators, "_reorder_linear_weight") and hasattr(operators, "_linear_pointwise")):
        return False
    return is_fast_in(dtype, torch.device("cpu"))


class PackedLinear(nn.Module):
    """What ``linear`` computes on a CPU, followed by GELU where ``gelu`` is set."""

    def __init__(self, linear: nn.Linear, gelu: bool = False):
        super().__init__()
        # The order in memory is changed once, here, and not in every frame.
        weight = torch.ops.mkldnn._reorder_linear_weight(linear.weight.detach(), None)
        self.register_buffer("weight", weight)  # a buffer, so that compiling may take it for a constant
        self.register_buffer("bias", None if linear.bias is None else linear.bias.detach())
        self.then = ("gelu", "none") if gelu else ("none", "")  # what follows, and its kind: exact, not tanh

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        what, kind = self.then
        return torch.ops.mkldnn._linear_pointwise(x, self.weight, self.bias, what, [], kind)


def pack_linear(module: nn.Module) -> None:
    """Replace the linear layers below ``module`` by packed ones."""
    for name, child in module.named_children():
        if isinstance(child, nn.Linear):
            # In an Mlp nothing but GELU follows fc1: the kernel can apply it before it writes its result to memory.
            gelu = isinstance(module, Mlp) and name == "fc1" and _is_gelu(module.act)
            setattr(module, name, PackedLinear(child, gelu))
            if gelu:
                module.act = nn.Identity()
        else:
            pack_linear(child)


def _is_gelu(module: nn.Module) -> bool:
    return isinstance(module, nn.GELU) and module.approximate == "none"
