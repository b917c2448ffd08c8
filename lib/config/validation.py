"""Checks of configuration values against the schema.

:func:`check_value` returns a value in the type of its key (an int becomes a float where a float is expected, and so
does a string such as ``1e-3``, which YAML reads as text) or raises a one-line :class:`UserError`.
:func:`check_together` checks the rules between keys.
"""

from __future__ import annotations

import math
import reprlib
from typing import Any

from ..utils.errors import UserError, unknown_name
from .schema import SCHEMA

_SHORT = reprlib.Repr()
_SHORT.maxstring = _SHORT.maxother = 60
_KIND_NAMES = {bool: "true or false", int: "a whole number", float: "a number", str: "text"}


def check_value(name: str, value: Any, where: str) -> Any:
    """``value`` in the type of the key ``name``.

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
