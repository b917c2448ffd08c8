"""Webcams and streams: only the newest frame is tracked, breaks are survived, and the end is a clean one."""

from __future__ import annotations

import io
import itertools
import socket
import threading
import time
from fractions import Fraction
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import av
import cv2
import numpy as np
import pytest

from mstgt.apps.video_demo import live
from mstgt.apps.video_demo.live import LiveSource, open_stream, open_webcam, without_password
from mstgt.apps.video_demo.source import check_source, open_source
from mstgt.utils.errors import UserError
from tests.apps.video_demo.rtsp import RtspCamera

FPS = 50


@pytest.fixture(autouse=True)
def short_waits(monkeypatch):
    monkeypatch.setattr(live, "OPEN_S", 60.0)  # a busy machine
    monkeypatch.setattr(live, "RETRY_S", 0.05)


class Camera:
    """A webcam of OpenCV that gives images of growing brightness, fails at some frames, and breaks off."""

    def __init__(self, bad=(), ends=10**9, fps=30.0, wait_s=0.0):
        self.bad, self.ends, self.fps, self.wait_s, self.taken, self.released = bad, ends, fps, wait_s, 0, False

    def isOpened(self):  # noqa: N802
        return True

    def read(self):
        self.taken += 1
        if self.taken in self.bad or self.taken > self.ends:
            return False, None
        if self.taken > live.WARM_UP:
            time.sleep(self.wait_s)
        return True, np.full((120, 160, 3), min(self.taken, 255), np.uint8)

    def get(self, _what):
        return self.fps

    def release(self):
        self.released = True


def test_a_webcam_keeps_the_newest_frame(monkeypatch):
    camera = Camera(bad=(8,), ends=200, wait_s=0.01)
    monkeypatch.setattr(live.cv2, "VideoCapture", {3: camera}.get)
    with open_source("3") as source:
        assert (source.name, source.frames, source.size_wh, source.live) == ("webcam_3", None, (160, 120), True)
        frames = []
        for frame in source.read():
            frames.append(frame)
            time.sleep(0.05)  # a slow tracker
    assert source.fps == 30 and frames[0].time_s == 0
    values = [int(frame.image_rgb[0, 0, 0]) for frame in frames]
    assert [frame.number for frame in frames] == list(range(len(frames))) and values == sorted(set(values))
    assert values[-1] == 200 and source.dropped > 0, "the newest one, and the others are counted"
    assert len(frames) + source.dropped <= 200 and frames[-1].time_s > frames[1].time_s > 0
    assert camera.released


def test_a_webcam_that_gives_nothing(monkeypatch):
    camera = Camera(ends=0)
    monkeypatch.setattr(live.cv2, "VideoCapture", lambda index: camera)
    with pytest.raises(UserError, match="cannot open webcam 1"):
        open_webcam(1)
    assert camera.released
    monkeypatch.setattr(live.cv2, "VideoCapture", lambda index: Camera(fps=0.0, wait_s=0.01))
    with open_source(1) as source:
        assert source.fps == live.DEFAULT_FPS


class Feed(live.Feed):
    """Connections that give some numbered frames each; None: no connection."""

    def __init__(self, *connections):
        self.connections = list(connections)

    def grabs(self, stopped):
        if not self.connections or self.connections[0] is None:
            if self.connections:
                self.connections.pop(0)
            raise OSError("refused")
        for value in self.connections.pop(0):
            time.sleep(0.02)
            yield lambda value=value: np.full((10, 20, 3), value, np.uint8)


def test_a_broken_stream_is_connected_again_for_a_while():
    with LiveSource("s", Feed(range(10), None, range(10, 20)), reconnect_s=60) as source:
        frames = list(itertools.takewhile(lambda frame: frame.image_rgb[0, 0, 0] < 19, source.read()))
        assert source.reconnects == 1 and frames[-1].image_rgb[0, 0, 0] >= 10
    with LiveSource("s", Feed(range(10)), reconnect_s=0.3) as source:
        begun = time.monotonic()
        assert len(list(source.read())) > 1
        assert time.monotonic() - begun > 0.3 and source.reconnects == 0
    with pytest.raises(OSError, match="refused"):
        LiveSource("s", Feed(None, range(9)), reconnect_s=60)


