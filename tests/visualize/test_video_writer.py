"""Videos: what browsers need is in them, and nothing is left of one that failed."""

from __future__ import annotations

import contextlib
import os
import resource
import subprocess
import sys

import av
import numpy as np
import pytest

from mstgt.apps.video_demo.video_file import to_rgb
from mstgt.utils.errors import UserError
from mstgt.visualize.video_writer import MAX_SIDE, VideoWriter, fit

NOISE = np.random.default_rng(0).integers(0, 256, (300, 300, 3), np.uint8)


@pytest.mark.parametrize("size_wh", [(160, 120), (161, 121), (1, 1), (33, 300), (18, 17)])
def test_videos_play_in_browsers(size_wh, tmp_path):
    width, height = size_wh
    with VideoWriter(tmp_path / "x.mp4", 30000 / 1001, size_wh) as video:
        for _ in range(3):
            video.add(NOISE[:height, :width])
    with av.open(str(tmp_path / "x.mp4")) as container:
        stream = container.streams.video[0]
        frames = list(container.decode(stream))
        assert stream.codec_context.name == "h264" and stream.average_rate * 1001 == 30000
    assert len(frames) == 3
    assert {(f.format.name, f.width, f.height) for f in frames} == {
        ("yuv420p", width + width % 2, height + height % 2)}
    data = (tmp_path / "x.mp4").read_bytes()
    assert data.index(b"moov") < data.index(b"mdat"), "the index comes first, so that playing can begin"
    assert os.listdir(tmp_path) == ["x.mp4"]


@pytest.mark.parametrize("color", [(255, 0, 0), (0, 255, 0), (0, 0, 255), (128, 128, 128)])
def test_colors_survive_encoding(color, tmp_path):
    with VideoWriter(tmp_path / "x.mp4", 25, (64, 64)) as video:
        video.add(np.full((64, 64, 3), color, np.uint8))
    with av.open(str(tmp_path / "x.mp4")) as container:
        frame = next(container.decode(video=0))
    assert frame.colorspace == 1  # BT.709, said in the file
    image = to_rgb(frame)
    assert image is not None and np.abs(image[32, 32].astype(int) - color).max() <= 4


def test_images_of_other_sizes_are_fitted_in(tmp_path):
    with VideoWriter(tmp_path / "x.mp4", 25, (64, 64)) as video:
        for shape in ((64, 64), (200, 100), (10, 300), (1, 1)):
            video.add(np.full((*shape, 3), 200, np.uint8))
    tall = fit(np.full((200, 100, 3), 200, np.uint8), (64, 64))
    assert tall.shape == (64, 64, 3)
    assert (tall[:, 16:48] == 200).all() and not tall[:, :16].any() and not tall[:, 48:].any()
    edge = fit(NOISE[:7, :5], (6, 8))
    assert np.array_equal(edge[:7, :5], NOISE[:7, :5]) and np.array_equal(edge[7, :5], NOISE[6, :5])


@pytest.mark.parametrize("error", [KeyboardInterrupt, SystemExit, RuntimeError, UserError])
def test_an_exception_leaves_nothing(error, tmp_path):
    with pytest.raises(error), VideoWriter(tmp_path / "x.mp4", 25, (64, 64)) as video:
        video.add(NOISE[:64, :64])
        raise error("stop")
    assert os.listdir(tmp_path) == []


def test_what_cannot_be_written_is_one_line(tmp_path):
    (tmp_path / "file").write_text("in the way")
    for path, size, message in ((tmp_path / "x.mp4", (64, 64), "no images"),
                                (tmp_path / "x.mp4", (MAX_SIDE + 1, 64), "at most"),
                                (tmp_path / "file" / "x.mp4", (64, 64), "cannot write")):
        with pytest.raises(UserError, match=message) as caught, VideoWriter(path, 25, size):
            pass
        assert "\n" not in str(caught.value) and "x.mp4" in str(caught.value)
    assert os.listdir(tmp_path) == ["file"]


def test_a_full_disk(tmp_path):
    (tmp_path / "x.mp4").write_text("the video before")
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, limits[1]))
    try:
        with pytest.raises(UserError, match=r"cannot write \S*x.mp4: File too large"), \
                VideoWriter(tmp_path / "x.mp4", 25, (300, 300)) as video, contextlib.suppress(UserError):
            for _ in range(4):  # the error is raised again in the end
                video.add(NOISE)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert os.listdir(tmp_path) == ["x.mp4"] and (tmp_path / "x.mp4").read_text() == "the video before"


def test_a_killed_writer_leaves_the_video_before(tmp_path):
    path = tmp_path / "x.mp4"
    path.write_text("the video before")
    program = ("import sys, numpy as np; from mstgt.visualize.video_writer import VideoWriter\n"
               f"with VideoWriter({str(path)!r}, 25, (64, 64)) as video:\n"
               "    for _ in range(80): video.add(np.zeros((64, 64, 3), np.uint8))\n"
               "    print('half', flush=True); sys.stdin.read()")
    with subprocess.Popen([sys.executable, "-c", program], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as writer:
        assert writer.stdout.readline() == b"half\n"
        writer.kill()
    assert path.read_text() == "the video before"
    assert [name for name in os.listdir(tmp_path) if not name.startswith(".")] == ["x.mp4"]


def test_each_frame_has_its_own_time(tmp_path):
    times = [0, 0.04, 0.08, 2.2, 2.2, 2.24]
    with VideoWriter(tmp_path / "x.mp4", 25, (64, 64)) as video:
        for time_s in times:
            video.add(NOISE[:64, :64], time_s)
    with av.open(str(tmp_path / "x.mp4")) as container:
        found = [frame.time for frame in container.decode(video=0)]
        assert abs(container.duration / 1e6 - 2.28) < 0.01, "the last one lasts 1/fps"
    assert found == pytest.approx(times, abs=1e-3) and len(set(found)) == 6
