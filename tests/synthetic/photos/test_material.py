"""Layouts are recognized by what is in a folder; what is wrong with a folder is named in one line."""

from __future__ import annotations

import json
import logging

import numpy as np
import pytest

from mstgt.synthetic.photos.annotations import read_coco, read_yolo
from mstgt.synthetic.photos.images import in_split, items_of_split
from mstgt.synthetic.photos.material import layouts_in, mosaic, open_material
from mstgt.synthetic.photos.tiny_imagenet import TinyImageNet, read_boxes
from mstgt.utils.errors import UserError
from tests.synthetic.photos import folders as make

LAYOUTS = {"coco": make.coco_folder, "voc": make.voc_folder, "masked": make.masked_folder,
           "yolo": make.yolo_folder,
           "mask_videos": make.mask_video_folder, "tiny_imagenet": make.tiny_imagenet_folder,
           "cutouts": make.cutout_folder, "photographs": make.photograph_folder}


@pytest.fixture(autouse=True)
def _forget_material():
    open_material.cache_clear()


@pytest.mark.parametrize("layout", LAYOUTS)
def test_every_layout_is_recognized(tmp_path, layout):
    folder = LAYOUTS[layout](tmp_path / "set")
    assert layouts_in(folder) == [(layout, folder)]
    if layout != "photographs":
        material = open_material((str(folder),), "train")
        assert len(material.sources[0]) > 0


def test_davis_has_its_videos_below_a_size(tmp_path):
    folder = make.davis_folder(tmp_path / "DAVIS")
    assert layouts_in(folder) == [("mask_videos", folder)]
    assert open_material((str(folder),), "train").sources[0].class_name(0) == "bear"


def test_a_folder_of_folders_gives_all_of_them(tmp_path):
    for layout, write in LAYOUTS.items():
        write(tmp_path / "all" / layout)
    assert layouts_in(tmp_path / "all") == [(name, tmp_path / "all" / name) for name in sorted(LAYOUTS)]
    material = open_material((str(tmp_path / "all"),), "train")
    assert (len(material.sources), len(material.backgrounds)) == (7, 1)


@pytest.mark.parametrize("json_name, images", [
    ("annotations.json", ""), ("annotations/instances_default.json", "images")])
def test_coco_annotations_of_labeling_tools(tmp_path, json_name, images):
    made = make.coco_folder(tmp_path / "made")
    folder = tmp_path / "set"
    (folder / json_name).parent.mkdir(parents=True)
    (made / "annotations" / "instances_train2017.json").rename(folder / json_name)
    if images:
        (made / "train2017").rename(folder / images)
    else:
        for image in (made / "train2017").iterdir():
            image.rename(folder / image.name)
    assert len(read_coco(folder).objects) == 4


def test_no_folder_empty_folder_and_folder_without_objects(tmp_path):
    with pytest.raises(UserError, match="no folder .*nowhere"):
        open_material((str(tmp_path / "nowhere"),), "train")
    (tmp_path / "empty").mkdir()
    with pytest.raises(UserError, match="no photographs in .*empty"):
        open_material((str(tmp_path / "empty"),), "train")
    plain = make.photograph_folder(tmp_path / "plain")
    with pytest.raises(UserError, match="no objects in .*plain: photographs need boxes"):
        open_material((str(plain),), "train")


def test_classes_without_boxes_are_named(tmp_path, caplog):
    folder = make.coco_folder(tmp_path / "set")
    with caplog.at_level(logging.WARNING):
        read_coco(folder)
        read_coco(folder)
    assert caplog.text.count("classes without boxes: empty") == 1  # training and validation read it
    caplog.clear()
    folder = make.tiny_imagenet_folder(tmp_path / "tiny")
    (folder / "train" / "n02" / "n02_boxes.txt").unlink()
    with caplog.at_level(logging.WARNING):
        assert len(TinyImageNet(folder, "all")) == 3
    assert "n02: the class has no boxes" in caplog.text


def test_photographs_that_are_not_on_disk_are_named(tmp_path, caplog):
    folder = make.coco_folder(tmp_path / "set")
    (folder / "train2017" / "000002.png").unlink()
    with caplog.at_level(logging.WARNING):
        found = read_coco(folder)
    assert "photographs are missing" in caplog.text and "000002.png" in caplog.text
    assert (len(found.paths), len(found.objects)) == (3, 3)
    for image in (folder / "train2017").iterdir():
        image.unlink()
    with pytest.raises(UserError, match="none of its photographs, such as '000000.png', is on disk; looked in"):
        read_coco(folder)


