"""The configuration schema: every key with its default, its allowed values and one line of explanation.

This is the only place where a key is defined. The EasyDict that :func:`mstgt.config.load_config` returns, the checks
of YAML files and ``--set`` (:func:`check_value`) and ``docs/configuration.md`` are derived from ``SCHEMA``:

    python -m mstgt.config.document > docs/configuration.md

To add a key: an entry in ``SCHEMA``; ``docs/configuration.md`` generated again (a test compares the two); its name in
``OWN_KEYS`` of ``tests/config/test_load.py`` unless the published configuration has it; in ``FREE`` of
``train/build.py`` if it may change when a run is resumed.
"""

from __future__ import annotations

import math
import re
import reprlib
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from ..utils.errors import UserError, unknown_name
from .backbones import BACKBONES


@dataclass(frozen=True)
class Rule:
    """A condition on a value. ``text`` completes the sentence "KEY must be …"."""

    text: str
    holds: Callable[[Any], bool]


@dataclass(frozen=True)
class Key:
    """One configuration key.

    default      its type is the type that values must have (for a list: the type of its elements)
    help         one line: what the key does, with its unit
    rule         range of a number, or another condition
    choices      the allowed values of a text key
    length       the required number of elements of a list
    none_is_empty  whether null is accepted and means the empty string
    """

    default: Any
    help: str
    rule: Rule | None = None
    choices: tuple[str, ...] = ()
    length: int | None = None
    none_is_empty: bool = False

    @property
    def type_name(self) -> str:
        """The type in words, such as ``list of float``."""
        if isinstance(self.default, list):
            return f"list of {type(self.default[0]).__name__}"
        return type(self.default).__name__

    @property
    def allowed(self) -> str:
        """The allowed values in words; empty if every value of the type is allowed."""
        if self.choices:
            return ", ".join(f"`{choice}`" for choice in self.choices)
        return self.rule.text if self.rule else ""


MAX_COUNT = 10**9

NOT_NEGATIVE = Rule("at least 0", lambda v: v >= 0)
COUNT = Rule(f"at least 1, at most {MAX_COUNT}", lambda v: 1 <= v <= MAX_COUNT)
COUNT_OR_ZERO = Rule(f"at least 0, at most {MAX_COUNT}", lambda v: 0 <= v <= MAX_COUNT)
FACTOR = Rule("greater than 0, at most 100", lambda v: 0 < v <= 100)
FACTORS = Rule("two numbers greater than 0, at most 100, the lower first", lambda v: 0 < v[0] <= v[1] <= 100)
JITTER = Rule("from 0 to 100", lambda v: 0 <= v <= 100)
SPREAD = Rule("from 0 to 2", lambda v: 0 <= v <= 2)
FRACTION = Rule("from 0 to 1", lambda v: 0 <= v <= 1)
FRACTION_BELOW_1 = Rule("from 0 to below 1", lambda v: 0 <= v < 1)
IMAGE_SIZE = Rule("a positive multiple of 16, at most 4096", lambda v: 0 < v <= 4096 and v % 16 == 0)
ALL_POSITIVE = Rule("only numbers greater than 0", lambda v: all(x > 0 for x in v))
RATIOS = Rule("numbers of at least 0, not all 0", lambda v: all(x >= 0 for x in v) and sum(v) > 0)


def _is_printable(name: str) -> bool:
    # Control characters and lone surrogates would break the one-line messages that names appear in.
    return not re.search(r"[\x00-\x1f\x7f-\x9f\ud800-\udfff]", name)


FILE = Rule("the name or path of a file, of letters that can be shown", _is_printable)
NAMES = Rule("at least one name, of letters that can be shown",
             lambda names: len(names) > 0 and all(map(_is_printable, names)))


def exactly(value: Any) -> Rule:
    """The rule of a key of the published files that has one value here."""
    return Rule(str(value), lambda v: v == value)


