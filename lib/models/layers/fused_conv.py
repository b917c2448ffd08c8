"""Convolution, batch norm with stored statistics and ReLU6 as one operator, for training in fp32 and bf16 on a CPU.

    if can_fuse(x):
        y = conv_affine_relu6(x, weight, bias, stride, padding, groups, relu6=True)

Batch norm with stored statistics is a scale and a shift per channel. Scale and shift go into the weights of the
convolution (the caller multiplies them, and autograd gives their gradients), and oneDNN applies ReLU6 while it writes
the result. So a layer reads and writes its activations once instead of three times, and stores one tensor for the
backward pass instead of three. The results equal those of the separate layers up to rounding.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch.autograd.function import once_differentiable

from ...utils.machine import is_fast_in

DILATION = (1, 1)
RELU6_MAX = 6.0


def can_fuse(x: torch.Tensor) -> bool:
    """Return whether :func:`conv_affine_relu6` can take ``x``: fp32, or bf16 under autocast where the CPU is fast in it
    (oneDNN refuses it elsewhere), on a CPU whose PyTorch has oneDNN's operators.

    Not while torch.compile or an exporter traces the network: they know the separate layers and fuse these themselves.
    """
    return (x.device.type == "cpu" and is_fast_in(_compute_type(x), x.device)
            and torch.backends.mkldnn.is_available() and hasattr(torch.ops.mkldnn, "_convolution_pointwise")
            and not torch.compiler.is_compiling() and not torch.jit.is_tracing())


def _compute_type(x: torch.Tensor) -> torch.dtype:
    """The type that convolutions compute in: autocast's, or that of ``x``."""
    return torch.get_autocast_dtype("cpu") if torch.is_autocast_enabled("cpu") else x.dtype


def conv_affine_relu6(x: torch.Tensor, weight: torch.Tensor, bias: torch.Tensor, stride: Sequence[int],
                      padding: Sequence[int], groups: int, relu6: bool) -> torch.Tensor:
    """``conv2d`` of (B, C, H, W), followed by ReLU6 if ``relu6`` is set; differentiable once, in all three tensors."""
    dtype = _compute_type(x)
    x, weight, bias = x.to(dtype), weight.to(dtype), bias.to(dtype)
    return _ConvReLU6.apply(x, weight, bias, tuple(stride), tuple(padding), groups, relu6)


class _ConvReLU6(torch.autograd.Function):
    """The operator, and its gradient from input, weight and output: ReLU6 passes a gradient where 0 < output < 6."""

    @staticmethod
    def forward(ctx: Any, x: torch.Tensor, weight: torch.Tensor, bias: torch.Tensor, stride: tuple[int, ...],
                padding: tuple[int, ...], groups: int, relu6: bool) -> torch.Tensor:
        activation, limits = ("hardtanh", [0.0, RELU6_MAX]) if relu6 else ("none", [])
        y = torch.ops.mkldnn._convolution_pointwise(x, weight, bias, padding, stride, DILATION, groups, activation,
                                                    limits, "")
        ctx.save_for_backward(x, weight, y if relu6 else None)
        ctx.settings = stride, padding, groups
        return y

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: torch.Tensor) -> tuple[torch.Tensor | None, ...]:
        x, weight, y = ctx.saved_tensors
        stride, padding, groups = ctx.settings
        if y is not None:
            grad = torch.ops.aten.hardtanh_backward(grad, y, 0.0, RELU6_MAX)
        needs_x, needs_weight, needs_bias = ctx.needs_input_grad[:3]
        dtype = grad.dtype
        if groups > 1:
            # oneDNN has no fast gradients of depthwise convolutions in bf16: with kernels of 5 x 5 or a stride of 2
            # they take 4 to 40 times as long as in fp32.
            grad, x, weight = grad.float(), x.float(), weight.float()
        # The sum is several times as fast as the gradient of a bias in convolution_backward.
        grad_bias = grad.sum((0, 2, 3)) if needs_bias else None
        grad_x, grad_weight, _ = torch.ops.aten.convolution_backward(
            grad, x, weight, None, stride, padding, DILATION, False, (0, 0), groups, (needs_x, needs_weight, False))
        grad_x, grad_weight = (value if value is None else value.to(dtype) for value in (grad_x, grad_weight))
        return grad_x, grad_weight, grad_bias, None, None, None, None
