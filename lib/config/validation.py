"""What a configuration value may be: its type, its choices, its length, its range.

``check_value(key, value, default, where)`` returns the value in the key's own type (an int becomes a float where a
float is meant, and so does a string such as ``1e-3``, which YAML reads as text) or raises a one-line ``UserError``.
``check_together(flat, where)`` holds the rules between keys.
"""

from __future__ import annotations

import math
import re
import reprlib
from collections.abc import Callable
from typing import Any

from ..utils.errors import UserError, unknown_name
from ..utils.names import fault_in_name

CHOICES: dict[str, tuple[str, ...]] = {
    "DA.norm_type": ("global", "channel", "none"),
    "MODEL.BACKBONE.TYPE": ("lite_nano", "lite_mini", "hivit_nano", "hivit_mini", "hivit_tiny", "hivit_small",
                            "hivit_base"),
    "MODEL.INIT": ("published", "xavier"),
    "MODEL.HEAD.TYPE": ("CENTER",),
    "MODEL.GUIDANCE.ATTENTION": ("grouped", "global", "none"),
    "TRAIN.PRECISION": ("auto", "fp32", "bf16", "fp16"),
    "TRAIN.OPTIMIZER": ("ADAMW",),
    "TRAIN.SCHEDULER.TYPE": ("step", "cosine"),
    "DATA.SAMPLER_MODE": ("causal",),
}

LENGTHS: dict[str, int] = {"DA.sfactor": 2, "DATA.MEAN": 3, "DATA.STD": 3}

# Null is a value of these keys and means the empty string.
NULL_IS_EMPTY: frozenset[str] = frozenset({"MODEL.PRETRAIN_FILE"})

Rule = tuple[str, Callable[[Any], bool]]

NOT_NEGATIVE: Rule = ("at least 0", lambda v: v >= 0)
MAX_COUNT = 10**9  # of a count
COUNT: Rule = (f"at least 1, at most {MAX_COUNT}", lambda v: 1 <= v <= MAX_COUNT)
COUNT_OR_NONE: Rule = (f"at least 0, at most {MAX_COUNT}", lambda v: 0 <= v <= MAX_COUNT)
FACTOR: Rule = ("greater than 0, at most 100", lambda v: 0 < v <= 100)
JITTER: Rule = ("from 0 to 100", lambda v: 0 <= v <= 100)
SPREAD: Rule = ("from 0 to 2", lambda v: 0 <= v <= 2)
SHARE: Rule = ("from 0 to 1", lambda v: 0 <= v <= 1)
SHARE_BELOW_1: Rule = ("from 0 to below 1", lambda v: 0 <= v < 1)
SIDE: Rule = ("a positive multiple of 16, at most 4096", lambda v: 0 < v <= 4096 and v % 16 == 0)
ALL_POSITIVE: Rule = ("only numbers greater than 0", lambda v: all(x > 0 for x in v))
NAMES: Rule = ("at least one name, of letters that can be shown",
               lambda v: len(v) > 0 and not any(re.search(r"[\x00-\x1f\x7f-\x9f\ud800-\udfff]", name) for name in v))
FILE: Rule = ("the name of a file in the pretrained folder, not a path", lambda v: not v or fault_in_name(v) is None)
RATIOS: Rule = ("numbers of at least 0, not all 0", lambda v: all(x >= 0 for x in v) and sum(v) > 0)

