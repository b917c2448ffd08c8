"""Tracking in a browser: one page on this computer, served by ``tracking/web_demo.py``.

    python tracking/web_demo.py            # prints the address of the page

Drop a video, draw a box on its first frame, watch it being tracked, download the result and the boxes.

    server   starting and stopping the server        app     the requests and their answers
    guard    which requests are accepted             jobs    tracking in threads, a bounded number at a time
    videos   uploaded videos, and their limits
    page.html, page.css, *.js                        the page: stage (image and box), plot (the score), tracking (a
                                                     job), main (what happens when)

Needs aiohttp, which is not among the project's usual packages: :func:`load_server` says how to get it.
"""

from __future__ import annotations

import importlib
from types import ModuleType

from ...utils.errors import UserError


def load_server() -> ModuleType:
    """The module :mod:`mstgt.apps.web_demo.server`.

    Raises :class:`UserError` with the command that installs what is missing for it.
    """
    try:
        importlib.import_module("aiohttp")
    except ImportError as error:
        raise UserError(f"the page cannot be served here ({error}): run `python -m pip install 'mstgt[web]'`"
                        ) from error
    return importlib.import_module(f"{__name__}.server")