SCHEMA: dict[str, Key] = {
    # Augmentation of training samples
    "DA.border_prob": Key(0.0, "probability of a search crop whose edge cuts through the target", FRACTION),
    "DA.sfactor": Key([4.0, 4.0], "lowest and highest random search factor (crop side / sqrt(w*h) of the target)",
                      FACTORS, length=2),
    "DA.negative_prob": Key(0.0, "probability of a sample with search regions from which the target is absent",
                            FRACTION),
    "DA.imix": Key(False, "feature mixing: copy target tokens of another video into the search map as a distractor"),
    "DA.imix_occrate": Key(0.5, "mixing skips a frame if it would cover more than this fraction of the own target",
                           FRACTION),
    "DA.imix_epoch": Key(40, "mixing is active only after this epoch", COUNT_OR_ZERO),
    "DA.imix_interval": Key(1, "after `DA.imix_epoch`, mixing is active in every n-th epoch", COUNT),
    "DA.norm_type": Key("channel", "how the mixed features are matched to the statistics of the own target",
                        choices=("global", "channel", "none")),
    # Network
    "MODEL.PRETRAIN_FILE": Key(
        "mae_hivit_base_1600ep.pth",
        "weights to start from, of a HiViT or of a tracker: a file in the pretrained folder, or its path (absolute, or "
        "from the current folder); empty or null: from scratch", FILE, none_is_empty=True),
    "MODEL.INIT": Key("published", "initialization of linear layers: `published` before pretrained weights are "
                      "loaded, `xavier` for training from scratch", choices=("published", "xavier")),
    "MODEL.ASYMMETRIC_ATTENTION": Key(False, "in the attention blocks, template and cue tokens attend to one another "
                                      "only, so they are computed once per video (Cui et al., MixFormer, CVPR 2022)"),
    "MODEL.TEMPLATE_MASK": Key(0.0, "fraction of magenta mixed into the background of the template; 0: no mask",
                               FRACTION),
    "MODEL.BACKBONE.TYPE": Key("hivit_base", "backbone", choices=tuple(BACKBONES)),
    "MODEL.BACKBONE.STRIDE": Key(16, "pixels per token of the attention blocks", exactly(16)),
    "MODEL.HEAD.TYPE": Key("CENTER", "head", choices=("CENTER",)),
    "MODEL.HEAD.NUM_CHANNELS": Key(256, "channels of the head's first convolution; halved in each of the next three",
                                   Rule("a positive multiple of 8, at most 8192",
                                        lambda v: 0 < v <= 8192 and v % 8 == 0)),
    "MODEL.HEAD.PRIOR_PROB": Key(0.0, "initial center score of every cell; 0: the published initialization",
                                 FRACTION_BELOW_1),
    "MODEL.GUIDANCE.ATTENTION": Key("grouped", "attention of the guidance encoder: `grouped` as published, `global` "
                                    "over all tokens, `none`: the state stays the template",
                                    choices=("grouped", "global", "none")),
    # Optimization
    "TRAIN.LR": Key(1e-4, "learning rate of the head", NOT_NEGATIVE),
    "TRAIN.BACKBONE_MULTIPLIER": Key(0.1, "learning rate of all other layers, as a multiple of `TRAIN.LR`",
                                     NOT_NEGATIVE),
    "TRAIN.STEM_MULTIPLIER": Key(1.0, "learning rate of a convolutional stem, as a multiple of the other layers' "
                                 "rate; 0: frozen", NOT_NEGATIVE),
    "TRAIN.FROZEN_STAGES": Key(0, "leading stages of a convolutional stem (of 5) that are not trained",
                               Rule("from 0 to 5", lambda v: 0 <= v <= 5)),
    "TRAIN.WEIGHT_DECAY": Key(1e-4, "decoupled weight decay of AdamW", NOT_NEGATIVE),
    "TRAIN.OPTIMIZER": Key("ADAMW", "optimizer", choices=("ADAMW",)),
    "TRAIN.EPOCH": Key(500, "number of epochs", COUNT),
    "TRAIN.LR_DROP_EPOCH": Key(400, "step schedule: the learning rates are multiplied by "
                               "`TRAIN.SCHEDULER.DECAY_RATE` after this epoch", COUNT),
    "TRAIN.WARMUP_STEPS": Key(0, "optimizer steps over which the learning rates rise linearly from 0", COUNT_OR_ZERO),
    "TRAIN.SCHEDULER.TYPE": Key("step", "learning rate schedule", choices=("step", "cosine")),
    "TRAIN.SCHEDULER.DECAY_RATE": Key(0.1, "factor of the step schedule", NOT_NEGATIVE),
    "TRAIN.BATCH_SIZE": Key(16, "samples per process (per GPU) and batch", COUNT),
    "TRAIN.NUM_WORKER": Key(8, "data loading processes per training process; 0: load in the training process",
                            Rule("from 0 to 4096", lambda v: 0 <= v <= 4096)),
    "TRAIN.DROP_PATH_RATE": Key(0.1, "stochastic depth of the backbone's last block; rises linearly from 0 over the "
                                "blocks", FRACTION_BELOW_1),
    "TRAIN.GIOU_WEIGHT": Key(2.0, "weight of the generalized IoU loss", NOT_NEGATIVE),
    "TRAIN.L1_WEIGHT": Key(5.0, "weight of the L1 loss on normalized cx, cy, w, h", NOT_NEGATIVE),
    "TRAIN.FOCAL_WEIGHT": Key(1.0, "weight of the Gaussian focal loss on the center score", NOT_NEGATIVE),
    "TRAIN.TEACHER": Key("", "experiment of a trained network whose predictions are learned beside the boxes; its "
                         "weights are the file `<name>.safetensors` in the pretrained folder; empty: none"),
    "TRAIN.TEACHER_WEIGHT": Key(1.0, "weight of the difference to the teacher's predictions, beside the other losses",
                                NOT_NEGATIVE),
    "TRAIN.GRAD_CLIP_NORM": Key(0.1, "maximum gradient norm; 0: no clipping", NOT_NEGATIVE),
    "TRAIN.PRECISION": Key("auto", "number format of the network in training; `auto`: bf16 where the GPU or CPU is "
                           "fast in it, else fp32", choices=("auto", "fp32", "bf16", "fp16")),
    "TRAIN.TF32": Key(True, "compute fp32 matrix products in TF32 on GPUs that have it"),
    "TRAIN.ACCUMULATE": Key(1, "batches per optimizer step; the gradient is the mean over them", COUNT),
    "TRAIN.EMA_DECAY": Key(0.0, "decay per step of the moving average of the weights, which is validated and tested; "
                           "0: no average", FRACTION_BELOW_1),
    "TRAIN.COMPILE": Key(False, "compile the network with torch.compile: slow to start, faster steps"),
    "TRAIN.CHECKPOINT_ACTIVATIONS": Key(False, "recompute the attention blocks in the backward pass to save memory"),
    "TRAIN.KEEP_CHECKPOINTS": Key(3, "number of epoch checkpoints to keep, in addition to the best one and "
                                  "`TEST.EPOCH`; 0: all", COUNT_OR_ZERO),
    "TRAIN.SEED": Key(0, "seed of initialization, sampling and augmentation",
                      Rule("from 0 to below 2^63", lambda v: 0 <= v < 2**63 - 1)),
    "TRAIN.PRINT_INTERVAL": Key(50, "optimizer steps between two log records", COUNT),
    "TRAIN.VAL_EPOCH_INTERVAL": Key(20, "epochs between two validations", COUNT),
    # Data
    "DATA.SAMPLER_MODE": Key("causal", "search frames follow the template in time", choices=("causal",)),
    "DATA.MEAN": Key([0.485, 0.456, 0.406], "mean of R, G, B in [0, 1], subtracted from the crops", length=3),
    "DATA.STD": Key([0.229, 0.224, 0.225], "standard deviation of R, G, B in [0, 1], divides the crops", ALL_POSITIVE,
                    length=3),
    "DATA.MAX_SAMPLE_INTERVAL": Key(200, "number of frames after the template from which search frames are drawn",
                                    COUNT),
    "DATA.CURRICULUM": Key(0.0, "fraction of the training over which the difficulty of synthetic videos rises to "
                           "full; 0: full from the start", FRACTION),
    "DATA.TRAIN.DATASETS_NAME": Key(["LASOT", "GOT10K_vottrain"], "training sets (docs/training.md)", NAMES),
    "DATA.TRAIN.DATASETS_RATIO": Key([1.0, 1.0], "how often each training set is drawn, relative to the others",
                                     RATIOS),
    "DATA.TRAIN.SAMPLE_PER_EPOCH": Key(60000, "samples per epoch, over all processes", COUNT),
    "DATA.VAL.DATASETS_NAME": Key(["GOT10K_votval"], "validation sets (docs/training.md)", NAMES),
    "DATA.VAL.DATASETS_RATIO": Key([1.0], "how often each validation set is drawn, relative to the others", RATIOS),
    "DATA.VAL.SAMPLE_PER_EPOCH": Key(10000, "samples per validation, over all processes", COUNT),
    "DATA.SEARCH.SIZE": Key(320, "side of the search crop in pixels", IMAGE_SIZE),
    "DATA.SEARCH.FACTOR": Key(5.0, "side of the search region / sqrt(w*h) of the target", FACTOR),
    "DATA.SEARCH.CENTER_JITTER": Key(4.5, "maximum shift of the crop's center, in halves of sqrt(w*h)", JITTER),
    "DATA.SEARCH.SCALE_JITTER": Key(0.5, "the crop's sides are multiplied by exp(this * N(0, 1))", SPREAD),
    "DATA.SEARCH.NUMBER": Key(1, "search frames per sample",
                              Rule("at least 1, at most 1000", lambda v: 1 <= v <= 1000)),
    "DATA.TEMPLATE.SIZE": Key(128, "side of the template crop in pixels", IMAGE_SIZE),
    "DATA.TEMPLATE.FACTOR": Key(2.0, "side of the template region / sqrt(w*h) of the target", FACTOR),
    "DATA.TEMPLATE.CENTER_JITTER": Key(0.0, "as `DATA.SEARCH.CENTER_JITTER`", JITTER),
    "DATA.TEMPLATE.SCALE_JITTER": Key(0.0, "as `DATA.SEARCH.SCALE_JITTER`", SPREAD),
    "DATA.TEMPLATE.NUMBER": Key(1, "template frames per sample", exactly(1)),
    # Tracking
    "TEST.TEMPLATE_FACTOR": Key(2.0, "side of the template region / sqrt(w*h) of the target", FACTOR),
    "TEST.TEMPLATE_SIZE": Key(128, "side of the template crop in pixels", IMAGE_SIZE),
    "TEST.SEARCH_FACTOR": Key(5.0, "side of the search region / sqrt(w*h) of the last box", FACTOR),
    "TEST.SEARCH_SIZE": Key(320, "side of the search crop in pixels", IMAGE_SIZE),
    "TEST.SIZE_SMOOTHING": Key(0.0, "if above 0, the sides of the box move by (1 - this) * score of the way to those "
                               "that the frame gives; 0: they are those", FRACTION_BELOW_1),
    "TEST.CALIBRATE_SIZE": Key(False, "run the network on the first image too, and correct all later sizes by the "
                               "factors that bring its box there to the size of the given one"),
    "TEST.WIDEN_BELOW": Key(0.0, "a target is lost while the score and the mean of the last ones are below this: it is "
                            "then searched in a wide region, too, and what is found there with at least this score "
                            "again in the ordinary region around it; 0: never", FRACTION),
    "TEST.WIDEN_BY": Key(2.0, "the wide region is that of `TEST.SEARCH_FACTOR` times this",
                         Rule("from 1 to 10", lambda v: 1 <= v <= 10)),
    "TEST.NARROW_SIZE": Key(0, "side of the narrow search crop in pixels, at the scale of the ordinary one: a frame "
                            "begins with it while the target moves little; 0: never",
                            Rule("0 or a positive multiple of 16, at most 4096",
                                 lambda v: 0 <= v <= 4096 and v % 16 == 0)),
    "TEST.NARROW_ABOVE": Key(0.5, "the narrow crop is taken while the mean of the last scores is at least this, and "
                             "its answer where its score is", FRACTION),
    "TEST.NARROW_MOTION": Key(0.3, "the narrow crop is taken where the last frame's motion / sqrt(w*h) was at most "
                              "this, and its answer likewise", NOT_NEGATIVE),
    "TEST.EPOCH": Key(500, "epoch whose checkpoint is tested", COUNT),
}

