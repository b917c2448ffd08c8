"""Experiments by name: defaults, then the YAML file, then ``KEY=VALUE`` overrides.

    cfg = load_config("mstgt", "MSTGT-full-256", ["TRAIN.LR=1e-3", "MODEL.GUIDANCE.ATTENTION=global"])
    cfg.TRAIN.LR                     # 0.001
    text = dump_config(cfg)          # YAML, saved beside every checkpoint and every result
    cfg = config_from_text(text)     # and read back from there

Every call returns a new object. Unknown keys, wrong types and values out of range are one-line errors.
"""

from __future__ import annotations

import copy
import difflib
import logging
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

import yaml
from easydict import EasyDict

from lib.config.defaults import DEFAULTS, UNUSED_KEYS
from lib.config.paths import PROJECT_ROOT
from lib.config.rules import check_together, check_value
from lib.utils.errors import UserError, unknown_name

EXPERIMENTS_DIR = PROJECT_ROOT / "experiments"

_log = logging.getLogger(__name__)
_said: set[str] = set()  # unused keys that this process has already told about


def load_config(script: str, config: str, overrides: Sequence[str] = (),
                experiments_dir: Path = EXPERIMENTS_DIR) -> EasyDict:
    """The resolved configuration of an experiment; ``overrides`` are strings such as ``TRAIN.LR=1e-3``."""
    path = find_experiment(script, config, experiments_dir)
    values = _flat_defaults()
    _merge(values, _read_yaml(path), str(path))
    for override in overrides:
        _merge(values, _parse_override(override), f"--set {override}")
    check_together(values, str(path) if not overrides else f"{path} with --set")
    return _nested(values)


def config_from_text(text: str, where: str = "saved configuration") -> EasyDict:
    """A configuration that :func:`dump_config` wrote; ``where`` names its origin in errors.

    Keys that are absent (the file is older than the key) take their defaults and are said.
    """
    values = _flat_defaults()
    given = _merge(values, _parse_yaml(text, where), where)
    check_together(values, where)
    absent = [key for key in values if key not in given]
    if absent:
        _log.warning("%s: absent keys take their defaults: %s", where, ", ".join(absent))
    return _nested(values)


def dump_config(cfg: dict[str, Any]) -> str:
    """``cfg`` as YAML of plain types, in the order of the defaults."""
    return yaml.safe_dump(_plain(cfg), sort_keys=False, default_flow_style=None, width=120)


def find_experiment(script: str, config: str, experiments_dir: Path = EXPERIMENTS_DIR) -> Path:
    """The YAML file of an experiment; both names are case-insensitive."""
    folder = _find("script", script, (p for p in _entries(experiments_dir) if p.is_dir()), experiments_dir)
    return _find(f"{folder.name} config", config, (p for p in _entries(folder) if p.suffix == ".yaml"), folder)


def script_name(script: str, experiments_dir: Path = EXPERIMENTS_DIR) -> str:
    """The name of a script as output folders have it: lower case. Unknown names are an error."""
    folder = _find("script", script, (p for p in _entries(experiments_dir) if p.is_dir()), experiments_dir)
    return folder.name.lower()


def _entries(folder: Path) -> list[Path]:
    try:
        return sorted(p for p in folder.iterdir() if not p.name.startswith("."))
    except OSError as error:
        raise UserError(f"cannot read the experiments in {folder}: {error.strerror or error}") from error


def _find(kind: str, name: str, candidates: Iterable[Path], folder: Path) -> Path:
    if not name or "/" in name or "\\" in name or ".." in name:
        raise UserError(f"{kind} {name!r} is not a name: give the name of an experiment in {folder}, not a path")
    known = {path.stem: path for path in candidates}
    folded = {stem.casefold(): path for stem, path in known.items()}
    found = known.get(name) or folded.get(name.casefold())
    if found is None:
        raise unknown_name(kind, name, known)
    return found


def _read_yaml(path: Path) -> dict[str, Any]:
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise UserError(f"cannot read {path}: {error}") from error
    return _parse_yaml(text, str(path))


def _parse_yaml(text: str, where: str) -> dict[str, Any]:
    tree = _safe_load(text, where)
    if tree is None:
        return {}
    if not isinstance(tree, dict):
        raise UserError(f"{where}: expected sections and keys, got {type(tree).__name__}")
    return tree


