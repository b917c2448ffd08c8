"""Writes ``docs/configuration.md``, the table of all configuration keys, from the schema.

    python -m mstgt.config.document > docs/configuration.md
"""

from __future__ import annotations

import json

from .schema import RENAMED_KEYS, SCHEMA

_HEAD = """# Configuration

Every key of an experiment (`experiments/<SCRIPT>/<CONFIG>.yaml`), with its type, its default and its allowed values.
A value in the YAML file replaces the default, `--set KEY=VALUE` replaces both. Unknown keys, wrong types and values
out of range are errors.

This file is generated from `lib/config/schema.py`: `python -m mstgt.config.document > docs/configuration.md`.
"""
_SECTION_TITLES = {"DA": "Augmentation", "MODEL": "Network", "TRAIN": "Optimization", "DATA": "Data",
                   "TEST": "Tracking"}


def document() -> str:
    """The text of ``docs/configuration.md``: a table of the keys per section."""
    lines = [_HEAD]
    for section, title in _SECTION_TITLES.items():
        lines.append(f"## {title} (`{section}`)\n")
        lines.append("| key | type | default | allowed | meaning |\n|---|---|---|---|---|")
        for name, key in SCHEMA.items():
            if name.startswith(f"{section}."):
                default = json.dumps(key.default)
                lines.append(f"| `{name}` | {key.type_name} | `{default}` | {key.allowed} | {key.help} |")
        lines.append("")
    renamed = ", ".join(f"`{old}` (now `{new}`)" for old, new in RENAMED_KEYS.items())
    lines.append(f"Old names that keep loading: {renamed}.")
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    print(document(), end="")
