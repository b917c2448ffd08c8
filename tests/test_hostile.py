"""Folders, names, texts and images made to do harm: nothing outside the project's folders is named."""

from __future__ import annotations

import json
import os
import struct

import numpy as np
import pytest

from mstgt.apps.video_demo.results import read_rows, rows_to_keep, write_results
from mstgt.apps.video_demo.track import Row
from mstgt.apps.video_demo.video_file import VideoFile
from mstgt.config import config_from_text, load_config
from mstgt.config.load import MAX_TEXT, parse_yaml, parse_yaml_mapping
from mstgt.data import index
from mstgt.data.readers.coco import coco
from mstgt.data.readers.folder import folder
from mstgt.data.store import FolderStore
from mstgt.data.video import VideoSet
from mstgt.test.evaluation.results import MANIFEST, find_results, read_boxes, read_manifest, read_scores, run_name
from mstgt.untrusted.limits import MAX_NAME_BYTES, check_names, fault_in_name
from mstgt.utils.errors import UserError, one_line, run_command
from tests.fuzz.bounded import bounded
from tests.fuzz.datasets import COCO
from tests.fuzz.target import jpeg

CONFIG = "MSTGT-demo-128"


@pytest.mark.parametrize("name", ["", ".", "..", "../x", "/x", "a/b", "a\\b", "a\nb", "\x1b[2J", "\0", "\udcff",
                                  "é" * 150])
def test_names_that_cannot_be_files_are_refused(name):
    assert fault_in_name(name)
    with pytest.raises(UserError):
        VideoSet(name, (), {}.__getitem__)
    if name != "a/b":  # the parts of a name such as TRAIN_1/x are names each
        for video in (name, f"TRAIN_1/{name}"):
            with pytest.raises(UserError, match="the video .* is refused"):
                check_names(["fine", "TRAIN_1/fine", video], "the video")


def test_ordinary_names_are_accepted():
    check_names(["a", "a.b", "..a", "TRAIN_0/é 追.x", "x" * MAX_NAME_BYTES], "the video")


@pytest.mark.parametrize("name", ["../../x", "/etc/passwd", "..", "a/b", "a\\b", "x\ny"])
def test_no_experiment_or_run_lies_elsewhere(name):
    with pytest.raises(UserError):
        run_name(CONFIG, name)
    with pytest.raises(UserError):
        load_config("MSTGT", name)
    with pytest.raises(UserError):
        load_config(name, CONFIG)


def test_a_manifest_names_no_folder_to_write_to(tmp_path):
    results = tmp_path / "test" / "tracking_results" / "mstgt" / "c" / "mine"
    results.mkdir(parents=True)
    for name in ("../../../x", "/x", "..", "", "\x1b[2J"):
        (results / MANIFEST).write_text(json.dumps({"benchmark": name, "root": str(tmp_path)}))
        with pytest.raises(UserError, match="benchmark.json: the benchmark"):
            read_manifest(results)
        with pytest.raises(UserError, match="benchmark.json"):
            find_results(tmp_path)


def test_no_key_leads_out_of_a_folder(tmp_path):
    (tmp_path / "secret").write_text("s")
    (tmp_path / "set").mkdir()
    store = FolderStore(tmp_path / "set")
    for key in ("../secret", "a/../../secret", str(tmp_path / "secret")):
        with pytest.raises(UserError, match="leads out of the dataset"):
            store.read(key)


def test_links_in_a_folder_are_followed_but_not_to_devices(tmp_path):
    (tmp_path / "elsewhere").write_text("frame")
    (tmp_path / "set").mkdir()
    (tmp_path / "set" / "a").symlink_to(tmp_path / "elsewhere")
    (tmp_path / "set" / "zero").symlink_to("/dev/zero")
    os.mkfifo(tmp_path / "set" / "pipe")
    with open(tmp_path / "set" / "huge", "wb") as file:
        file.truncate(1 << 40)
    store = FolderStore(tmp_path / "set")
    assert store.read("a") == b"frame"
    for name in ("zero", "pipe"):
        with pytest.raises(UserError, match=f"{name}: not a plain file"):
            store.read(name)
    with pytest.raises(UserError, match="huge is refused: 1099511627776 bytes"):
        store.read("huge")


def test_a_kept_index_from_somebody_else_names_no_other_file(tmp_path):
    root = tmp_path / "coco"
    for key, content in (("annotations/instances_train2017.json", json.dumps(COCO).encode()),
                         ("train2017/000000000005.jpg", jpeg()), ("train2017/000000000007.jpg", jpeg())):
        (root / key).parent.mkdir(parents=True, exist_ok=True)
        (root / key).write_bytes(content)
    assert len(coco("COCO17", FolderStore(root))) == 3
    file = tmp_path / index.FOLDER / "coco-COCO17.npz"
    with np.load(file) as kept:
        arrays = {name: kept[name] for name in kept.files}
    for name, value in (("image_names", np.array(["../../secret", "x"])), ("images", arrays["images"] + 9),
                        ("boxes_xywh", np.zeros((1, 4))), ("ids", arrays["ids"].astype(float))):
        np.savez(file, **(arrays | {name: value}))
        keys = [video.frames.keys[0] for video in coco("COCO17", FolderStore(root))]
        assert keys == [f"train2017/00000000000{i}.jpg" for i in (5, 7, 5)]


