"""Webcams and network streams: sources that do not wait. The newest frame is tracked, older ones are dropped.

    with open_stream("rtsp://camera.local/live") as source:
        for number, image_rgb, time_s in source.read(): ...
        print(source.dropped, source.reconnects)

A thread receives all frames and keeps the newest. While one is tracked, the frames that arrive are dropped and counted,
so the delay does not grow however slow the tracker is. A stream that breaks off is opened again, for up to
``RECONNECT_S`` seconds each time; then the source ends as a video ends. A recording that a server sends (a file over
HTTP) waits for the tracker instead: no frame is dropped, each has its own time, and the end is the end.

Frame 0 is the first image that was received, however late it is read: a box drawn on it fits, and a recording that a
server sends begins with its first frame.
Times count from when it is read, or from the beginning of a recording.
"""

from __future__ import annotations

import errno
import logging
import re
import threading
import time
from collections.abc import Callable, Iterator
from functools import partial
from urllib.parse import urlsplit

import av
import cv2
import numpy as np

from ...data.images import MAX_PIXELS, quiet_opencv
from ...utils.errors import UserError
from .source import Frame, Source
from .video_file import DEFAULT_FPS, frame_rate, to_rgb

_log = logging.getLogger(__name__)

OPEN_S = 10.0  # to connect and receive the first image
SILENCE_S = 5.0  # without data before a stream counts as broken off
RECONNECT_S = 10.0
RETRY_S = 0.5  # between attempts to reconnect
# Protocols that a stream may use, also through a playlist that it sends: none of them reads files of this machine.
PROTOCOLS = "rtsp,rtsps,rtp,srtp,udp,tcp,tls,http,https,httpproxy,crypto,rtmp,srt"
WARM_UP = 5  # frames in which a webcam adjusts its exposure
PATIENCE = 25  # frames in a row that fail before a webcam counts as gone
# In the path of a URL: key=value up to what separates it from the next, which is an underscore for some cameras.
_SECRET = re.compile(r"(user(?:name)?|usr|login|pass(?:word|wd)?|pwd|pw|psw|token|auth|secret|(?:api_?)?key)="
                     r"(?:(?!_[a-z]+=)[^/&;])*", re.IGNORECASE)

Grab = Callable[[], "np.ndarray | None"]  # converts a received frame to RGB; None: it cannot be read


class Feed:
    """Where a live source comes from."""

    fps = DEFAULT_FPS
    recording = False  # whether it has an end, and waits for its reader; known once frames come
    time_s = 0.0  # of the newest frame of a recording

    def grabs(self, stopped: threading.Event) -> Iterator[Grab]:
        """Connect and give each frame as it arrives, until the connection ends or ``stopped`` is set.

        Raises OSError when there is no connection, or when it breaks.
        """
        raise NotImplementedError


