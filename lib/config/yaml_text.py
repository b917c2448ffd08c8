"""YAML text to plain values: safe, one-line errors with the line, no key given twice, and no merge keys (``<<``): a few
hundred bytes of them, one in the other, unfold to as many keys as the memory holds. Of at most ``MAX_TEXT``."""

from __future__ import annotations

from typing import Any

import yaml

from ..utils.errors import UserError, one_line

MAX_TEXT = 1 << 18  # characters; all settings have 4000


def parse_yaml(text: str, where: str) -> Any:
    """The value of ``text``. Raises :class:`UserError` naming ``where`` and the line where it is broken."""
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
    """As :func:`parse_yaml`, for a text whose outermost value is a mapping (an empty text is an empty one)."""
    value = parse_yaml(text, where)
    if value is None:
        return {}
    if not isinstance(value, dict):
        raise UserError(f"{where}: expected sections and keys, got {type(value).__name__}")
    return value


def _faulty_key(root: yaml.Node | None) -> tuple[yaml.Node | None, str]:
    """A merge key, or the second of two equal keys of one mapping, which YAML itself would settle silently; and what
    is wrong with it."""
    waiting, done = [root], set()
    while waiting:
        node = waiting.pop()
        if not isinstance(node, yaml.CollectionNode) or id(node) in done:  # an alias gives a node again
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
