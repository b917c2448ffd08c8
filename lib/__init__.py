"""MSTGT: single-object visual tracking with multi-scale spatio-temporal guidance.

    from mstgt import load_tracker

    tracker = load_tracker("MSTGT-nano")
    tracker.init(image_rgb, (x, y, w, h))
    box_xywh, score = tracker.update(image_rgb)

    apps       programs for people: video_demo, web_demo
    config     settings of an experiment, and the folders of data and results on this machine
    data       videos, and the readers of every dataset
    export     ONNX files and the runtimes that execute them
    geometry   boxes, and the crop that training and tracking share
    models     the network, and the files of its weights
    profiling  parameters, FLOPs, time per frame
    synthetic  rendered training videos
    test       the tracker, the benchmarks, the scores
    train      samples, losses, the training loop
    untrusted  checks of files that may come from anybody
    utils      errors, files, progress
    visualize  everything that draws
"""

import os
from typing import TYPE_CHECKING, Any

from .utils.threads import limit_spinning

# OpenCV refuses larger images before it decodes them. It reads the limits when it is loaded, so they are set first.
os.environ.setdefault("OPENCV_IO_MAX_IMAGE_PIXELS", str(1 << 26))
os.environ.setdefault("OPENCV_IO_MAX_IMAGE_WIDTH", "32766")
os.environ.setdefault("OPENCV_IO_MAX_IMAGE_HEIGHT", "32766")

if TYPE_CHECKING:
    from .test.tracker import MultiTracker, Tracker, load_tracker

# Read by the OpenMP library when PyTorch loads it, so it must be set before.
limit_spinning()

__all__ = ["MultiTracker", "Tracker", "load_tracker"]


def __getattr__(name: str) -> Any:
    # Imported on first use: the command line must answer --help and check its arguments without loading PyTorch.
    if name in __all__:
        from .test import tracker

        return getattr(tracker, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
