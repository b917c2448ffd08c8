"""The index: parsed once, renewed where files change, and never trusted when corrupt."""

import json
import logging

import cv2
import numpy as np
import pytest

from mstgt.data import index
from mstgt.data.index import FOLDER, indexed
from mstgt.data.packing import pack
from mstgt.data.readers import read_training_set
from mstgt.data.readers.coco import coco
from mstgt.data.readers.got10k import got10k_folder
from mstgt.data.readers.imagenet_vid import imagenet_vid
from mstgt.data.store import open_store
from mstgt.utils.errors import UserError

IMAGE = cv2.imencode(".jpg", np.zeros((8, 8, 3), np.uint8))[1].tobytes()


class CountingStore:
    """A store that counts what is read from it."""

    def __init__(self, store):
        self.store, self.root, self.reads = store, store.root, []

    def __getattr__(self, name):
        return getattr(self.store, name)

    def read(self, key):
        self.reads.append(key)
        return self.store.read(key)


@pytest.fixture
def root(tmp_path):
    folder = tmp_path / "synthetic"
    for i, name in enumerate("abc"):
        video = folder / "train" / name
        video.mkdir(parents=True)
        (video / "groundtruth.txt").write_text("1,2,3,4\n" * (i + 2))
        (video / "absence.label").write_text("1\n" + "0\n" * (i + 1))
        (video / "meta_info.ini").write_text(f"[M]\nobject_class: class {name}\ndifficulty: 0.{i}\n" if i else "[M]\n")
        for n in range(i + 2):
            (video / f"{n + 1:08d}.jpg").write_bytes(IMAGE)
    return folder


def open_indexed(root):
    """The set and the names of the videos that were parsed for it."""
    store = CountingStore(open_store(root, "synthetic"))
    videos = indexed(got10k_folder("SYNTHETIC", store, "train", synthetic=True), store.root)
    return videos, sorted({key.split("/")[-2] for key in store.reads})


def facts(videos):
    return [(video.name, videos.class_of(video.name), videos.difficulty_of(video.name), len(video),
             int(video.visible.sum())) for video in videos]


FACTS = [("a", None, None, 2, 1), ("b", "class b", 0.1, 3, 2), ("c", "class c", 0.2, 4, 3)]


@pytest.mark.parametrize("suffix", ["", ".zip", ".lmdb"])
def test_the_second_opening_parses_nothing(root, suffix):
    if suffix:
        pack(root, root.with_name(root.name + suffix))
        root.rename(root.with_name("away"))
    videos, parsed = open_indexed(root)
    assert facts(videos) == FACTS and parsed == ["a", "b", "c"]
    videos, parsed = open_indexed(root)
    assert facts(videos) == FACTS and parsed == []


def change_boxes(video):
    (video / "groundtruth.txt").write_text("1,2,3,4\n0,0,0,0\n1,2,3,4\n")


def change_in_place(video):  # the same number of bytes
    (video / "absence.label").write_text("1\n1\n0\n")


def add_frame(video):
    (video / "00000004.jpg").write_bytes(IMAGE)


def remove_labels(video):
    (video / "absence.label").unlink()


@pytest.mark.parametrize(("change", "now"), [(change_boxes, (3, 1)), (change_in_place, (3, 1)), (add_frame, (4, 2)),
                                             (remove_labels, (3, 3))])
def test_a_changed_video_is_noticed_and_parsed_alone(root, change, now):
    open_indexed(root)
    change(root / "train" / "b")
    videos, parsed = open_indexed(root)
    assert parsed == ["b"] and facts(videos) == [FACTS[0], FACTS[1][:3] + now, FACTS[2]]
    assert open_indexed(root)[1] == []


def test_videos_come_and_go(root):
    open_indexed(root)
    (root / "train" / "a").rename(root / "train" / "d")
    videos, parsed = open_indexed(root)
    assert parsed == ["d"] and videos.video_names == ("b", "c", "d") and facts(videos)[:2] == FACTS[1:]
    assert [len(video) for video in videos] == [3, 4, 2]


def test_a_repacked_archive_is_noticed(root):
    archive = root.with_suffix(".zip")
    pack(root, archive)
    assert facts(open_indexed(archive)[0]) == FACTS
    add_frame(root / "train" / "b")
    pack(root, archive, overwrite=True)
    assert [len(video) for video in open_indexed(archive)[0]] == [2, 4, 4]


