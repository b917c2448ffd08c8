"""The configuration of an experiment: defaults, then the YAML file, then ``KEY=VALUE`` overrides.

An experiment is the file ``experiments/<SCRIPT>/<CONFIG>.yaml``; both names are case-insensitive.

    cfg = load_config("mstgt", "MSTGT-full-256", ["TRAIN.LR=1e-3", "MODEL.GUIDANCE.ATTENTION=global"])
    cfg.TRAIN.LR                     # 0.001
    text = dump_config(cfg)          # YAML, saved beside every checkpoint and every result
    cfg = config_from_text(text)     # and read back from there

Every call returns a new object. Unknown keys, wrong types and values out of range are one-line errors.

YAML is parsed into plain values. Keys that are given twice are errors, and so are merge keys (``<<``): nested in each
other, a few hundred bytes of them expand until the memory is full. Texts of more than ``MAX_TEXT`` characters are
refused.
"""

from __future__ import annotations

import copy
import difflib
import json
import logging
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import yaml
from easydict import EasyDict

from ..utils.errors import UserError, explain_os_error, one_line, unknown_name
from .paths import PROJECT_ROOT
from .schema import RENAMED_KEYS, SCHEMA, UNUSED_KEYS, check_together, check_value

EXPERIMENTS_DIR = PROJECT_ROOT / "experiments"
_log = logging.getLogger(__name__)
MAX_KEYS = 500  # keys and sections; there are about 90
MAX_TEXT = 1 << 18  # characters of YAML; a full configuration has 4000
_said: set[str] = set()  # unused keys that this process has already reported


def load_config(script: str, config: str, overrides: Sequence[str] = (),
                experiments_dir: Path = EXPERIMENTS_DIR) -> EasyDict:
    """The resolved configuration of an experiment; ``overrides`` are strings such as ``TRAIN.LR=1e-3``."""
    path = find_experiment(script, config, experiments_dir)
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise UserError(f"cannot read {path}: {error}") from error
    values = _defaults()
    _merge(values, parse_yaml_mapping(text, str(path)), str(path))
    for override in overrides:
        _merge(values, _parse_override(override), _shown(override))
    check_together(values, f"{path} with --set" if overrides else str(path))
    return _nested(values)


def config_from_text(text: str, where: str = "saved configuration") -> EasyDict:
    """A configuration that :func:`dump_config` wrote; ``where`` names its origin in errors.

    Missing keys (the text is older than the key) get their defaults, with a log message.
    """
    values = _defaults()
    given = _merge(values, parse_yaml_mapping(text, where), where)
    check_together(values, where)
    absent = [key for key in values if key not in given]
    if absent:
        _log.warning("%s: absent keys take their defaults: %s", where, ", ".join(absent))
    return _nested(values)


def dump_config(cfg: dict[str, Any]) -> str:
    """``cfg`` as YAML of plain types, in the order of the defaults."""
    # Through JSON: YAML's safe writer takes plain dicts and lists alone.
    return yaml.safe_dump(json.loads(json.dumps(cfg)), sort_keys=False, width=120)


def find_experiment(script: str, config: str, experiments_dir: Path = EXPERIMENTS_DIR) -> Path:
    """The YAML file of an experiment. Raises :class:`UserError` that lists the known names."""
    folder = _find_script(script, experiments_dir)
    known = {path.stem: path for path in _entries(folder) if path.suffix == ".yaml"}
    return _find(f"{folder.name} config", config, known, folder)


def script_name(script: str, experiments_dir: Path = EXPERIMENTS_DIR) -> str:
    """The name of a script in lower case, as output folders have it. Raises :class:`UserError` where unknown."""
    return _find_script(script, experiments_dir).name.lower()


def _find_script(script: str, experiments_dir: Path) -> Path:
    known = {path.name: path for path in _entries(experiments_dir) if path.is_dir()}
    return _find("script", script, known, experiments_dir)


def _entries(folder: Path) -> list[Path]:
    with explain_os_error(f"cannot list the experiments in {folder}"):
        return sorted(path for path in folder.iterdir() if not path.name.startswith("."))


def _find(kind: str, name: str, known: dict[str, Path], folder: Path) -> Path:
    if not name or "/" in name or "\\" in name or ".." in name:
        raise UserError(f"{kind} {name!r} is not a name: give a name found in {folder}, not a path")
    folded = {stem.casefold(): path for stem, path in known.items()}
    found = known.get(name) or folded.get(name.casefold())
    if found is None:
        raise unknown_name(kind, name, known)
    return found


def _parse_override(override: str) -> dict[str, Any]:
    key, equals, text = override.partition("=")
    if not equals or not key.strip():
        raise UserError(f"{_shown(override)}: write it as KEY=VALUE, for example TRAIN.LR=1e-3")
    return {key.strip(): parse_yaml(text, _shown(override))}


