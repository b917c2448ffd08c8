"""The server's life: how it ends, whatever is under way, and what it leaves: nothing. And the command itself."""

import contextlib
import http.client
import os
import re
import signal
import socket
import subprocess
import sys
import threading
import time
from pathlib import Path
from urllib.parse import urlsplit

import pytest
import torch

from mstgt.apps.web_demo import load_server
from mstgt.apps.web_demo.server import Settings, serve, temporary_folder
from mstgt.config import load_config
from mstgt.config.paths import checkpoint_path, run_folder
from mstgt.models.mstgt import build_model
from mstgt.utils.errors import UserError
from tests.apps.web_demo.helpers import RedTracker, Served, true_box
from tracking import web_demo

ROOT = Path(__file__).resolve().parents[3]


class Remote(Served):
    """A server of which only the address is known."""

    def __init__(self, url):
        super().__init__(url, Path(), None, None)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_a_signal_ends_all_and_removes_the_folder(number, video_bytes, tmp_path, monkeypatch):
    """While one video is tracked and another is on its way."""
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    seen, errors = [], []

    def visit(url):
        try:
            server = Remote(url)
            video = server.upload(video_bytes)["id"]
            coming = http.client.HTTPConnection(urlsplit(url).netloc)
            coming.putrequest("POST", "/videos")
            coming.putheader("Origin", url.rstrip("/"))
            coming.putheader("Content-Length", "1000000")
            coming.endheaders(video_bytes[:1000])
            [folder] = tmp_path.iterdir()
            seen.append((folder.name, folder.stat().st_mode & 0o777))

            def kill(event):
                if event.get("frame") == 2:
                    os.kill(os.getpid(), number)
                return False

            seen.append(server.track(video, {"0": true_box(0)}, until=kill)[-1]["kind"])
            coming.close()
        except BaseException as error:  # noqa: BLE001  (of another thread: told below)
            errors.append(error)
            os.kill(os.getpid(), number)

    visitor = []
    serve(Settings("Red", "cpu", 0), lambda: RedTracker(lambda: time.sleep(0.02)),
          lambda url: visitor.append(threading.Thread(target=visit, args=(url,))) or visitor[0].start())
    assert list(tmp_path.iterdir()) == []
    visitor[0].join(10)
    assert errors == [] and seen[0][0].startswith("mstgt-web-") and seen[0][1] == 0o700
    assert seen[1] != "done"


def test_a_port_that_is_taken_is_told_and_leaves_no_folder(tmp_path, monkeypatch):
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        with pytest.raises(UserError, match=f"cannot listen on 127.0.0.1:{port} .*--port"):
            serve(Settings("Red", "cpu", port), RedTracker)
    with pytest.raises(UserError, match="no such port"):
        serve(Settings("Red", "cpu", 70_000), RedTracker)
    assert list(tmp_path.iterdir()) == []


def test_a_missing_package_is_one_line(monkeypatch):
    monkeypatch.setitem(sys.modules, "aiohttp", None)
    with pytest.raises(UserError, match=r"pip install 'mstgt\[web\]'"):
        load_server()


@pytest.fixture
def checkpoint(tmp_path):
    """Of an untrained network."""
    path = tmp_path / "random.pth.tar"
    torch.save({"net": build_model(load_config("MSTGT", "MSTGT-nano")).state_dict()}, path)
    return path


def test_the_command_tracks_with_a_network_and_ends_on_sigterm(checkpoint, video_bytes, tmp_path, monkeypatch, capsys):
    folder = tmp_path / "tmp"
    folder.mkdir()
    monkeypatch.setattr("tempfile.tempdir", str(folder))
    monkeypatch.setattr(sys, "argv", ["web_demo.py", "--checkpoint", str(checkpoint), "--device", "cpu", "--port", "0"])
    events, visitors = [], []

    def visit(url):
        try:
            server = Remote(url)
            assert b"MSTGT-nano" in server.ask("GET", "/")[1]
            events.extend(server.track(server.upload(video_bytes)["id"], {"0": true_box(0)}))
        finally:
            os.kill(os.getpid(), signal.SIGTERM)

    def say(url):
        visitors.append(threading.Thread(target=visit, args=(url,)))
        visitors[0].start()
        said(url)

    said = web_demo.say
    monkeypatch.setattr(web_demo, "say", say)
    web_demo.main()
    visitors[0].join()
    assert events[-1]["kind"] == "done" and events[-1]["frames"] == 10
    assert re.fullmatch(r"Open http://127\.0\.0\.1:\d+/ in a browser; Ctrl-C ends\.\n", capsys.readouterr().out)
    assert list(folder.iterdir()) == []


