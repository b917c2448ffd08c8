"""What the tests of the command share: how its files are read, a stream of noise, and a screen with a user."""

from __future__ import annotations

import av
import cv2
import numpy as np

from mstgt.apps.video_demo import live

FILES = ["boxes.csv", "film.mp4", "sheet.png"]


def lines(out):
    return (out / "boxes.csv").read_text().splitlines()


def frames_of_video(out):
    with av.open(str(out / "film.mp4")) as container:
        return sum(1 for _ in container.decode(video=0))


class Noise(live.Feed):
    """A stream of ``count`` images, a quarter of which compresses badly."""

    count = 10**9
    recording = True  # no frame is dropped

    def __init__(self, _url):
        self.random = np.random.default_rng(0)

    def grabs(self, stopped):
        for number in range(self.count):
            image = np.zeros((120, 160, 3), np.uint8)
            image[:60, :80] = self.random.integers(0, 256, (60, 80, 3), np.uint8)
            self.time_s = number / 25
            yield lambda image=image: image


class Screen:
    """OpenCV with windows on which somebody draws, and presses q at the fifth image."""

    def __init__(self, shown, drawn):
        self.shown, self.drawn = shown, drawn

    def __getattr__(self, name):
        return getattr(cv2, name)

    def namedWindow(self, *_):  # noqa: N802
        pass

    resizeWindow = destroyAllWindows = namedWindow  # noqa: N815

    def selectROI(self, *_, **__):  # noqa: N802
        return self.drawn.pop(0)

    def imshow(self, _title, image):
        self.shown.append(image)

    def waitKey(self, _ms):  # noqa: N802
        return ord("q") if len(self.shown) == 5 else -1

    def getWindowProperty(self, *_):  # noqa: N802
        return 1.0