class Stream(ThreadingHTTPServer):
    """Serves MPEG-TS over HTTP at the speed of a camera: a square that moves; each connection gets ``frames``."""

    daemon_threads = True

    def __init__(self, frames: int):
        super().__init__(("127.0.0.1", 0), StreamHandler)
        self.frames, self.served = frames, 0
        self.url = f"http://user:secret@127.0.0.1:{self.server_port}/live.ts"

    def __enter__(self):
        threading.Thread(target=self.serve_forever, daemon=True).start()
        return self

    def __exit__(self, *_):
        self.shutdown()
        self.server_close()


class StreamHandler(BaseHTTPRequestHandler):
    def do_GET(self):  # noqa: N802
        self.send_response(200)
        self.send_header("Content-Type", "video/mp2t")
        self.end_headers()
        write_stream(self.wfile, self.server.frames, self.server)

    def log_message(self, *_):
        pass


def write_stream(file, count, server=None):
    """Write MPEG-TS with frames whose brightness grows; the square's place is their number."""
    with av.open(file, "w", format="mpegts", options={"flush_packets": "1"}) as container:
        stream = container.add_stream("mpeg2video", rate=FPS)
        stream.width, stream.height, stream.pix_fmt = 160, 120, "yuv420p"
        stream.gop_size, stream.max_b_frames = 10, 0
        for number in range(count):
            image = np.full((120, 160, 3), 60, np.uint8)
            image[40:72, number % 120 : number % 120 + 32] = (230, 200, 40)
            frame = av.VideoFrame.from_ndarray(image, "rgb24")
            frame.pts, frame.time_base = number, Fraction(1, FPS)
            try:
                container.mux(stream.encode(frame))
            except (av.FFmpegError, OSError):  # the reader went away
                return
            if server is not None:
                server.served += 1
                time.sleep(1 / FPS)


def test_a_stream_over_http_is_tracked_without_delay(bright):
    from mstgt.apps.video_demo.track import track

    class Slow(bright):
        def update(self, image):
            time.sleep(4 / FPS)
            return super().update(image)

    with Stream(100) as server, open_stream(server.url, 0) as source:
        assert source.name == f"127.0.0.1_{server.server_port}_live.ts" and source.size_wh == (160, 120)
        frames = list(track(source, Slow(), {1: {0: (0, 40, 32, 32)}}))
    assert 3 < len(frames) < 60 and source.dropped > 10 and len(frames) + source.dropped <= 100
    assert all(later.time_s > earlier.time_s for earlier, later in itertools.pairwise(frames))


def test_a_stream_over_udp(bright):
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    data = io.BytesIO()
    write_stream(data, 30)
    stopped = threading.Event()

    def send():
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sender:
            while not stopped.is_set():
                for at in range(0, len(data.getvalue()), 1316):
                    sender.sendto(data.getvalue()[at : at + 1316], ("127.0.0.1", port))
                    stopped.wait(0.01)

    thread = threading.Thread(target=send, daemon=True)
    thread.start()
    try:
        with open_stream(f"udp://127.0.0.1:{port}", 0) as source:
            found = list(itertools.islice(source.read(), 5))
    finally:
        stopped.set()
        thread.join()
    assert len(found) == 5 and source.size_wh == (160, 120)


def moving_square(count):
    """Images with a bright square, one pixel further to the right in each."""
    images = []
    for number in range(count):
        image = np.full((120, 160, 3), 60, np.uint8)
        image[40:72, 8 + number : 40 + number] = 240
        images.append(image)
    return images


