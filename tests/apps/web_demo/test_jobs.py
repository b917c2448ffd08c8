"""Tracking over the websocket: what comes, what is left to download, several at once, ends of all kinds."""

import asyncio
import csv
import io
import json
import logging
import threading
from pathlib import Path

import av
import numpy as np
import pytest

from mstgt.apps.web_demo.app import Settings, read_order
from mstgt.apps.web_demo.jobs import REPLACED
from mstgt.apps.web_demo.videos import Limits, Video
from mstgt.utils.errors import UserError
from tests.apps.web_demo.helpers import RedTracker, frames_of, make_video, serving, true_box
from tests.processes import until


class Gate:
    """Lets frames through only when it is told to."""

    def __init__(self):
        self.left, self.passed = threading.Semaphore(0), 0

    def __call__(self):
        assert self.left.acquire(timeout=120)
        self.passed += 1

    def open(self, frames=1000):
        self.left.release(frames)


@pytest.fixture
def gate():
    gate = Gate()
    yield gate
    gate.open()


@pytest.fixture
def gated(gate, tmp_path):
    """A server whose tracker waits at the gate; one job at a time, four videos."""
    folder = tmp_path / "served"
    folder.mkdir()
    with serving(folder, lambda: RedTracker(gate), Settings("Red", "cpu", 0, 1, Limits(videos=4))) as server:
        yield server
        gate.open()


def rows_of(server, video):
    status, body, headers = server.ask("GET", f"/videos/{video}/boxes.csv")
    assert status == 200 and headers["Content-Disposition"] == "attachment"
    return list(csv.DictReader(io.StringIO(body.decode())))


def test_a_track_from_the_first_event_to_the_last_file(served, video_bytes):
    video = served.upload(video_bytes)["id"]
    events = served.track(video, {"0": true_box(0)})
    assert [event["kind"] for event in events] == ["start", *["frame"] * 10, "done"]
    frames = frames_of(events)
    assert [event["frame"] for event in frames] == list(range(10))
    assert frames[0]["search"] is None and frames[0]["score"] == 1 and frames[1]["score"] == 0.9
    for event in frames:
        assert np.abs(np.subtract(event["box"], true_box(event["frame"]))).max() <= 2
        assert event["readable"] and not event["lost"]
        assert served.ask("GET", f"/videos/{video}/frames/{event['frame']}.jpg")[0] == 200
    assert events[-1]["frames"] == 10 and not events[-1]["limited"]
    rows = rows_of(served, video)
    assert [[float(row[side]) for side in "xywh"] for row in rows] == [event["box"] for event in frames]
    assert [float(row["score"]) for row in rows] == [event["score"] for event in frames]
    result_bytes = served.ask("GET", f"/videos/{video}/film.mp4")[1]
    with av.open(io.BytesIO(result_bytes)) as container:
        assert sum(1 for _ in container.decode(video=0)) == 10
    assert served.ask("GET", f"/videos/{video}/sheet.png")[1].startswith(b"\x89PNG")


def test_a_target_that_is_gone_is_probably_lost(served, tmp_path):
    video = served.upload(make_video(tmp_path / "gone.mp4", 16, hidden_from=3))["id"]
    lost = [event["lost"] for event in frames_of(served.track(video, {"0": true_box(0)}))]
    assert not any(lost[:6]) and lost[-1]


def test_a_corrected_box_holds_from_its_frame_on(served, tmp_path):
    video = served.upload(make_video(tmp_path / "gone.mp4", 8, hidden_from=3))["id"]
    frames = frames_of(served.track(video, {"0": true_box(0), "5": [90, 5, 20, 30]}))
    assert frames[4]["box"][1] > 30
    assert frames[5]["box"] == [90, 5, 20, 30] and frames[5]["score"] == 1 and frames[7]["box"] == [90, 5, 20, 30]


