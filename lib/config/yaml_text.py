"""YAML text to plain values: safe, one-line errors with the line, and no key given twice."""

from __future__ import annotations

from typing import Any

import yaml

from lib.utils.errors import UserError, one_line


def parse_yaml(text: str, where: str) -> Any:
    """The value of ``text``. Raises :class:`UserError` naming ``where`` and the line where it is broken."""
    try:
        twice = _key_given_twice(yaml.compose(text, Loader=yaml.SafeLoader))
        value = yaml.safe_load(text)
    except yaml.MarkedYAMLError as error:
        line = f", line {error.problem_mark.line + 1}" if error.problem_mark else ""
        raise UserError(f"{where}{line}: not valid YAML: {_one_line(error.problem or error.context)}") from error
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        raise UserError(f"{where}: not valid YAML: {_one_line(error)}") from error
    if twice is not None:
        raise UserError(f"{where}, line {twice.start_mark.line + 1}: {_one_line(twice.value)} is given twice")
    return value


def parse_yaml_mapping(text: str, where: str) -> dict[Any, Any]:
    """As :func:`parse_yaml`, for a text whose outermost value is a mapping (an empty text is an empty one)."""
    value = parse_yaml(text, where)
    if value is None:
        return {}
    if not isinstance(value, dict):
        raise UserError(f"{where}: expected sections and keys, got {type(value).__name__}")
    return value


def _key_given_twice(root: yaml.Node | None) -> yaml.Node | None:
    """The second of two equal keys of one mapping, which YAML itself would settle silently."""
    waiting, done = [root], set()
    while waiting:
        node = waiting.pop()
        if not isinstance(node, yaml.MappingNode) or id(node) in done:  # an alias gives a node again
            continue
        done.add(id(node))
        seen: set[str] = set()
        for key, value in node.value:
            if isinstance(key, yaml.ScalarNode) and key.value in seen:
                return key
            seen.add(str(key.value))
            waiting.append(value)
    return None


def _one_line(problem: object) -> str:
    return one_line(" ".join(str(problem).split())[:300])
