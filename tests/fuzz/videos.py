"""Videos, and the rows of their tracks."""

from __future__ import annotations

import functools
import io
import itertools
import logging
import tempfile
from pathlib import Path

import av
import numpy as np

from mstgt.apps.video_demo.results import read_rows, rows_to_keep, write_results
from mstgt.apps.video_demo.track import Row
from mstgt.apps.video_demo.video_file import VideoFile
from mstgt.visualize.draw import draw_boxes, tracked_box
from tests.fuzz.target import Target, sample_image

logging.getLogger("libav").setLevel(logging.CRITICAL)


def encoded_video(kind: str, codec: str, colors: str, frames: int = 3) -> bytes:
    """Some frames of the fuzzers' image."""
    file = io.BytesIO()
    with av.open(file, "w", format=kind) as container:
        stream = container.add_stream(codec, rate=10)
        stream.height, stream.width = sample_image().shape[:2]
        stream.pix_fmt = colors
        for _ in range(frames):
            container.mux(stream.encode(av.VideoFrame.from_ndarray(sample_image(), "rgb24").reformat(format=colors)))
        container.mux(stream.encode(None))
    return file.getvalue()


@functools.cache
def _videos() -> tuple[bytes, ...]:
    return (encoded_video("mp4", "mpeg4", "yuv420p"), encoded_video("avi", "mjpeg", "yuvj420p"),
            encoded_video("gif", "gif", "rgb8"))


def _video(data: bytes, at: Path) -> None:
    (at / "v.video").write_bytes(data)
    video = VideoFile(at / "v.video")
    for number, (index, image, _) in enumerate(itertools.islice(video.read(), 9)):
        assert index == number and (image is None or image.dtype == np.uint8 and image.shape[2] == 3)


@functools.cache
def _tracks() -> tuple[bytes, ...]:
    box = np.array([3.0, 4, 10, 9])
    rows = [Row(frame, frame / 10, 1, box, 0.5, box * 2 if frame else None, frame == 2) for frame in range(4)]
    with tempfile.TemporaryDirectory() as folder:
        write_results(Path(folder, "t.csv"), "csv", rows, {})
        return (Path(folder, "t.csv").read_bytes(),)


def _track(data: bytes, at: Path) -> None:
    (at / "t.csv").write_bytes(data)
    for row in read_rows(at / "t.csv"):
        search = [] if row.search_xywh is None else [row.search_xywh]
        draw_boxes(sample_image(), [tracked_box(row.box_xywh, row.score, row.lost)], search)
    rows_to_keep(at / "t.csv", {1: 2})


TARGETS: dict[str, Target] = {
    "video": Target(_videos, _video, "v.video"),
    "track": Target(_tracks, _track, "t.csv"),
}
