"""Progress bars with rate and ETA; quiet when standard error is not a terminal."""

from __future__ import annotations

import sys
from collections.abc import Iterable
from typing import Any

from tqdm import tqdm

from .errors import one_line


def progress(iterable: Iterable[Any] | None = None, shown: bool = True, **options: Any) -> tqdm:
    """A ``tqdm`` bar that shows nothing when nobody is looking, or not ``shown``. Options are those of ``tqdm``."""
    if "desc" in options:
        options["desc"] = one_line(options["desc"])  # it may contain a file's name
    return tqdm(iterable, disable=not (shown and sys.stderr.isatty()), dynamic_ncols=True, smoothing=0.1, **options)
