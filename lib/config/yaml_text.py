"""Parses YAML into plain values, safely and with one-line errors that name the line.

Keys that are given twice are errors, and so are merge keys (``<<``): nested in each other, a few hundred bytes of them
expand until the memory is full. Texts of more than ``MAX_TEXT`` characters are refused.
"""

from __future__ import annotations

from typing import Any

import yaml

from ..utils.errors import UserError, one_line

MAX_TEXT = 1 << 18  # characters; a full configuration has 4000


def parse_yaml(text: str, where: str) -> Any:
    """The value of ``text``. Raises :class:`UserError` that names ``where`` and the line of the error."""
    if len(text) > MAX_TEXT:
        raise UserError(f"{where}: {len(text)} characters, more than the {MAX_TEXT} that settings may have")
    try:
        key, fault = _faulty_key(yaml.compose(text, Loader=yaml.SafeLoader))
        value = yaml.safe_load(text) if key is None else None
    except yaml.MarkedYAMLError as error:
        line = f", line {error.problem_mark.line + 1}" if error.problem_mark else ""
        raise UserError(f"{where}{line}: not valid YAML: {_one_line(error.problem or error.context)}") from error
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        raise UserError(f"{where}: not valid YAML: {_one_line(error)}") from error
    if key is not None:
        raise UserError(f"{where}, line {key.start_mark.line + 1}: {_one_line(key.value)} {fault}")
    return value


def parse_yaml_mapping(text: str, where: str) -> dict[Any, Any]:
    """As :func:`parse_yaml`, for a text whose outermost value must be a mapping; an empty text gives {}."""
    value = parse_yaml(text, where)
    if value is None:
        return {}
    if not isinstance(value, dict):
        raise UserError(f"{where}: expected sections and keys, got {type(value).__name__}")
    return value


def _faulty_key(root: yaml.Node | None) -> tuple[yaml.Node | None, str]:
    """The first merge key or repeated key (YAML would silently take the last one), and what is wrong with it."""
    waiting = [root]
    done = set()
    while waiting:
        node = waiting.pop()
        if not isinstance(node, yaml.CollectionNode) or id(node) in done:  # aliases reach a node several times
            continue
        done.add(id(node))
        if isinstance(node, yaml.SequenceNode):
            waiting.extend(node.value)
            continue
        seen: set[str] = set()
        for key, value in node.value:
            if key.tag == "tag:yaml.org,2002:merge":
                return key, "is not read here; write the keys out"
            if isinstance(key, yaml.ScalarNode) and key.value in seen:
                return key, "is given twice"
            seen.add(str(key.value))
            waiting += [key, value]
    return None, ""


def _one_line(problem: object) -> str:
    return one_line(" ".join(str(problem).split())[:300])
