"""What is taken in, what is refused and with what words, and that nothing stays of it."""

import errno
import http.client
import json
import os
from pathlib import Path

import cv2
import numpy as np
import pytest

from mstgt.apps.web_demo import videos
from mstgt.apps.web_demo.app import Settings
from mstgt.apps.web_demo.videos import Limits
from tests.apps.web_demo.helpers import HEIGHT, WIDTH, make_video, serving, true_box
from tests.processes import until


@pytest.fixture
def strict(tmp_path):
    """A server that takes 20 000 bytes, 8 frames and 2 videos."""
    folder = tmp_path / "served"
    folder.mkdir()
    with serving(folder, settings=Settings("Red", "cpu", 0, 1, Limits(20_000, 8, 2))) as server:
        yield server


def test_a_video_is_described_and_its_first_frame_shown(served, video_bytes):
    facts = served.upload(video_bytes)
    assert {**facts, "id": ""} == {"id": "", "width": WIDTH, "height": HEIGHT, "fps": 25.0, "frames": 10, "first": 0}
    status, jpeg, headers = served.ask("GET", f"/videos/{facts['id']}/frames/0.jpg")
    assert status == 200 and headers["Content-Type"] == "image/jpeg" and "no-store" in headers["Cache-Control"]
    image = cv2.imdecode(np.frombuffer(jpeg, np.uint8), cv2.IMREAD_COLOR)
    assert image.shape == (HEIGHT, WIDTH, 3) and image[56, 26, 2] > 180 and image[10, 100, 2] < 90
    assert served.ask("DELETE", f"/videos/{facts['id']}")[0] == 204
    assert served.files == [] and served.ask("GET", f"/videos/{facts['id']}/frames/0.jpg")[0] == 404


def test_large_images_are_shown_smaller(served, tmp_path):
    facts = served.upload(make_video(tmp_path / "large.mp4", 1, size=(1200, 900)))
    jpeg = served.ask("GET", f"/videos/{facts['id']}/frames/0.jpg")[1]
    assert cv2.imdecode(np.frombuffer(jpeg, np.uint8), cv2.IMREAD_COLOR).shape == (720, 960, 3)
    assert (facts["width"], facts["height"]) == (1200, 900)


@pytest.mark.parametrize("chunked", [False, True])
def test_too_many_bytes_are_refused(strict, chunked):
    """Whether the length is announced or only seen as it comes."""
    body = b"\0" * 20_001
    if chunked:
        message = strict.refused(b"%x\r\n%s\r\n0\r\n\r\n" % (len(body), body), Transfer_Encoding="chunked")
    else:
        message = strict.refused(body)
    assert message == "the file is too large: 0.0190735 MiB are the most here; make it smaller, or start the server " \
                      "with a higher --max_mb"
    assert strict.files == []


def test_an_announced_flood_is_refused_before_it_comes(strict):
    connection = http.client.HTTPConnection(strict.place, timeout=90)
    connection.putrequest("POST", "/videos")
    for header in (("Origin", f"http://{strict.place}"), ("Content-Length", str(10**12))):
        connection.putheader(*header)
    connection.endheaders()
    answer = connection.getresponse()
    assert answer.status == 400 and "too large" in json.loads(answer.read())["error"]
    connection.close()


def test_too_many_frames_are_refused(strict, video_bytes, tmp_path):
    assert strict.refused(video_bytes).startswith("the video is too long: 10 frames, 8 are the most here; cut it")
    assert strict.files == []
    assert strict.upload(make_video(tmp_path / "short.mp4", 8))["frames"] == 8


@pytest.mark.parametrize("data, words", [
    (b"", "the file is empty"),
    (b"garbage " * 100, "cannot read the video: it is not a video, or truncated"),
    (b"#EXTM3U\n#EXTINF:1,\nfile:///etc/passwd\n#EXT-X-ENDLIST\n", "it is not a video"),
    (b"ffconcat version 1.0\nfile /etc/passwd\n", "it is not a video"),
    (cv2.imencode(".png", np.zeros((20, 20, 3), np.uint8))[1].tobytes(), "it is not a video"),
])
def test_what_is_no_video_is_refused_in_words_that_name_no_path(served, data, words):
    message = served.refused(data)
    assert words in message and str(served.folder) not in message and "\n" not in message
    assert list(served.folder.iterdir()) == []


def test_a_video_that_is_cut_short_is_refused(served, video_bytes):
    """Before the end of its index, and before its first image."""
    assert "cannot read the video" in served.refused(video_bytes[:60])
    assert "no frame that can be decoded" in served.refused(video_bytes[: video_bytes.index(b"mdat") + 20])
    assert served.files == []


