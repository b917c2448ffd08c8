"""Inverted residual convolutions, and the stem that is made of them (MobileNetV2, Sandler et al., CVPR 2018;
EfficientNet-Lite0, Tan and Le, ICML 2019, in the form for mobile devices without squeeze-and-excitation and with
ReLU6).

Batch norm always uses its stored statistics, in training too: the stem starts from ImageNet weights, and the batches of
a tracker (crops of the same video) would spoil them.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import nn
from torch.nn import functional as F

from .fused_conv import can_fuse, conv_affine_relu6

BATCH_NORM_EPS = 1e-3


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

    In training on a CPU the layers run as one operator (:mod:`fused_conv`). The layers and the names of their
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
        if pad is not None and conv.groups > 1 and torch.is_grad_enabled():
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

    (B, inputs, H, W) -> (B, outputs, H / stride, W / stride).
    """

    def __init__(self, inputs: int, outputs: int, expansion: int, kernel: int, stride: int):
        super().__init__()
        hidden = inputs * expansion
        self.expand = ConvNorm(inputs, hidden) if expansion > 1 else nn.Identity()
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
    """

    channels = (40, 112)

    def __init__(self) -> None:
        super().__init__()
        self.first = ConvNorm(3, LITE0_FIRST, kernel=3, stride=2)
        self.stages = nn.ModuleList()
        inputs = LITE0_FIRST
        for stage in LITE0_STAGES:
            blocks = []
            for repeat in range(stage.repeats):
                stride = stage.stride if repeat == 0 else 1
                blocks.append(InvertedResidual(inputs, stage.outputs, stage.expansion, stage.kernel, stride))
                inputs = stage.outputs
            self.stages.append(nn.Sequential(*blocks))

    def forward(self, image: torch.Tensor, frozen: int = 0) -> list[torch.Tensor]:
        """``frozen``: so many leading stages get no gradient (with any number above 0 the first convolution too)."""
        with torch.set_grad_enabled(torch.is_grad_enabled() and frozen == 0):
            x = self.first(image)
        outputs = []
        for number, stage in enumerate(self.stages, start=1):
            # Without a graph, frozen stages cost neither the memory nor the time of a backward pass.
            with torch.set_grad_enabled(torch.is_grad_enabled() and number > frozen):
                x = stage(x)
            outputs.append(x)
        # The first three stages end at stride 8, the others at stride 16.
        return [outputs[2], outputs[4]]  # the last stages of stride 8 and of stride 16
