"""Each training set on tiny data in its real layout, from a folder, a zip and an LMDB."""

import json
import pickle
import time

import cv2
import numpy as np
import pytest

from mstgt.data.packing import pack
from mstgt.data.readers import MAX_CACHED_VIDEOS, TRAINING_SETS, read_training_set
from mstgt.utils.errors import UserError

IMAGE = cv2.imencode(".jpg", np.full((80, 100, 3), 90, np.uint8))[1].tobytes()
ROWS = "10,11,12,13\n20,21,22,23\n30,31,0,0\n"
META = "[METAINFO]\nobject_class: {}\nresolution: (100, 80)\n"


def images(pattern, numbers=(1, 2, 3)):
    return {pattern.format(n): None for n in numbers}


def got10k(split, video, object_class):
    folder = f"{split}/{video}"
    return {f"{folder}/groundtruth.txt": ROWS, f"{folder}/absence.label": "0\n1\n0\n",
            f"{folder}/cover.label": "8\n0\n4\n", f"{folder}/meta_info.ini": META.format(object_class),
            **images(folder + "/{:08d}.jpg")}


def lasot(folder):
    return {f"{folder}/groundtruth.txt": ROWS, f"{folder}/full_occlusion.txt": "0,1,0",
            f"{folder}/out_of_view.txt": "0,0,0", **images(folder + "/img/{:08d}.jpg")}


def coco_annotation():
    def thing(number, image, box, category=3, crowd=0):
        return {"id": number, "image_id": image, "bbox": box, "category_id": category, "iscrowd": crowd,
                "area": box[2] * box[3]}
    return json.dumps({
        "images": [{"id": n, "file_name": f"{n:012d}.jpg", "width": 100, "height": 80} for n in (5, 9, 11)],
        "categories": [{"id": 3, "name": "car"}, {"id": 18, "name": "dog"}],
        "annotations": [
            thing(70, 9, [-10, 5, 70, 60]), thing(7, 5, [30, 10, 60, 100], 18),
            thing(8, 5, [0, 0, 90, 80], crowd=1), thing(9, 5, [0, 0, 50, 70]),  # a crowd; 50 px is too narrow
            thing(10, 5, [60, 0, 60, 70]), thing(71, 11, [0, 0, 90, 70])]})  # 40 px of it inside; image 11 is not there


def vid_xml(*objects):
    items = "".join(
        f"<object><trackid>{track}</trackid><name>{name}</name><bndbox><xmax>{x + w}</xmax><xmin>{x}</xmin>"
        f"<ymax>{y + h}</ymax><ymin>{y}</ymin></bndbox><occluded>{hidden}</occluded><generated>0</generated></object>"
        for track, name, (x, y, w, h), hidden in objects)
    return f"<annotation><folder>f</folder><size><width>100</width><height>80</height></size>{items}</annotation>"


CAT, DOG = "n02121808", "n02084071"
VID_AT = "VID/train/ILSVRC2015_VID_train_0000/ILSVRC2015_train_00000000"
VID = {
    f"Annotations/{VID_AT}/000000.xml": vid_xml((0, CAT, (1, 2, 30, 40), 0), (1, DOG, (5, 6, 7, 8), 1)),
    f"Annotations/{VID_AT}/000001.xml": vid_xml((1, DOG, (6, 6, 7, 8), 0)),
    f"Annotations/{VID_AT}/000002.xml": vid_xml(),
    "Annotations/VID/train/ILSVRC2015_VID_train_0003/gone/000000.xml": vid_xml((0, CAT, (1, 2, 3, 4), 0)),
    **images(f"Data/{VID_AT}" + "/{:06d}.JPEG", (0, 1, 2)),
}
TRACKINGNET = {
    "TRAIN_0/anno/v_0.txt": ROWS, "TRAIN_11/anno/w_1.txt": ROWS, "TRAIN_11/anno/gone.txt": ROWS,
    **images("TRAIN_0/frames/v_0/{}.jpg", range(11)), **images("TRAIN_11/frames/w_1/{}.jpg", (0, 1, 2)),
    "trackingnet_classmap.txt": "v_0 traffic light\nother cat\n", "TEST/anno/t.txt": "1,2,3,4\n"}

GOT10K = got10k("train", "GOT-10k_Train_000001", "bear") | got10k("train", "GOT-10k_Train_000002", "cat")

