"""Experiments by name: ``experiments/<SCRIPT>/<CONFIG>.yaml``, both names case-insensitive.

    find_experiment("mstgt", "mstgt-FULL-256")     # .../experiments/MSTGT/MSTGT-full-256.yaml
    find_experiment("mstgt", "MSTGT-mini")         # .../experiments/MSTGT/MSTGT-mini-128.yaml: an alias
    script_name("MSTGT")                           # "mstgt", as output folders have it
"""

from __future__ import annotations

from pathlib import Path

from ..utils.errors import UserError, unknown_name
from .paths import PROJECT_ROOT

EXPERIMENTS_DIR = PROJECT_ROOT / "experiments"
# Other names of experiments, in lower case. Runs, weights and results carry the name of the experiment, not the alias.
ALIASES = {"mstgt-mini": "MSTGT-mini-128"}


def find_experiment(script: str, config: str, experiments_dir: Path = EXPERIMENTS_DIR) -> Path:
    """The YAML file of an experiment, given by its name or an alias (``ALIASES``).

    Raises :class:`UserError` that lists the known names."""
    config = ALIASES.get(config.casefold(), config)
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
    try:
        return sorted(path for path in folder.iterdir() if not path.name.startswith("."))
    except OSError as error:
        raise UserError(f"cannot list the experiments in {folder}: {error.strerror or error}") from error


def _find(kind: str, name: str, known: dict[str, Path], folder: Path) -> Path:
    if not name or "/" in name or "\\" in name or ".." in name:
        raise UserError(f"{kind} {name!r} is not a name: give a name found in {folder}, not a path")
    folded = {stem.casefold(): path for stem, path in known.items()}
    found = known.get(name) or folded.get(name.casefold())
    if found is None:
        raise unknown_name(kind, name, known)
    return found