@pytest.mark.parametrize("boxes, words", [
    ({"0": [10, 10, 0, 20]}, "w > 0"), ({"0": [10, 10, 20]}, "four"), ({"0": "box"}, "four numbers"),
    ({"0": [1000, 10, 20, 20]}, "outside the image"), ({"0": [float("nan")] * 4}, "finite"),
    ({"0": [10**400, 1, 1, 1]}, "finite"), ({}, "draw one"), ([], "draw one"), (None, "draw one"),
    ({"-1": [10, 10, 20, 20]}, "not the number of a frame"), ({"../x": [10, 10, 20, 20]}, "not the number of a frame"),
])
def test_a_box_must_be_one_in_this_video(boxes, words):
    with pytest.raises(UserError, match=words) as caught:
        read_order(json.dumps({"targets": [boxes]}), Video("id", Path(), size_wh=(160, 120)))
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("text", ["", "{", "[" * 60_000, "7"])
def test_an_order_that_is_none_is_a_mistake(text):
    with pytest.raises(UserError, match="draw a box around each"):
        read_order(text, Video("id", Path(), size_wh=(160, 120)))


def test_bad_boxes_are_told_and_a_good_one_works_after_them(served, video_bytes):
    video = served.upload(video_bytes)["id"]
    for boxes, words in (({"0": [1000, 10, 20, 20]}, "outside the image"), ({"99": true_box(0)}, "frame 99"),
                         ({"0": true_box(0), "99": true_box(0)}, "frame 99"), (None, "draw one")):
        events = served.track(video, boxes)
        assert events[-1]["kind"] == "error" and words in events[-1]["message"] and frames_of(events) == []
        assert str(served.folder) not in events[-1]["message"]
    assert served.ask("GET", f"/videos/{video}/film.mp4")[0] == 404
    assert served.track(video, {"0": true_box(0)})[-1]["kind"] == "done"


def test_a_stopped_track_keeps_what_there_is(gated, gate, video_bytes):
    video = gated.upload(video_bytes)["id"]
    gate.open(3)  # with the given one that makes four frames

    async def stop_at_four():
        job = asyncio.create_task(gated.follow(video, {"0": true_box(0)}, stop_after=4))
        await asyncio.sleep(0.3)
        gate.open()
        return await job

    events = asyncio.run(stop_at_four())
    assert events[-1]["kind"] == "done" and 4 <= events[-1]["frames"] <= 5
    assert len(rows_of(gated, video)) == events[-1]["frames"]


def test_a_closed_page_ends_its_job_and_leaves_no_result(gated, gate, video_bytes):
    video = gated.upload(video_bytes)["id"]
    gate.open(2)
    events = gated.track(video, {"0": true_box(0)}, until=lambda event: event.get("frame") == 2)
    assert len(frames_of(events)) == 3
    gate.open(1)
    until(lambda: gated.idle(video))
    assert [path for path in gated.files if "results" in path] == []
    gate.open()
    assert gate.passed == 3  # it went no further than the frame that it was at


def test_a_video_removed_while_it_is_tracked_goes_with_its_files(gated, gate, video_bytes):
    video = gated.upload(video_bytes)["id"]
    gate.open(1)

    async def remove_under_way():
        job = asyncio.create_task(gated.follow(video, {"0": true_box(0)}))
        await asyncio.to_thread(until, lambda: not gated.idle(video))
        status = await asyncio.to_thread(gated.ask, "DELETE", f"/videos/{video}")
        gate.open()
        return status[0], await job

    status, events = asyncio.run(remove_under_way())
    assert status == 204 and "done" not in [event["kind"] for event in events]
    until(lambda: not list(gated.folder.iterdir()))


def test_those_who_come_later_wait_in_line(gated, gate, tmp_path):
    short = make_video(tmp_path / "short.mp4", 3)
    videos = [gated.upload(short)["id"] for _ in range(3)]

    async def all_at_once():
        jobs = []
        for number, video in enumerate(videos):
            jobs.append(asyncio.create_task(gated.follow(video, {"0": true_box(0)})))
            await asyncio.to_thread(until, lambda video=video: not gated.idle(video))
            if number == 2:
                await asyncio.to_thread(gated.ask, "GET", "/")
                gate.open()
        return await asyncio.gather(*jobs)

    first, second, third = asyncio.run(all_at_once())
    said = [[event["ahead"] for event in events if event["kind"] == "waiting"] for events in (first, second, third)]
    assert said[0] == [] and set(said[1]) == {1} and said[2][0] == 2 and said[2][-1] == 1
    assert {events[-1]["kind"] for events in (first, second, third)} == {"done"}


