"""Videos whose boxes are computed: from masks, and from VOC annotations with track numbers."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

from mstgt.data.readers import read_training_set
from mstgt.data.readers.mask_videos import box_of_mask
from mstgt.utils.errors import UserError
from tests.synthetic.photos.folders import OBJECT_BOX, davis_folder, mask_video_folder, object_mask, photograph, save


def read(folder):
    return read_training_set(f"FOLDER:{folder}", None)


def test_boxes_of_masks(tmp_path):
    folder = mask_video_folder(tmp_path / "set", videos=2, frames=5)
    (folder / "video1" / "mask" / "00003.png").unlink()
    save(folder / "video1" / "mask" / "00002.png", object_mask(0))
    videos = read(folder)
    assert videos.video_names == ("video0", "video1") and videos.class_of("video0") == "video0"
    x, y, w, h = OBJECT_BOX
    assert videos[0].boxes_xywh.tolist() == [[x, y, w + 4 * t, h] for t in range(5)]
    assert videos[1].visible.tolist() == [True, True, False, False, True]
    assert videos[1].frames.read(0).shape == (120, 160, 3)
    assert [len(v) for v in videos] == [5, 5] and [v.visible.sum() for v in videos] == [5, 3]


def test_davis(tmp_path):
    videos = read(davis_folder(tmp_path / "DAVIS"))
    assert videos.video_names == ("bear",) and videos[0].boxes_xywh[2].tolist() == list(OBJECT_BOX)


def test_specks_do_not_widen_a_box():
    mask = object_mask()
    mask[100:103, 5:8] = 255
    assert box_of_mask(mask).tolist() == list(OBJECT_BOX)
    mask[100:112, 5:15] = 255  # a part of its own
    assert box_of_mask(mask)[0] == 5
    assert np.isnan(box_of_mask(mask * 0)).all()


def test_a_mask_of_another_size_is_named(tmp_path):
    folder = mask_video_folder(tmp_path / "set", videos=1)
    save(folder / "video0" / "mask" / "00000.png", cv2.resize(object_mask(), (80, 60)))
    with pytest.raises(UserError, match="00000.png: the mask has 80 x 60 px and its image 160 x 120 px"):
        read(folder)


def voc_video(folder, frames: dict[int, list[tuple[str, str, int]]]):
    """Frames with (class, track id, x) of 20 px boxes."""
    for number, objects in frames.items():
        save(folder / "JPEGImages" / f"{number:06d}.jpg", photograph(number))
        text = "".join(
            f"<object><name>{name}</name><bndbox><xmin>{x}</xmin><ymin>10</ymin><xmax>{x + 20}</xmax><ymax>30</ymax>"
            f"</bndbox><attributes><attribute><name>track_id</name><value>{track}</value></attribute></attributes>"
            "</object>" for name, track, x in objects)
        path = folder / "Annotations" / f"{number:06d}.xml"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(f"<annotation>{text}</annotation>")
    return folder


def test_tracks_end_where_their_object_does(tmp_path):
    frames = {n: [("bolt", "0", 10 + 5 * n)] for n in range(6)}  # one video
    frames |= {n: [("bolt", "0", 120), ("nut", "1", 10)] for n in range(6, 10)}  # another: the bolt is elsewhere
    frames |= {n: [("bolt", "0", 120)] for n in range(11, 16)}  # a frame is missing
    frames |= {n: [("pin", "0", 20)] for n in range(16, 18)}  # too short
    videos = read(voc_video(tmp_path / "set", frames))
    assert videos.video_names == ("bolt_000000", "bolt_000006", "nut_1_000006", "bolt_000011")
    assert [len(v) for v in videos] == [6, 4, 4, 5]
    assert videos[0].boxes_xywh[2].tolist() == [20, 10, 20, 20] and videos[0].object_class == "bolt"


@pytest.mark.parametrize("text, message", [
    ("<annotation><object>", "not an annotation in VOC's format"),
    ("<!DOCTYPE a [<!ENTITY b 'c'>]><annotation/>", "document type")])
def test_a_broken_annotation_is_named(tmp_path, text, message):
    folder = voc_video(tmp_path / "set", {n: [("bolt", "0", 10)] for n in range(5)})
    (folder / "Annotations" / "000003.xml").write_text(text)
    with pytest.raises(UserError, match=f"000003.xml.*{message}"):
        read(folder)


@pytest.mark.parametrize("name, x", [("../bolt", 10), ("bolt", 10**9)])
def test_names_and_numbers_have_limits(tmp_path, name, x):
    with pytest.raises(UserError, match="000000.xml"):
        read(voc_video(tmp_path / "set", {n: [(name, "0", x)] for n in range(5)}))
