"""The world of photographs as a data set: by name, composed when read, or written ahead."""

from __future__ import annotations

import json
import pickle
import runpy
import shutil
import sys
from pathlib import Path

import cv2
import numpy as np
import pytest

from mstgt.data.readers import read_training_set
from mstgt.synthetic.photos.writer import SPEC_FILE, PhotoSetSpec, write_set
from mstgt.utils.errors import UserError
from tests.synthetic.photos import folders as make


@pytest.fixture(scope="module")
def material(tmp_path_factory):
    return make.coco_folder(tmp_path_factory.mktemp("material") / "mine", 6, polygons=False)


def nowhere(key: str):
    raise AssertionError(key)


def test_a_folder_by_name_is_composed_when_it_is_read(material):
    videos = read_training_set(f"PHOTOS:{material}", nowhere)
    assert len(videos) == 100_000 and len(read_training_set(f"PHOTOS_val:{material}", nowhere)) == 1000
    video = pickle.loads(pickle.dumps(videos))[7]
    assert len(video) == 4 and video.object_class in ("cup", "dog")
    image = video.frames.read(2)
    assert image.shape[1::-1] == video.size_wh and (image == videos[7].frames.read(2)).all()
    assert video.frames.read(2, reduce=2).shape[0] == -(-image.shape[0] // 2)
    assert "frame 2 of sample 8" in video.frames.where(2)
    assert np.isfinite(video.boxes_xywh).all() and (video.visible_ratio <= 1).all()


def test_the_sets_of_the_data_folder(material, tmp_path):
    write_set(tmp_path / "photos", PhotoSetSpec({"train": 3, "val": 2}, 3, 0, (str(material),)))
    for name, count in (("PHOTOS", 3), ("PHOTOS_val", 2)):
        videos = read_training_set(name, lambda key: tmp_path / key)
        assert len(videos) == count and len(videos[0]) == 3
    assert len(read_training_set(f"PHOTOS:{tmp_path}/photos", nowhere)) == 3
    with pytest.raises(UserError, match="no folder .*elsewhere.*make_photos.py"):
        read_training_set("PHOTOS", lambda key: tmp_path / "elsewhere")
    (tmp_path / "hollow").mkdir()
    with pytest.raises(UserError, match="no photographs in .*hollow"):
        read_training_set(f"PHOTOS:{tmp_path}/hollow", nowhere)


def contents(root):
    return {str(p.relative_to(root)): p.read_bytes() for p in sorted(root.rglob("*")) if p.is_file()}


def test_a_set_is_what_its_spec_says_however_it_was_written(material, tmp_path):
    spec = PhotoSetSpec({"train": 4, "val": 1}, 2, 3, (str(material),))
    assert write_set(tmp_path / "whole", spec) == 5
    assert write_set(tmp_path / "whole", spec) == 0
    shutil.copytree(tmp_path / "whole", tmp_path / "cut")
    shutil.rmtree(tmp_path / "cut" / "train" / "PHOTO_Train_000002")
    (tmp_path / "cut" / "train" / ".unfinished-xyz").mkdir()
    (tmp_path / "cut" / "train" / "list.txt").unlink()
    assert write_set(tmp_path / "cut", spec) == 1
    assert contents(tmp_path / "cut") == contents(tmp_path / "whole")
    sample = spec.sample("train", 2)
    folder = tmp_path / "whole" / "train" / "PHOTO_Train_000003"
    assert np.allclose(np.loadtxt(folder / "groundtruth.txt", delimiter=","), sample.annotation.boxes_xywh, atol=1e-4)
    written = cv2.cvtColor(cv2.imread(str(folder / "00000001.jpg")), cv2.COLOR_BGR2RGB).astype(float)
    assert np.abs(written - sample.render(0, compress=False)).mean() < 12


def test_sets_that_must_not_be_mixed(material, tmp_path):
    spec = PhotoSetSpec({"train": 1, "val": 0}, 2, 0, (str(material),))
    write_set(tmp_path / "set", spec)
    with pytest.raises(UserError, match="made with other arguments"):
        write_set(tmp_path / "set", PhotoSetSpec({"train": 2, "val": 0}, 2, 0, (str(material),)))
    (tmp_path / "set" / SPEC_FILE).write_text("no json")
    with pytest.raises(UserError, match="made with other arguments"):
        write_set(tmp_path / "set", spec)
    with pytest.raises(UserError, match="is not empty"):
        write_set(material, spec)
    with pytest.raises(UserError, match="no photographs in"):
        (tmp_path / "hollow").mkdir()
        write_set(tmp_path / "new", PhotoSetSpec({"train": 1, "val": 0}, 2, 0, (str(tmp_path / "hollow"),)))
    assert not (tmp_path / "new").exists()
    for arguments in (({"train": -1, "val": 0}, 2, 0), ({"train": 1, "val": 0}, 1, 0), ({"train": 1, "val": 0}, 2, -1)):
        with pytest.raises(UserError):
            PhotoSetSpec(*arguments, ("x",))


def test_the_spec_file_names_the_material(material, tmp_path):
    write_set(tmp_path / "set", PhotoSetSpec({"train": 1, "val": 0}, 2, 9, (str(material),)))
    kept = json.loads((tmp_path / "set" / SPEC_FILE).read_text())
    assert kept["folders"] == [str(material)] and kept["seed"] == 9


def test_the_program_writes_a_set_and_continues_one(material, tmp_path, monkeypatch, capsys):
    program = Path(__file__).resolve().parents[3] / "tracking" / "make_photos.py"
    arguments = [str(program), str(material), "--out", str(tmp_path / "set"), "--train", "2", "--val", "1", "--workers",
                 "1"]
    monkeypatch.setattr(sys, "argv", arguments)
    runpy.run_path(str(program))["main"]()
    runpy.run_path(str(program))["main"]()
    first, second = capsys.readouterr().out.splitlines()
    assert "3 samples written" in first
    assert second == f"{tmp_path / 'set'}: the set is complete (3 samples are there)"
    assert (tmp_path / "set" / "val" / "list.txt").read_text() == "PHOTO_Val_000001\n"
