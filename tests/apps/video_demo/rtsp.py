"""A camera that serves RTP/JPEG (RFC 2435) over RTSP (RFC 2326) on the loopback address, interleaved in the connection.

    with RtspCamera(images, fps=50) as camera:
        open_source(camera.url)

Each connection gets ``images`` once, at the speed of a camera, then the server closes it.
"""

from __future__ import annotations

import socketserver
import struct
import threading
import time
from collections.abc import Iterator, Sequence

import cv2
import numpy as np

CLOCK = 90_000  # ticks per second of RTP timestamps of video
JPEG = 26  # payload type of RTP/AVP
PART = 1200  # bytes of scan data per packet
TYPE_420, OWN_TABLES = 1, 255  # JPEG headers: 4:2:0 without restart markers; quantization tables travel in the packet


class RtspCamera(socketserver.ThreadingTCPServer):
    """Serves ``images`` (H, W, 3) uint8 RGB. ``methods`` are the RTSP requests that have come, ``served`` counts the
    frames that were sent."""

    daemon_threads = True
    allow_reuse_address = True

    def __init__(self, images: Sequence[np.ndarray], fps: float):
        super().__init__(("127.0.0.1", 0), _Connection)
        self.images, self.fps, self.methods, self.served = images, fps, [], 0
        self.url = f"rtsp://user:secret@127.0.0.1:{self.server_address[1]}/live"

    def __enter__(self) -> RtspCamera:
        threading.Thread(target=self.serve_forever, daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self.shutdown()
        self.server_close()


class _Connection(socketserver.StreamRequestHandler):
    server: RtspCamera

    def handle(self) -> None:
        while request := self._request():
            method, url, sequence = request
            self.server.methods.append(method)
            if method == "DESCRIBE":
                self._answer(sequence, self._description(), f"Content-Base: {url}/", "Content-Type: application/sdp")
            elif method == "SETUP":
                self._answer(sequence, "", "Session: 1", "Transport: RTP/AVP/TCP;unicast;interleaved=0-1")
            elif method == "PLAY":
                self._answer(sequence, "", "Session: 1", "Range: npt=now-")
                self._play()
                return
            else:
                self._answer(sequence, "", "Public: OPTIONS, DESCRIBE, SETUP, PLAY, TEARDOWN")

    def _request(self) -> tuple[str, str, str] | None:
        """Method, URL and CSeq of the next request; None at the end of the connection."""
        first = self.rfile.readline().decode().split()
        headers = {}
        while line := self.rfile.readline().decode().strip():
            name, _, value = line.partition(":")
            headers[name.lower()] = value.strip()
        return (first[0], first[1], headers["cseq"]) if first else None

    def _answer(self, sequence: str, body: str, *headers: str) -> None:
        lines = ["RTSP/1.0 200 OK", f"CSeq: {sequence}", *headers, f"Content-Length: {len(body)}", "", body]
        self.wfile.write("\r\n".join(lines).encode())

    def _description(self) -> str:
        return "\r\n".join(["v=0", "o=- 1 1 IN IP4 127.0.0.1", "s=camera", "c=IN IP4 127.0.0.1", "t=0 0",
                            f"m=video 0 RTP/AVP {JPEG}", f"a=framerate:{self.server.fps:g}", "a=control:track0", ""])

    def _play(self) -> None:
        number = 0
        for index, image in enumerate(self.server.images):
            for payload, is_last in jpeg_payloads(image):
                ticks = int(index * CLOCK / self.server.fps)
                header = struct.pack("!BBHII", 0x80, is_last << 7 | JPEG, number & 0xFFFF, ticks, 1)
                packet = header + payload
                try:
                    self.wfile.write(struct.pack("!cBH", b"$", 0, len(packet)) + packet)
                except OSError:  # the reader went away
                    return
                number += 1
            self.server.served += 1
            time.sleep(1 / self.server.fps)


def jpeg_payloads(image: np.ndarray) -> Iterator[tuple[bytes, bool]]:
    """The RTP payloads of one frame, and whether each is the last one (RFC 2435, section 3.1)."""
    height, width = image.shape[:2]
    jpeg = cv2.imencode(".jpg", cv2.cvtColor(image, cv2.COLOR_RGB2BGR))[1].tobytes()
    tables, scan = _tables_and_scan(jpeg)
    for start in range(0, len(scan), PART):
        main = struct.pack("!I", start) + bytes([TYPE_420, OWN_TABLES, width // 8, height // 8])
        if start == 0:
            main += struct.pack("!BBH", 0, 0, len(tables)) + tables
        yield main + scan[start : start + PART], start + PART >= len(scan)


def _tables_and_scan(jpeg: bytes) -> tuple[bytes, bytes]:
    """The quantization tables of a baseline JPEG file, and its entropy-coded data up to the end marker."""
    tables = b""
    at = 2
    while True:
        marker, length = struct.unpack("!HH", jpeg[at : at + 4])
        segment = jpeg[at + 4 : at + 2 + length]
        at += 2 + length
        if marker == 0xFFDB:  # each table: a byte with its precision and number, then 64 bytes
            tables += b"".join(segment[i + 1 : i + 65] for i in range(0, len(segment), 65))
        elif marker == 0xFFDA:
            return tables, jpeg[at:-2]
