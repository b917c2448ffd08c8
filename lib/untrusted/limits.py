"""Limits of files that are read, and keys that may name a file.

    refuse_size(len(data), where)              # UserError for more than MAX_FILE_BYTES
    fault = fault_in_key("../../etc/passwd")   # "a name with '..', '.' or an empty part"
"""

from __future__ import annotations

import re

from ..utils.errors import UserError

MAX_FILE_BYTES = 1 << 30  # of one file of a dataset; the annotation of COCO 2017 has 0.45 GB
MAX_KEY_BYTES = 1024  # the tables of names in archives are as wide as the longest one
_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f]")


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
    if _CONTROL.search(key):
        return "a control character in the name"
    if any(part in ("", ".", "..") for part in key.split("/")):
        return "a name with '..', '.' or an empty part"
    try:
        length = len(key.encode("utf-8"))
    except UnicodeEncodeError:
        return "a name that is not UTF-8"
    return f"a name longer than {MAX_KEY_BYTES} bytes" if length > MAX_KEY_BYTES else None
