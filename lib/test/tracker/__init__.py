"""The tracker: one video, one box, frame after frame.

    tracker = load_tracker("MSTGT-nano-128")
    tracker.init(image_rgb, box_xywh)
    box_xywh, score = tracker.update(image_rgb)
"""

from .load import find_checkpoint, load_engine, load_tracker
from .tracker import Target, Tracker, TrackerEngine

__all__ = ["Target", "Tracker", "TrackerEngine", "find_checkpoint", "load_engine", "load_tracker"]