def gif(width: int, height: int) -> bytes:
    """An image of a pixel on a canvas of the given size."""
    canvas = b"GIF89a" + struct.pack("<HH", width, height) + b"\x80\0\0" + b"\0\0\0\xff\xff\xff"
    return canvas + b"\x2c" + struct.pack("<HHHH", 0, 0, 1, 1) + b"\0\x02\x02\x44\x01\0\x3b"


def test_a_video_with_images_too_large_is_refused_by_its_header(tmp_path):
    (tmp_path / "fine.gif").write_bytes(gif(64, 48))
    assert VideoFile(tmp_path / "fine.gif").size_wh == (64, 48)
    (tmp_path / "bomb.gif").write_bytes(gif(16_000, 16_000))  # 1.7 GB while it is decoded
    (tmp_path / "wide.gif").write_bytes(gif(40_000, 2))
    for name in ("bomb.gif", "wide.gif"):
        with bounded(1 << 28), pytest.raises(UserError, match=f"{name}: it has no frame that can be decoded, or "
                                                              "its images have more than 67108864 px or 32766 px"):
            VideoFile(tmp_path / name)


def test_a_track_with_boxes_of_any_size_is_not_drawn(tmp_path):
    box = np.array([1.0, 2, 30, 40])
    rows = [Row(frame, frame / 10, 1, box, 0.5, None, True) for frame in range(3)]
    write_results(tmp_path / "t.csv", "csv", rows, {})
    text = (tmp_path / "t.csv").read_text()
    for old, new in ((",30.00,", ",1e300,"), (",30.00,", ",nan,"), (",40.00,", ",-4,")):
        (tmp_path / "t.csv").write_text(text.replace(old, new, 1))
        with pytest.raises(UserError, match=r"t.csv, line 2: not a row of a track \(not a box: "):
            read_rows(tmp_path / "t.csv")
    (tmp_path / "t.csv").write_text(text.replace("\n0,", f"\n-{10**12},", 1))
    with bounded(), pytest.raises(UserError, match="the first correction cannot be at frame 2"):
        rows_to_keep(tmp_path / "t.csv", {1: 2})


@pytest.mark.parametrize("read", [read_boxes, read_scores])
def test_a_result_too_great_is_refused_unread(tmp_path, read):
    for name in ("v.txt", "v_score.txt"):
        with open(tmp_path / name, "wb") as file:
            file.truncate(1 << 40)
    with bounded(), pytest.raises(UserError, match="txt is refused: 1099511627776 bytes"):
        read(tmp_path, "v")


def test_two_videos_of_one_name_are_an_error(tmp_path):
    for file in ("a/groundtruth_rect.1.txt", "a_1/groundtruth.txt"):
        (tmp_path / file).parent.mkdir()
        (tmp_path / file).write_text("1,2,3,4\n")
    with pytest.raises(UserError, match="two videos would be called a_1"):
        folder(tmp_path)


@pytest.mark.parametrize("tag", ["!!python/object/apply:os.mkdir [{0}]", "!!python/object/new:os.mkdir [{0}]",
                                 "!!python/name:os.system", "!!python/module:os"])
def test_yaml_builds_no_objects(tmp_path, tag):
    with pytest.raises(UserError, match="not valid YAML"):
        parse_yaml(tag.format(tmp_path / "pwned"), "x.yaml")
    assert not (tmp_path / "pwned").exists()


def nested(first: str, step: str) -> str:
    """Ten times ten times … what is in ``first``."""
    return f"a0: &a0 {first}\n" + "".join(
        f"a{i}: &a{i} {step.format(', '.join([f'*a{i - 1}'] * 10))}\n" for i in range(1, 12))


@pytest.mark.parametrize("text", [
    nested("{x: 1}", "{{<<: [{}]}}"), "TRAIN:\n- &a {x: 1}\n- {<<: *a}\n", "? {<<: {x: 1}}\n: 1\n",
    nested("[1, 2]", "[{}]"), nested("{x: 1}", "{{y: [{}]}}"), f"TRAIN: {{LR: [{'1, ' * 100_000}]}}",
    "TRAIN: &t {LR: *t}\n"], ids=["merges", "merge in a list", "merge in a key", "lists", "mappings", "long", "itself"])
def test_yaml_that_unfolds_without_end_is_refused(text):
    with bounded(1 << 28):
        for read in (parse_yaml_mapping, config_from_text):
            try:
                read(text, "x.yaml")
            except UserError as error:
                assert "x.yaml" in str(error) and "\n" not in str(error) and len(str(error)) < 300
            else:
                assert read is parse_yaml_mapping and "<<" not in text and len(text) <= MAX_TEXT


def test_an_error_is_one_line_that_steers_no_terminal(capsys):
    def main():
        raise UserError("video a\x1b[2J\nb\u2028c\udcff")

    with pytest.raises(SystemExit):
        run_command(main)
    assert capsys.readouterr().err == "error: video a\\x1b[2J\\nb\\u2028c\\udcff\n"
    assert one_line("é 追 \t") == "é 追 \\t"
