"""The convolutional layers: convolution with batch norm and ReLU6, inverted residuals, and the stem made of them
(MobileNetV2, Sandler et al., CVPR 2018; EfficientNet-Lite0, Tan and Le, ICML 2019, in the form for mobile devices
without squeeze-and-excitation and with ReLU6).

Batch norm always uses its stored statistics, in training too: the stem starts from ImageNet weights, and the batches of
a tracker (crops of the same video) would spoil them. So batch norm is a scale and a shift per channel. In training in
fp32 and bf16 on a CPU, scale and shift go into the weights of the convolution (:class:`ConvNorm` multiplies them, and
autograd gives their gradients), and oneDNN applies ReLU6 while it writes the result (:func:`conv_affine_relu6`). A
layer then reads and writes its activations once instead of three times, and stores one tensor for the backward pass
instead of three. The results equal those of the separate layers up to rounding.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import nn
from torch.autograd.function import once_differentiable
from torch.nn import functional as F

from ...utils.device import is_fast_in

BATCH_NORM_EPS = 1e-3
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


class FrozenStatsBatchNorm2d(nn.BatchNorm2d):
    """Batch norm that stays in evaluation mode. Scale and shift can be trained; mean and variance cannot."""

    def __init__(self, channels: int, eps: float = BATCH_NORM_EPS):
        super().__init__(channels, eps)
        # Modules start in training mode.
        self.train(False)

    def train(self, mode: bool = True) -> FrozenStatsBatchNorm2d:
        return super().train(False)


class ConvNorm(nn.Sequential):
    """Padding if there is a stride, convolution without bias, batch norm, and ReLU6 where ``activation`` is set.

    (B, inputs, H, W) -> (B, outputs, H / stride, W / stride); H and W are multiples of ``stride``.

    A convolution of stride 2 is padded by one pixel more at the right and bottom than at the left and top: TensorFlow's
    "SAME" padding, which the ImageNet weights were trained with.

    In training on a CPU the layers run as one operator (:func:`conv_affine_relu6`). The layers and the names of their
    parameters are the same on every device.
    """

    def __init__(self, inputs: int, outputs: int, kernel: int = 1, stride: int = 1, groups: int = 1,
                 activation: bool = True):
        padding = kernel // 2
        layers: list[nn.Module] = []
        if stride > 1:
            before = (kernel - stride) // 2
            after = kernel - stride - before
            layers.append(nn.ZeroPad2d((before, after, before, after)))
            padding = 0
        conv = nn.Conv2d(inputs, outputs, kernel, stride, padding, groups=groups, bias=False)
        norm = FrozenStatsBatchNorm2d(outputs)
        layers += [conv, norm]
        if activation:
            layers.append(nn.ReLU6())
        super().__init__(*layers)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        if self.training and can_fuse(x):
            return self._forward_fused(x)
        return super().forward(x)

    def _forward_fused(self, x: torch.Tensor) -> torch.Tensor:
        layers: list[nn.Module] = list(self)
        first = layers[0]
        pad = first if isinstance(first, nn.ZeroPad2d) else None
        if pad is not None:
            del layers[0]
        conv, norm = layers[0], layers[1]
        assert isinstance(conv, nn.Conv2d) and isinstance(norm, FrozenStatsBatchNorm2d)
        assert norm.running_mean is not None and norm.running_var is not None and isinstance(conv.padding, tuple)
        scale = norm.weight * (norm.running_var + norm.eps).rsqrt()
        weight = conv.weight * scale[:, None, None, None]
        bias = norm.bias - norm.running_mean * scale
        padding = conv.padding
        if pad is not None and conv.groups > 1 and weight.requires_grad:
            # The gradients of depthwise convolutions are only fast with kernels of 3 x 3.
            x = pad(x)
        elif pad is not None:
            # A row and a column of zeros before the kernel make its padding symmetric. So the convolution can pad, and
            # the activations, which are far larger than the kernel, need not be copied.
            before, after, *_ = pad.padding  # left and right; top and bottom are equal to them
            weight = F.pad(weight, (after - before, 0, after - before, 0))
            padding = (after, after)
        return conv_affine_relu6(x, weight, bias, conv.stride, padding, conv.groups, isinstance(layers[-1], nn.ReLU6))


class InvertedResidual(nn.Module):
    """1x1 expansion, depthwise convolution, 1x1 projection; the input is added where the shapes agree.

    (B, inputs, H, W) -> (B, outputs, H / stride, W / stride). With as many ``hidden`` channels as inputs there is no
    expansion.
    """

    def __init__(self, inputs: int, outputs: int, hidden: int, kernel: int, stride: int):
        super().__init__()
        self.expand = ConvNorm(inputs, hidden) if hidden != inputs else nn.Identity()
        self.depthwise = ConvNorm(hidden, hidden, kernel, stride, groups=hidden)
        self.project = ConvNorm(hidden, outputs, activation=False)
        self.residual = stride == 1 and inputs == outputs

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        # No activation after the projection: the narrow features are linear (MobileNetV2's "linear bottleneck").
        y = self.project(self.depthwise(self.expand(x)))
        return x + y if self.residual else y


@dataclass(frozen=True)
class Stage:
    """``repeats`` inverted residuals, the first of which has ``stride``."""

    outputs: int
    expansion: int
    kernel: int
    stride: int
    repeats: int


# EfficientNet-Lite0 without its last two stages, which have stride 32.
LITE0_FIRST = 32
LITE0_STAGES = (Stage(16, 1, 3, 1, 1), Stage(24, 6, 3, 2, 2), Stage(40, 6, 5, 2, 2), Stage(80, 6, 3, 2, 3),
                Stage(112, 6, 5, 1, 3))


class Lite0Features(nn.Module):
    """The stages of EfficientNet-Lite0 up to stride 16.

    (B, 3, H, W) -> [(B, 40, H/8, W/8), (B, 112, H/16, W/16)]: the outputs of the last stage of either stride.

    hidden  hidden channels of each of the inverted residuals; empty: ``expansion`` times their inputs
    """

    channels = (40, 112)

    def __init__(self, hidden: Sequence[int] = ()) -> None:
        super().__init__()
        self.first = ConvNorm(3, LITE0_FIRST, kernel=3, stride=2)
        self.stages = nn.ModuleList()
        inputs = LITE0_FIRST
        given = iter(hidden)
        for stage in LITE0_STAGES:
            blocks = []
            for repeat in range(stage.repeats):
                stride = stage.stride if repeat == 0 else 1
                width = next(given, inputs * stage.expansion)
                blocks.append(InvertedResidual(inputs, stage.outputs, width, stage.kernel, stride))
                inputs = stage.outputs
            self.stages.append(nn.Sequential(*blocks))

    def freeze(self, stages: int) -> None:
        """Let so many leading stages get no gradient; with any number above 0 the first convolution gets none either.

        Nothing before them needs a gradient, so they cost neither the memory nor the time of a backward pass.
        """
        self.first.requires_grad_(stages == 0)
        for number, stage in enumerate(self.stages, start=1):
            stage.requires_grad_(number > stages)

    def forward(self, image: torch.Tensor) -> list[torch.Tensor]:
        x = self.first(image)
        outputs = []
        for stage in self.stages:
            x = stage(x)
            outputs.append(x)
        # The first three stages end at stride 8, the others at stride 16.
        return [outputs[2], outputs[4]]  # the last stages of stride 8 and of stride 16