@pytest.mark.nightly
def test_a_process_that_is_told_to_terminate_leaves_nothing(checkpoint, video_bytes, tmp_path):
    """While it tracks. Most of the time is the start of Python."""
    temporary = tmp_path / "tmp"
    temporary.mkdir()
    environment = os.environ | {"TMPDIR": str(temporary)}
    process = subprocess.Popen([sys.executable, str(ROOT / "tracking" / "web_demo.py"), "--checkpoint", str(checkpoint),
                                "--device", "cpu", "--port", "0"], env=environment, text=True,
                               stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    try:
        server = Remote(re.search(r"http://127\.0\.0\.1:\d+/", process.stdout.readline())[0])
        server.track(server.upload(video_bytes)["id"], {"0": true_box(0)},
                     until=lambda event: event.get("frame") == 2 and process.send_signal(signal.SIGTERM))
        _, complaints = process.communicate(timeout=120)
    finally:
        process.kill()
        process.wait()
    assert process.returncode == 0 and "Traceback" not in complaints
    assert list(temporary.glob("mstgt*")) == []


@pytest.mark.parametrize("flag", ["--jobs", "--max_mb", "--max_frames", "--max_videos"])
def test_limits_must_be_limits(flag, monkeypatch):
    for value in ("0", "-1", "99999999999"):
        monkeypatch.setattr(sys, "argv", ["web_demo.py", flag, value])
        with pytest.raises(UserError, match=flag):
            web_demo.parse_args()


def test_what_killed_servers_left_is_removed_at_the_next_start(tmp_path, monkeypatch):
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    (tmp_path / "mstgt-web-old" / "id").mkdir(parents=True)
    (tmp_path / "mstgt-web-old" / "id" / "video").write_bytes(b"of a visitor")
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "elsewhere" / "kept").touch()
    (tmp_path / "mstgt-web-link").symlink_to(tmp_path / "elsewhere")
    (tmp_path / "mstgt-web-file").touch()
    with temporary_folder() as first:
        assert not (tmp_path / "mstgt-web-old").exists()
        with temporary_folder() as second:
            assert first.is_dir() and second.is_dir(), "the folder of a server that lives stays"
    left = sorted(path.name for path in tmp_path.rglob("*"))
    assert left == ["elsewhere", "kept", "mstgt-web-file", "mstgt-web-link"]


MALFORMED = [
    b"GARBAGE\r\n\r\n", b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03", b"GET / HTTP/9.9\r\n\r\n",
    b"GET / HTTP/1.1\r\nHost: {place}\r\nBad Header\r\n\r\n", b"GET /%zz HTTP/1.1\r\nHost: {place}\r\n\r\n",
    b"GET / HTTP/1.1\r\nHost: {place}\r\nX: " + b"a" * 20_000 + b"\r\n\r\n", b"GET http://[ HTTP/1.1\r\n\r\n",
    b"POST /videos HTTP/1.1\r\nHost: {place}\r\nOrigin: http://{place}\r\nContent-Length: x\r\n\r\n",
    b"POST /videos HTTP/1.1\r\nHost: {place}\r\nOrigin: http://{place}\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
    b"POST /videos HTTP/1.1\r\nHost: {place}\r\nOrigin: http://{place}\r\nContent-Encoding: gzip\r\n"
    b"Content-Length: 5\r\n\r\nnogzi",
    b"GET /videos/x/track HTTP/1.1\r\nHost: {place}\r\nOrigin: http://{place}\r\nUpgrade: websocket\r\n"
    b"Connection: Upgrade\r\nSec-WebSocket-Version: 1\r\nSec-WebSocket-Key: x\r\n\r\n",
]


def test_malformed_requests_print_no_traceback(served, video_bytes, caplog, capfd):
    video = served.upload(video_bytes)["id"]
    host, port = served.place.split(":")
    for request in MALFORMED + [MALFORMED[-1].replace(b"/x/", f"/{video}/".encode())]:
        with socket.create_connection((host, int(port)), timeout=60) as connection:
            connection.sendall(request.replace(b"{place}", served.place.encode()))
            connection.shutdown(socket.SHUT_WR)
            with contextlib.suppress(ConnectionError):
                while connection.recv(1 << 16):
                    pass
    assert served.ask("GET", "/")[0] == 200 and served.upload(video_bytes)["frames"] == 10
    written = "".join(capfd.readouterr())
    assert "Traceback" not in caplog.text + written and not [r for r in caplog.records if r.exc_info], caplog.text


def test_the_network_that_was_trained_in_save_dir_is_used(monkeypatch, tmp_path):
    trained = checkpoint_path(run_folder(tmp_path, "mstgt", "MSTGT-nano-128"), 24)
    trained.parent.mkdir(parents=True)
    trained.touch()

    def load(_config, _script, checkpoint, *_args, **_options):
        raise UserError(f"asked for {checkpoint}")

    monkeypatch.setattr("mstgt.test.tracker.load_tracker", load)
    for arguments, expected in (([], trained), (["--checkpoint", __file__], __file__)):
        monkeypatch.setattr("sys.argv", ["web_demo.py", "--config", "MSTGT-nano-128", "--save_dir", str(tmp_path),
                                         *arguments])
        with pytest.raises(UserError, match=f"asked for {re.escape(str(expected))}"):
            web_demo.main()