def test_visitors_at_the_same_time_are_not_mixed_up(tmp_path):
    folder = tmp_path / "served"
    folder.mkdir()
    meet = threading.Barrier(3, timeout=120)  # three threads, at every frame
    with serving(folder, lambda: RedTracker(meet.wait), Settings("Red", "cpu", 0, 3)) as server:
        videos = [server.upload(make_video(tmp_path / "video.mp4", 6, down=down))["id"] for down in (-40, 0, 40)]

        async def all_at_once():
            return await asyncio.gather(*(server.follow(video, {"0": true_box(0, down)})
                                          for video, down in zip(videos, (-40, 0, 40), strict=True)))

        for video, down, events in zip(videos, (-40, 0, 40), asyncio.run(all_at_once()), strict=True):
            expected = [true_box(frame, down) for frame in range(6)]
            assert np.abs(np.subtract([event["box"] for event in frames_of(events)], expected)).max() <= 2
            found = [[float(row[side]) for side in "xywh"] for row in rows_of(server, video)]
            assert np.abs(np.subtract(found, expected)).max() <= 2


def test_a_second_job_of_a_video_takes_the_place_of_the_first(gated, gate, video_bytes):
    video = gated.upload(video_bytes)["id"]

    async def twice():
        first = asyncio.create_task(gated.follow(video, {"0": true_box(0)}))
        await asyncio.to_thread(until, lambda: not gated.idle(video))
        second = asyncio.create_task(gated.follow(video, {"0": true_box(0)}))
        await asyncio.sleep(0.1)
        gate.open()
        return await asyncio.gather(first, second)

    first, second = asyncio.run(twice())
    assert first[-1] == {"kind": "error", "message": REPLACED} and second[-1]["kind"] == "done"
    assert len(rows_of(gated, video)) == 10


def fail_here():
    raise ZeroDivisionError("a fault of ours")


def fail_there():
    raise UserError("the device has no memory left: take a smaller one")


def test_faults_of_ours_are_told_and_keep_their_traceback(tmp_path, video_bytes, caplog):
    with caplog.at_level(logging.ERROR), serving(tmp_path, lambda: RedTracker(fail_here)) as server:
        last = server.track(server.upload(video_bytes)["id"], {"0": true_box(0)})[-1]
        assert last["kind"] == "error" and "error of its own" in last["message"] and "fault" not in last["message"]
        until(lambda: "ZeroDivisionError: a fault of ours" in caplog.text)


def test_what_a_visitor_can_mend_is_told_as_it_is(tmp_path, video_bytes):
    with serving(tmp_path, lambda: RedTracker(fail_there)) as server:
        last = server.track(server.upload(video_bytes)["id"], {"0": true_box(0)})[-1]
        assert last == {"kind": "error", "message": "frame 1: the device has no memory left: take a smaller one"}


def test_two_targets_each_with_a_correction_of_its_own(served, tmp_path):
    video = served.upload(make_video(tmp_path / "video.mp4", 8))["id"]
    events = served.track(video, {"0": true_box(0)}, {"2": [100, 5, 20, 30], "5": [90, 10, 20, 30]})
    assert events[-1]["kind"] == "done"
    first, second = frames_of(events), frames_of(events, 2)
    assert all(np.abs(np.subtract(event["box"], true_box(event["frame"]))).max() <= 2 for event in first)
    assert [event.get("box") for event in second] == [None, None, *[[100, 5, 20, 30]] * 3, *[[90, 10, 20, 30]] * 3]
    rows = rows_of(served, video)
    assert [row["target"] for row in rows] == ["1", "1", *["1", "2"] * 6]


def test_both_ways(served, video_bytes):
    video = served.upload(video_bytes)["id"]
    events = served.track(video, {"6": true_box(6)}, both_ways=True)
    frames = frames_of(events)
    assert [event["frame"] for event in events if event.get("backward")] == [5, 4, 3, 2, 1, 0]
    assert [event["frame"] for event in frames] == list(range(10)) and events[-1]["frames"] == 10
    assert all(np.abs(np.subtract(event["box"], true_box(event["frame"]))).max() <= 2 for event in frames)
    assert [int(row["frame"]) for row in rows_of(served, video)] == list(range(10))
    assert [event["frame"] for event in frames_of(served.track(video, {"6": true_box(6)}))] == [6, 7, 8, 9]
    with pytest.raises(UserError, match="draw a box around each"):
        read_order(json.dumps({"targets": [{"0": [1, 2, 3, 4]}] * 99}), Video("id", Path(), size_wh=(160, 120)))
