"""Accepts requests only from pages of this server, opened under a name of this computer.

A page from elsewhere that a person has open reaches ``127.0.0.1`` as well. So every request must name this computer in
``Host`` (a foreign name that was made to point here does not), and none may come from a page of another origin: what
changes something, and a websocket, must carry our ``Origin``. The port is left to ``Origin`` and ``Host`` to agree on,
so that a forwarded port works.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from aiohttp import web

HOSTS = frozenset({"127.0.0.1", "localhost"})
READING = frozenset({"GET", "HEAD"})
HEADERS = {
    "Content-Security-Policy": "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; "
                               "connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
    "Cache-Control": "no-store",  # nothing of a video stays in the browser when the server is gone
}


def objection(request: web.BaseRequest) -> str | None:
    """Why a request is refused; None when it is not."""
    headers = request.headers
    host, origin = headers.get("Host", ""), headers.get("Origin")
    if host.rpartition(":")[0] not in HOSTS and host not in HOSTS:
        return "this server answers only to 127.0.0.1 and localhost"
    if origin is not None and origin.lower() != f"http://{host}":
        return "this server answers only to its own page"
    changes = request.method not in READING or "Upgrade" in headers
    if changes and origin is None:
        return "this server takes orders only from its own page"
    foreign = headers.get("Sec-Fetch-Site", "none") not in ("same-origin", "none")
    if foreign and request.path != "/":  # a link from elsewhere may open the page, and nothing more
        return "this server answers only to its own page"
    return None


@web.middleware
async def guard(request: web.Request,
                handler: Callable[[web.Request], Awaitable[web.StreamResponse]]) -> web.StreamResponse:
    """Answer 403 where there is an objection."""
    reason = objection(request)
    if reason is not None:
        return web.json_response({"error": reason}, status=403)
    return await handler(request)


async def add_headers(_request: web.BaseRequest, response: web.StreamResponse) -> None:
    """An ``on_response_prepare`` signal: what every answer says, those of errors, too."""
    response.headers.update(HEADERS)
