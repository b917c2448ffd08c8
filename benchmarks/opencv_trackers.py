"""Run one of OpenCV's own trackers on one video. ``benchmarks/compare_opencv.py`` starts this file.

    <environment>/bin/python benchmarks/opencv_trackers.py            # prints which OpenCV this is, as JSON
    <environment>/bin/python benchmarks/opencv_trackers.py job.json   # tracks

It runs in a virtual environment of its own that has only opencv-contrib-python-headless and numpy, so it must not
import the project. The job:

    {"tracker": "csrt", "run": 0, "threads": 2, "frames": ["/…/0001.jpg", …], "box_xywh": [70, 51, 107, 87],
     "networks": {}}

``networks`` are the ONNX files of a tracker that needs some, by the name of the parameter of OpenCV that takes them:
{"backbone": "/…", "neckhead": "/…"} for nano, {"net": "/…"} for vit, {"model": …, "kernel_cls1": …, "kernel_r1": …} for
dasiamrpn.

Standard output has one JSON object per line:

    {"frames": 20}                                         20 more frames are done
    {"boxes_xywh": […], "seconds": […], "given": […]}      at the end, one value per frame
    {"error": "cannot decode …"}                           the video has no result, and why
    {"unusable": "cannot load …"}                          the tracker cannot be made at all, and why

``given`` is 1, or 0 in a frame for which the tracker returned no box: KCF and VitTrack report when they have lost the
target, others raise an error. The last box is kept there, and the tracker is asked again in the next frame. Where even
``init`` fails, the first box is kept to the end and ``seconds`` is null.

``seconds`` are those of ``init`` and ``update`` alone; a thread decodes the next frames meanwhile, as the project's own
evaluation does. ``init`` gets the part of the box that lies inside the image, in whole pixels: OpenCV takes no other.

MIL draws random numbers from a generator that has the same seed in every process and cannot be set. So a process tracks
one video, once: the same job gives the same boxes. For another ``run``, that many trackers are initialized and
discarded first, which advances the generator.
"""

from __future__ import annotations

import argparse
import json
import time
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Any

import cv2
import numpy as np

TRACKERS = {"csrt": "TrackerCSRT", "kcf": "TrackerKCF", "mil": "TrackerMIL"}
NETWORK_TRACKERS = {"nano": "TrackerNano", "vit": "TrackerVit", "dasiamrpn": "TrackerDaSiamRPN"}
AHEAD = 2  # decoded frames that wait for the tracker
REPORT_EVERY = 20  # frames


class UnreadableFrame(Exception):
    """A frame that OpenCV cannot read."""


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("job", nargs="?", type=Path, metavar="job.json",
                        help="what to track; without it: print which OpenCV this is")
    path = parser.parse_args(arguments).job
    if path is None:
        print(json.dumps({"opencv": cv2.__version__, "numpy": np.__version__, "trackers": available(TRACKERS),
                          "network_trackers": available(NETWORK_TRACKERS)}))
        return
    try:
        job = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        parser.error(f"cannot read the job {path}: {error}")
    run_job(job, lambda **line: print(json.dumps(line), flush=True))


def available(trackers: Mapping[str, str]) -> list[str]:
    """Those of ``trackers`` (name -> class) that this OpenCV has."""
    return [name for name, class_name in trackers.items() if hasattr(cv2, class_name)]


def run_job(job: dict[str, Any], report: Callable[..., object]) -> None:
    """Track a video; ``report`` is called with the lines of the module's docstring as keywords."""
    cv2.setNumThreads(job["threads"])
    networks = job.get("networks", {})
    try:
        tracker = make_tracker(job["tracker"], networks)
    except cv2.error as error:
        reason = " ".join(str(error).split())
        report(unusable=f"OpenCV {cv2.__version__} cannot load {', '.join(networks.values())}: {reason}")
        return
    try:
        for _ in range(job["run"]):
            init(make_tracker(job["tracker"], networks), read(job["frames"][0]), job["box_xywh"])
        report(**track(tracker, job["frames"], job["box_xywh"], lambda count: report(frames=count)))
    except UnreadableFrame as error:
        report(error=str(error))


def make_tracker(name: str, networks: Mapping[str, str]) -> Any:
    """A tracker of OpenCV; ``networks`` are its files by parameter. Raises ``cv2.error`` for a file it cannot load."""
    class_name = {**TRACKERS, **NETWORK_TRACKERS}[name]
    create = getattr(cv2, class_name).create
    if not networks:
        return create()
    parameters = getattr(cv2, f"{class_name}_Params")()
    for parameter, path in networks.items():
        setattr(parameters, parameter, path)
    return create(parameters)


def track(tracker: Any, paths: list[str], box_xywh: list[float], on_frames: Callable[[int], object]) -> dict[str, Any]:
    """Track one video. Returns the line for its end; ``on_frames`` is called with numbers of finished frames."""
    box = [float(v) for v in box_xywh]
    initialized = True
    boxes: list[list[float]] = []
    seconds: list[float] = []
    given: list[int] = []
    for image in decoded(paths):
        answer: list[float] | None = None
        started = time.perf_counter()
        if not boxes:
            initialized = init(tracker, image, box)
            answer = box  # the given box, even if the tracker refused it
        elif initialized:
            answer = update(tracker, image)
        seconds.append(time.perf_counter() - started)
        if answer is not None:
            box = answer
        boxes.append(box)
        given.append(int(answer is not None))
        if len(boxes) % REPORT_EVERY == 0:
            on_frames(REPORT_EVERY)
    on_frames(len(boxes) % REPORT_EVERY)
    return {"boxes_xywh": boxes, "seconds": seconds if initialized else None, "given": given}


def init(tracker: Any, image: np.ndarray, box_xywh: list[float]) -> bool:
    """Initialize ``tracker`` with a box. Returns whether that worked."""
    height, width = image.shape[:2]
    x, y, w, h = box_xywh
    left, top = max(0, round(x)), max(0, round(y))
    right, bottom = min(width, round(x + w)), min(height, round(y + h))
    try:
        return tracker.init(image, (left, top, right - left, bottom - top)) is not False
    except cv2.error:
        return False


def update(tracker: Any, image: np.ndarray) -> list[float] | None:
    """The box that the tracker returns; None where it returns none, or one without a size."""
    try:
        found, box = tracker.update(image)
    except cv2.error:
        return None
    box = [float(v) for v in box]
    return box if found and np.isfinite(box).all() and min(box[2:]) > 0 else None


def decoded(paths: list[str]) -> Iterator[np.ndarray]:
    """The images in order, (H, W, 3) uint8 BGR; a thread reads the next ones meanwhile."""
    with ThreadPoolExecutor(1) as thread:
        waiting: deque[Future[np.ndarray]] = deque()
        for index in range(len(paths)):
            while len(waiting) <= AHEAD and index + len(waiting) < len(paths):
                waiting.append(thread.submit(read, paths[index + len(waiting)]))
            yield waiting.popleft().result()


def read(path: str) -> np.ndarray:
    image = cv2.imread(path, cv2.IMREAD_COLOR | cv2.IMREAD_IGNORE_ORIENTATION)
    if image is None:
        raise UnreadableFrame(f"cannot decode image {path}: not an image, or truncated")
    return image


if __name__ == "__main__":
    main()
