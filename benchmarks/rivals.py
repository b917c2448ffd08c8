"""OpenCV's own trackers as rows of ``benchmarks/tracking_speed.py``: one call is one update on an image in memory.

NanoTrack v2 runs in the benchmark's own process. No wheel of opencv-python has CSRT and KCF; they run in a process of
another environment, with opencv-contrib-python-headless and numpy:

    <environment>/bin/python benchmarks/rivals.py csrt images.npy 600 300 80 100 2

reads lines from standard input and answers each with an empty line when one update is done. The pipe costs about
0.05 ms, which is part of the time of these rows.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import cv2
import numpy as np

CONTRIB = {"csrt": "TrackerCSRT", "kcf": "TrackerKCF"}
NANO_FILES = ("nanotrack_backbone_sim.onnx", "nanotrack_head_sim.onnx")


def nano_update(folder: Path, images_rgb: Sequence[np.ndarray], box_xywh: Sequence[float]) -> Callable[[], object]:
    """One update of NanoTrack v2 a call. Raises ``FileNotFoundError`` where ``folder`` lacks its two files."""
    for name in NANO_FILES:
        if not (folder / name).is_file():
            raise FileNotFoundError(folder / name)
    parameters = cv2.TrackerNano_Params()
    parameters.backbone, parameters.neckhead = (str(folder / name) for name in NANO_FILES)
    return _cycle(cv2.TrackerNano_create(parameters), images_rgb, box_xywh)


def _cycle(tracker: Any, images_rgb: Sequence[np.ndarray], box_xywh: Sequence[float]) -> Callable[[], object]:
    """One update a call, on the images to and fro, so that the target never jumps."""
    images = [np.ascontiguousarray(image[..., ::-1]) for image in images_rgb]
    order = [*images[1:], *images[-2::-1]]
    tracker.init(images[0], tuple(int(v) for v in box_xywh))
    calls = 0

    def update() -> object:
        nonlocal calls
        calls += 1
        return tracker.update(order[(calls - 1) % len(order)])

    return update


class ContribTracker:
    """A tracker of opencv-contrib in a process of its own. A call is one update."""

    def __init__(self, python: Path, name: str, images_rgb: Sequence[np.ndarray], box_xywh: Sequence[float],
                 threads: int):
        self._folder = tempfile.TemporaryDirectory()
        images = Path(self._folder.name) / "images.npy"
        np.save(images, np.stack(images_rgb))
        box = [str(int(v)) for v in box_xywh]
        self._process = subprocess.Popen([str(python), str(Path(__file__)), name, str(images), *box, str(threads)],
                                         stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        self()  # the process is ready, and has read the images

    def __call__(self) -> None:
        assert self._process.stdin is not None and self._process.stdout is not None
        self._process.stdin.write(b"\n")
        self._process.stdin.flush()
        if not self._process.stdout.readline():
            raise RuntimeError("the process of OpenCV's tracker has ended; its message is above")

    def close(self) -> None:
        assert self._process.stdin is not None
        self._process.stdin.close()
        self._process.wait(10)
        self._folder.cleanup()


def main() -> None:
    """Answer every line of standard input with an empty line after one update."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("tracker", choices=CONTRIB, help="the tracker of OpenCV")
    parser.add_argument("images", type=Path, help="(N, H, W, 3) uint8 RGB, as numpy.save writes them")
    parser.add_argument("box", type=int, nargs=4, help="x, y, w, h in the first image, in pixels")
    parser.add_argument("threads", type=int, help="threads of OpenCV")
    args = parser.parse_args()
    if not hasattr(cv2, CONTRIB[args.tracker]):
        parser.error(f"OpenCV {cv2.__version__} has no tracker {args.tracker}: it is in opencv-contrib-python-headless")
    if not args.images.is_file():
        parser.error(f"no file {args.images}")
    cv2.setNumThreads(args.threads)
    images = np.load(args.images, allow_pickle=False)
    update = _cycle(getattr(cv2, CONTRIB[args.tracker]).create(), images, args.box)
    for _ in sys.stdin:
        update()
        print(flush=True)


if __name__ == "__main__":
    main()
