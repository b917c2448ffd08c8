"""The entry of a tracker in a VOT workspace: a section of its ``trackers.ini``.

    entry = tracker_entry("MSTGT", "MSTGT-full-256", [sys.executable, "tracking/vot_tracker.py", …])
    add_tracker(Path("W/trackers.ini"), "MSTGT", entry)

The toolkit starts the command in a folder of its own. Every path in the command must therefore be absolute.
"""

from __future__ import annotations

import configparser
import re
import shlex
from collections.abc import Sequence
from pathlib import Path

from ...utils.errors import UserError
from ...utils.files import write_text

TIMEOUT_S = 300  # the toolkit's default of 30 s may be too short for loading a network from a cold disk
_NAME = re.compile(r"[A-Za-z0-9_-]+")  # the toolkit skips other names with a warning


class TrackerExistsError(UserError):
    """The list has another tracker of this name."""


def tracker_entry(name: str, label: str, command: Sequence[str]) -> str:
    """The section of tracker ``name``. Raises :class:`UserError` for a name that the toolkit refuses."""
    if not _NAME.fullmatch(name):
        raise UserError(f"{name!r} is no name for a VOT tracker: use letters, digits, - and _ only")
    words = shlex.join(command)
    if "\n" in words or "\n" in label:
        raise UserError(f"a line break in {words!r}: {name} cannot be written to a trackers.ini")
    # The toolkit reads the file with configparser, which takes a single % for the start of a reference.
    values = {"label": label, "protocol": "trax", "timeout": str(TIMEOUT_S), "command": words}
    return f"[{name}]\n" + "".join(f"{key} = {value.replace('%', '%%')}\n" for key, value in values.items())


def add_tracker(path: Path, name: str, entry: str, overwrite: bool = False) -> bool:
    """Add ``entry`` to the ini file ``path`` beside what is there; False where it is there already.

    Raises :class:`UserError` for a corrupt file, and :class:`TrackerExistsError` for another entry of that name unless
    ``overwrite``.
    """
    text = _read(path)
    # Replaced as text: configparser would write the file without the comments in its other sections.
    old = re.search(rf"^\[{re.escape(name)}\].*?(?=^\[|\Z)", text, re.MULTILINE | re.DOTALL)
    if old and old[0].strip() == entry.strip():
        return False
    if old and not overwrite:
        raise TrackerExistsError(f"{path} has another tracker {name} already")
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
