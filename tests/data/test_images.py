"""Decoding: the same rows whatever part is asked for, and what is done with images that are no plain JPEG."""

from __future__ import annotations

from types import SimpleNamespace

import cv2
import numpy as np
import pytest
import simplejpeg
from hypothesis import example, given, settings
from hypothesis import strategies as st

from mstgt.data import images
from mstgt.data.images import decode_image
from mstgt.data.store import FolderStore
from mstgt.data.video import StoredFrames
from mstgt.utils.errors import UserError

SAMPLINGS = ("444", "422", "420", "440", "411")


def random_image(height: int, width: int, seed: int = 0) -> np.ndarray:
    """Waves and noise: detail in color and in brightness, at all scales."""
    rng = np.random.default_rng(seed)
    y, x = np.mgrid[:height, :width][..., None]
    waves = 90 * np.sin(x / (3 + 40 * rng.random(3)) + y / (3 + 40 * rng.random(3)))
    return np.clip(128 + waves + rng.normal(0, 25, (height, width, 3)), 0, 255).astype(np.uint8)


def jpeg(image: np.ndarray, sampling: str = "420", quality: int = 90, *options: int) -> bytes:
    factor = getattr(cv2, f"IMWRITE_JPEG_SAMPLING_FACTOR_{sampling}")
    settings = [cv2.IMWRITE_JPEG_SAMPLING_FACTOR, factor, cv2.IMWRITE_JPEG_QUALITY, quality, *options]
    return cv2.imencode(".jpg", image, settings)[1].tobytes()


@pytest.fixture
def parts(monkeypatch):
    """The heights of what simplejpeg has decoded so far."""
    seen = []

    def decode(data, *args, **options):
        image = simplejpeg.decode_jpeg(data, *args, **options)
        seen.append(image.shape[0])
        return image

    monkeypatch.setattr(images, "simplejpeg", SimpleNamespace(
        decode_jpeg=decode, decode_jpeg_header=simplejpeg.decode_jpeg_header))
    return seen


@settings(deadline=None, max_examples=150)
@given(st.integers(1, 150), st.integers(1, 150), st.sampled_from(SAMPLINGS), st.sampled_from([1, 2, 4, 8]),
       st.integers(1, 180), st.integers(30, 98), st.integers(0, 3))
