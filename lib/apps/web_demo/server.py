"""Run the server: listen on this computer only, until it is told to end; then remove its files.

    serve(Settings(name="MSTGT-nano", device="cpu"), make_tracker)       # until Ctrl-C
"""

from __future__ import annotations

import asyncio
import contextlib
import fcntl
import logging
import os
import shutil
import signal
import stat
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

from aiohttp import http_exceptions, web

from ...utils.errors import UserError
from ..video_demo.track import ManyTargets
from .app import Settings, make_app
from .videos import MIB, Limits

__all__ = ["MIB", "Limits", "Settings", "serve"]

ADDRESS = "127.0.0.1"
SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
PATIENCE_S = 2.0  # for requests in progress when the server ends
PREFIX = "mstgt-web-"  # of the temporary folder


def serve(settings: Settings, make_tracker: Callable[[], ManyTargets],
          ready: Callable[[str], object] = lambda url: None) -> None:
    """Serve until SIGINT, SIGTERM or SIGHUP; then stop all tracking and remove the temporary folder.

    ready  is called with the page's address

    Raises :class:`UserError` when the port cannot be used.
    """
    asyncio.run(_serve(settings, make_tracker, ready))


async def _serve(settings: Settings, make_tracker: Callable[[], ManyTargets], ready: Callable[[str], object]) -> None:
    loop, end = asyncio.get_running_loop(), asyncio.Event()
    for number in SIGNALS:
        loop.add_signal_handler(number, end.set)
    with temporary_folder() as folder:
        runner = web.AppRunner(make_app(settings, make_tracker, folder), access_log=None, logger=request_log(),
                               shutdown_timeout=PATIENCE_S)
        try:
            await runner.setup()
            ready(await listen(runner, settings.port))
            await end.wait()
        finally:
            await runner.cleanup()
            await loop.shutdown_default_executor()  # a thread may still read a video in the folder


@contextlib.contextmanager
def temporary_folder() -> Iterator[Path]:
    """A new folder for what visitors bring, locked while the server lives and removed at its end.

    Removes what killed servers have left: folders of this kind that nobody has locked.
    """
    for path in Path(tempfile.gettempdir()).glob(f"{PREFIX}*"):
        with contextlib.suppress(OSError):
            _remove_if_abandoned(path)
    while True:
        folder = Path(tempfile.mkdtemp(prefix=PREFIX))
        handle = os.open(folder, os.O_RDONLY)
        with contextlib.suppress(OSError):  # a file system without locks: then nobody removes it
            fcntl.flock(handle, fcntl.LOCK_EX)
        if folder.exists():  # else another server took it for a leftover before it was locked
            break
        os.close(handle)
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)
        os.close(handle)


def _remove_if_abandoned(path: Path) -> None:
    # Others may write to the folder of temporary files: only an own, real folder is touched.
    handle = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
    try:
        status = os.fstat(handle)
        if status.st_uid == os.getuid() and stat.S_ISDIR(status.st_mode):
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)  # OSError while its server lives
            shutil.rmtree(path, ignore_errors=True)
    finally:
        os.close(handle)


def request_log() -> logging.Logger:
    """The log of requests that fail: errors of the server, but not the malformed requests of others."""
    log = logging.getLogger(f"{__name__}.requests")
    if not log.filters:
        log.addFilter(_is_own_error)
    return log


def _is_own_error(record: logging.LogRecord) -> bool:
    error = record.exc_info[1] if record.exc_info else None
    return not isinstance(error, (http_exceptions.HttpProcessingError, ConnectionError, web.PayloadAccessError))


async def listen(runner: web.AppRunner, port: int) -> str:
    """Open the port on this computer only; the page's address."""
    try:
        await web.TCPSite(runner, ADDRESS, port).start()
    except (OSError, OverflowError) as error:
        reason = error.strerror if isinstance(error, OSError) else "no such port"
        raise UserError(f"cannot listen on {ADDRESS}:{port} ({reason}); choose another port with --port") from error
    return f"http://{ADDRESS}:{runner.addresses[0][1]}/"
