"""Loads weights: checkpoints of this project and of the published code, and pretrained backbones.

Files are read with ``weights_only=True`` and strictly: an unknown or missing name and a wrong shape are errors that
name it. A tracker's checkpoint is a dict that holds the network's weights under ``net``.

Weights alone, such as those that come with the project, are safetensors files in fp16, which cannot contain code.

Other files are screened before PyTorch reads them: the members of the archive must be uncompressed, not larger than the
file and match their checksums, and the pickle may name only what tensors and their containers need (``_NEEDED``).
"""

from __future__ import annotations

import pickle
import pickletools
import re
import struct
import zipfile
import zlib
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import safetensors
import safetensors.torch
import torch
from torch import nn
from torch.nn import functional as F

from ...config.backbones import BACKBONES
from ...config.load import parse_yaml_mapping
from ...config.paths import WEIGHTS_SUFFIX
from ...utils.errors import UserError, first_line, shortened
from ...utils.files import write_bytes
from .mstgt import MSTGT, build_model

UNUSED_PUBLISHED = ("backbone.absolute_pos_embed", "backbone.pos_embed_d")  # in published files, never trained

# Published name -> our name; the first match counts. MSPG and STPG are the names of an earlier variant.
_RENAMES: tuple[tuple[str, str], ...] = (
    (r"backbone\.patch_embed(14|16|18)\.proj\.(.+)", r"cue.embeddings.\1.\2"),
    (r"backbone\.(?:MSVC|MSPG)\.(.+)", r"cue.proj.\1"),
    (r"backbone\.(?:MSTG|STPG)\.(.+)", r"guidance.proj.\1"),
    (r"backbone\.STE_norm\.(.+)", r"guidance.norm.\1"),
    (r"backbone\.STE\.(.+)", r"guidance.block.\1"),
    (r"backbone\.norm_\.(.+)", r"norm.\1"),
    (r"backbone\.((?:blocks|patch_embed|pos_embed_[zx])\b.*)", r"backbone.\1"),
    (r"box_head\.conv5_ctr\.(.+)", r"head.center.4.\1"),
    (r"box_head\.conv5_offset\.(.+)", r"head.box.4.\1"),
)
_HEAD_LAYER = re.compile(r"box_head\.conv([1-4])_(ctr|offset)\.([01]\..+)")

# Parts of a HiViT pretraining file that do not belong to the encoder.
_PRETRAIN_IGNORED = re.compile(r"decoder.*|mask_token|head\..*|fc_norm\..*|norm\..*")

# Everything that a pickle may name. PyTorch's own list also allows constructors that allocate any number of bytes.
_NEEDED = re.compile(
    r"collections (OrderedDict|Counter)|(builtins|__builtin__) set|torch (Size|device|bool|(float|bfloat|int|uint)\d+)"
    r"|torch\._utils _rebuild_(tensor_v2|parameter)|torch\.nn\.parameter Parameter"
    r"|torch (Half|BFloat16|Float|Double|Byte|Char|Short|Int|Long|Bool)Storage")
# Checkpoints of the published code also contain its settings and meters, as objects of its own classes, and command
# line arguments. They are read as empty placeholders; nothing is imported or run.
_PLACEHOLDERS = re.compile(r"lib\.train\.[\w.]+ \w+|argparse Namespace")
_MAX_PICKLE = 16 << 20  # bytes; the pickle of a checkpoint with 74 M parameters has 0.3 MB
_MAX_BYTES = 16 << 30  # of a file; a training checkpoint of such a network has 1.2 GB
_FAULTS = (RuntimeError, EOFError, OSError, ValueError, KeyError, IndexError, TypeError, AttributeError, AssertionError,
           OverflowError, MemoryError, RecursionError, NotImplementedError, struct.error, zlib.error,
           zipfile.BadZipFile)  # raised by the readers for corrupt files
STEM_PREFIX = "backbone.features."  # how a network's own names of a convolutional stem begin
PRETRAIN_GRID = 14  # 224 px at stride 16
DYNAMIC_GRID = 12


