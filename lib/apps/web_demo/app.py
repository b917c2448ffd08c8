"""The requests that the server answers.

    GET    /                                   the page; /assets/<name> its parts
    POST   /videos                             a video file as it is -> id, width, height, fps, frames, first
    GET    /videos/<id>/frames/<n>.jpg         a frame
    GET    /videos/<id>/track                  a websocket: {"targets": [{"0": [x, y, w, h]}, …], "both_ways": false}
                                               -> events (see jobs); {"stop": true} ends early; closing it drops the job
    GET    /videos/<id>/film.mp4               a result; also boxes.csv, sheet.png
    DELETE /videos/<id>

Mistakes that a person can correct are answered with status 400 and {"error": one line}.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from importlib import resources
from pathlib import Path
from string import Template
from typing import Any

import numpy as np
from aiohttp import WSMsgType, web

from ...geometry.boxes import check_box, overlaps_image
from ...utils.errors import UserError
from ...visualize.draw import PALETTE
from ...visualize.html_report import safe_json
from ..video_demo.record import SHEET, VIDEO
from ..video_demo.results import FILES
from ..video_demo.track import LOST_SCORE, ManyTargets
from .guard import add_headers, guard
from .jobs import Job, Jobs, Order
from .videos import Limits, Video, Videos

SILENCE_S = 30.0  # until a websocket must have said what to track
MAX_BOXES, MAX_TARGETS = 100, 16  # boxes of each target
KINDS = {".css": "text/css", ".js": "text/javascript", ".svg": "image/svg+xml"}
ASSETS = {"base.css": "mstgt.visualize.html_report"} | dict.fromkeys(
    ("page.css", "icon.svg", "main.js", "stage.js", "plot.js", "tracking.js"), __package__)  # name -> its package
RESULTS = frozenset({VIDEO, SHEET, FILES["csv"]})


@dataclass(frozen=True)
class Settings:
    """name and device are shown in the page; port 0 takes a free one; ``jobs`` run at once."""

    name: str
    device: str
    port: int = 8765
    jobs: int = 1
    limits: Limits = field(default_factory=Limits)


SETTINGS, VIDEOS, JOBS = (web.AppKey("settings", Settings), web.AppKey("videos", Videos), web.AppKey("jobs", Jobs))
MAKE_TRACKER = web.AppKey[Callable[[], ManyTargets]]("make_tracker")


def make_app(settings: Settings, make_tracker: Callable[[], ManyTargets], folder: Path) -> web.Application:
    """The application; all that it writes is in ``folder``."""
    app = web.Application(middlewares=[guard, explain])
    app[SETTINGS], app[MAKE_TRACKER] = settings, make_tracker
    app[VIDEOS], app[JOBS] = Videos(folder, settings.limits), Jobs(settings.jobs)
    app.on_response_prepare.append(add_headers)
    app.on_shutdown.append(lambda app: app[JOBS].close())
    app.add_routes([
        web.get("/", page), web.get("/assets/{name}", asset), web.post("/videos", upload),
        web.delete("/videos/{id}", remove), web.get(r"/videos/{id}/frames/{frame:\d{1,9}}.jpg", frame),
        web.get("/videos/{id}/track", follow), web.get("/videos/{id}/{result}", result)])
    return app


@web.middleware
async def explain(request: web.Request,
                  handler: Callable[[web.Request], Awaitable[web.StreamResponse]]) -> web.StreamResponse:
    """User errors as answers."""
    try:
        return await handler(request)
    except UserError as error:
        return web.json_response({"error": str(error)}, status=400)


async def page(request: web.Request) -> web.Response:
    settings = request.app[SETTINGS]
    told = {"name": settings.name, "device": settings.device, "most_bytes": settings.limits.upload_bytes,
            "most_frames": settings.limits.frames, "lost_score": LOST_SCORE,
            "max_targets": MAX_TARGETS, "colors": ["#{:02x}{:02x}{:02x}".format(*color) for color in PALETTE]}
    text = Template(_part(__package__, "page.html")).substitute(settings=safe_json(told))
    return web.Response(text=text, content_type="text/html")


async def asset(request: web.Request) -> web.Response:
    name = request.match_info["name"]
    if name not in ASSETS:
        raise web.HTTPNotFound
    return web.Response(text=_part(ASSETS[name], name), content_type=KINDS[Path(name).suffix])


def _part(package: str, name: str) -> str:
    return resources.files(package).joinpath(name).read_text(encoding="utf-8")


async def upload(request: web.Request) -> web.Response:
    video = await request.app[VIDEOS].receive(request.content.iter_chunked(1 << 16), request.content_length)
    return web.json_response(video.facts())


async def remove(request: web.Request) -> web.Response:
    request.app[VIDEOS].remove(request.match_info["id"])
    return web.Response(status=204)


async def frame(request: web.Request) -> web.StreamResponse:
    """A frame of a video, which is decoded if nobody has seen it before."""
    video, number = _video(request), int(request.match_info["frame"])
    if not video.frame_path(number).is_file():
        await video.decode_frame(number)
    return _file(video.frame_path(number))


async def result(request: web.Request) -> web.StreamResponse:
    name = request.match_info["result"]
    if name not in RESULTS:
        raise web.HTTPNotFound
    answer = _file(_video(request).results / name)
    answer.headers["Content-Disposition"] = "attachment"  # under a name that the page chooses
    return answer


def _file(path: Path) -> web.FileResponse:
    if not path.is_file():
        raise web.HTTPNotFound
    return web.FileResponse(path)


def _video(request: web.Request) -> Video:
    try:
        return request.app[VIDEOS].get(request.match_info["id"])
    except KeyError:
        raise web.HTTPNotFound from None


async def follow(request: web.Request) -> web.StreamResponse:
    """Track, and tell how it goes."""
    video, app = _video(request), request.app
    if "Upgrade" not in request.headers:  # a page asks why its websocket was refused: it need not be
        raise UserError("this address is for websockets; load the page again")
    socket = web.WebSocketResponse(heartbeat=20.0, max_msg_size=1 << 16)
    await socket.prepare(request)
    with contextlib.suppress(ConnectionResetError, TimeoutError, asyncio.TimeoutError):  # the page went away
        message = await socket.receive(timeout=SILENCE_S)
        if message.type is WSMsgType.TEXT:
            try:
                job = Job(video, read_order(message.data, video), app[MAKE_TRACKER], app[SETTINGS].limits.frames)
            except UserError as error:
                await socket.send_json({"kind": "error", "message": str(error)})
            else:
                await _tell(socket, job, app[JOBS])
    await socket.close()
    return socket


async def _tell(socket: web.WebSocketResponse, job: Job, jobs: Jobs) -> None:
    hearing = asyncio.create_task(_hear(socket, job))
    try:
        async with contextlib.aclosing(jobs.follow(job)) as events:
            async for event in events:
                await socket.send_json(event)
    finally:
        hearing.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await hearing


async def _hear(socket: web.WebSocketResponse, job: Job) -> None:
    """Stop the job when the page says so, drop it when the page is gone."""
    try:
        async for message in socket:
            if message.type is WSMsgType.TEXT and _json(message.data) == {"stop": True}:
                job.stop()
    finally:
        job.drop()


def read_order(text: str, video: Video) -> Order:
    """What a page orders. Raises :class:`UserError` for boxes that are not valid in this video."""
    order = _json(text)
    targets = order.get("targets") if isinstance(order, dict) else None
    if not isinstance(targets, list) or not 1 <= len(targets) <= MAX_TARGETS:
        raise UserError(f"give between 1 and {MAX_TARGETS} targets: draw a box around each")
    boxes = {number: read_boxes(target, video) for number, target in enumerate(targets, 1)}
    return Order(boxes, order.get("both_ways") is True)


def read_boxes(boxes: object, video: Video) -> dict[int, np.ndarray]:
    """Frame -> box_xywh of one target."""
    if not isinstance(boxes, dict) or not 1 <= len(boxes) <= MAX_BOXES:
        raise UserError(f"give between 1 and {MAX_BOXES} boxes for each target: draw one around it")
    found = {}
    for key, values in boxes.items():
        if not (key.isascii() and key.isdecimal() and len(key) < 10):
            raise UserError(f"{key[:20]!r} is not the number of a frame")
        box = check_box(values, f"frame {key}")
        if not overlaps_image(box, *video.size_wh):
            raise UserError(f"the box at frame {key} lies outside the image; draw it on the target")
        found[int(key)] = box
    return found


def _json(text: str) -> Any:
    """None for text that is not JSON. Whole numbers become float, for which none is too large."""
    try:
        return json.loads(text, parse_int=float)
    except (ValueError, RecursionError):
        return None