def test_an_rtsp_camera_is_tracked_until_it_ends(bright):
    from mstgt.apps.video_demo.track import track

    with RtspCamera(moving_square(100), FPS) as camera, open_source(camera.url, 0) as source:
        assert source.name == f"127.0.0.1_{camera.server_address[1]}_live"
        assert (source.size_wh, source.fps, source.live) == ((160, 120), FPS, True)
        first = next(source.read()).image_rgb
        assert first[60, 8:40].min() > 200 and first[60, 44:].max() < 100, "the first image that the camera has sent"
        frames = list(track(source, bright(), {1: {0: (8, 40, 32, 32)}}))
    assert camera.methods[:4] == ["OPTIONS", "DESCRIBE", "SETUP", "PLAY"] and camera.served == 100
    assert len(frames) > 3 and len(frames) + source.dropped <= 100 and source.reconnects == 0
    boxes = np.array([frame.rows[0].box_xywh for frame in frames])
    assert (np.diff(boxes[:, 0]) > 0).all() and boxes[-1, 0] == pytest.approx(8 + 99, abs=2), "up to the last frame"
    assert np.abs(boxes[:, 1:] - [40, 32, 32]).max() <= 2


def test_an_rtsp_camera_that_breaks_off_is_connected_again():
    with RtspCamera(moving_square(80), FPS) as camera, open_source(camera.url, 60) as source:
        assert len(list(itertools.islice(itertools.takewhile(lambda _: source.reconnects < 2, source.read()), 500))) > 2
        assert source.reconnects == 2 and camera.methods.count("PLAY") >= 3


def test_what_cannot_be_connected_to_is_one_line():
    with pytest.raises(UserError, match=r"cannot connect to the stream rtsp://127.0.0.1:9/live: .*check the address"):
        open_source("rtsp://user:secret@127.0.0.1:9/live")
    with pytest.raises(UserError, match="cannot read gopher:// streams; known: rtsp://"):
        check_source("gopher://host/x")
    check_source("rtsp://host/x")


@pytest.mark.parametrize(("url", "shown"), [
    ("rtsp://a:secret@host/x", "rtsp://host/x"), ("rtsp://a:secret@c@host/x", "rtsp://host/x"),
    ("rtsp://a:sec/ret@host/x", "rtsp://host/x"), ("http://host:80/x@2", "http://host:80/x@2"),
    ("rtsp://host:554/user=admin&password=secret&channel=1/a.sdp",
     "rtsp://host:554/user=***&password=***&channel=1/a.sdp"),
    ("rtsp://host/user=admin_password=sec_ret_channel=1_stream=0.sdp",
     "rtsp://host/user=***_password=***_channel=1_stream=0.sdp"),
    ("http://host/video;PWD=secret?usr=admin&pwd=secret", "http://host/video;PWD=***?***"),
    ("http://host/x#secret", "http://host/x#***"), ("udp://@:1234", "udp://:1234"),
    ("rtsp://[fe80::1]:554/a@b", "rtsp://[fe80::1]:554/a@b")])
def test_a_password_is_hidden_wherever_a_url_has_it(url, shown):
    assert without_password(url) == shown


def test_a_password_is_in_no_message_and_no_name(monkeypatch):
    with pytest.raises(UserError) as refused:
        open_source("rtsp://127.0.0.1:9/user=admin&password=secret/x?pwd=secret")
    assert "secret" not in str(refused.value)
    monkeypatch.setattr("mstgt.apps.video_demo.live.LiveSource", lambda name, *_: name)
    assert open_stream("rtsp://host/user=admin&password=secret&channel=1") == "host_user_password_channel_1"


def test_a_playlist_cannot_make_a_stream_read_files(video_file):
    class Playlist(BaseHTTPRequestHandler):
        def do_GET(self):  # noqa: N802
            self.send_response(200)
            self.send_header("Content-Type", "application/vnd.apple.mpegurl")
            self.end_headers()
            self.wfile.write(f"#EXTM3U\n#EXT-X-TARGETDURATION:1\n#EXTINF:1,\nfile://{video_file}\n#EXT-X-ENDLIST\n".encode())

        log_message = StreamHandler.log_message

    server = ThreadingHTTPServer(("127.0.0.1", 0), Playlist)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        with pytest.raises(UserError, match="cannot connect to the stream"):
            open_stream(f"http://127.0.0.1:{server.server_port}/list.m3u8", 0)
    finally:
        server.shutdown()
        server.server_close()


