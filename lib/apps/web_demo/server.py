"""The server's life: listen on this computer only, until it is told to end; then leave nothing behind.

    serve(Settings(name="MSTGT-nano-128", device="cpu"), make_tracker)       # until Ctrl-C
"""

from __future__ import annotations

import asyncio
import signal
import tempfile
from collections.abc import Callable
from pathlib import Path

from aiohttp import web

from ...test.tracker import Tracker
from ...utils.errors import UserError
from .app import Settings, make_app
from .videos import MIB, Limits

__all__ = ["MIB", "Limits", "Settings", "serve"]

ADDRESS = "127.0.0.1"
SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
PATIENCE_S = 2.0  # for requests under way when the server ends


def serve(settings: Settings, make_tracker: Callable[[], Tracker],
          ready: Callable[[str], object] = lambda url: None) -> None:
    """Serve until SIGINT, SIGTERM or SIGHUP; then stop all tracking and remove the temporary folder.

    ready  is called with the page's address

    Raises :class:`UserError` when the port cannot be had.
    """
    asyncio.run(_serve(settings, make_tracker, ready))


async def _serve(settings: Settings, make_tracker: Callable[[], Tracker], ready: Callable[[str], object]) -> None:
    loop, end = asyncio.get_running_loop(), asyncio.Event()
    for number in SIGNALS:
        loop.add_signal_handler(number, end.set)
    with tempfile.TemporaryDirectory(prefix="mstgt-web-") as folder:
        runner = web.AppRunner(make_app(settings, make_tracker, Path(folder)), access_log=None,
                               shutdown_timeout=PATIENCE_S)
        try:
            await runner.setup()
            ready(await listen(runner, settings.port))
            await end.wait()
        finally:
            await runner.cleanup()
            await loop.shutdown_default_executor()  # a thread may still look at a video in the folder


async def listen(runner: web.AppRunner, port: int) -> str:
    """Open the port on this computer only; the page's address."""
    try:
        await web.TCPSite(runner, ADDRESS, port).start()
    except (OSError, OverflowError) as error:
        reason = error.strerror if isinstance(error, OSError) else "no such port"
        raise UserError(f"cannot listen on {ADDRESS}:{port} ({reason}); choose another port with --port") from error
    return f"http://{ADDRESS}:{runner.addresses[0][1]}/"
