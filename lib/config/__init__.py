"""Configuration (defaults, YAML, ``--set``) and paths (``local.py``, environment, flags)."""

from .load import config_from_text, dump_config, find_experiment, flatten, load_config, script_name
from .paths import PROJECT_ROOT, SHIPPED, Paths, load_paths

__all__ = ["PROJECT_ROOT", "SHIPPED", "Paths", "config_from_text", "dump_config", "find_experiment", "flatten",
           "load_config", "load_paths", "script_name"]
