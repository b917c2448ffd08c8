"""Sources: what comes out of files, images and webcams, broken ones too."""

from __future__ import annotations

import os
import struct

import av
import cv2
import numpy as np
import pytest
from PIL import Image

from mstgt.apps.video_demo.source import check_source, open_source
from mstgt.apps.video_demo.video_file import upright
from mstgt.utils.errors import UserError
from mstgt.visualize.video_writer import VideoWriter

ONE = 1 << 16
# name: (the file's display matrix a b c d, what a player does with a stored image)
TURNS = {
    "as it is": ((ONE, 0, 0, ONE), lambda stored: stored),
    "clockwise": ((0, ONE, -ONE, 0), lambda stored: np.rot90(stored, -1)),
    "upside down": ((-ONE, 0, 0, -ONE), lambda stored: np.rot90(stored, 2)),
    "counterclockwise": ((0, -ONE, ONE, 0), lambda stored: np.rot90(stored)),
    "mirrored": ((-ONE, 0, 0, ONE), lambda stored: stored[:, ::-1]),
    "mirrored, counterclockwise": ((0, ONE, ONE, 0), lambda stored: np.rot90(stored[:, ::-1])),
}


def write_images(folder, video_images, names):
    folder.mkdir(parents=True, exist_ok=True)
    for name, image in zip(names, video_images, strict=True):
        cv2.imwrite(str(folder / name), image[..., ::-1])


def alike(one, other) -> bool:
    return one.shape == other.shape and np.abs(one.astype(int) - other).mean() < 6


def test_a_video_gives_its_frames_in_order_and_again(video_file, video_images):
    with open_source(video_file) as source:
        assert (source.name, source.fps, source.frames, source.size_wh) == ("square", 10, 12, (160, 120))
        for _ in range(2):
            found = list(source.read())
            assert [index for index, _, _ in found] == list(range(12))
            assert all(image.dtype == np.uint8 and alike(image, expected)
                       for (_, image, _), expected in zip(found, video_images, strict=True))
        late = list(source.read(9))
        assert [index for index, _, _ in late] == [9, 10, 11] and alike(late[0][1], video_images[9])


@pytest.mark.parametrize("turn", TURNS)
def test_a_turned_phone_gives_upright_images(turn, tmp_path, video_images):
    (a, b, c, d), shown = TURNS[turn]
    path = tmp_path / "phone.mp4"
    with VideoWriter(path, 10, (160, 120)) as writer:
        writer.add(video_images[0])
    data = bytearray(path.read_bytes())
    matrix = data.index(b"tkhd") + 44  # ISO/IEC 14496-12, 8.3.2, version 0
    assert data[matrix - 40] == 0 and struct.unpack_from(">9i", data, matrix) == (ONE, 0, 0, 0, ONE, 0, 0, 0, 1 << 30)
    struct.pack_into(">9i", data, matrix, a, b, 0, c, d, 0, 0, 0, 1 << 30)
    path.write_bytes(data)
    expected = shown(video_images[0])
    with open_source(path) as source:
        assert source.size_wh == expected.shape[1::-1]
        assert alike(next(source.read())[1], expected)


