"""The backbone with a convolutional stem: shapes, frozen statistics, freezing, and where its weights come from."""

from __future__ import annotations

from unittest import mock

import pytest
import safetensors.torch
import torch

from mstgt.models.layers import convolution
from mstgt.models.layers.convolution import ConvNorm, FrozenStatsBatchNorm2d, Lite0Features, can_fuse
from mstgt.models.mstgt import BACKBONES, MSTGT, LiteSpec
from mstgt.models.mstgt.backbones import convert_lite0
from mstgt.models.mstgt.checkpoint import load_pretrained
from mstgt.test.tracker.torch_engine import fold_batch_norm
from mstgt.utils.device import is_fast_in
from mstgt.utils.errors import UserError

TINY = LiteSpec(32, (0, 0, 2), 2)


@pytest.fixture(scope="module")
def model() -> MSTGT:
    torch.manual_seed(0)
    return MSTGT(TINY, 64, 128, head_channels=8)


def published_names(features: Lite0Features) -> dict[str, torch.Tensor]:
    """A file in the names of the published weights: :func:`convert_lite0` read backwards."""
    names = {}
    for kind, parameters in (("conv", ["weight"]), ("bn", ["weight", "bias", "running_mean", "running_var",
                                                           "num_batches_tracked"])):
        for parameter in parameters:
            modules = ["_conv_stem"] if kind == "conv" else ["_bn0"]
            for block in range(11):
                layers = ["_expand_conv", "_depthwise_conv", "_project_conv"] if kind == "conv" else [
                    "_bn0", "_bn1", "_bn2"]
                modules += [f"_blocks.{block}.{layer}" for layer in layers[block == 0:]]
            names |= {f"{module}.{parameter}": f"{module}.{parameter}" for module in modules}
    own = features.state_dict()
    found = {source: own[target] for source, target in
             ((name, next(iter(convert_lite0({name: torch.empty(0)})))) for name in names)}
    return found | {"_fc.weight": torch.zeros(1000, 1280), "_blocks.15._bn2.weight": torch.zeros(320)}


def test_every_published_name_of_the_stem_is_converted(model):
    features = model.backbone.features
    converted = convert_lite0(published_names(features))
    assert converted.keys() == features.state_dict().keys()


@pytest.mark.parametrize("kind", ["lite_nano", "lite_mini", "lite_slim", "lite_thin"])
def test_lite_variants_run(kind):
    network = MSTGT(BACKBONES[kind], 64, 128, head_channels=16).eval()
    with torch.no_grad():
        state = network.init_state(torch.randn(1, 3, 64, 64))
        prediction, state = network.forward_frame(torch.randn(1, 3, 128, 128), state)
    assert prediction.score.shape == (1, 1, 8, 8) and state.guidance.shape == (1, 16, 192)


def test_training_does_not_change_the_running_statistics_of_batch_norm(model):
    features = model.train().backbone.features
    norms = [module for module in features.modules() if isinstance(module, FrozenStatsBatchNorm2d)]
    before = [norm.running_mean.clone() for norm in norms]
    model(torch.randn(2, 3, 64, 64), torch.randn(1, 2, 3, 128, 128))
    assert norms and all(torch.equal(norm.running_mean, old) for norm, old in zip(norms, before, strict=True))


@pytest.mark.parametrize("frozen", [0, 3, 5])
def test_frozen_stages_get_no_gradient(model, frozen):
    model.backbone.features.freeze(frozen)
    model.zero_grad()
    model.train()(torch.randn(1, 3, 64, 64), torch.randn(1, 1, 3, 128, 128)).score.sum().backward()
    model.backbone.features.freeze(0)
    features = model.backbone.features
    assert (features.first[1].weight.grad is None) == (frozen > 0)
    for number, stage in enumerate(features.stages, start=1):
        assert (stage[0].project[0].weight.grad is None) == (number <= frozen)
    assert model.backbone.embed.weight.grad is not None


def randomize_norms(module: torch.nn.Module) -> None:
    """Batch norm as a training leaves it: every statistic, scale and shift is different."""
    for norm in module.modules():
        if isinstance(norm, FrozenStatsBatchNorm2d):
            torch.nn.init.uniform_(norm.running_mean, -0.1, 0.1)
            torch.nn.init.uniform_(norm.running_var, 0.5, 2)
            torch.nn.init.uniform_(norm.weight, 0.5, 1.5)
            torch.nn.init.uniform_(norm.bias, -0.1, 1.0)


def test_batch_norm_can_be_folded(model):
    network = MSTGT(TINY, 64, 128, head_channels=8).eval()
    randomize_norms(network.backbone.features)
    image = torch.randn(1, 3, 128, 128)
    with torch.no_grad():
        before = network.backbone.forward_stem(image)
        fold_batch_norm(network)
        after = network.backbone.forward_stem(image)
    assert not any(isinstance(module, FrozenStatsBatchNorm2d) for module in network.modules())
    torch.testing.assert_close(after, before, atol=1e-4, rtol=1e-4)