RULES: dict[str, Rule] = {
    "DA.border_prob": SHARE,
    "DA.sfactor": ("two numbers greater than 0, at most 100, the lower first", lambda v: 0 < v[0] <= v[1] <= 100),
    "DA.negative_prob": SHARE,
    "DA.imix_occrate": SHARE,
    "DA.imix_epoch": COUNT_OR_NONE,
    "DA.imix_interval": COUNT,
    "MODEL.PRETRAIN_FILE": FILE,
    "MODEL.TEMPLATE_MASK": SHARE,
    "MODEL.BACKBONE.STRIDE": ("16", lambda v: v == 16),
    "MODEL.HEAD.NUM_CHANNELS": ("a positive multiple of 8, at most 8192", lambda v: 0 < v <= 8192 and v % 8 == 0),
    "MODEL.HEAD.PRIOR_PROB": SHARE_BELOW_1,
    "TRAIN.LR": NOT_NEGATIVE,
    "TRAIN.BACKBONE_MULTIPLIER": NOT_NEGATIVE,
    "TRAIN.STEM_MULTIPLIER": NOT_NEGATIVE,
    "TRAIN.WEIGHT_DECAY": NOT_NEGATIVE,
    "TRAIN.EPOCH": COUNT,
    "TRAIN.LR_DROP_EPOCH": COUNT,
    "TRAIN.WARMUP_STEPS": COUNT_OR_NONE,
    "TRAIN.SCHEDULER.DECAY_RATE": NOT_NEGATIVE,
    "TRAIN.BATCH_SIZE": COUNT,
    "TRAIN.NUM_WORKER": ("from 0 to 4096", lambda v: 0 <= v <= 4096),
    "TRAIN.DROP_PATH_RATE": SHARE_BELOW_1,
    "TRAIN.GIOU_WEIGHT": NOT_NEGATIVE,
    "TRAIN.L1_WEIGHT": NOT_NEGATIVE,
    "TRAIN.FOCAL_WEIGHT": NOT_NEGATIVE,
    "TRAIN.GRAD_CLIP_NORM": NOT_NEGATIVE,
    "TRAIN.ACCUMULATE": COUNT,
    "TRAIN.EMA_DECAY": SHARE_BELOW_1,
    "TRAIN.KEEP_CHECKPOINTS": COUNT_OR_NONE,
    "TRAIN.SEED": ("from 0 to below 2^63", lambda v: 0 <= v < 2**63 - 1),
    "TRAIN.PRINT_INTERVAL": COUNT,
    "TRAIN.VAL_EPOCH_INTERVAL": COUNT,
    "DATA.STD": ALL_POSITIVE,
    "DATA.MAX_SAMPLE_INTERVAL": COUNT,
    "DATA.CURRICULUM": SHARE,
    "DATA.TRAIN.DATASETS_NAME": NAMES,
    "DATA.TRAIN.DATASETS_RATIO": RATIOS,
    "DATA.TRAIN.SAMPLE_PER_EPOCH": COUNT,
    "DATA.VAL.DATASETS_NAME": NAMES,
    "DATA.VAL.DATASETS_RATIO": RATIOS,
    "DATA.VAL.SAMPLE_PER_EPOCH": COUNT,
    "DATA.SEARCH.SIZE": SIDE,
    "DATA.SEARCH.FACTOR": FACTOR,
    "DATA.SEARCH.CENTER_JITTER": JITTER,
    "DATA.SEARCH.SCALE_JITTER": SPREAD,
    "DATA.SEARCH.NUMBER": ("at least 1, at most 1000", lambda v: 1 <= v <= 1000),
    "DATA.TEMPLATE.SIZE": SIDE,
    "DATA.TEMPLATE.FACTOR": FACTOR,
    "DATA.TEMPLATE.CENTER_JITTER": JITTER,
    "DATA.TEMPLATE.SCALE_JITTER": SPREAD,
    "DATA.TEMPLATE.NUMBER": ("1", lambda v: v == 1),
    "TEST.TEMPLATE_FACTOR": FACTOR,
    "TEST.TEMPLATE_SIZE": SIDE,
    "TEST.SEARCH_FACTOR": FACTOR,
    "TEST.SEARCH_SIZE": SIDE,
    "TEST.WIDEN_BELOW": SHARE,
    "TEST.WIDEN_BY": ("from 1 to 10", lambda v: 1 <= v <= 10),
    "TEST.EPOCH": COUNT,
}

_SHORT = reprlib.Repr()
_SHORT.maxstring = _SHORT.maxother = 60
_KIND_NAMES = {bool: "true or false", int: "a whole number", float: "a number", str: "text"}


def check_value(key: str, value: Any, default: Any, where: str) -> Any:
    """``value`` in the type of ``default``. Raises :class:`UserError` naming ``where``, the key and the rule broken."""
    if key in NULL_IS_EMPTY and value in (None, "None", "none"):
        return ""
    if isinstance(default, list):
        value = _typed_list(key, value, default, where)
    else:
        value = _typed(key, value, type(default), where)
    if key in CHOICES and value not in CHOICES[key]:
        raise UserError(f"{where}: {unknown_name(key, value, CHOICES[key])}")
    text, holds = RULES.get(key, ("", lambda v: True))
    if not holds(value):
        raise UserError(f"{where}: {key} must be {text}, got {_SHORT.repr(value)}")
    return value


def check_together(flat: dict[str, Any], where: str) -> None:
    """Rules between keys. ``flat`` maps every dotted key to its value."""
    for mode in ("TRAIN", "VAL"):
        names, ratios = flat[f"DATA.{mode}.DATASETS_NAME"], flat[f"DATA.{mode}.DATASETS_RATIO"]
        if len(names) != len(ratios):
            raise UserError(f"{where}: DATA.{mode}.DATASETS_RATIO has {len(ratios)} numbers and "
                            f"DATA.{mode}.DATASETS_NAME has {len(names)} names; give one ratio a name")


def _typed_list(key: str, value: Any, default: list[Any], where: str) -> list[Any]:
    kind = type(default[0])
    if not isinstance(value, list):
        raise UserError(f"{where}: {key} must be a list, each {_KIND_NAMES[kind]}, got {_given(value)}")
    if key in LENGTHS and len(value) != LENGTHS[key]:
        raise UserError(f"{where}: {key} must have {LENGTHS[key]} elements, got {len(value)}")
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