def test_upright_follows_the_matrix_pixel_by_pixel():
    stored = np.arange(6, dtype=np.uint8).reshape(2, 3, 1).repeat(3, 2)
    for (a, b, c, d), _ in TURNS.values():
        shown = upright(stored, np.array([a, b, 0, c, d, 0, 0, 0, 1 << 30], np.int32))
        places = {(x, y): (a * x + c * y, b * x + d * y) for x in range(3) for y in range(2)}
        left, top = (min(place[side] for place in places.values()) for side in (0, 1))
        for (x, y), (to_x, to_y) in places.items():
            assert shown[(to_y - top) // ONE, (to_x - left) // ONE, 0] == stored[y, x, 0]


def test_unreadable_frames_keep_their_places(broken_video, video_images):
    with open_source(broken_video([5, 11])) as source:
        found = list(source.read())
    assert [index for index, _, _ in found] == list(range(12))
    assert [index for index, image, _ in found if image is None] == [5, 11]
    assert alike(found[4][1], video_images[4])


def test_what_a_file_says_of_itself_need_not_be_text(video_file, tmp_path, video_images):
    path = tmp_path / "odd.mp4"
    path.write_bytes(video_file.read_bytes().replace(b"isomiso2", b"isom\xff\xfe\xfd2", 1))
    assert path.read_bytes() != video_file.read_bytes()
    with open_source(path) as source:
        assert alike(next(source.read())[1], video_images[0])


def test_a_truncated_file_ends_early(video_file, tmp_path):
    data = video_file.read_bytes()
    path = tmp_path / "cut.mp4"
    path.write_bytes(data[: data.index(b"mdat") + (len(data) - data.index(b"mdat")) * 3 // 4])
    with open_source(path) as source:
        assert source.frames == 12
        assert 0 < sum(image is not None for _, image, _ in source.read()) < 12


@pytest.mark.parametrize("content", ["", "no video", "head", "sound", "all broken"])
def test_files_without_images_are_named(content, video_file, tmp_path, broken_video):
    path = tmp_path / "x.mp4"
    if content == "sound":
        with av.open(str(path), "w") as container:
            stream = container.add_stream("aac", rate=8000)
            frame = av.AudioFrame.from_ndarray(np.zeros((1, 1024), np.float32), format="fltp", layout="mono")
            frame.sample_rate = 8000
            container.mux([*stream.encode(frame), *stream.encode(None)])
    elif content == "all broken":
        path = broken_video(range(12))
    else:
        path.write_bytes(video_file.read_bytes()[:400] if content == "head" else content.encode())
    with pytest.raises(UserError, match=rf"cannot read \S*{path.name}") as caught:
        open_source(path)
    assert "\n" not in str(caught.value)


def test_a_playlist_is_refused(video_file, tmp_path):
    path = tmp_path / "list.m3u8"
    path.write_text(f"#EXTM3U\n#EXT-X-TARGETDURATION:10\n#EXTINF:10,\n{video_file}\n#EXT-X-ENDLIST\n")
    with pytest.raises(UserError, match="list.m3u8"):
        open_source(path)


@pytest.mark.parametrize("inner", ["", "img"])
def test_a_folder_is_read_in_the_order_of_numbers(inner, tmp_path, video_images):
    names = ["2.png", "10.png", "1.png"]
    write_images(tmp_path / "Car" / inner, video_images[:3], names)
    (tmp_path / "Car" / inner / "._1.png").write_bytes(b"what a Mac leaves")
    (tmp_path / "Car" / inner / "notes.txt").write_text("no image")
    for what in {tmp_path / "Car", tmp_path / "Car" / inner}:
        with open_source(str(what)) as source:
            assert (source.name, source.fps, source.frames, source.size_wh) == ("Car", 25, 3, (160, 120))
            images = [image for _, image, _ in source.read()]
        assert all(np.array_equal(image, video_images[i]) for image, i in zip(images, (2, 0, 1), strict=True))


def test_the_folder_above_has_a_name_of_its_own(tmp_path, video_images, monkeypatch):
    write_images(tmp_path / "Car" / "img", video_images[:1], ["1.png"])
    monkeypatch.chdir(tmp_path / "Car" / "img")
    assert open_source("..").name == open_source("../img/*.png").name == "Car"


def test_globs(tmp_path, video_images, video_file):
    write_images(tmp_path / "walk", video_images[:3], ["a1.png", "a2.png", "b1.png"])
    with open_source(f"{tmp_path}/walk/a*.png") as source:
        assert (source.name, source.frames) == ("walk", 2)
    with open_source(f"{video_file.parent}/*.mp4") as source:
        assert source.name == "square"
    write_images(tmp_path / "times", video_images[:3], ["0.25.png", "0.3.png", "10.5.png"])
    with open_source(f"{tmp_path}/[tw]*/*.png") as source:
        assert [path.name for path in source.paths] == ["0.25.png", "0.3.png", "10.5.png", "a1.png", "a2.png", "b1.png"]
    with pytest.raises(UserError, match=r"no images match .*c\*\.png"):
        open_source(f"{tmp_path}/walk/c*.png")


def test_unreadable_images_keep_their_places(tmp_path, video_images):
    write_images(tmp_path / "v", video_images[:3], ["1.png", "2.png", "3.png"])
    whole = (tmp_path / "v" / "1.png").read_bytes()
    (tmp_path / "v" / "1.png").write_bytes(b"")
    with open_source(tmp_path / "v") as source:
        assert [image is None for _, image, _ in source.read()] == [True, False, False]
        assert source.size_wh == (160, 120)
        (tmp_path / "v" / "2.png").unlink()
        assert [image is None for _, image, _ in source.read(1)] == [True, False]
    with open_source(tmp_path / "v" / "3.png") as source:
        assert (source.name, source.frames) == ("3", 1)
    (tmp_path / "v" / "3.png").write_bytes(whole[:8])
    with pytest.raises(UserError, match="none of the 2 images"):
        open_source(tmp_path / "v")


def test_names_that_look_like_something_else_are_files(video_file, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for name in ("12:30.mp4", "~clip.mp4", "a#b%20.mp4"):
        (tmp_path / name).write_bytes(video_file.read_bytes())
        assert open_source(name).frames == 12


def test_what_is_not_there_is_named(tmp_path):
    photo = tmp_path / "photo.HEIC"
    photo.write_bytes(b"\0\0\0\x18ftypheic")
    for what, message in ((tmp_path / "no.mp4", "no such video"), ("", "no such video"), (tmp_path, "no images"),
                          (photo, "photo.HEIC is a HEIC image, .* save it as JPEG"), ("a\0b", "no such video"),
                          (os.devnull, "neither a file nor a folder")):
        with pytest.raises(UserError, match=message):
            open_source(what)
    with pytest.raises(UserError, match="cannot read file:// streams; .* of a file give the path"):
        check_source(f"file://{tmp_path}/a.mp4")
    for number in range(5):
        (tmp_path / f"v{number}").mkdir()
    with pytest.raises(UserError, match=r"no images .*, but folders \(v0, v1, v2 and 2 more\): name the one with"):
        open_source(tmp_path)



@pytest.mark.parametrize("orientation", range(1, 9))
def test_images_are_upright_as_exif_says(orientation, tmp_path, video_images):
    stored = {1: lambda image: image, 2: lambda image: image[:, ::-1], 3: lambda image: np.rot90(image, 2),
              4: lambda image: image[::-1], 5: lambda image: image.transpose(1, 0, 2),
              6: lambda image: np.rot90(image, 1), 7: lambda image: np.rot90(image.transpose(1, 0, 2), 2),
              8: lambda image: np.rot90(image, -1)}[orientation](video_images[0])
    exif = Image.Exif()
    exif[274] = orientation
    Image.fromarray(np.ascontiguousarray(stored)).save(tmp_path / "a.jpg", exif=exif, quality=95)
    with open_source(tmp_path / "a.jpg") as source:
        assert source.size_wh == (160, 120)
        assert alike(next(source.read()).image_rgb, video_images[0])


@pytest.mark.parametrize("ending", [".png", ".tif"])
def test_16_bit_images_are_stretched_over_the_first_ones_range(ending, tmp_path, video_images):
    gray = video_images[0][..., 0].astype(np.uint16)
    cv2.imwrite(str(tmp_path / f"1{ending}"), 20_000 + 4 * gray)
    cv2.imwrite(str(tmp_path / f"2{ending}"), 20_100 + 4 * gray)
    with open_source(tmp_path) as source:
        first, second = (frame.image_rgb for frame in source.read())
        [note] = source.notes
    low, high = int(gray.min()), int(gray.max())
    expected = (gray - low) * 255.0 / (high - low)
    assert first.dtype == np.uint8 and np.abs(first - expected[..., None]).max() <= 1
    assert np.abs(second.astype(int) - (expected + 25 * 255 / (high - low)).clip(0, 255)[..., None]).max() <= 1
    assert note.startswith(f"16-bit images: values from {20_000 + 4 * low} to {20_000 + 4 * high}")


def test_each_frame_has_its_own_time(tmp_path, video_images, broken_video):
    with VideoWriter(tmp_path / "v.mp4", 25, (160, 120)) as writer:
        for image, time_s in zip(video_images, [0, 0.1, 0.11, 5, 5.5], strict=False):
            writer.add(image, time_s)
    with open_source(tmp_path / "v.mp4") as source:
        assert [frame.time_s for frame in source.read()] == pytest.approx([0, 0.1, 0.11, 5, 5.5], abs=1e-3)
    with open_source(broken_video([5, 11])) as source:
        assert [frame.time_s for frame in source.read()] == pytest.approx(np.arange(12) / 10)


@pytest.mark.parametrize(("others", "passed_over"), [
    (["cover.jpg", "Thumbs.db", "._0.png"], "1 images (cover.jpg)"), (["0.jpg", "1.jpg"], "2 images (0.jpg, 1.jpg)"),
    (["0_depth.png"], "1 images (0_depth.png)")])
def test_images_that_are_no_frames_of_a_folder_are_ignored(others, passed_over, tmp_path, video_images):
    write_images(tmp_path, video_images[:3], ["0.png", "1.png", "2.png"])
    for name in others:
        (tmp_path / name).write_bytes(cv2.imencode(".png", np.zeros((9, 9, 3), np.uint8))[1].tobytes())
    with open_source(tmp_path) as source:
        assert [path.name for path in source.paths] == ["0.png", "1.png", "2.png"]
        assert source.notes == [f"ignored, because their names do not fit the others: {passed_over}"]


def test_images_that_are_missing_between_others_are_named(tmp_path, video_images):
    write_images(tmp_path, video_images[:6], [f"{number:04d}.png" for number in (0, 1, 2, 5, 6, 7)])
    with open_source(tmp_path) as source:
        assert source.frames == 6
        assert source.notes == ["missing between the others: 2 images (0003.png, 0004.png); frames are counted without "
                                "them"]


@pytest.mark.parametrize("ending", [".webp", ".png", ".tif"])
def test_an_image_file_that_holds_several_is_refused(ending, tmp_path, video_images):
    first, *others = map(Image.fromarray, video_images[:3])
    first.save(tmp_path / f"a{ending}", save_all=True, append_images=others)
    with pytest.raises(UserError, match=rf"a{ending} holds several images.*as a video"):
        open_source(tmp_path / f"a{ending}")
    first.save(tmp_path / f"b{ending}")
    assert open_source(tmp_path / f"b{ending}").frames == 1


def test_images_without_numbers_are_all_taken(tmp_path, video_images):
    write_images(tmp_path, video_images[:2], ["before.png", "after.png"])
    assert [path.name for path in open_source(tmp_path).paths] == ["after.png", "before.png"]


def test_why_no_image_can_be_read_is_said(tmp_path, monkeypatch):
    monkeypatch.setattr("mstgt.data.images.MAX_PIXELS", 100)
    (tmp_path / "1.jpg").write_bytes(cv2.imencode(".jpg", np.zeros((20, 20, 3), np.uint8))[1].tobytes())
    with pytest.raises(UserError, match=r"none of the 1 images .*1\.jpg is refused: it is larger than 100 px"):
        open_source(tmp_path)
