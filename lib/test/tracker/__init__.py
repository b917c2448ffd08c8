"""The tracker: one video, one box, frame after frame.

    tracker = load_tracker("MSTGT-nano")
    tracker.init(image_rgb, box_xywh)
    box_xywh, score = tracker.update(image_rgb)
"""

from .engine import Target, TrackerEngine, TrackerInputError
from .load import find_checkpoint, given_checkpoint, load_engine, load_tracker
from .multi_tracker import MultiTracker
from .tracker import Tracker

__all__ = ["MultiTracker", "Target", "Tracker", "TrackerEngine", "TrackerInputError", "find_checkpoint",
           "given_checkpoint", "load_engine", "load_tracker"]