# set: files, {video: (class, visible frames)}, missing videos that must be named
ABSENT = [True, False, False]
SETS = {
    "LASOT": (lasot("airplane/airplane-10") | lasot("bear-3"),
              {"airplane-10": ("airplane", ABSENT), "bear-3": ("bear", ABSENT)}, {"airplane-11"}),
    "GOT10K_vottrain": (GOT10K, {"GOT-10k_Train_000001": ("bear", ABSENT)}, {"GOT-10k_Train_000003"}),
    "GOT10K_votval": (GOT10K, {"GOT-10k_Train_000002": ("cat", ABSENT)}, set()),
    "GOT10K_train_full": (got10k("train", "GOT-10k_Train_009335", "bear"),
                          {"GOT-10k_Train_009335": ("bear", ABSENT)}, {"GOT-10k_Train_000001"}),
    "GOT10K_official_val": (got10k("val", "GOT-10k_Val_000001", "fox") | {
        "val/list.txt": "GOT-10k_Val_000001\nGOT-10k_Val_000002\n"},
        {"GOT-10k_Val_000001": ("fox", ABSENT)}, {"GOT-10k_Val_000002"}),
    "COCO17": ({"annotations/instances_train2017.json": coco_annotation(),
                **images("images/train2017/{:012d}.jpg", (5, 9))},
               {"7": ("dog", [True]), "70": ("car", [True])}, {"71"}),
    "VID": (VID, {"ILSVRC2015_train_00000000_0": (CAT, [True, False, False]),
                  "ILSVRC2015_train_00000000_1": (DOG, [False, True, False])}, {"gone_0"}),
    "TRACKINGNET": (TRACKINGNET, {"TRAIN_0/v_0": ("traffic light", [True, True] + [False] * 9),
                                  "TRAIN_11/w_1": (None, [True, True, False])}, {"TRAIN_11/gone"}),
    "SYNTHETIC": (got10k("train", "a", "bird") | {"train/list.txt": "a\n"}, {"a": ("bird", ABSENT)}, set()),
    "SYNTHETIC_val": (got10k("val", "a", "bird"), {"a": ("bird", ABSENT)}, set()),
}


def put(root, files):
    """Write files: text, or None for an image."""
    for name, text in files.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(IMAGE if text is None else text.encode())
    return root


def read(name, root):
    return read_training_set(name, lambda _key: root)


def test_every_training_set_is_tested():
    assert set(SETS) == set(TRAINING_SETS)


@pytest.mark.parametrize("suffix", ["", ".zip", ".lmdb"])
@pytest.mark.parametrize("name", SETS)
def test_training_set(tmp_path, name, suffix):
    files, expected, missing = SETS[name]
    root = put(tmp_path / "set", files)
    from_folder = read(name, root)
    videos = from_folder
    if suffix:
        pack(root, tmp_path / f"set{suffix}")
        root.rename(tmp_path / "away")
        videos = read(name, root)
        assert type(videos[0].frames.store).__name__ == {".zip": "ZipStore", ".lmdb": "LmdbStore"}[suffix]
    assert videos.video_names == tuple(expected) and missing <= set(videos.missing)
    for name, (object_class, visible) in expected.items():
        video = videos.load(name)
        assert video.object_class == object_class and (videos.class_of and videos.class_of(name)) == object_class
        assert video.visible.tolist() == visible
        for index in (0, len(video) - 1):
            assert video.frames.read(index).shape == (80, 100, 3)
    (tmp_path / "away").exists() and (tmp_path / "away").rename(root)
    for one, other in zip(from_folder, videos, strict=True):
        assert (one.name, one.frames.keys, one.notes, one.size_wh) == \
            (other.name, other.frames.keys, other.notes, other.size_wh)
        np.testing.assert_array_equal(one.boxes_xywh, other.boxes_xywh)
        np.testing.assert_array_equal(one.visible_ratio, other.visible_ratio)


@pytest.mark.parametrize("suffix", [".zip", ".lmdb"])
def test_any_folder_may_be_packed(tmp_path, suffix):
    root = put(tmp_path / "mine", {"a/groundtruth.txt": ROWS, **images("a/img/{}.jpg"), "b/img/1.jpg": None})
    pack(root, tmp_path / f"out{suffix}")
    plain, packed = (read_training_set(f"FOLDER:{p}", None) for p in (root, tmp_path / f"out{suffix}"))
    assert plain.video_names == packed.video_names == ("a",) and packed.name == "out" and packed.missing == ("b",)
    np.testing.assert_array_equal(plain[0].boxes_xywh, packed[0].boxes_xywh)
    assert packed[0].frames.read(2).shape == (80, 100, 3) and len(packed[0]) == 3