@example(1, 3, "444", 2, 1, 90, 0)  # several reductions have this size
@example(96, 64, "420", 1, 32, 90, 0)  # the last row wanted is the last of its block
def test_the_first_rows_are_those_of_the_whole(height, width, sampling, reduce, rows, quality, restart):
    data = jpeg(random_image(height, width, height), sampling, quality, cv2.IMWRITE_JPEG_RST_INTERVAL, restart)
    whole, top = decode_image(data, "whole", reduce), decode_image(data, "top", reduce, rows)
    assert top.shape == (min(len(whole), -(-rows // reduce)), *whole.shape[1:])
    assert np.array_equal(top, decode_image(data, "all rows", reduce, height)[:len(top)])
    light = [cv2.cvtColor(i, cv2.COLOR_RGB2YCrCb)[..., 0].astype(int) for i in (top, whole[:len(top)])]
    assert np.mean(np.abs(light[0] - light[1])) < 8 and (sampling != "444" or np.array_equal(*light))


@pytest.mark.parametrize("sampling", SAMPLINGS)
@pytest.mark.parametrize("sides", [(720, 1280), (101, 163), (1, 17)])
def test_whole_images_have_the_pixels_that_opencv_decodes(sampling, sides, parts):
    data = jpeg(random_image(*sides), sampling)
    expected = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR)[..., ::-1]
    np.testing.assert_array_equal(decode_image(data, "here"), expected)
    assert bool(parts) == (sampling in images._COMMON_SUBSAMPLINGS)


@pytest.mark.parametrize("reduce", [1, 2, 4, 8])
@pytest.mark.parametrize("sampling", SAMPLINGS)
def test_soft_colors_are_nearly_those_of_the_whole(sampling, reduce):
    data = jpeg(cv2.GaussianBlur(random_image(160, 120), (0, 0), 8), sampling)
    whole, top = decode_image(data, "whole", reduce), decode_image(data, "top", reduce, 100)
    difference = np.abs(whole[:len(top)].astype(int) - top)
    assert difference.max() <= 16 and difference.mean() < 1.5 * reduce
    if sampling == "444" or sampling == "420" and reduce > 1:
        assert not difference.any()


@pytest.mark.parametrize("reduce", [1, 2, 4, 8])
def test_reading_stops_where_it_may(parts, reduce):
    data = jpeg(random_image(480, 64))
    decode_image(data, "", reduce, 100)
    decode_image(data, "", reduce, 480)
    stop, whole = parts
    assert 100 <= stop * reduce <= 112 and whole * reduce == 480


@pytest.mark.parametrize("kind", ["gray", "progressive", "png", "turned", "bmp"])
def test_other_images_are_decoded_too(kind, parts):
    image = random_image(96, 64)
    data = {
        "gray": lambda: cv2.imencode(".jpg", image[..., 0])[1].tobytes(),
        "progressive": lambda: jpeg(image, "420", 90, cv2.IMWRITE_JPEG_PROGRESSIVE, 1),
        "png": lambda: cv2.imencode(".png", image)[1].tobytes(),
        "bmp": lambda: cv2.imencode(".bmp", image)[1].tobytes(),
        "turned": lambda: turned(jpeg(image, "444")),
    }[kind]()
    whole, top = decode_image(data, "whole"), decode_image(data, "top", rows=40)
    assert whole.shape == (96, 64, 3) and np.array_equal(top, whole[:40])
    assert bool(parts) == (kind in ("turned", "progressive"))


def turned(data: bytes) -> bytes:
    """The JPEG with an EXIF orientation of 90 degrees."""
    exif = b"Exif\0\0MM\0*\0\0\0\x08\0\x01\x01\x12\0\x03\0\0\0\x01\0\x06\0\0\0\0\0\0"
    return data[:2] + b"\xff\xe1" + (len(exif) + 2).to_bytes(2, "big") + exif + data[2:]


@pytest.mark.parametrize("rows", [None, 10, 96])
@pytest.mark.parametrize("keep", [0, 1, 20, 300, 0.5, -1])
def test_a_jpeg_cut_short_is_named(keep, rows):
    data = jpeg(random_image(96, 64))
    cut = data[:int(keep * len(data)) if isinstance(keep, float) else keep]
    with pytest.raises(UserError, match="cannot decode image that.jpg: "):
        decode_image(cut, "that.jpg", rows=rows)


@given(st.binary(max_size=60), st.integers(0, 700))
def test_damage_is_a_user_error_or_an_image_of_the_same_size(junk, at):
    data = jpeg(random_image(32, 32), "444")
    data = data[:at] + junk + data[at + len(junk):]
    try:
        whole = decode_image(data, "x")
    except UserError:
        whole = None
    try:
        top = decode_image(data, "x", rows=16)
    except UserError:
        top = None
    assert top is None or top.ndim == 3 and top.shape[2] == 3 and len(top) <= 16
    assert whole is None or top is None or top.shape[1] == whole.shape[1]


def test_bytes_after_the_end_do_not_matter():
    data = jpeg(random_image(96, 64), "444")
    assert np.array_equal(decode_image(data + b"\0" * 99, "", rows=50), decode_image(data, "")[:50])


@pytest.mark.parametrize("dtype", [np.float32, np.float64, np.int32, np.uint16])
@pytest.mark.parametrize("channels", [1, 3])
def test_deep_images_are_stretched_over_the_range_of_the_videos_first_frame(tmp_path, dtype, channels, capfd):
    """Thermal cameras and microscopes write them. Without a fixed range, brightness would jump from frame to frame."""
    shade = np.tile(np.arange(10, 74, dtype=dtype), (48, 1))
    for number, values in enumerate((shade, shade + 1, shade * 0), 1):
        image = values.astype(dtype)
        if dtype == np.float32:
            image[0, 0] = np.nan
        if dtype == np.int32 and channels == 3:
            pytest.skip("OpenCV does not write these")
        cv2.imwrite(str(tmp_path / f"{number}.tif"), image if channels == 1 else cv2.merge([image] * 3),
                    [cv2.IMWRITE_TIFF_COMPRESSION, 1])  # none: OpenCV 4 compresses color in floating point with losses
    frames = StoredFrames(FolderStore(tmp_path), ("1.tif", "2.tif", "3.tif"))
    later, first, dark = (frames.read(index) for index in (1, 0, 2))
    assert first.shape == (48, 64, 3) and first.dtype == np.uint8
    assert (first[1, 0].tolist(), first[1, -1].tolist()) == ([0] * 3, [255] * 3)
    assert later[1, 0, 0] == 4 and later.max() == 255 and not dark.any()
    assert frames.read(0, reduce=2, rows=9).shape == (5, 32, 3)
    said = capfd.readouterr()
    assert said.out + said.err == ""


def test_opencv_prints_nothing_about_a_broken_image(capfd):
    data = bytearray(cv2.imencode(".tif", random_image(20, 20))[1].tobytes())
    data[8:200] = bytes(192)
    with pytest.raises(UserError, match="cannot decode image broken"):
        decode_image(bytes(data[:-60]), "broken")
    said = capfd.readouterr()
    assert said.out + said.err == ""
