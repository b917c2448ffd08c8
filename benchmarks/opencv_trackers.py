"""One of OpenCV's own trackers over one video. ``benchmarks/compare_opencv.py`` runs this file.

    <environment>/bin/python benchmarks/opencv_trackers.py            # says which OpenCV this is, as JSON
    <environment>/bin/python benchmarks/opencv_trackers.py job.json   # tracks

It runs in an environment of its own that has nothing but opencv-contrib-python-headless and numpy, so it must not
import the project. The job:

    {"tracker": "csrt", "run": 0, "threads": 2, "frames": ["/…/0001.jpg", …], "box_xywh": [70, 51, 107, 87]}

On standard output, a line of JSON each:

    {"frames": 20}                                         20 more frames are done
    {"boxes_xywh": […], "seconds": […], "given": […]}      at the end, a value for each frame
    {"error": "cannot decode …"}                           or why there is no result

``given`` is 1, or 0 in a frame for which the tracker gave no box: KCF says so when it has lost its target, others
raise. The last box is kept there, and the tracker is asked again in the next frame. Where even ``init`` fails, the
first box is kept to the end and ``seconds`` is null.

The seconds are those of ``init`` and ``update`` alone; a thread decodes the next frames meanwhile, as the project's own
evaluation does. ``init`` gets the part of the box that lies in the picture, in whole pixels, for OpenCV takes no other.

MIL draws random numbers from a generator that has the same seed in every process and cannot be set. So a process tracks
one video, once: the same job gives the same boxes. For another ``run``, as many trackers as it says are initialised
before, and thrown away: the generator has gone on by then.
"""

from __future__ import annotations

import json
import sys
import time
from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Any

import cv2
import numpy as np

TRACKERS = {"csrt": "TrackerCSRT", "kcf": "TrackerKCF", "mil": "TrackerMIL"}
AHEAD = 2  # frames that wait, decoded, for their turn
SAY_EVERY = 20  # frames


class Unreadable(Exception):
    """A frame that OpenCV cannot read."""


def main(arguments: list[str]) -> None:
    if not arguments:
        there = [name for name, kind in TRACKERS.items() if hasattr(cv2, kind)]
        print(json.dumps({"opencv": cv2.__version__, "numpy": np.__version__, "trackers": there}))
        return
    job = json.loads(Path(arguments[0]).read_text(encoding="utf-8"))
    run_job(job, lambda **line: print(json.dumps(line), flush=True))


def run_job(job: dict[str, Any], say: Callable[..., object]) -> None:
    """Track a video; ``say`` hears the lines of the module's docstring."""
    cv2.setNumThreads(job["threads"])
    create = getattr(cv2, TRACKERS[job["tracker"]]).create
    try:
        for _ in range(job["run"]):
            begin(create(), read(job["frames"][0]), job["box_xywh"])
        say(**track(create(), job["frames"], job["box_xywh"], lambda count: say(frames=count)))
    except Unreadable as error:
        say(error=str(error))


def track(tracker: Any, paths: list[str], box_xywh: list[float], tick: Callable[[int], object]) -> dict[str, Any]:
    """What there is to say of the video at its end; ``tick`` hears of frames meanwhile."""
    box, began = [float(v) for v in box_xywh], True
    boxes, seconds, given = [], [], []
    for image in decoded(paths):
        answer, started = None, time.perf_counter()
        if not boxes:
            began = begin(tracker, image, box)
            answer = box  # the given one, whatever comes of it
        elif began:
            answer = update(tracker, image)
        seconds.append(time.perf_counter() - started)
        box = box if answer is None else answer
        boxes.append(box)
        given.append(int(answer is not None))
        if len(boxes) % SAY_EVERY == 0:
            tick(SAY_EVERY)
    tick(len(boxes) % SAY_EVERY)
    return {"boxes_xywh": boxes, "seconds": seconds if began else None, "given": given}


def begin(tracker: Any, image: np.ndarray, box_xywh: list[float]) -> bool:
    """Initialise; whether that worked."""
    height, width = image.shape[:2]
    x, y, w, h = box_xywh
    x0, y0, x1, y1 = max(0, round(x)), max(0, round(y)), min(width, round(x + w)), min(height, round(y + h))
    try:
        return tracker.init(image, (x0, y0, x1 - x0, y1 - y0)) is not False
    except cv2.error:
        return False


def update(tracker: Any, image: np.ndarray) -> list[float] | None:
    """The box that the tracker gives; None where it gives none, or one that is no box."""
    try:
        found, box = tracker.update(image)
    except cv2.error:
        return None
    box = [float(v) for v in box]
    return box if found and np.isfinite(box).all() and min(box[2:]) > 0 else None


def decoded(paths: list[str]) -> Iterator[np.ndarray]:
    """The pictures in order, (H, W, 3) uint8 BGR; a thread is at the next ones."""
    with ThreadPoolExecutor(1) as thread:
        waiting: deque[Future[np.ndarray]] = deque()
        for index in range(len(paths)):
            while len(waiting) <= AHEAD and index + len(waiting) < len(paths):
                waiting.append(thread.submit(read, paths[index + len(waiting)]))
            yield waiting.popleft().result()


def read(path: str) -> np.ndarray:
    image = cv2.imread(path, cv2.IMREAD_COLOR | cv2.IMREAD_IGNORE_ORIENTATION)
    if image is None:
        raise Unreadable(f"cannot decode image {path}: not an image, or cut short")
    return image


if __name__ == "__main__":
    main(sys.argv[1:])