# Old name -> current name. YAML files, checkpoints and results with the old name keep loading.
RENAMED_KEYS: dict[str, str] = {"MODEL.TEMPLATE_MARK": "MODEL.TEMPLATE_MASK"}

# Keys of the published configuration files without effect in this code: they are accepted and dropped.
UNUSED_KEYS: frozenset[str] = frozenset({
    "CUTMIX.prob", "CUTMIX.occrate",
    "DA.imix_reverse_prob", "DA.mix_type", "DA.update_bbox",
    "DATA.DATA_FRACTION",
    "DATA.DYNAMIC.NUMBER", "DATA.DYNAMIC.SIZE", "DATA.DYNAMIC.FACTOR", "DATA.DYNAMIC.CENTER_JITTER",
    "DATA.DYNAMIC.SCALE_JITTER",
    "MODEL.EXTRA_MERGER", "MODEL.RETURN_INTER", "MODEL.RETURN_STAGES",
    "MODEL.BACKBONE.MID_PE", "MODEL.BACKBONE.SEP_SEG", "MODEL.BACKBONE.CAT_MODE", "MODEL.BACKBONE.MERGE_LAYER",
    "MODEL.BACKBONE.ADD_CLS_TOKEN", "MODEL.BACKBONE.CLS_TOKEN_USE_MODE", "MODEL.BACKBONE.CE_LOC",
    "MODEL.BACKBONE.CE_KEEP_RATIO", "MODEL.BACKBONE.CE_TEMPLATE_RANGE",
    "TEST.DYNAMIC_FACTOR", "TEST.DYNAMIC_SIZE",
    "TRAIN.AMP", "TRAIN.FREEZE_LAYERS", "TRAIN.CE_START_EPOCH", "TRAIN.CE_WARM_EPOCH",
})