def serve(answer):
    """A server that calls ``answer(handler)`` for each request."""
    class Handler(BaseHTTPRequestHandler):
        def do_GET(self):  # noqa: N802
            answer(self)

        log_message = StreamHandler.log_message

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    threading.Thread(target=server.serve_forever, daemon=True).start()
    return server


def send_jpegs(handler, count):
    """Motion JPEG as webcams send it over HTTP."""
    handler.send_response(200)
    handler.send_header("Content-Type", "multipart/x-mixed-replace; boundary=frame")
    handler.end_headers()
    for image in moving_square(count):
        data = cv2.imencode(".jpg", image)[1].tobytes()
        handler.wfile.write(b"--frame\r\nContent-Type: image/jpeg\r\nContent-Length: %d\r\n\r\n" % len(data))
        handler.wfile.write(data + b"\r\n")
        time.sleep(1 / FPS)


def test_motion_jpeg_over_http_that_dies_is_connected_again_and_ends():
    calls = itertools.count()

    def answer(handler):
        if next(calls) < 2:
            send_jpegs(handler, 30)
        else:
            handler.send_error(404)

    server = serve(answer)
    with open_stream(f"http://127.0.0.1:{server.server_port}/video", 0.5) as source:
        frames = list(source.read())
    server.shutdown()
    assert source.size_wh == (160, 120) and len(frames) > 2 and source.reconnects == 1


def test_a_recording_over_http_is_read_whole_and_has_an_end(video_file):
    data = video_file.read_bytes()

    def answer(handler):
        handler.send_response(200)
        handler.send_header("Content-Length", str(len(data)))
        handler.end_headers()
        handler.wfile.write(data)

    server = serve(answer)
    begun = time.monotonic()
    with open_stream(f"http://127.0.0.1:{server.server_port}/video.mp4", 300) as source:
        frames = []
        for frame in source.read():
            frames.append(frame)
            time.sleep(0.02)  # a tracker that is slower than the network
    server.shutdown()
    with open_source(video_file) as file:
        expected = list(file.read())
    assert len(frames) == len(expected) > 5 and source.dropped == source.reconnects == 0
    assert [frame.time_s for frame in frames] == pytest.approx([frame.time_s for frame in expected])
    assert all((a.image_rgb == b.image_rgb).all() for a, b in zip(frames, expected, strict=True))
    assert time.monotonic() - begun < 200


@pytest.mark.parametrize("body", [b"", b"<!doctype html><html><body>Please log in</body></html>" * 50])
def test_a_server_that_sends_no_video_is_told(body):
    def answer(handler):
        handler.send_response(200)
        handler.end_headers()
        handler.wfile.write(body)

    server = serve(answer)
    with pytest.raises(UserError, match="no such host, or what it sends is no video; check the address"):
        open_stream(f"http://127.0.0.1:{server.server_port}/", 0)
    server.shutdown()


def test_a_server_that_never_answers_is_told(monkeypatch):
    monkeypatch.setattr(live, "OPEN_S", 0.5)
    server = serve(lambda handler: time.sleep(3))
    with pytest.raises(UserError, match="nothing was received for .* s; check the address"):
        open_stream(f"http://127.0.0.1:{server.server_port}/", 0)
    server.shutdown()


def test_a_link_to_a_webcam_is_a_webcam(monkeypatch):
    monkeypatch.setattr("mstgt.apps.video_demo.source.os.path.realpath",
                        lambda path: "/dev/video3" if path == "/dev/v4l/by-id/cam" else path)
    monkeypatch.setattr(live.cv2, "VideoCapture", {3: Camera(ends=30)}.get)
    check_source("/dev/v4l/by-id/cam")
    with open_source("/dev/v4l/by-id/cam") as source:
        assert source.name == "webcam_3"
