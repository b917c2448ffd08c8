"""The entry of a tracker in a VOT workspace: a section of its ``trackers.ini``.

    entry = tracker_entry("MSTGT", "MSTGT-full-256", [sys.executable, "tracking/vot_tracker.py", …])
    add_tracker(Path("W/trackers.ini"), "MSTGT", entry)

The toolkit starts the command in a folder of its own, so every path in it must be absolute.
"""

from __future__ import annotations

import configparser
import re
import shlex
from collections.abc import Sequence
from pathlib import Path

from ...utils.errors import UserError
from ...utils.files import write_text

ANSWER_WITHIN_S = 300  # the toolkit's own 30 s may be short for loading a network from a cold disk
_NAME = re.compile(r"[A-Za-z0-9_-]+")  # the toolkit skips other names with a warning


def tracker_entry(name: str, label: str, command: Sequence[str]) -> str:
    """The section of tracker ``name``. Raises :class:`UserError` for a name that the toolkit refuses."""
    if not _NAME.fullmatch(name):
        raise UserError(f"{name!r} is no name for a VOT tracker: use letters, digits, - and _ only")
    words = shlex.join(command)
    if "\n" in words or "\n" in label:
        raise UserError(f"a line break in {words!r}: {name} cannot be written to a trackers.ini")
    values = {"label": label, "protocol": "trax", "timeout": str(ANSWER_WITHIN_S), "command": words}
    return f"[{name}]\n" + "".join(f"{key} = {value.replace('%', '%%')}\n" for key, value in values.items())


def add_tracker(path: Path, name: str, entry: str, overwrite: bool = False) -> bool:
    """Put ``entry`` into the ini file ``path`` beside what is there; False where it stands there already.

    Raises :class:`UserError` for a broken file, and for another entry of that name unless ``overwrite``.
    """
    text = _read(path)
    old = re.search(rf"^\[{re.escape(name)}\].*?(?=^\[|\Z)", text, re.MULTILINE | re.DOTALL)
    if old and old[0].strip() == entry.strip():
        return False
    if old and not overwrite:
        raise UserError(f"{path} has another tracker {name} already; give --overwrite to replace it, or --name")
    rest = text[: old.start()] + text[old.end():] if old else text
    write_text(path, (rest.rstrip() + "\n\n" if rest.strip() else "") + entry)
    return True


def _read(path: Path) -> str:
    """The text of an ini file; empty where there is none."""
    if not path.exists():
        return ""
    try:
        text = path.read_text(encoding="utf-8")
        configparser.ConfigParser().read_string(text)
    except (OSError, UnicodeDecodeError, configparser.Error) as error:
        first_line = str(error).splitlines()[0]
        raise UserError(f"cannot read {path} as a list of VOT trackers: {first_line}") from error
    return text
