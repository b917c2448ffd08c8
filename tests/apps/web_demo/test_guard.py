"""Who is answered: this computer's names and the server's own page, nobody else."""

import json
import socket
import sys

import pytest

GARBAGE = b"no video"


@pytest.mark.parametrize("host", ["evil.example", "evil.example:80", "127.0.0.1.evil.example", "localhost.evil.example",
                                  "192.168.0.7:{port}", "[::1]:{port}", "", None])
def test_foreign_names_of_this_computer_are_refused(served, host):
    port = served.place.rpartition(":")[2]
    for path in ("/", "/assets/main.js", "/videos/x/frames/0.jpg"):
        status, body, _ = served.ask("GET", path, Host=host and host.format(port=port), Origin=None)
        assert status in ((400, 403) if host is None else (403,)), path  # HTTP/1.1 without Host is no request at all
        assert b"<html" not in body


@pytest.mark.parametrize("origin", [None, "null", "http://evil.example", "https://{place}", "http://{place}.evil.example",
                                    "http://127.0.0.1:1", "http://localhost"])
def test_orders_of_other_pages_are_refused(served, video_bytes, origin):
    origin = origin and origin.format(place=served.place)
    status, body, _ = served.ask("POST", "/videos", video_bytes, Origin=origin)
    assert status == 403 and "own page" in json.loads(body)["error"]
    video = served.upload(video_bytes)["id"]
    assert served.ask("DELETE", f"/videos/{video}", Origin=origin)[0] == 403
    upgrade = {"Upgrade": "websocket", "Connection": "Upgrade", "Sec_WebSocket_Version": "13",
               "Sec_WebSocket_Key": "dGhlIHNhbXBsZSBub25jZQ=="}
    assert served.ask("GET", f"/videos/{video}/track", Origin=origin, **upgrade)[0] == 403
    assert served.ask("GET", f"/videos/{video}/frames/0.jpg")[0] == 200  # it is still there


def test_pages_of_other_origins_see_nothing_but_may_link_here(served, video_bytes):
    video = served.upload(video_bytes)["id"]
    for path in (f"/videos/{video}/frames/0.jpg", "/assets/main.js"):
        assert served.ask("GET", path, Origin=None, Sec_Fetch_Site="cross-site")[0] == 403
        assert served.ask("GET", path, Origin=None, Sec_Fetch_Site="same-site")[0] == 403
        assert served.ask("GET", path, Origin=None, Sec_Fetch_Site="same-origin")[0] == 200
    assert served.ask("GET", "/", Origin=None, Sec_Fetch_Site="cross-site")[0] == 200
    assert served.ask("GET", "/", Origin="http://evil.example")[0] == 403


def test_a_forwarded_port_works(served):
    status, body, _ = served.ask("POST", "/videos", GARBAGE, Host="localhost:9999", Origin="http://localhost:9999")
    assert status == 400 and "not a video" in json.loads(body)["error"]


def test_every_answer_forbids_framing_sniffing_and_foreign_content(served):
    for path, host in (("/", served.place), ("/nothing", served.place), ("/", "evil.example")):
        headers = served.ask("GET", path, Host=host)[2]
        assert "default-src 'none'" in headers["Content-Security-Policy"]
        assert "frame-ancestors 'none'" in headers["Content-Security-Policy"]
        assert headers["X-Content-Type-Options"] == "nosniff"
        assert headers["Cross-Origin-Resource-Policy"] == "same-origin"
        assert "Access-Control-Allow-Origin" not in headers


@pytest.mark.skipif(sys.platform != "linux", reason="other systems have one address of their own only")
def test_it_listens_on_one_address(served):
    port = int(served.place.rpartition(":")[2])
    socket.create_connection(("127.0.0.1", port), timeout=5).close()
    with pytest.raises(ConnectionRefusedError):  # answers where a server listens on all addresses
        socket.create_connection(("127.0.0.2", port), timeout=5)