def load_file(path: str | Path) -> Any:
    """``torch.load`` on the CPU with ``weights_only=True``; the content of a safetensors file is under ``net``.

    Raises :class:`UserError` for files that are missing, truncated, corrupt or hold more than tensors.
    """
    path = Path(path)
    if not path.is_file():
        raise UserError(f"no such checkpoint: {path}")
    if path.stat().st_size > _MAX_BYTES:
        raise UserError(f"{path} is refused: it has more than the {_MAX_BYTES} bytes that a checkpoint may have")
    # safetensors holds a header of JSON and raw numbers: there is nothing to screen.
    if path.suffix == WEIGHTS_SUFFIX:
        return {"net": _read_weights(path)}
    try:
        with torch.serialization.safe_globals(_placeholders(path)):
            return torch.load(path, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as error:
        reason = first_line(error)
        raise UserError(f"{path} is refused: truncated, not a checkpoint, or it holds more than tensors ({reason})"
                        ) from error
    except _FAULTS as error:
        raise UserError(f"{path} cannot be read: truncated, corrupt, or not a checkpoint ({first_line(error)}); create "
                        "or download it again") from error


def _read_weights(path: Path) -> dict[str, torch.Tensor]:
    try:
        return safetensors.torch.load_file(path)
    except (safetensors.SafetensorError, *_FAULTS) as error:
        raise UserError(f"{path} cannot be read: truncated, corrupt, or not a safetensors file ({first_line(error)}); "
                        "create or download it again") from error


def save_weights(weights: MSTGT | Mapping[str, torch.Tensor], path: str | Path, about: Mapping[str, str]) -> None:
    """Write the weights, by name or of a network, as a safetensors file in fp16, with ``about`` in the header.

    Integers keep their type.
    """
    named = weights.state_dict() if isinstance(weights, MSTGT) else weights
    tensors = {name: (value.half() if value.is_floating_point() else value).contiguous()
               for name, value in named.items()}
    write_bytes(path, safetensors.torch.save(tensors, metadata=dict(about)))


class _Placeholder:
    """Placeholder for an object of the published code."""

    def __init__(self, *_arguments: Any):
        pass


def _placeholders(path: Path) -> list[Callable[..., Any] | tuple[Callable[..., Any], str]]:
    """Screen the file; return placeholders for the names in it that need one.

    Raises :class:`pickle.UnpicklingError` for names that are not allowed.
    """
    names = sorted({name for name in _named_in(_pickle_of(path)) if not _NEEDED.fullmatch(name)})
    disallowed = [name for name in names if not _PLACEHOLDERS.fullmatch(name)]
    if disallowed:
        raise pickle.UnpicklingError(f"it names {disallowed[0].replace(' ', '.')}")
    return [(type("Placeholder", (_Placeholder,), {}), name.replace(" ", ".")) for name in names]


def _pickle_of(path: Path) -> bytes:
    """The pickle in a checkpoint's archive, after the archive has been verified.

    PyTorch writes a CRC-32 with every tensor but does not check it when it reads: a bit that has flipped on the disk
    would become a weight.
    """
    # torch.save writes a zip archive: one pickle with the structure, and the numbers of each tensor as a file.
    with zipfile.ZipFile(path) as archive:
        members = archive.infolist()
        if any(member.compress_type != zipfile.ZIP_STORED for member in members):
            raise pickle.UnpicklingError("its members are compressed, which torch.save does not do")
        if sum(member.file_size for member in members) > path.stat().st_size:
            raise pickle.UnpicklingError("its members declare more bytes than the file has")
        pickles = [member for member in members if member.filename.rpartition("/")[2] == "data.pkl"]
        if len(pickles) != 1 or pickles[0].file_size > _MAX_PICKLE:
            raise pickle.UnpicklingError(f"it holds {len(pickles)} pickles, or one of more than {_MAX_PICKLE} bytes")
        corrupt = archive.testzip()  # safe now that nothing can expand
        if corrupt is not None:
            raise zipfile.BadZipFile(f"{corrupt} in it does not match its checksum")
        return archive.read(pickles[0])


def _named_in(data: bytes) -> set[str]:
    """Every name that a pickle would import, as ``module name``."""
    # The operations are parsed, not executed.
    names = set()
    for operation, argument, _ in pickletools.genops(data):
        if operation.name in ("INST", "STACK_GLOBAL", "EXT1", "EXT2", "EXT4"):  # torch.save writes none of them
            raise pickle.UnpicklingError(f"it has the operation {operation.name}")
        if operation.name == "GLOBAL":
            names.add(str(argument))
    return names


def rename_published(name: str) -> str | None:
    """Our name of a published parameter; None if the published layout has no such name."""
    if match := _HEAD_LAYER.fullmatch(name):
        layer, branch, rest = match.groups()
        return f"head.{'center' if branch == 'ctr' else 'box'}.{int(layer) - 1}.{rest}"
    for pattern, ours in _RENAMES:
        if re.fullmatch(pattern, name):
            return re.sub(pattern, ours, name)
    return None


def convert_published(state: Mapping[str, torch.Tensor], where: str) -> dict[str, torch.Tensor]:
    """Published names -> ours, without the tensors of ``UNUSED_PUBLISHED``. Unknown names are an error."""
    converted: dict[str, torch.Tensor] = {}
    unknown = []
    for name, value in state.items():
        name = name.removeprefix("module.")
        if name in UNUSED_PUBLISHED:
            continue
        ours = rename_published(name)
        if ours is None:
            unknown.append(name)
        else:
            converted[ours] = value
    if unknown:
        raise UserError(f"{where} holds names that MSTGT does not know: {_some(unknown)}")
    return converted


def load_strict(module: nn.Module, state: Mapping[str, Any], where: str) -> None:
    """Load ``state`` into ``module``. Raises one :class:`UserError` with all missing, unknown or misshapen names.

    Values that are not finite are refused: with a single one of them, all outputs would be NaN.
    """
    # Everything that is wrong is collected, because a mismatch of configurations shows in the pattern of names.
    own = module.state_dict()
    wrong = [name for name, v in state.items() if name in own and not _same_shape(v, own[name])]
    problems = [
        f"{kind} {_some(names)}"
        for kind, names in (
            ("missing", [n for n in own if n not in state]),
            ("unknown", [n for n in state if n not in own]),
            ("of another shape", [f"{n} {_shape(state[n])} for {_shape(own[n])}" for n in wrong]),
        )
        if names
    ]
    if problems:
        raise UserError(f"{where} does not fit the configured network: {'; '.join(problems)}")
    broken = [name for name in own if not torch.isfinite(state[name]).all()]
    if broken:
        raise UserError(f"{where} holds NaN or infinity in {_some(broken)}: the training went wrong, or the file is "
                        "corrupt; take another checkpoint")
    module.load_state_dict(dict(state))


def load_network(model: MSTGT, path: str | Path, resize: bool = False) -> None:
    """Load a checkpoint of this project or of the published code into ``model``.

    If it contains a moving average of the weights (``ema``), the average is loaded. With ``resize`` it may have been
    trained with crops of another size (:func:`fit_positions`).
    """
    content = load_file(path)
    weights = _tracker_weights(content, path)
    _check_trained_as(model, content, path)
    load_strict(model, fit_positions(model, weights) if resize else weights, str(path))


def _check_trained_as(model: MSTGT, content: Any, path: str | Path) -> None:
    """Raise :class:`UserError` where a checkpoint says that it was trained as another network than ``model``.

    The weights of both kinds of attention have the same names and shapes, so nothing else would show it; of another
    backbone, this names the setting and not the layers that differ.
    """
    if not isinstance(content.get("config"), str):
        return  # weights alone, or a checkpoint of the published code
    trained = parse_yaml_mapping(content["config"], f"the settings in {path}").get("MODEL")
    trained = trained if isinstance(trained, dict) else {}
    backbone = trained.get("BACKBONE")
    kind = str(backbone.get("TYPE")) if isinstance(backbone, dict) else ""
    # Checkpoints from before there was a choice do not say it.
    asymmetric = trained.get("ASYMMETRIC_ATTENTION") is True
    known = BACKBONES.values()  # a model may have another size, which no setting names
    other = kind in BACKBONES and model.spec in known and BACKBONES[kind] != model.spec
    wanted = [f"MODEL.BACKBONE.TYPE={kind}"] if other else []
    if asymmetric != model.asymmetric:
        wanted.append(f"MODEL.ASYMMETRIC_ATTENTION={str(asymmetric).lower()}")
    if wanted:
        raise UserError(f"{path} was trained with {' and '.join(wanted)}: give "
                        f"{' '.join(f'--set {setting}' for setting in wanted)}")


def load_model(cfg: Any, path: str | Path) -> MSTGT:
    """The network that a configuration describes, with the weights of a checkpoint."""
    model = build_model(cfg)
    load_network(model, path)
    return model


def _tracker_weights(content: Any, path: str | Path) -> Mapping[str, Any]:
    content = content if isinstance(content, Mapping) else {}
    averaged = content.get("ema")
    state = averaged if isinstance(averaged, Mapping) and averaged else content.get("net")
    if not isinstance(state, Mapping) or not all(isinstance(name, str) for name in state):
        raise UserError(f"{path} is no tracker checkpoint: it has no entry 'net' of named tensors")
    if any(name.removeprefix("module.").startswith("box_head.") for name in state):
        state = convert_published(state, str(path))
    return state


def load_pretrained(model: MSTGT, path: str | Path) -> None:
    """Load initial weights for training: a pretrained HiViT encoder into the backbone, or all weights of a tracker.

    The file of a tracker is one that :func:`load_network` reads; it may have fewer attention blocks (:func:`grow`), or
    crops of another size (:func:`fit_positions`). The file of a HiViT is a flat dict, or holds one under ``model``. Its
    decoder and classification parts are ignored; the position embedding, learned at 14 x 14, is resized to both grids
    (bicubic, align_corners off).
    """
    path = Path(path)
    content = load_file(path)
    if stem := _stem_weights(model, content):
        # All other weights stay as they were initialized.
        rest = {name: value for name, value in model.state_dict().items() if not _stem_names(model).fullmatch(name)}
        return load_strict(model, {**rest, **stem}, str(path))
    if isinstance(content, Mapping) and isinstance(content.get("net"), Mapping):
        state = fit_positions(model, grow(model, _tracker_weights(content, path)))
        return load_strict(model, state, str(path))
    if isinstance(content, Mapping) and isinstance(content.get("model"), Mapping):
        content = content["model"]
    if not isinstance(content, Mapping) or not all(isinstance(name, str) for name in content):
        raise UserError(f"{path} is no pre-trained backbone and no tracker: not a dict of tensors")
    encoder = {n: v for n, v in content.items() if not _PRETRAIN_IGNORED.fullmatch(n)}
    table = encoder.pop("absolute_pos_embed", None)
    expected = (1, PRETRAIN_GRID**2, model.spec.dim)
    if table is None:
        raise UserError(f"{path} does not fit the configured network: missing absolute_pos_embed")
    if not _is_plain(table) or tuple(table.shape) != expected:
        raise UserError(f"{path} does not fit the configured network: "
                        f"absolute_pos_embed {_shape(table)} for {expected}")
    for name in ("pos_embed_z", "pos_embed_x"):
        encoder[name] = resize_positions(table, round(getattr(model.backbone, name).shape[1] ** 0.5))
    load_strict(model.backbone, encoder, str(path))


def _stem_names(model: MSTGT) -> re.Pattern[str]:
    """The names of the weights that ``tracking/pretrain.py`` makes for ``model``: of its stem alone."""
    blocks = "|".join(map(str, range(model.backbone.stem_length))) or "none"
    return re.compile(rf"{re.escape(STEM_PREFIX)}.+|backbone\.(patch_embed|blocks\.({blocks}))\..+")


def _stem_weights(model: MSTGT, content: Any) -> dict[str, Any]:
    """The weights of a file that holds a stem of the kind of ``model`` and nothing else; empty where it holds more."""
    state = content.get("net") if isinstance(content, Mapping) else None
    if not isinstance(state, Mapping):
        return {}
    names = _stem_names(model)
    return dict(state) if all(names.fullmatch(str(name)) for name in state) else {}


def grow(model: MSTGT, state: Mapping[str, Any]) -> Mapping[str, Any]:
    """Extend weights of a tracker with fewer attention blocks to ``model``, which then computes the same outputs.

    The blocks of the file are distributed evenly over stage 3. New blocks keep the initial weights of the model, except
    for the last layer of their two residual branches: it is zero, so that a new block is the identity at first.
    Other weights are returned unchanged.
    """
    first, own = model.backbone.stem_length, model.spec.depths[2]
    name_of = re.compile(r"backbone\.blocks\.(\d{1,4})\.(.+)")
    blocks = {name: match for name in state if (match := name_of.fullmatch(name)) and int(match[1]) >= first}
    given = len({match[1] for match in blocks.values()})
    if not 0 < given < own:
        return state
    # New index of each block of the file: evenly spread over the model's blocks, in the same order.
    place = {name: first + (int(match[1]) - first) * own // given for name, match in blocks.items()}
    grown = {f"backbone.blocks.{place[name]}.{blocks[name][2]}" if name in blocks else name: value
             for name, value in state.items()}
    for index in set(range(first, first + own)) - set(place.values()):
        for name, value in model.backbone.blocks[index].state_dict().items():
            # The last layers of the attention and MLP branch: with zeros there, only the residual passes.
            silent = name.startswith(("attn.proj.", "mlp.fc2."))
            grown[f"backbone.blocks.{index}.{name}"] = torch.zeros_like(value) if silent else value
    return grown


def fit_positions(model: MSTGT, state: Mapping[str, Any]) -> dict[str, Any]:
    """Weights of a network for crops of other sizes with the position embeddings resized to the grids of ``model``."""
    fitted = dict(state)
    for name in ("backbone.pos_embed_z", "backbone.pos_embed_x"):
        own = getattr(model.backbone, name.rpartition(".")[2])
        table = state.get(name)
        if not isinstance(table, torch.Tensor) or not _is_plain(table) or table.dim() != 3:
            continue  # load_strict names it
        is_square = round(table.shape[1] ** 0.5) ** 2 == table.shape[1]
        if table.shape != own.shape and table.shape[0] == 1 and is_square and table.shape[1] > 0:
            fitted[name] = resize_positions(table, round(own.shape[1] ** 0.5))
    return fitted


def resize_positions(table: torch.Tensor, grid: int) -> torch.Tensor:
    """(1, g * g, C) position embedding -> (1, grid * grid, C), bicubic."""
    side = round(table.shape[1] ** 0.5)
    square = table.float().transpose(1, 2).unflatten(2, (side, side))
    resized = F.interpolate(square, size=(grid, grid), mode="bicubic", align_corners=False)
    return resized.flatten(2).transpose(1, 2)


def _is_plain(value: Any) -> bool:
    """Whether ``value`` is a dense tensor on the CPU, neither sparse, quantized nor on the meta device."""
    return (isinstance(value, torch.Tensor) and value.layout == torch.strided and value.device.type == "cpu"
            and not value.is_quantized and not value.is_complex())


def _same_shape(value: Any, own: torch.Tensor) -> bool:
    return _is_plain(value) and value.shape == own.shape and value.is_floating_point() == own.is_floating_point()


def _shape(value: Any) -> str:
    kind = f" {value.dtype}" if isinstance(value, torch.Tensor) and not value.is_floating_point() else ""
    return f"{tuple(value.shape)}{kind}" if isinstance(value, torch.Tensor) else type(value).__name__


def _some(names: list[str]) -> str:
    return shortened([name[:100] for name in names], 6)


def unused_published_parameters(model: MSTGT) -> int:
    """The number of parameters in ``UNUSED_PUBLISHED``: a 14 x 14 and a 12 x 12 position embedding with C channels.

    The second one belongs to a dynamic template of 192 px, which is never used.
    """
    return (PRETRAIN_GRID**2 + DYNAMIC_GRID**2) * model.spec.dim