class LiveSource(Source):
    """A source of which only the newest frame is kept.

    feed         where frames come from
    reconnect_s  how long to try again after the feed broke off; 0: not at all

    dropped and reconnects count since the first frame was read. Raises OSError if no image comes within ``OPEN_S``.
    """

    live = True
    frames = None

    def __init__(self, name: str, feed: Feed, reconnect_s: float = 0.0):
        self.name, self.dropped, self.reconnects = name, 0, 0
        self._feed, self._reconnect_s = feed, reconnect_s
        self._newest: tuple[Grab, float] | None = None
        self._opened = False  # whether the first image is there
        self._reading = False  # frames that arrive before reading are not missed by anybody
        self._failure: OSError | None = None
        self._ended, self._stopped = False, threading.Event()
        self._changed = threading.Condition()
        self._thread = threading.Thread(target=self._receive, name=f"receive {name}", daemon=True)
        self._thread.start()
        first = self._first_image()
        self._first, self.size_wh = first, (first.shape[1], first.shape[0])
        self.fps = feed.fps  # known once frames come

    @property
    def recording(self) -> bool:
        """Whether a server sends a recording, which waits for its reader."""
        return self._feed.recording

    def read(self, start: int = 0) -> Iterator[Frame]:
        begun = self._first_time if self.recording else time.monotonic()
        if not start:
            yield Frame(0, self._first, 0.0)
        with self._changed:
            self._reading = True
            if not self.recording:
                self._newest = None
        index = 0
        while (received := self._wait(None)) is not None:
            grab, arrived = received
            index += 1
            if index >= start:
                yield Frame(index, grab(), arrived - begun)

    def stop(self) -> None:
        """End as the feed would end: no further frame is given. May be called in a signal handler."""
        self._stopped.set()

    def __exit__(self, *_error: object) -> None:
        self.stop()
        self._thread.join(2 * SILENCE_S)

    def _first_image(self) -> np.ndarray:
        deadline = time.monotonic() + OPEN_S
        while (received := self._wait(deadline)) is not None:
            image = received[0]()
            if image is not None:
                self._opened, self._first_time = True, received[1]
                return image
        self._stopped.set()
        raise self._failure or OSError("no image was received")

    def _wait(self, deadline: float | None) -> tuple[Grab, float] | None:
        """The newest frame that was not given yet; None at the end, when stopped, or at the deadline."""
        with self._changed:
            while self._newest is None and not self._ended and not self._stopped.is_set():
                # in short steps, so that Ctrl-C is noticed
                self._changed.wait(0.2)
                if deadline is not None and time.monotonic() > deadline:
                    return None
            received, self._newest = None if self._stopped.is_set() else self._newest, None
            self._changed.notify_all()
            return received

    def _receive(self) -> None:
        """The thread: receive until stopped, or until the feed is gone for longer than ``reconnect_s``."""
        lost_at = time.monotonic()
        connected_once = False
        while not self._stopped.is_set():
            received = False
            try:
                for grab in self._feed.grabs(self._stopped):
                    if not received and connected_once:
                        self.reconnects += 1
                        _log.warning("%s: connected again", self.name)
                    received = connected_once = True
                    self._keep(grab)
                    if self._stopped.is_set():
                        break
            except OSError as error:  # av.FFmpegError is one for whatever the network does
                self._failure = error
            if self.recording:
                break
            if received:
                lost_at = time.monotonic()
                if self._reconnect_s and not self._stopped.is_set():
                    _log.warning("%s broke off; trying to connect again for %g s", self.name, self._reconnect_s)
            limit = self._reconnect_s if connected_once else 0.0
            if time.monotonic() - lost_at >= limit:
                break
            self._stopped.wait(RETRY_S)
        with self._changed:
            self._ended = True
            self._changed.notify_all()

    def _keep(self, grab: Grab) -> None:
        with self._changed:
            if self.recording:
                while self._newest is not None and not self._stopped.is_set():
                    self._changed.wait(0.2)
                self._newest = grab, self._feed.time_s
                self._changed.notify_all()
                return
            if self._newest is not None:
                if not self._opened:
                    return  # the first one is wanted, not the newest
                self.dropped += self._reading
            self._newest = grab, time.monotonic()
            self._changed.notify_all()


