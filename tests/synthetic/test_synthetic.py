"""The synthetic world: the same arguments give the same bytes, and the annotation is what the images show."""

from __future__ import annotations

import configparser
import dataclasses
import errno
import hashlib
import json
import os
import pickle
import subprocess
import sys
from pathlib import Path

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mstgt.synthetic import ATTRIBUTES, synthetic_video
from mstgt.synthetic.paint import Pose, line_kernel, make_thing
from mstgt.synthetic.scene import Actor, Scene
from mstgt.synthetic.set_spec import SPLITS, SetSpec
from mstgt.synthetic.shapes import BODIES, OCCLUDERS
from mstgt.synthetic.textures import TexturePool
from mstgt.synthetic.video_folders import HIDDEN
from mstgt.synthetic.world import World, make_world
from mstgt.synthetic.writer import write_set
from mstgt.utils.errors import UserError

REPO = Path(__file__).resolve().parents[2]
SIZE = (128, 96)


def small_spec(seed: int = 3, train: int = 3) -> SetSpec:
    return SetSpec(videos={"train": train, "val": 1, "test": 1}, frames=dict.fromkeys(SPLITS, 4), size_wh=SIZE,
                   seed=seed, difficulty={"train": (0.0, 1.0), "val": (0.2, 1.0), "test": (0.2, 1.0)})


def hashes(root: Path) -> dict[str, str]:
    return {str(p.relative_to(root)): hashlib.sha256(p.read_bytes()).hexdigest()
            for p in sorted(root.rglob("*")) if p.is_file()}


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("synthetic") / "set"
    report = write_set(root, small_spec())
    assert (report.written, report.skipped, report.frames) == (5, 0, 20)
    return root


def plain(actor: Actor, color: tuple[int, int, int]) -> Actor:
    """``actor`` in one color, without blur and soft edges."""
    sprites = [dataclasses.replace(s, levels=[np.full_like(s.levels[0], color)]) for s in actor.thing.sprites]
    thing = dataclasses.replace(actor.thing, sprites=sprites, soft=0.0)
    return Actor(thing, [p._replace(velocity=(0.0, 0.0)) for p in actor.poses])


def plain_scene(scene: Scene) -> Scene:
    """A white target on black, with red things in front."""
    return dataclasses.replace(scene, canvas=np.zeros_like(scene.canvas), behind=(),
                               target=plain(scene.target, (255, 255, 255)),
                               front=tuple(plain(a, (255, 0, 0)) for a in scene.front))


def test_layout_is_got10k(written: Path) -> None:
    for split, count in (("train", 3), ("val", 1), ("test", 1)):
        names = (written / split / "list.txt").read_text().split()
        assert names == [f"SYN_{split.capitalize()}_{i + 1:06d}" for i in range(count)]
        assert sorted(p.name for p in (written / split).iterdir()) == sorted([*names, "list.txt"])
        for name in names:
            folder = written / split / name
            boxes = np.loadtxt(folder / "groundtruth.txt", delimiter=",", ndmin=2)
            labels = {k: np.loadtxt(folder / f"{k}.label", dtype=int) for k in ("absence", "cover", "cut_by_image")}
            assert boxes.shape == (4, 4) and all(len(v) == 4 for v in labels.values())
            assert ((labels["cover"] == 0) == (labels["absence"] == 1)).all()
            assert labels["cover"][0] == 8 and labels["cut_by_image"][0] == 0
            assert sorted(p.name for p in folder.glob("*.jpg")) == [f"{i:08d}.jpg" for i in range(1, 5)]
            assert cv2.imread(str(folder / "00000004.jpg")).shape == (SIZE[1], SIZE[0], 3)


def test_meta_info_holds_class_resolution_and_attributes(written: Path) -> None:
    shares = []
    for index in range(3):
        parser = configparser.ConfigParser(interpolation=None)
        parser.read(written / "train" / f"SYN_Train_{index + 1:06d}" / "meta_info.ini")
        meta = parser["METAINFO"]
        assert meta["object_class"] in BODIES and meta["resolution"] == "(128, 96)"
        assert set(filter(None, meta["attributes"].split(", "))) <= set(ATTRIBUTES)
        assert meta["seed"] == f"3-0-{index}"
        shares.append(float(meta["difficulty"]))
    assert shares == [0.0, 0.5, 1.0]


