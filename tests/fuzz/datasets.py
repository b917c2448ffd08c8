"""Parsers of datasets' files: boxes, flags, lists, classes, COCO's JSON, ImageNet-VID's XML."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from mstgt.data.readers import annotation
from mstgt.data.readers.annotation import read_meta
from mstgt.data.readers.coco import coco
from mstgt.data.readers.folder import folder
from mstgt.data.readers.got10k import got10k_folder
from mstgt.data.readers.imagenet_vid import imagenet_vid
from mstgt.data.readers.trackingnet import trackingnet_train
from mstgt.data.readers.vot import vot
from mstgt.data.store import FolderStore
from mstgt.data.video import Video
from mstgt.geometry.crop import Crop
from mstgt.test.analysis.score import score_video
from mstgt.test.evaluation import absent_frames
from mstgt.test.evaluation.results import read_boxes, read_seconds
from mstgt.utils.errors import UserError
from tests.fuzz.mutate import as_json, mutate_tree
from tests.fuzz.target import ROWS, Target, jpeg, put

COCO = {"images": [{"id": 5, "file_name": "000000000005.jpg", "width": 640, "height": 480},
                   {"id": 7, "file_name": "000000000007.jpg", "width": 500, "height": 375}],
        "categories": [{"id": 1, "name": "person"}, {"id": 90, "name": "cup"}],
        "annotations": [{"id": i, "image_id": image, "category_id": category, "bbox": [10.5, 20, 200, 220.25],
                         "iscrowd": 0} for i, image, category in ((1, 5, 1), (2, 7, 90), (3, 5, 90))]}
XML = ("<annotation><object><trackid>{0}</trackid><name>n02084071</name><bndbox><xmax>90</xmax><xmin>10</xmin>"
       "<ymax>80.5</ymax><ymin>20</ymin></bndbox><occluded>0</occluded></object></annotation>")


def _rows(data: bytes, _folder: Path) -> None:
    columns = (1, 4, 6, 8)
    rows = annotation.parse_rows(data, "the file", columns)
    assert rows.shape[1] in columns and not np.isinf(rows).any()


def _flags(data: bytes, _folder: Path) -> None:
    assert not np.isinf(annotation.parse_flags(data, "the file")).any()


def use_video(video: Video) -> None:
    """What training, tracking and scoring do with boxes, without a network and without a warning of NumPy."""
    with np.errstate(all="raise", under="ignore"):
        for frame in np.flatnonzero(video.visible)[:5]:
            crop = Crop.around(video.boxes_xywh[frame], 6.0, 16)
            crop.cut(np.full((48, 64, 3), 9, np.uint8))
            crop.cut(np.full((6, 8, 3), 9, np.uint8), reduce=8)
            assert np.isfinite(crop.to_crop(video.boxes_xywh[frame])).all() and crop.rows >= 1
        for rule in (absent_frames.LASOT, absent_frames.GOT10K, absent_frames.UAV) if len(video) else ():
            try:
                score_video(np.tile([1.0, 2, 30, 40], (len(video), 1)), video, rule)
            except UserError as error:
                assert video.name in str(error)


def _video(data: bytes, at: Path) -> None:
    put(at / "mine" / "v", {f"img/{number:08d}.jpg": jpeg() for number in (1, 2, 3)})
    (at / "mine" / "v" / "groundtruth.txt").write_bytes(data)
    use_video(folder(at / "mine")[0])


def _result(data: bytes, at: Path) -> None:
    (at / "v.txt").write_bytes(data)
    (at / "v_time.txt").write_bytes(b"".join(line + b"\n" for line in data.replace(b",", b"\n").split()))
    boxes, seconds = read_boxes(at, "v"), None
    try:
        seconds = read_seconds(at, "v")
    except UserError as error:
        assert "v_time.txt" in str(error)
    if not len(boxes):
        return
    truth = np.tile([5.0, 5, 20, 20], (len(boxes), 1))
    video = Video("v", range(len(boxes)), truth, np.ones(len(boxes), bool), size_wh=(64, 48))
    for rule in (absent_frames.OTB, absent_frames.GOT10K):
        scored = score_video(boxes, video, rule, None if seconds is None or len(seconds) != len(boxes) else seconds)
        assert np.isfinite(scored.auc) and np.isfinite(scored.norm_precision)


def _meta(data: bytes, at: Path) -> None:
    (at / "meta_info.ini").write_bytes(data)
    found = read_meta(FolderStore(at), "")
    assert found["size_wh"] is None or min(found["size_wh"]) > 0


def _polygons(data: bytes, at: Path) -> None:
    put(at / "vot", {f"v/color/{number:08d}.jpg": jpeg() for number in (1, 2, 3)})
    (at / "vot" / "v" / "groundtruth.txt").write_bytes(data)
    use_video(vot(FolderStore(at / "vot"))[0])


def _lists(data: bytes, at: Path) -> None:
    put(at / "set", {"a/groundtruth.txt": ROWS, "b/groundtruth.txt": ROWS})
    (at / "set" / "list.txt").write_bytes(data)
    store = FolderStore(at / "set")
    for videos in (vot(store), got10k_folder("mine", store, "val")):
        assert set(videos.video_names) <= {"a", "b"}


def _classes(data: bytes, at: Path) -> None:
    put(at / "set" / "TRAIN_0", {"anno/v.txt": ROWS, "frames/v/0.jpg": jpeg()})
    (at / "set" / "trackingnet_classmap.txt").write_bytes(data)
    trackingnet_train("tn", FolderStore(at / "set"))


def _coco(data: bytes, at: Path) -> None:
    put(at / "coco", {"annotations/x": b"", **{f"train2017/00000000000{i}.jpg": jpeg() for i in (5, 7)}})
    (at / "coco" / "annotations" / "instances_train2017.json").write_bytes(data)
    for video in coco("COCO17", FolderStore(at / "coco")):
        assert video.visible.all() and video.frames.keys[0].startswith("train2017/0000")


def _vid(data: bytes, at: Path) -> None:
    put(at / "vid", {"Annotations/VID/train/g/v/000000.xml": XML.format(0).encode(),
                     "Data/VID/train/g/v/000000.JPEG": jpeg(), "Data/VID/train/g/v/000001.JPEG": jpeg()})
    (at / "vid" / "Annotations/VID/train/g/v/000001.xml").write_bytes(data)
    for file in (at / ".mstgt_index").glob("vid-*"):  # an XML file that changes in place is not noticed
        file.unlink()
    for video in imagenet_vid("VID", FolderStore(at / "vid")):
        use_video(video)


TARGETS: dict[str, Target] = {
    "rows": Target(lambda: (ROWS, b"1 2 3 4\n5 6\t7,8\n", b"1,2,3,4,5,6,7,8\n", b"0.03\n1e-2\n", b"nan,NaN,1,2\r\n"),
                   _rows, "the file"),
    "flags": Target(lambda: (b"0,1,0,0\n", b"0\n1\n0\n8\n", b"0.5 1\n"), _flags, "the file"),
    "video": Target(lambda: (ROWS, b"1,10,20,30,40,0\n2,10,20,30,40,1\n", b"1,1,5,1,5,5,1,5\n" * 3), _video,
                    "groundtruth.txt"),
    "polygons": Target(lambda: (b"1,1,5,1,5,5,1,5\n" * 3, b"3.5,0,60,3,3,47,0,3.5\n-9,1e3,5,1,nan,5,1,5\n"), _polygons,
                       "groundtruth.txt"),
    "result": Target(lambda: (ROWS, b"1 2 3 4\n" * 3), _result, "v.txt"),
    "meta_info": Target(lambda: (b"[METAINFO]\nobject_class: dog\nresolution: (1920, 1080)\nattributes: a, b\n"
                                 b"difficulty: 0.5\n",), _meta, "meta_info.ini"),
    "list": Target(lambda: (b"a\nb\n", b"a\nb\n../../x\n"), _lists, "set"),
    "classmap": Target(lambda: (b"v person\nw sports ball\n",), _classes, "trackingnet_classmap.txt"),
    "coco": Target(lambda: (as_json(COCO),), _coco, "coco", lambda rng: as_json(mutate_tree(COCO, rng))),
    "vid": Target(lambda: (XML.format(0).encode(), XML.format(3).encode()), _vid, "00000"),
}