def test_a_broken_upload_leaves_nothing(served, video_bytes):
    connection = http.client.HTTPConnection(served.place, timeout=90)
    connection.putrequest("POST", "/videos")
    for header in (("Origin", f"http://{served.place}"), ("Content-Length", str(len(video_bytes)))):
        connection.putheader(*header)
    connection.endheaders(video_bytes[:500])
    until(lambda: list(served.folder.iterdir()))
    connection.close()
    until(lambda: not list(served.folder.iterdir()))


@pytest.mark.parametrize("name", ["../../evil.mp4", "/etc/evil.mp4", "..%2f..%2fevil", "a\\..\\evil.mp4"])
def test_names_from_outside_are_no_paths(served, video_bytes, name):
    before = {path for path in served.folder.parent.rglob("*") if path.is_file()}
    status, body, _ = served.ask("POST", f"/videos?name={name.replace('%', '%25')}", video_bytes, X_File_Name=name,
                                 Content_Disposition=f'attachment; filename="{name}"')
    assert status == 200
    new = {path for path in served.folder.parent.rglob("*") if path.is_file()} - before
    folder = served.folder / json.loads(body)["id"]
    assert sorted(str(path.relative_to(folder)) for path in new) == ["frames/000000.jpg", "video"]
    for path in (f"/videos/{name}/frames/0.jpg", f"/videos/{json.loads(body)['id']}/{name}", f"/assets/{name}",
                 "/assets/..%2fserver.py", "/assets/server.py", f"/videos/{json.loads(body)['id']}/video",
                 f"/videos/{json.loads(body)['id']}/frames/..%2f..%2fvideo", "/videos/../served/video"):
        assert served.ask("GET", path)[0] in (400, 404), path


def test_the_video_left_alone_for_longest_makes_room(strict, tmp_path):
    data = make_video(tmp_path / "short.mp4", 2)
    first, second = (strict.upload(data)["id"] for _ in range(2))
    strict.ask("GET", f"/videos/{first}/frames/0.jpg")
    third = strict.upload(data)["id"]
    assert [strict.ask("GET", f"/videos/{v}/frames/0.jpg")[0] for v in (first, second, third)] == [200, 404, 200]
    assert len(list(strict.folder.iterdir())) == 2


def test_any_frame_can_be_looked_at(served, video_bytes):
    video = served.upload(video_bytes)["id"]
    status, jpeg, _ = served.ask("GET", f"/videos/{video}/frames/7.jpg")
    image = cv2.imdecode(np.frombuffer(jpeg, np.uint8), cv2.IMREAD_COLOR)
    x, y, w, h = true_box(7)
    assert status == 200 and image[y + h // 2, x + w // 2, 2] > 180 and image[y + h // 2, x - 8, 2] < 90
    assert served.ask("GET", f"/videos/{video}/frames/10.jpg")[0] == 404


def test_what_fills_the_server_is_told(strict, tmp_path):
    """Uploads that have begun, not only videos that are tracked."""
    data = make_video(tmp_path / "short.mp4", 2)
    coming = []
    for _ in range(2):
        connection = http.client.HTTPConnection(strict.place, timeout=90)
        connection.putrequest("POST", "/videos")
        for header in (("Origin", f"http://{strict.place}"), ("Content-Length", str(len(data)))):
            connection.putheader(*header)
        connection.endheaders(data[:100])
        coming.append(connection)
    until(lambda: len(list(strict.folder.iterdir())) == 2)
    assert "at most 2 videos (2 being uploaded); try again" in strict.refused(data)
    for connection in coming:
        connection.close()
    until(lambda: not list(strict.folder.iterdir()))
    assert strict.upload(data)["frames"] == 2


def test_an_upload_that_falls_silent_is_given_up(strict, monkeypatch):
    monkeypatch.setattr(videos, "UPLOAD_SILENCE_S", 0.2)
    connection = http.client.HTTPConnection(strict.place, timeout=90)
    connection.putrequest("POST", "/videos")
    for header in (("Origin", f"http://{strict.place}"), ("Content-Length", "1000")):
        connection.putheader(*header)
    connection.endheaders(b"begin")
    answer = connection.getresponse()
    assert answer.status == 400 and "the upload stopped for 0.2 s" in json.loads(answer.read())["error"]
    connection.close()
    assert list(strict.folder.iterdir()) == []


def test_a_frame_that_the_disk_has_no_room_for_is_told_and_can_be_had_later(served, video_bytes, monkeypatch):
    address = f"/videos/{served.upload(video_bytes)['id']}/frames/7.jpg"
    whole = Path.write_bytes

    def full(path, data):
        whole(path, data[: len(data) // 2])
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(Path, "write_bytes", full)
    status, said, _ = served.ask("GET", address)
    assert status == 400 and json.loads(said)["error"] == "frame 7 could not be kept: No space left on device"
    monkeypatch.undo()
    status, jpeg, _ = served.ask("GET", address)
    assert status == 200
    assert cv2.imdecode(np.frombuffer(jpeg, np.uint8), cv2.IMREAD_COLOR)[HEIGHT // 2 :].std() > 3, "not half an image"
