"""A video of a red square on a dark, noisy ground, a tracker that follows red things, and a server to try them on."""

from __future__ import annotations

import asyncio
import contextlib
import http.client
import json
import threading
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

import aiohttp
import numpy as np
from aiohttp import web

from mstgt.apps.web_demo.app import VIDEOS, Settings, make_app
from mstgt.apps.web_demo.server import listen, request_log
from mstgt.visualize.video_writer import VideoWriter

WIDTH, HEIGHT, SIDE = 160, 120, 32
HIDDEN_FROM = 1000


def true_box(frame: int, down: int = 0) -> list[int]:
    return [10 + 4 * frame, 40 + down, SIDE, SIDE]


def make_video(path: Path, frames: int = 10, down: int = 0, hidden_from: int = HIDDEN_FROM,
              size: tuple[int, int] = (WIDTH, HEIGHT)) -> bytes:
    """An MP4 of a square that moves to the right; ``down``: px lower; it is gone from frame ``hidden_from`` on."""
    ground = np.random.default_rng(0).integers(20, 60, (*size[::-1], 3), np.uint8)
    with VideoWriter(path, 25, size) as video:
        for frame in range(frames):
            image = ground.copy()
            if frame < hidden_from:
                x, y, w, h = true_box(frame, down)
                image[y : y + h, x : x + w] = (230, 30, 30)
            video.add(image)
    return path.read_bytes()


class RedTracker:
    """Has the interface of MultiTracker: every target gets the box around what is red near it. ``gate`` is asked before
    each frame: a place to wait, or to fail."""

    boxes: dict[int, np.ndarray]

    def __init__(self, gate: Callable[[], object] | None = None):
        if gate is not None:
            self.gate = gate

    def gate(self):
        pass

    def add(self, image, box_xywh):
        self.boxes = getattr(self, "boxes", {})
        number = max(self.boxes, default=0) + 1
        self.boxes[number] = np.asarray(box_xywh, np.float64)
        return number

    def remove(self, target_id):
        del self.boxes[target_id]

    def search_xywh(self, target_id):
        box = self.boxes[target_id]
        return np.array([*(box[:2] - 20), *(box[2:] + 40)])

    def update(self, image):
        self.gate()
        return {target_id: self._follow(target_id, image) for target_id in self.boxes}

    def _follow(self, target_id, image):
        left, top, width, height = self.search_xywh(target_id).astype(int)
        red = np.zeros(image.shape[:2], bool)
        near = np.s_[max(0, top) : max(0, top + height), max(0, left) : max(0, left + width)]
        red[near] = image[near][..., 0].astype(int) - image[near][..., 1] > 100
        rows, columns = np.nonzero(red)
        if not len(rows):
            return self.boxes[target_id], 0.01
        box = np.array([columns.min(), rows.min(), np.ptp(columns) + 1, np.ptp(rows) + 1], np.float64)
        self.boxes[target_id] = box
        return box, 0.9


@dataclass
class Served:
    """A running server: its address, its folder and what it keeps."""

    url: str
    folder: Path
    app: web.Application
    loop: asyncio.AbstractEventLoop

    @property
    def place(self) -> str:
        return urlsplit(self.url).netloc

    @property
    def files(self) -> list[str]:
        return sorted(str(path.relative_to(self.folder)) for path in self.folder.rglob("*") if path.is_file())

    def ask(self, method: str, path: str, body: bytes | None = None, **headers: str | None) -> tuple[int, bytes, dict]:
        """Status, body and headers of an answer. Headers are the page's own unless others are given; None: left out."""
        given = {name.replace("_", "-").title(): value for name, value in headers.items()}
        sent = {"Host": self.place, "Origin": f"http://{self.place}"} | given
        connection = http.client.HTTPConnection(self.place, timeout=120)
        with contextlib.closing(connection):
            connection.putrequest(method, path, skip_host=True, skip_accept_encoding=True)
            if body is not None and "Transfer-Encoding" not in sent:
                connection.putheader("Content-Length", str(len(body)))
            for name, value in sent.items():
                if value is not None:
                    connection.putheader(name, value)
            connection.endheaders(body)
            answer = connection.getresponse()
            return answer.status, answer.read(), dict(answer.getheaders())

    def upload(self, data: bytes) -> dict:
        status, body, _ = self.ask("POST", "/videos", data)
        assert status == 200, body
        return json.loads(body)

    def refused(self, data: bytes, **headers: str) -> str:
        """What is said of a file that is not taken."""
        status, body, _ = self.ask("POST", "/videos", data, **headers)
        assert status == 400
        return json.loads(body)["error"]

    def track(self, video: str, *targets: object, until: Callable[[dict], bool] = lambda event: False,
              both_ways: bool = False) -> list[dict]:
        """The events of a job with the boxes of each target; ``until`` closes the page."""
        return asyncio.run(self.follow(video, *targets, until=until, both_ways=both_ways))

    async def follow(self, video: str, *targets: object, until: Callable[[dict], bool] = lambda event: False,
                     stop_after: int | None = None, both_ways: bool = False) -> list[dict]:
        events = []
        async with aiohttp.ClientSession() as session, session.ws_connect(
                f"{self.url}videos/{video}/track", origin=f"http://{self.place}") as socket:
            await socket.send_json({"targets": targets, "both_ways": both_ways})
            async for message in socket:
                events.append(json.loads(message.data))
                if until(events[-1]):
                    break
                if stop_after is not None and len(frames_of(events)) == stop_after:
                    await socket.send_json({"stop": True})
        return events

    @property
    def ids(self) -> list[str]:
        """Of the videos that have a folder."""
        return [path.name for path in self.folder.iterdir()]

    def holds(self, video: str) -> bool:
        return video in self.app[VIDEOS]

    def idle(self, video: str) -> bool:
        return self.app[VIDEOS].get(video).job is None


def frames_of(events: list[dict], target: int = 1) -> list[dict]:
    """The events of the frames, each with what it says of one target."""
    return [event | next((found for found in event["targets"] if found["target"] == target), {})
            for event in events if event["kind"] == "frame" and not event["backward"]]


@contextlib.contextmanager
def serving(folder: Path, make_tracker: Callable[[], object] = RedTracker, settings: Settings | None = None):
    """A server in a thread of its own."""
    settings = settings or Settings("Red", "cpu", port=0)
    found: list[object] = []
    ready, ended = threading.Event(), None

    async def run():
        nonlocal ended
        ended = asyncio.Event()
        app = make_app(settings, make_tracker, folder)
        runner = web.AppRunner(app, access_log=None, logger=request_log(), shutdown_timeout=0.5)
        await runner.setup()
        found.extend([app, await listen(runner, settings.port), asyncio.get_running_loop()])
        ready.set()
        await ended.wait()
        await runner.cleanup()

    thread = threading.Thread(target=asyncio.run, args=(run(),))
    thread.start()
    assert ready.wait(120)
    app, url, loop = found
    try:
        yield Served(url, folder, app, loop)
    finally:
        loop.call_soon_threadsafe(ended.set)
        thread.join(120)
        assert not thread.is_alive()
