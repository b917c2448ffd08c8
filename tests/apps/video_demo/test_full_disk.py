"""The command on a stream that fills the disk: what was recorded until then is kept."""

from __future__ import annotations

import json
import os
import resource
import subprocess

import av
import pytest

from mstgt.apps.video_demo import live
from mstgt.apps.video_demo.results import read_rows
from mstgt.visualize import video_writer
from mstgt.visualize.video_writer import HYBRID_FRAGMENTED
from tests.apps.video_demo.helpers import Noise, frames_of_video

needs_fragments = pytest.mark.skipif(av.library_versions["libavformat"] < HYBRID_FRAGMENTED, reason="FFmpeg is too old")


@pytest.fixture
def small_disk(tmp_path):
    """A file system of one MiB."""
    place = tmp_path / "disk"
    place.mkdir()
    if subprocess.run(["mount", "-t", "tmpfs", "-o", "size=1m", "none", place], capture_output=True).returncode:
        pytest.skip("file systems cannot be mounted here")
    yield place
    subprocess.run(["umount", "-l", place], check=True)


@needs_fragments
@pytest.mark.parametrize("formats", [(), ("--format", "mot", "--format", "json")])
def test_a_stream_that_fills_the_disk_is_kept_until_then(demo, monkeypatch, small_disk, formats):
    monkeypatch.setattr(live, "StreamFeed", Noise)
    out = small_disk / "o"
    out.mkdir()
    (out / "sheet.png").write_bytes(b"an earlier track's")
    status, said, complained = demo("http://camera/live", "--init_box", 1, 2, 30, 40, "--out", out, *formats)
    assert status == 1 and complained.count("\n") == 1, complained
    assert str(out) in complained and "No space left on device; what was recorded until then is kept" in complained
    names = ["boxes.csv", "film.mp4", *(["boxes.json", "boxes.txt"] if formats else [])]
    assert sorted(os.listdir(out)) == sorted(names) and all(str(out / name) in said for name in names)
    rows = read_rows(out / "boxes.csv")
    assert [row.frame for row in rows] == list(range(len(rows))) and f"frames 0 to {len(rows) - 1}" in said
    assert 0 < len(rows) - frames_of_video(out) < 100 and frames_of_video(out) >= 25, "up to the last whole second"
    if formats:
        assert len(json.loads((out / "boxes.json").read_text())["targets"][0]["frames"]) == len(rows)
        assert len((out / "boxes.txt").read_text().splitlines()) == len(rows)


@needs_fragments
@pytest.mark.parametrize(("largest", "files"), [(1_000_000, ["boxes.csv", "film.mp4"]), (100_000, ["boxes.csv"])])
def test_a_streams_video_that_grows_too_large(demo, monkeypatch, tmp_path, largest, files):
    monkeypatch.setattr(live, "StreamFeed", Noise)
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (largest, limits[1]))
    try:
        status, _, complained = demo("http://camera/live", "--init_box", 1, 2, 30, 40, "--out", tmp_path / "o")
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert status == 1 and "film.mp4: File too large; what was recorded until then is kept" in complained
    assert sorted(os.listdir(tmp_path / "o")) == files and len(read_rows(tmp_path / "o" / "boxes.csv")) > 2
    assert "film.mp4" not in files or frames_of_video(tmp_path / "o") >= 25


def test_an_older_ffmpeg_keeps_the_boxes_of_a_stream_that_fills_the_disk(demo, monkeypatch, small_disk):
    monkeypatch.setattr(video_writer, "HYBRID_FRAGMENTED", (10**6,))
    monkeypatch.setattr(live, "StreamFeed", Noise)
    status, _, complained = demo("http://camera/live", "--init_box", 1, 2, 30, 40, "--out", small_disk / "o")
    assert status == 1 and "No space left on device" in complained
    assert os.listdir(small_disk / "o") == ["boxes.csv"] and len(read_rows(small_disk / "o" / "boxes.csv")) > 20


def test_a_disk_without_room_for_a_streams_sheet(demo, monkeypatch, small_disk):
    monkeypatch.setattr(live, "StreamFeed", Noise)
    monkeypatch.setattr(Noise, "count", 20)
    status, said, complained = demo("http://camera/live", "--init_box", 1, 2, 30, 40, "--out", small_disk / "o")
    assert status == 1 and "sheet.png: No space left on device" in complained and "frames 0 to 19" in said
    assert sorted(os.listdir(small_disk / "o")) == ["boxes.csv", "film.mp4"]
    assert frames_of_video(small_disk / "o") == len(read_rows(small_disk / "o" / "boxes.csv")) == 20