def test_written_boxes_and_images_are_those_of_the_world(written: Path) -> None:
    spec = small_spec()
    world = make_world(spec.seed_key("train", 2), 4, SIZE, 1.0, spec.pool_key("train"))
    folder = written / "train" / "SYN_Train_000003"
    np.testing.assert_allclose(np.loadtxt(folder / "groundtruth.txt", delimiter=","), world.annotation.boxes_xywh)
    image = cv2.cvtColor(cv2.imread(str(folder / "00000003.jpg")), cv2.COLOR_BGR2RGB).astype(float)
    assert np.abs(image - world.render(2)).mean() < 8


def test_two_workers_write_the_same_bytes(written: Path, tmp_path: Path) -> None:
    write_set(tmp_path / "again", small_spec(), workers=2)
    assert hashes(tmp_path / "again") == hashes(written)


def test_another_seed_writes_other_images(written: Path, tmp_path: Path) -> None:
    write_set(tmp_path / "other", small_spec(seed=4, train=1))
    name = "train/SYN_Train_000001/00000001.jpg"
    assert hashes(tmp_path / "other")[name] != hashes(written)[name]


def test_rerun_finishes_what_is_missing_and_cleans_up(tmp_path: Path) -> None:
    root = tmp_path / "set"
    write_set(root, small_spec())
    before = hashes(root)
    kept = (root / "train/SYN_Train_000001/00000001.jpg").stat().st_mtime_ns
    (root / "train/SYN_Train_000002").rename(root / "train" / f"{HIDDEN}killed")
    (root / "train/list.txt").unlink()
    report = write_set(root, small_spec())
    assert (report.written, report.skipped) == (1, 4)
    assert hashes(root) == before
    assert (root / "train/SYN_Train_000001/00000001.jpg").stat().st_mtime_ns == kept


def test_failure_leaves_no_video(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cv2, "imencode", lambda *_: (False, None))
    with pytest.raises(RuntimeError, match="cannot encode"):
        write_set(tmp_path / "set", small_spec())
    assert list((tmp_path / "set/train").iterdir()) == []


def test_other_arguments_need_overwrite(tmp_path: Path) -> None:
    root = tmp_path / "set"
    write_set(root, small_spec(train=2))
    with pytest.raises(UserError, match="made with other arguments"):
        write_set(root, small_spec(train=1))
    write_set(root, small_spec(train=1), overwrite=True)
    assert not (root / "train/SYN_Train_000002").exists()
    assert json.loads((root / "synthetic.json").read_text())["videos"]["train"] == 1
    assert not list(root.glob(HIDDEN + "*"))


def test_a_folder_of_other_files_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "thesis.txt").write_text("mine")
    with pytest.raises(UserError, match="not empty"):
        write_set(tmp_path, small_spec(), overwrite=True)
    assert [p.name for p in tmp_path.iterdir()] == ["thesis.txt"]


def test_a_full_dev_shm_is_a_user_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr("mstgt.synthetic.video_folders.ProcessPoolExecutor", full)
    with pytest.raises(UserError, match="they need room in /dev/shm, --workers 1 needs none: No space left on device"):
        write_set(tmp_path / "set", small_spec(), workers=2)


@pytest.mark.parametrize("arguments", [["--size", "320"], ["--train", "-1"], ["--difficulty", "0.9", "0.1"],
                                       ["--workers", "0"], ["--size", "16x16"], ["--frames", "1"]])
def test_command_refuses_in_one_line(tmp_path: Path, arguments: list[str]) -> None:
    command = [sys.executable, "tracking/make_synthetic.py", "--out", str(tmp_path / "set"), *arguments]
    done = subprocess.run(command, cwd=REPO, capture_output=True, text=True, env={"PYTHONPATH": str(REPO)})
    assert done.returncode == 1
    assert done.stderr.startswith("error: ") and done.stderr.count("\n") == 1
    assert not (tmp_path / "set").exists()