def _shown(override: str) -> str:
    return f"--set {one_line(override if len(override) < 200 else override[:197] + '...')}"


def _merge(values: dict[str, Any], tree: dict[Any, Any], where: str) -> set[str]:
    """Check the values in ``tree`` and put them into the flat ``values``; return their keys."""
    given: set[str] = set()
    for key, value in _leaves(tree, where):
        if key not in UNUSED_KEYS:
            values[key] = check_value(key, value, where)
        given.add(key)
    new = sorted((given & UNUSED_KEYS) - _said)
    if new:
        _said.update(new)
        _log.warning("%s: keys without effect here: %s", where, ", ".join(new))
    return given


def _leaves(tree: dict[Any, Any], where: str, prefix: str = "") -> Iterator[tuple[str, Any]]:
    """Dotted keys and values. Unknown sections are followed a few levels down, so that the error names a full key."""
    for name, value in tree.items():
        key = RENAMED_KEYS.get(f"{prefix}{name}", f"{prefix}{name}")
        if key in SCHEMA or key in UNUSED_KEYS:
            yield key, value
        elif isinstance(value, dict) and value and key.count(".") < 4:
            yield from _leaves(value, where, f"{key}.")
        elif key not in _SECTIONS:
            raise _unknown_key(key, where)
        elif value not in (None, {}):
            raise UserError(f"{where}: {key} is a section, not a value; its keys are {', '.join(_SECTIONS[key])}")


def _unknown_key(key: str, where: str) -> UserError:
    known = {k.casefold(): k for k in (*SCHEMA, *sorted(UNUSED_KEYS))}
    asked = key.casefold()
    near = difflib.get_close_matches(asked, known, n=1)
    near = near or [k for k in known if k.rpartition(".")[2] == asked.rpartition(".")[2]]
    near = near or difflib.get_close_matches(asked, known, n=1, cutoff=0.0)
    return UserError(f"{where}: unknown key {one_line(key[:100])}; did you mean {known[near[0]]}?")


def _defaults() -> dict[str, Any]:
    return {name: copy.deepcopy(key.default) for name, key in SCHEMA.items()}


def _nested(flat: dict[str, Any]) -> EasyDict:
    tree: dict[str, Any] = {}
    for key, value in flat.items():
        *sections, name = key.split(".")
        node = tree
        for section in sections:
            node = node.setdefault(section, {})
        node[name] = value
    return EasyDict(tree)


def flatten(tree: dict[str, Any], where: str = "settings") -> dict[str, Any]:
    """``{"TRAIN.LR": 1e-4, ...}`` from nested dicts. Raises :class:`UserError` for more than ``MAX_KEYS``:
    aliases in a YAML text can make a section contain itself."""
    flat: dict[str, Any] = {}
    for number, (key, value) in enumerate(_walk(tree)):
        if number > MAX_KEYS:
            raise UserError(f"{where}: more than {MAX_KEYS} sections and keys")
        if not isinstance(value, dict):
            flat[RENAMED_KEYS.get(key, key)] = value
    return flat


def _walk(tree: dict[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    """Every section and key, with its dotted name."""
    for name, value in tree.items():
        yield f"{prefix}{name}", value
        if isinstance(value, dict):
            yield from _walk(value, f"{prefix}{name}.")


def _section_children() -> dict[str, list[str]]:
    """``{"TRAIN": ["TRAIN.LR", ...], ...}``: the dotted name of every section and what is directly in it."""
    children: dict[str, list[str]] = {}
    for name in SCHEMA:
        while "." in name:
            section = name.rpartition(".")[0]
            entries = children.setdefault(section, [])
            if name not in entries:
                entries.append(name)
            name = section
    return children


_SECTIONS = _section_children()


def parse_yaml(text: str, where: str) -> Any:
    """The value of ``text``. Raises :class:`UserError` that names ``where`` and the line of the error."""
    if len(text) > MAX_TEXT:
        raise UserError(f"{where}: {len(text)} characters, more than the {MAX_TEXT} that settings may have")
    try:
        key, fault = _faulty_key(yaml.compose(text, Loader=yaml.SafeLoader))
        value = yaml.safe_load(text) if key is None else None
    except yaml.MarkedYAMLError as error:
        line = f", line {error.problem_mark.line + 1}" if error.problem_mark else ""
        raise UserError(f"{where}{line}: not valid YAML: {_shortened(error.problem or error.context)}") from error
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        raise UserError(f"{where}: not valid YAML: {_shortened(error)}") from error
    if key is not None:
        raise UserError(f"{where}, line {key.start_mark.line + 1}: {_shortened(key.value)} {fault}")
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


def _shortened(problem: object) -> str:
    return one_line(" ".join(str(problem).split())[:300])
