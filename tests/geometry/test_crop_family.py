"""The crop against the family's way of cutting, written out: pad the image, cut, resize. Same pixels to a gray level.

The family loses the image's last row and column where a crop reaches past them; the transcription keeps them.
"""

from __future__ import annotations

import math

import cv2
import numpy as np
import pytest

from mstgt.geometry.crop import Crop

IMAGES = {"720p": (720, 1280), "4K": (2160, 3840)}
BOXES = {  # as shares of the image's sides: x, y, w, h
    "inside": (0.4, 0.4, 0.05, 0.08), "top left": (-0.01, 0.0, 0.06, 0.1), "bottom right": (0.93, 0.9, 0.08, 0.12),
    "most of it": (0.1, 0.1, 0.8, 0.8), "tiny": (0.5, 0.5, 0.003, 0.004), "at the edge": (0.99, 0.3, 0.01, 0.4)}


@pytest.fixture(scope="module", params=IMAGES.values(), ids=IMAGES)
def image(request) -> np.ndarray:
    height, width = request.param
    coarse = np.random.default_rng(0).integers(0, 256, (height // 4, width // 4, 3), np.uint8)
    return cv2.resize(coarse, (width, height), interpolation=cv2.INTER_CUBIC)


def pad_then_resize(image: np.ndarray, box: np.ndarray, factor: float, size: int) -> np.ndarray:
    x, y, w, h = box
    side = math.ceil(math.sqrt(w * h) * factor)
    left, top = round(x + w / 2 - side / 2), round(y + h / 2 - side / 2)
    height, width = image.shape[:2]
    margin = max(0, -left, -top, left + side - width, top + side - height)
    padded = cv2.copyMakeBorder(image, margin, margin, margin, margin, cv2.BORDER_CONSTANT, value=(0, 0, 0))
    cut = padded[top + margin : top + margin + side, left + margin : left + margin + side]
    return cv2.resize(cut, (size, size))


@pytest.mark.parametrize("box", BOXES.values(), ids=BOXES)
@pytest.mark.parametrize(("factor", "size"), [(4.0, 256), (2.0, 128)])
def test_the_pixels_are_those_of_padding_and_resizing(image, box, factor, size):
    height, width = image.shape[:2]
    box_xywh = np.array(box) * [width, height, width, height]
    found = Crop.around(box_xywh, factor, size).cut(image)
    expected = pad_then_resize(image, box_xywh, factor, size)
    assert np.abs(found.astype(int) - expected).max() <= 1
    assert expected.std() > 5  # there is something to compare


def test_no_copy_of_the_image_is_made(image, monkeypatch):
    """Where the crop lies inside, the region goes to the resize as a view; else only the region is padded."""
    seen, resize = [], cv2.resize

    def watched(region, *rest, **options):
        seen.append(region)
        return resize(region, *rest, **options)

    monkeypatch.setattr(cv2, "resize", watched)
    height, width = image.shape[:2]
    Crop.around(np.array([width / 2, height / 2, 60, 60]), 4.0, 256).cut(image)
    edge = Crop.around(np.array([0.0, 0, 60, 60]), 4.0, 256)
    edge.cut(image)
    assert np.shares_memory(seen[0], image) and seen[0].shape == (240, 240, 3)
    assert seen[1].shape == (edge.side, edge.side, 3)