@pytest.mark.parametrize("damage", [
    lambda data: b"", lambda data: data[:len(data) // 2], lambda data: b"garbage" * 100,
    lambda data: data[:100] + bytes([data[100] ^ 255]) + data[101:]])
def test_a_corrupt_cache_is_named_once_and_rebuilt(root, damage, caplog):
    open_indexed(root)
    file, = (root.parent / FOLDER).iterdir()
    file.write_bytes(damage(file.read_bytes()))
    with caplog.at_level(logging.WARNING):
        videos, parsed = open_indexed(root)
    assert facts(videos) == FACTS and parsed == ["a", "b", "c"]
    assert len(caplog.records) == 1 and str(file) in caplog.text
    assert open_indexed(root)[1] == []


def test_a_cache_with_an_object_in_it_is_never_unpickled(root, caplog):
    open_indexed(root)
    file, = (root.parent / FOLDER).iterdir()
    with np.load(file) as kept:
        arrays = dict(kept)
    np.savez(file, **arrays | {"classes": np.array([{}, {}, {}], object)})
    assert facts(open_indexed(root)[0]) == FACTS and "corrupt" in caplog.text


def test_an_older_format_is_rebuilt_silently(root, monkeypatch, caplog):
    open_indexed(root)
    monkeypatch.setattr(index, "FORMAT", index.FORMAT + 1)
    assert open_indexed(root)[1] == ["a", "b", "c"] and not caplog.records


def test_where_the_folder_cannot_be_written_the_user_cache_serves(root, tmp_path, monkeypatch, caplog):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    (root.parent / FOLDER).write_text("in the way")
    assert open_indexed(root)[1] == ["a", "b", "c"] and open_indexed(root)[1] == []
    file, = (tmp_path / "cache").rglob("*.npz")
    assert file.name == "synthetic-SYNTHETIC.npz" and not caplog.records
    file.unlink()
    monkeypatch.setenv("XDG_CACHE_HOME", str(root.parent / FOLDER))
    videos, parsed = open_indexed(root)
    assert facts(videos) == FACTS and "is not kept" in caplog.text


def test_a_broken_annotation_is_named_at_the_start_and_nothing_is_kept(root):
    (root / "train" / "b" / "groundtruth.txt").write_text("1,2,3\n")
    with pytest.raises(UserError, match=r"train/b/groundtruth\.txt, line 1"):
        read_training_set("SYNTHETIC", lambda _key: root)
    assert not list((root.parent / FOLDER).iterdir())


def test_coco_and_vid_are_parsed_once(tmp_path):
    def put(key, text):
        (tmp_path / key).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / key).write_text(text)

    def reads(reader, folder):
        store = CountingStore(open_store(tmp_path / folder, folder))
        return len(reader(folder, store)), len(store.reads)

    thing = {"id": 1, "image_id": 1, "bbox": [0, 0, 60, 60], "category_id": 1}
    dataset = {"images": [{"id": 1, "file_name": "1.jpg", "width": 90, "height": 90}],
               "categories": [{"id": 1, "name": "car"}], "annotations": [thing]}
    put("coco/train2017/1.jpg", "")
    put("coco/annotations/instances_train2017.json", json.dumps(dataset))
    assert [reads(coco, "coco"), reads(coco, "coco")] == [(1, 1), (1, 0)]
    put("coco/annotations/instances_train2017.json",
        json.dumps(dataset | {"annotations": [thing, thing | {"id": 2}]}))
    assert reads(coco, "coco") == (2, 1)

    item = "<object><trackid>{}</trackid><name>n</name><bndbox><xmin>1</xmin><ymin>1</ymin><xmax>9</xmax>" \
           "<ymax>9</ymax></bndbox><occluded>0</occluded></object>"
    put("vid/Data/VID/train/g/v/000000.JPEG", "")
    put("vid/Annotations/VID/train/g/v/000000.xml", f"<a>{item.format(0)}</a>")
    assert [reads(imagenet_vid, "vid"), reads(imagenet_vid, "vid")] == [(1, 1), (1, 0)]
    put("vid/Annotations/VID/train/g/v/000001.xml", f"<a>{item.format(4)}</a>")
    assert reads(imagenet_vid, "vid") == (2, 2)