def test_coco_file_names_of_windows(tmp_path):
    folder = make.coco_folder(tmp_path / "set")
    path = folder / "annotations" / "instances_train2017.json"
    data = json.loads(path.read_text())
    for image in data["images"]:
        image["file_name"] = "train2017\\" + image["file_name"]
    path.write_text(json.dumps(data))
    assert len(read_coco(folder).objects) == 4
    data["images"][0]["file_name"] = "..\\secret.png"
    path.write_text(json.dumps(data))
    with pytest.raises(UserError, match="leads out of the folder"):
        read_coco(folder)


def test_json_of_another_kind_is_named_with_what_to_do(tmp_path):
    folder = make.coco_folder(tmp_path / "set")
    (folder / "annotations" / "instances_train2017.json").write_text('{"shapes": []}')  # labelme's, for instance
    with pytest.raises(UserError, match="it lacks 'categories'.; export it as COCO, or take it out of the folder"):
        read_coco(folder)


@pytest.mark.parametrize("text", ["no json", "[]", '{"images": [], "categories": []}',
                                  '{"images": [{"id": 1}], "categories": [], "annotations": []}'])
def test_an_annotation_that_is_not_coco_is_named(tmp_path, text):
    folder = make.coco_folder(tmp_path / "set")
    (folder / "annotations" / "instances_train2017.json").write_text(text)
    with pytest.raises(UserError, match=r"instances_train2017.json: (not COCO's annotation|none of its photographs)"):
        read_coco(folder)


def test_a_voc_file_that_is_cut_short_is_named(tmp_path):
    folder = make.voc_folder(tmp_path / "set")
    (folder / "Annotations" / "000001.xml").write_text("<annotation><object>")
    with pytest.raises(UserError, match="000001.xml: not an annotation in VOC's format"):
        open_material((str(folder),), "train")


def test_yolo_boxes_are_shares_of_the_image(tmp_path):
    folder = make.yolo_folder(tmp_path / "set", inside="train")
    found = read_yolo(folder).objects
    x, y, w, h = make.OBJECT_BOX
    assert len(found) == 3 and np.allclose(found[0].box_xyxy, (x, y, x + w, y + h)) and found[0].class_name == "7"
    (folder / "labels" / "train" / "1.txt").write_text("0 0.1 0.1 0.3 0.1 0.3 0.5\n\n0 20 30 40 50\n")
    with pytest.raises(UserError, match="1.txt, line 3: expected a class and 4 numbers between 0 and 1"):
        read_yolo(folder)


def test_boxes_of_tiny_imagenet_hold_their_last_pixel(tmp_path):
    folder = make.tiny_imagenet_folder(tmp_path / "set")
    assert TinyImageNet(folder, "all").boxes_xyxy[0].tolist() == [10, 12, 50, 44]
    path = folder / "train" / "n01" / "n01_boxes.txt"
    path.write_text("n01_0.JPEG 1 2 3 4\nn01_1.JPEG 1 2 three 4\n")
    with pytest.raises(UserError, match="n01_boxes.txt, line 2: expected a name and 4 numbers"):
        read_boxes(path)


def test_polygons_of_several_parts_and_crowds(tmp_path):
    folder = make.coco_folder(tmp_path / "set")
    path = folder / "annotations" / "instances_train2017.json"
    data = json.loads(path.read_text())
    data["annotations"][0]["segmentation"] = [[0, 0, 9, 0, 9, 9], [20, 20, 29, 20, 29, 29]]
    data["annotations"][1]["iscrowd"] = 1
    data["annotations"][2]["segmentation"] = {"size": [120, 160], "counts": "run lengths"}
    path.write_text(json.dumps(data))
    objects = read_coco(folder).objects
    assert [len(item.polygons) for item in objects] == [2, 0, 1]


def test_every_twentieth_item_is_validation_material():
    assert [i for i in range(60) if in_split(i, "val")] == [0, 20, 40]
    assert len(items_of_split(range(60), "train")) == 57
    assert items_of_split(["only"], "train") == ["only"]


def test_a_mosaic_fills_its_image(tmp_path):
    source = TinyImageNet(make.tiny_imagenet_folder(tmp_path / "set"), "all")
    image = mosaic(np.random.default_rng(0), source, (200, 100))
    assert image.shape == (100, 200, 3) and image.std() > 5