@settings(max_examples=12, deadline=None)
@given(st.integers(0, 2 ** 40), st.floats(0, 1))
def test_boxes_are_those_of_the_drawn_target(seed: int, difficulty: float) -> None:
    world = make_world((seed,), 8, SIZE, difficulty)
    found = world.annotation
    scene = plain_scene(world.scene)
    alone, hidden = World(dataclasses.replace(scene, front=())), World(scene)
    assert found.visible_ratio[0] == 1 and not found.cut[0] and found.boxes_xywh[0, 2:].min() > 0
    for frame in range(8):
        mask = alone.render(frame, look=False)[..., 1] > 127
        rows, columns = np.nonzero(mask)
        if not len(rows):
            assert found.absent[frame] and not found.boxes_xywh[frame].any()
            continue
        box = [columns.min(), rows.min(), np.ptp(columns) + 1, np.ptp(rows) + 1]
        np.testing.assert_array_equal(found.boxes_xywh[frame], box)
        if not found.cut[frame]:
            seen = (hidden.render(frame, look=False)[..., 1] > 127).sum() / mask.sum()
            assert abs(seen - found.visible_ratio[frame]) < 0.08


@settings(max_examples=12, deadline=None)
@given(st.integers(0, 2 ** 40), st.floats(0, 1))
def test_annotation_is_consistent(seed: int, difficulty: float) -> None:
    found = make_world((seed, 1), 10, SIZE, difficulty).annotation
    x, y, w, h = found.boxes_xywh.T
    assert ((x >= 0) & (y >= 0) & (x + w <= SIZE[0]) & (y + h <= SIZE[1])).all()
    assert ((found.visible_ratio >= 0) & (found.visible_ratio <= 1)).all()
    assert (found.absent == (found.visible_ratio < 0.02)).all()
    assert ((found.cover == 0) == found.absent).all()
    assert (np.abs(found.cover / 8 - found.visible_ratio)[~found.absent] <= 0.106).all()
    assert (found.visible_ratio[found.cut] < 1).all()
    short = min(SIZE)
    assert 0.06 * short < np.sqrt(w[0] * h[0]) < 0.6 * short


def test_every_attribute_occurs_in_hard_videos() -> None:
    seen = set()
    for index in range(40):
        seen |= set(make_world((index, 2), 30, (96, 72), 1.0).annotation.attributes)
    assert seen >= set(ATTRIBUTES) - {"low_resolution", "grey"}


def test_frames_do_not_depend_on_the_order_of_reading() -> None:
    first = synthetic_video(5, 6, SIZE, 1.0).frames
    forward = [first.read(i) for i in range(6)]
    again = make_world(first.seed_key, 6, SIZE, 1.0, first.pool_key)
    for index in (4, 0, 5, 2):
        np.testing.assert_array_equal(again.render(index), forward[index])
    with pytest.raises(IndexError):
        first.read(6)


def test_a_video_without_files() -> None:
    video = synthetic_video(9, frames=5, size_wh=(101, 77), difficulty=1.0, index=2)
    assert len(video) == 5 and video.name == "SYN_Live_000003" and video.visible[0]
    image = video.frames.read(1)
    assert image.shape == (77, 101, 3) and image.dtype == np.uint8
    assert video.frames.read(1, reduce=2).shape == (39, 51, 3)
    np.testing.assert_array_equal(pickle.loads(pickle.dumps(video.frames)).read(1), image)


@pytest.mark.parametrize("body", [*BODIES.values(), *OCCLUDERS.values()])
def test_bodies_have_the_size_that_is_asked_for(body) -> None:
    thing = make_thing(np.random.default_rng(1), TexturePool((1,)), body(np.random.default_rng(2)))
    alpha = thing.silhouette(Pose(0, 0, 80), 0).alpha > 127
    rows, columns = np.nonzero(alpha)
    assert abs(np.sqrt((np.ptp(rows) + 1) * (np.ptp(columns) + 1)) - 80) < 4


@given(st.floats(-20, 20), st.floats(-20, 20))
def test_line_kernel_keeps_brightness_and_place(dx: float, dy: float) -> None:
    kernel = line_kernel(dx, dy)
    side = kernel.shape[0]
    axis = np.arange(side) - side // 2
    assert kernel.sum() == pytest.approx(1, abs=1e-4) and kernel.min() >= 0 and side % 2 == 1
    assert abs((kernel.sum(0) * axis).sum()) < 0.05 and abs((kernel.sum(1) * axis).sum()) < 0.05