_SHORT = reprlib.Repr()
_SHORT.maxstring = _SHORT.maxother = 60
_KIND_NAMES = {bool: "true or false", int: "a whole number", float: "a number", str: "text"}


def check_value(name: str, value: Any, where: str) -> Any:
    """``value`` in the type of the key ``name``: an int becomes a float where a float is expected, and so does a
    string such as ``1e-3``, which YAML reads as text.

    Raises :class:`UserError` that names ``where`` (a file or a flag), the key and the violated rule.
    """
    key = SCHEMA[name]
    if key.none_is_empty and value in (None, "None", "none"):
        return ""
    if isinstance(key.default, list):
        value = _typed_list(name, value, key.default, key.length, where)
    else:
        value = _typed(name, value, type(key.default), where)
    if key.choices and value not in key.choices:
        raise UserError(f"{where}: {unknown_name(name, value, key.choices)}")
    if key.rule is not None and not key.rule.holds(value):
        raise UserError(f"{where}: {name} must be {key.rule.text}, got {_SHORT.repr(value)}")
    return value


def check_together(flat: dict[str, Any], where: str) -> None:
    """Check the rules between keys. ``flat`` maps every dotted key to its value."""
    for mode in ("TRAIN", "VAL"):
        names, ratios = flat[f"DATA.{mode}.DATASETS_NAME"], flat[f"DATA.{mode}.DATASETS_RATIO"]
        if len(names) != len(ratios):
            raise UserError(f"{where}: DATA.{mode}.DATASETS_RATIO has {len(ratios)} numbers and "
                            f"DATA.{mode}.DATASETS_NAME has {len(names)} names; give one ratio a name")
    narrow, search = flat["TEST.NARROW_SIZE"], flat["TEST.SEARCH_SIZE"]
    # The narrow grid of tokens is the middle of the ordinary one.
    if narrow and (narrow >= search or (search - narrow) % 32):
        raise UserError(f"{where}: TEST.NARROW_SIZE {narrow} does not fit TEST.SEARCH_SIZE {search}: take a smaller "
                        "size that differs by a multiple of 32, or 0 for none")