class StreamFeed(Feed):
    """A network stream, decoded by PyAV."""

    def __init__(self, url: str):
        self.url = url

    def grabs(self, stopped: threading.Event) -> Iterator[Grab]:
        # Not fflags=nobuffer, which throws away the frames that FFmpeg reads while it opens the stream: frame 0 would
        # be a later one than the first that was sent, and with few key frames a much later one.
        options = {"protocol_whitelist": PROTOCOLS, "max_pixels": str(MAX_PIXELS)}
        if self.url.lower().startswith("rtsp"):
            options["rtsp_transport"] = "tcp"  # UDP loses packets, and most firewalls block it
        begun = time.monotonic()
        try:
            with av.open(self.url, options=options, timeout=(OPEN_S, SILENCE_S),
                         metadata_errors="replace") as container:
                if not container.streams.video:
                    raise OSError("it has no video stream")
                stream = container.streams.video[0]
                self.fps = frame_rate(stream)
                # A live stream has no length of which FFmpeg would know.
                self.recording = container.size > 0 or bool(container.duration)
                for packet in container.demux(stream):
                    if stopped.is_set():
                        return
                    yield from self._decoded(packet)
        except (av.FFmpegError, ValueError) as error:
            if isinstance(error, av.ExitError):  # FFmpeg's answer to its own time limit
                raise OSError(f"nothing was received for {time.monotonic() - begun:.0f} s") from error
            if isinstance(error, av.InvalidDataError) or getattr(error, "errno", None) == errno.EIO:
                # EIO is FFmpeg's word for an unknown host, and for a connection that ends while it looks for a video.
                raise OSError("there is no such host, or what it sends is no video") from error
            raise OSError(getattr(error, "strerror", None) or str(error)) from error

    def _decoded(self, packet: av.Packet) -> Iterator[Grab]:
        try:
            frames = packet.decode()
        except av.FFmpegError:
            return  # a corrupt packet; the stream goes on
        for frame in frames:
            if not frame.is_corrupt:
                self.time_s = frame.time if frame.time is not None else self.time_s + 1 / self.fps
                yield partial(to_rgb, frame)


class WebcamFeed(Feed):
    """A webcam, read by OpenCV."""

    def __init__(self, index: int):
        self.index = index

    def grabs(self, stopped: threading.Event) -> Iterator[Grab]:
        with quiet_opencv():  # the error raised here says the same
            camera = cv2.VideoCapture(self.index)
        try:
            if not camera.isOpened():
                raise OSError("it is not there, in use, or you may not read it")
            fps = camera.get(cv2.CAP_PROP_FPS)
            self.fps = fps if 1 <= fps <= 1000 else DEFAULT_FPS
            for _ in range(WARM_UP - 1):
                camera.read()
            failed = 0
            while failed < PATIENCE and not stopped.is_set():
                good, image = camera.read()
                failed = 0 if good else failed + 1
                if good:
                    yield partial(cv2.cvtColor, image, cv2.COLOR_BGR2RGB)
        finally:
            camera.release()


def open_stream(url: str, reconnect_s: float | None = None) -> LiveSource:
    """The stream at ``url``. Raises :class:`UserError` if it cannot be connected to."""
    shown = without_password(url)
    address = urlsplit(shown)
    name = re.sub(r"[^\w.-]+", "_", f"{address.netloc.rpartition('@')[2]}{address.path}").strip("_") or "stream"
    try:
        return LiveSource(name[:80], StreamFeed(url), RECONNECT_S if reconnect_s is None else reconnect_s)
    except OSError as error:
        raise UserError(f"cannot connect to the stream {shown}: {error}; check the address, and that the camera or "
                        "server is running") from error


def open_webcam(index: int) -> LiveSource:
    """The webcam with this number. Raises :class:`UserError` if it gives no image."""
    try:
        return LiveSource(f"webcam_{index}", WebcamFeed(index))
    except OSError as error:
        raise UserError(f"cannot open webcam {index}: {error}") from error


def without_password(url: str) -> str:
    """``url`` without the user's name and password, for messages and file names.

    They may be before the host, in the path as ``key=value``, or in the query, whose values are all left out.
    """
    # Up to the last @: a password may hold one. With a slash in it, it is told from a port by what is behind the colon.
    url = re.sub(r"//([^/?#]*|[^/?#:@[]*:(?!\d{1,5}(?:[/?#]|$)).*)@", "//", url, count=1)
    path = re.split("[?#]", url, maxsplit=1)[0]
    return _SECRET.sub(r"\1=***", path) + (f"{url[len(path)]}***" if path != url else "")