def _parse_override(override: str) -> dict[str, Any]:
    key, equals, text = override.partition("=")
    key = key.strip()
    if not equals or not key:
        raise UserError(f"--set {override}: write it as KEY=VALUE, for example TRAIN.LR=1e-3")
    return {key: _safe_load(text, f"--set {override}")}


def _safe_load(text: str, where: str) -> Any:
    try:
        _refuse_twice(yaml.compose(text, Loader=yaml.SafeLoader), where)
        return yaml.safe_load(text)
    except yaml.MarkedYAMLError as error:
        line = f" line {error.problem_mark.line + 1}" if error.problem_mark else ""
        raise UserError(f"{where}{line}: not valid YAML: {_one_line(error.problem or error.context)}") from error
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        raise UserError(f"{where}: not valid YAML: {_one_line(error)}") from error


def _one_line(problem: object) -> str:
    return " ".join(str(problem).split())


def _refuse_twice(node: yaml.Node | None, where: str) -> None:
    """A key given twice is a mistake that YAML would settle silently."""
    if not isinstance(node, yaml.MappingNode):
        return
    seen: set[str] = set()
    for key, value in node.value:
        if key.value in seen if isinstance(key, yaml.ScalarNode) else False:
            raise UserError(f"{where} line {key.start_mark.line + 1}: {key.value} is given twice")
        if isinstance(key, yaml.ScalarNode):
            seen.add(key.value)
        _refuse_twice(value, where)


def _merge(values: dict[str, Any], tree: dict[str, Any], where: str) -> set[str]:
    """Put the checked leaves of ``tree`` into the flat ``values``; returns the keys that it gave."""
    given: set[str] = set()
    unused: list[str] = []
    for key, value in _leaves(tree, where):
        if key in UNUSED_KEYS:
            unused.append(key)
            continue
        values[key] = check_value(key, value, values[key], where)
        given.add(key)
    new = [key for key in unused if key not in _said]
    if new:
        _said.update(new)
        _log.warning("%s: keys without effect here: %s", where, ", ".join(new))
    return given


def _leaves(tree: dict[Any, Any], where: str, prefix: str = "") -> Iterator[tuple[str, Any]]:
    for name, value in tree.items():
        key = f"{prefix}{name}"
        if key in _FLAT or key in UNUSED_KEYS:
            yield key, value
        elif isinstance(value, dict) and value:
            yield from _leaves(value, where, f"{key}.")
        elif key not in _SECTIONS:
            raise _unknown_key(key, where)
        elif value:
            raise UserError(f"{where}: {key} is a section; set one of its keys: {', '.join(_SECTIONS[key])}")


def _unknown_key(key: str, where: str) -> UserError:
    known = {k.casefold(): k for k in (*_FLAT, *sorted(UNUSED_KEYS))}
    near = difflib.get_close_matches(key.casefold(), known, n=1)
    near = near or [k for k in known if k.rsplit(".", 1)[-1] == key.casefold().rsplit(".", 1)[-1]]
    near = near or difflib.get_close_matches(key.casefold(), known, n=1, cutoff=0.0)
    return UserError(f"{where}: unknown key {key}; did you mean {known[near[0]]}?")


def _flatten(tree: dict[str, Any], prefix: str = "") -> dict[str, Any]:
    flat: dict[str, Any] = {}
    for name, value in tree.items():
        flat.update(_flatten(value, f"{prefix}{name}.") if isinstance(value, dict) else {prefix + name: value})
    return flat


def _flat_defaults() -> dict[str, Any]:
    return copy.deepcopy(_FLAT)


def _nested(flat: dict[str, Any]) -> EasyDict:
    tree: dict[str, Any] = {}
    for key, value in flat.items():
        *sections, name = key.split(".")
        node = tree
        for section in sections:
            node = node.setdefault(section, {})
        node[name] = value
    return EasyDict(tree)


def _plain(value: Any) -> Any:
    if isinstance(value, dict):
        return {str(k): _plain(v) for k, v in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(v) for v in value]
    return value


_FLAT = _flatten(DEFAULTS)
_SECTIONS: dict[str, list[str]] = {}
for _key in _FLAT:
    _parts = _key.split(".")
    for _depth in range(1, len(_parts)):
        _children = _SECTIONS.setdefault(".".join(_parts[:_depth]), [])
        if ".".join(_parts[: _depth + 1]) not in _children:
            _children.append(".".join(_parts[: _depth + 1]))