@pytest.mark.parametrize("kernel, stride, groups, activation", [
    (1, 1, 1, True), (1, 1, 1, False), (3, 1, 8, True), (3, 2, 8, True), (5, 2, 8, True), (3, 2, 1, True)])
def test_one_operator_equals_the_separate_layers(kernel, stride, groups, activation):
    torch.manual_seed(1)
    layer = ConvNorm(8, 16 if groups == 1 else 8, kernel, stride, groups, activation)
    randomize_norms(layer)
    layer.train()
    x = (20 * torch.randn(2, 8, 12, 12)).contiguous(memory_format=torch.channels_last).requires_grad_()
    assert can_fuse(x)
    fused = layer(x)
    separate = torch.nn.Sequential.forward(layer, x)
    if activation:
        assert (separate == 0).any() and (separate == 6).any() and ((separate > 0) & (separate < 6)).any()
    torch.testing.assert_close(fused, separate, atol=1e-5, rtol=1e-5)
    inputs = [x, *layer.parameters()]
    grad = torch.randn_like(separate)
    expected = torch.autograd.grad(separate, inputs, grad)
    # Pre-activations that rounding moves across 0 or 6 would change a gradient; none of these lies that close.
    for got, want in zip(torch.autograd.grad(fused, inputs, grad), expected, strict=True):
        torch.testing.assert_close(got, want, atol=1e-4, rtol=1e-4)


@pytest.mark.skipif(not is_fast_in(torch.bfloat16, torch.device("cpu")), reason="this CPU has no instructions for bf16")
@pytest.mark.parametrize("kernel, stride, groups", [(1, 1, 1), (3, 2, 8), (5, 1, 8), (3, 2, 1)])
def test_one_operator_under_autocast_differs_by_rounding_alone(kernel, stride, groups):
    torch.manual_seed(1)
    layer = ConvNorm(8, 16 if groups == 1 else 8, kernel, stride, groups, activation=False)
    randomize_norms(layer)
    layer.train()
    x = torch.randn(2, 8, 12, 12).contiguous(memory_format=torch.channels_last).requires_grad_()
    exact = torch.nn.Sequential.forward(layer, x)
    with torch.autocast("cpu", torch.bfloat16):
        assert can_fuse(x)
        fused = layer(x)
    assert fused.dtype == torch.bfloat16
    inputs = [x, *layer.parameters()]
    grad = torch.randn_like(exact)
    got = torch.autograd.grad(fused, inputs, grad.bfloat16())
    for value, want in zip([fused, *got], [exact, *torch.autograd.grad(exact, inputs, grad)], strict=True):
        # bf16 has 8 bits; a gradient sums many rounded products.
        assert (value.float() - want).norm() < 0.02 * want.norm()


def test_in_bf16_layers_run_one_by_one_on_a_cpu_without_instructions_for_it():
    layer = ConvNorm(8, 8, 3, 2, groups=8).train()
    with mock.patch.object(convolution, "conv_affine_relu6", side_effect=AssertionError), \
            mock.patch.object(torch.ops.mkldnn, "_is_mkldnn_bf16_supported", return_value=False), \
            torch.autocast("cpu", torch.bfloat16):
        assert layer(torch.randn(1, 8, 8, 8)).dtype == torch.bfloat16


def test_layers_run_one_by_one_in_evaluation_and_in_other_types():
    layer = ConvNorm(8, 8, 3, 2, groups=8)
    x = torch.randn(1, 8, 8, 8)
    with mock.patch.object(convolution, "conv_affine_relu6", side_effect=AssertionError):
        layer.eval()(x)
        layer.train().double()(x.double())
        layer.float()
        with torch.autocast("cpu", torch.float16):
            layer(x)
        with pytest.raises(AssertionError):
            layer(x)


def test_pretrained_weights_may_be_those_of_the_stem_alone(model, tmp_path):
    stem = {f"backbone.features.{name}": torch.full_like(value, 0.5) if value.is_floating_point() else value
            for name, value in model.backbone.features.state_dict().items()}
    path = tmp_path / "stem.safetensors"
    safetensors.torch.save_file(stem, path)
    network = MSTGT(TINY, 64, 128, head_channels=8)
    embed = network.backbone.embed.weight.clone()
    load_pretrained(network, path)
    assert (network.backbone.features.first[1].weight == 0.5).all()
    assert torch.equal(network.backbone.embed.weight, embed)
    safetensors.torch.save_file(dict(list(stem.items())[1:]), path)
    with pytest.raises(UserError, match="missing backbone.features.first"):
        load_pretrained(network, path)
