"""What may name a file or a folder of ours, where the name comes from somebody else's file or from a flag.

    check_name(manifest["benchmark"], f"{path}: benchmark")     # UserError for ../../x, /x, "", control characters …
"""

from __future__ import annotations

import re
from collections.abc import Iterable

from ..utils.errors import UserError

MAX_BYTES = 200  # of a name: endings such as _score.txt and a temporary name must fit into the 255 of a file system
_CONTROL = r"\x00-\x1f\x7f-\x9f"
_ODD = re.compile(rf"[{_CONTROL}\ud800-\udfff]")
_SUSPECT = re.compile(rf"[{_CONTROL}\ud800-\udfff\\]|(?:^|/)\.{{0,2}}(?:/|$)")


def fault_in_name(name: str) -> str | None:
    """Why ``name`` cannot name one file in a folder; None when it can."""
    if not name or name in (".", ".."):
        return "no name"
    if "/" in name or "\\" in name:
        return "a path, not a name"
    if _ODD.search(name):
        return "a control character, or no UTF-8, in the name"
    return f"a name longer than {MAX_BYTES} bytes" if len(name.encode()) > MAX_BYTES else None


def check_name(name: str, what: str) -> str:
    """``name``. Raises :class:`UserError` that begins with ``what`` where it cannot name one file in a folder."""
    fault = fault_in_name(name)
    if fault:
        raise UserError(f"{what} {name[:MAX_BYTES]!r} is {fault}; give a plain name")
    return name


def check_names(names: Iterable[str], what: str) -> None:
    """As :func:`check_name` for many names at once, whose parts may be joined with slashes."""
    for name in names:
        if len(name) > MAX_BYTES // 4 or _SUSPECT.search(name):  # by far the most have neither
            for part in name.split("/"):
                fault = fault_in_name(part)
                if fault:
                    raise UserError(f"{what} {name[:MAX_BYTES]!r} is refused: {fault}; rename it")