def _typed_list(key: str, value: Any, default: list[Any], length: int | None, where: str) -> list[Any]:
    kind = type(default[0])
    if not isinstance(value, list):
        raise UserError(f"{where}: {key} must be a list, each {_KIND_NAMES[kind]}, got {_given(value)}")
    if length is not None and len(value) != length:
        raise UserError(f"{where}: {key} must have {length} elements, got {len(value)}")
    return [_typed(f"{key}[{i}]", element, kind, where) for i, element in enumerate(value)]


def _typed(key: str, value: Any, kind: type, where: str) -> Any:
    if kind is float:
        number = _as_float(value)
        if number is not None:
            return number
    elif type(value) is kind:
        return value
    raise UserError(f"{where}: {key} must be {_KIND_NAMES[kind]}, got {_given(value)}")


def _as_float(value: Any) -> float | None:
    """A finite float from an int, a float, or text such as ``1e-3``; None from anything else."""
    if isinstance(value, bool) or not isinstance(value, (int, float, str)):
        return None
    try:
        number = float(value)
    except (ValueError, OverflowError):
        return None
    return number if math.isfinite(number) else None


def _given(value: Any) -> str:
    kinds = {bool: "true/false", int: "whole number", float: "number", str: "text", list: "list", dict: "section",
             type(None): "nothing"}
    return f"{kinds.get(type(value), type(value).__name__)} {_SHORT.repr(value)}"
