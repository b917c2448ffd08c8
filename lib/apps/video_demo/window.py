"""A window, where there is a display: a box drawn with the mouse, and a track while it is computed.

    if has_display():
        box_xywh = draw_box(image_rgb)
        frames = watched(track(source, tracker, boxes))      # ends when q is pressed
"""

from __future__ import annotations

import os
import socket
import sys
from collections.abc import Iterable, Iterator

import cv2
import numpy as np

from ...utils.errors import UserError
from ...visualize.draw import video_zoom
from .record import drawn
from .track import TrackedFrame

TITLE = "MSTGT"
MAX_WH = 1280, 800  # px of a window; larger images are shown smaller
_STOP_KEYS = (ord("q"), 27)  # 27: Esc


def has_display() -> bool:
    """Whether windows can be opened, as far as can be known without opening one."""
    if not sys.platform.startswith("linux"):
        return True
    return bool(os.environ.get("WAYLAND_DISPLAY")) or _answers(os.environ.get("DISPLAY", ""))


def _answers(display: str) -> bool:
    """Whether there is an X server at ``display``, as [host]:number[.screen]. Without one,
    OpenCV's windows do not raise an error but end the process."""
    host, _, number = display.rpartition(":")
    number = number.split(".")[0]
    if not number.isdecimal():
        return False
    if host in ("", "unix"):
        return os.path.exists(f"/tmp/.X11-unix/X{number}")
    try:
        socket.create_connection((host, 6000 + int(number)), timeout=2).close()
    except (OSError, OverflowError):
        return False
    return True


def draw_box(image_rgb: np.ndarray) -> tuple[float, float, float, float]:
    """Ask for a box on the image. Raises :class:`UserError` when none is drawn, or no window can be opened."""
    _open(image_rgb)
    try:
        x, y, w, h = cv2.selectROI(TITLE, cv2.cvtColor(image_rgb, cv2.COLOR_RGB2BGR), showCrosshair=False)
    finally:
        cv2.destroyAllWindows()
    if w < 1 or h < 1:
        raise UserError("no box was drawn: drag one with the mouse and press Enter, or give --init_box x y w h")
    return float(x), float(y), float(w), float(h)


def watched(frames: Iterable[TrackedFrame]) -> Iterator[TrackedFrame]:
    """``frames`` as they are, also shown in a window. They end early when q or Esc is pressed or the window is
    closed."""
    zoom = 0.0
    try:
        for item in frames:
            yield item
            if not zoom:
                _open(item.image_rgb)
                zoom = video_zoom((item.image_rgb.shape[1], item.image_rgb.shape[0]))
            cv2.imshow(TITLE, cv2.cvtColor(drawn(item, zoom), cv2.COLOR_RGB2BGR))
            if cv2.waitKey(1) & 0xFF in _STOP_KEYS or cv2.getWindowProperty(TITLE, cv2.WND_PROP_VISIBLE) < 1:
                return
    finally:
        if zoom:
            cv2.destroyAllWindows()


def _open(image: np.ndarray) -> None:
    height, width = image.shape[:2]
    zoom = min(video_zoom((width, height)), MAX_WH[0] / width, MAX_WH[1] / height)
    try:
        cv2.namedWindow(TITLE, cv2.WINDOW_NORMAL | cv2.WINDOW_KEEPRATIO | cv2.WINDOW_GUI_NORMAL)
        cv2.resizeWindow(TITLE, max(1, round(width * zoom)), max(1, round(height * zoom)))
    except cv2.error as error:
        raise UserError("cannot open a window: this OpenCV was built without them; leave --show out and give "
                        "--init_box x y w h, or install opencv-python in place of opencv-python-headless") from error
