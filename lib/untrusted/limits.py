"""Limits of files that are read, and of the names that come with them: keys in archives, names of videos.

    refuse_size(len(data), where)                               # UserError for more than MAX_FILE_BYTES
    fault = fault_in_key("../../etc/passwd")                    # "a name with '..', '.' or an empty part"
    check_name(manifest["benchmark"], f"{path}: benchmark")     # UserError for ../../x, /x, "", control characters …

A key names a file of a dataset. A name, of a video, a class or a run, becomes a part of the names of files that this
project writes.
"""

from __future__ import annotations

import re
from collections.abc import Iterable

from ..utils.errors import UserError

MAX_FILE_BYTES = 1 << 30  # of one file of a dataset; the annotation of COCO 2017 has 0.45 GB
MAX_KEY_BYTES = 1024  # the tables of names in archives are as wide as the longest one
MAX_NAME_BYTES = 200  # endings such as _score.txt and a temporary name must fit into the 255 of a file system
_CONTROL = r"\x00-\x1f\x7f-\x9f"
_CONTROL_IN_KEY = re.compile(f"[{_CONTROL}]")
_CONTROL_IN_NAME = re.compile(rf"[{_CONTROL}\ud800-\udfff]")
# What hardly any name has: a look for it is much faster than the checks of each part.
_SUSPECT = re.compile(rf"[{_CONTROL}\ud800-\udfff\\]|(?:^|/)\.{{0,2}}(?:/|$)")


def refuse_size(size: int, where: str, most: int = MAX_FILE_BYTES) -> None:
    """Raise :class:`UserError` for more than ``most`` bytes."""
    if size > most:
        raise UserError(f"{where} is refused: {size} bytes, more than the {most} that such a file may have")


def leads_out(key: str) -> bool:
    """Return whether ``key`` could name something outside the root that it is read from."""
    return key.startswith("/") or (".." in key and ".." in key.split("/"))


def fault_in_key(key: str) -> str | None:
    """Return why ``key`` must not name a file in an archive; None if it may."""
    if key.startswith("/") or key[1:2] == ":":
        return "an absolute path"
    if "\\" in key:
        return "a backslash in the name"
    if _CONTROL_IN_KEY.search(key):
        return "a control character in the name"
    if any(part in ("", ".", "..") for part in key.split("/")):
        return "a name with '..', '.' or an empty part"
    try:
        length = len(key.encode("utf-8"))
    except UnicodeEncodeError:
        return "a name that is not UTF-8"
    return f"a name longer than {MAX_KEY_BYTES} bytes" if length > MAX_KEY_BYTES else None


def fault_in_name(name: str) -> str | None:
    """Why ``name`` cannot name one file in a folder; None when it can."""
    if not name or name in (".", ".."):
        return "no name"
    if "/" in name or "\\" in name:
        return "a path, not a name"
    if _CONTROL_IN_NAME.search(name):
        return "a control character, or no UTF-8, in the name"
    return f"a name longer than {MAX_NAME_BYTES} bytes" if len(name.encode()) > MAX_NAME_BYTES else None


def check_name(name: str, what: str) -> str:
    """``name``. Raises :class:`UserError` that begins with ``what`` where it cannot name one file in a folder."""
    fault = fault_in_name(name)
    if fault:
        raise UserError(f"{what} {name[:MAX_NAME_BYTES]!r} is {fault}; give a plain name")
    return name


def check_names(names: Iterable[str], what: str) -> None:
    """As :func:`check_name` for many names at once, whose parts may be joined with slashes."""
    for name in names:
        if len(name) > MAX_NAME_BYTES // 4 or _SUSPECT.search(name):
            for part in name.split("/"):
                fault = fault_in_name(part)
                if fault:
                    raise UserError(f"{what} {name[:MAX_NAME_BYTES]!r} is refused: {fault}; rename it")