def test_coco_boxes_are_clipped_to_the_image(tmp_path):
    videos = read("COCO17", put(tmp_path / "coco", SETS["COCO17"][0]))
    assert [v.boxes_xywh[0].tolist() for v in videos] == [[30, 10, 60, 70], [0, 5, 60, 60]]
    assert videos[0].size_wh == (100, 80)
    with pytest.raises(KeyError):
        videos.load("8")
    (tmp_path / "coco" / "images" / "train2017").rename(tmp_path / "coco" / "train2017")
    assert len(read("COCO17", tmp_path / "coco")) == 2


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"annotations": 3}', '{"images": [{"id": 1}], "annotations": []}',
                                  '{"images": [], "categories": [], "annotations": [{"id": 1, "image_id": 4}]}'])
def test_a_broken_coco_annotation_is_named(tmp_path, text):
    root = put(tmp_path / "coco", {"annotations/instances_train2017.json": text, "train2017/1.jpg": None})
    with pytest.raises(UserError, match=r"annotations/instances_train2017\.json"):
        read("COCO17", root)


def test_vid_boxes(tmp_path):
    root = put(tmp_path / "up" / "ILSVRC2015", VID).parent  # the archive's own top folder
    cat, dog = read("VID", root)
    assert cat.boxes_xywh[0].tolist() == [1, 2, 30, 40] and np.isnan(cat.boxes_xywh[1:]).all()
    assert dog.boxes_xywh[:2].tolist() == [[5, 6, 7, 8], [6, 6, 7, 8]]


LAUGHS = '<!DOCTYPE l [<!ENTITY a "haha">' + "".join(
    f"""<!ENTITY {b} '{f"&{a};" * 10}'>""" for a, b in zip("abcdefgh", "bcdefghi", strict=True)) + \
    "]><annotation>&i;</annotation>"


@pytest.mark.parametrize(("text", "says"), [
    (LAUGHS, "document type"), ('<!DOCTYPE x SYSTEM "file:///etc/passwd"><annotation/>', "document type"),
    ("<annotation>", "no element found"), ("", "no element found"),
    ("<annotation><object><trackid>1</trackid></object></annotation>", "without bndbox/xmin"),
    (vid_xml((0, CAT, (1, 2, 3, 4), "yes")), "invalid literal")])
@pytest.mark.parametrize("encoding", ["utf-8", "utf-16"])
def test_a_broken_or_hostile_vid_annotation_is_named(tmp_path, text, says, encoding):
    root = put(tmp_path / "vid", VID)
    (root / f"Annotations/{VID_AT}/000001.xml").write_bytes(text.encode(encoding) if text else b"")
    start = time.perf_counter()
    with pytest.raises(UserError, match=rf"000001\.xml: .*{says}"):
        read("VID", root)
    assert time.perf_counter() - start < 5


def test_a_vid_annotation_with_a_gap_is_named(tmp_path):
    root = put(tmp_path / "vid", VID)
    (root / f"Annotations/{VID_AT}/000001.xml").unlink()
    with pytest.raises(UserError, match=r"expected 000001\.xml, found 000002\.xml"):
        read("VID", root)


def test_trackingnet_without_a_class_map_has_no_classes(tmp_path):
    root = put(tmp_path / "t", TRACKINGNET)
    (root / "trackingnet_classmap.txt").write_text("v_0\n")
    with pytest.raises(UserError, match="line 1: expected <video> <class>"):
        read("TRACKINGNET", root)
    (root / "trackingnet_classmap.txt").unlink()
    videos = read("TRACKINGNET", root)
    assert videos.class_of is None and videos[0].object_class is None
    put(root, {"trackingnet_classmap.txt": "v_0 cat\n"})
    assert read("TRACKINGNET", root).class_of("TRAIN_0/v_0") == "cat"


@pytest.mark.parametrize("name", SETS)
def test_sets_go_to_worker_processes(tmp_path, name):
    videos = read(name, put(tmp_path / "set", SETS[name][0]))
    copy = pickle.loads(pickle.dumps(videos))
    assert copy.video_names == videos.video_names
    np.testing.assert_array_equal(copy[0].boxes_xywh, videos[0].boxes_xywh)


def test_parsed_videos_are_remembered_and_read_only(tmp_path):
    videos = read("SYNTHETIC", put(tmp_path / "s", SETS["SYNTHETIC"][0]))
    assert videos[0] is videos[0] and MAX_CACHED_VIDEOS >= 100
    with pytest.raises(ValueError, match="read-only"):
        videos[0].boxes_xywh[0] = 0
