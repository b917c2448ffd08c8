"""Annotated boxes and visible shares are those of the rendered target."""

from __future__ import annotations

import logging

import cv2
import numpy as np
import pytest

from mstgt.synthetic.photos.compose import make_sample
from mstgt.synthetic.photos.cutout import Cutout, fitted, from_box, from_mask, hull_of, soft_edge, superellipse
from mstgt.synthetic.photos.degrade import Degradation, draw_degradation
from mstgt.synthetic.photos.material import open_material
from mstgt.synthetic.photos.motion import draw_path
from mstgt.synthetic.photos.paste import Pose, line_kernel
from mstgt.synthetic.photos.sample import PastedObject, PhotoSample
from mstgt.synthetic.photos.source import Scene
from mstgt.utils.errors import UserError
from tests.synthetic.photos import folders as make

SIZE_WH = (200, 150)


def clean(frames: int) -> Degradation:
    one, zero = np.ones(frames), np.zeros(frames)
    return Degradation(one, one, zero, np.zeros((frames, 2)), zero, one, np.full(frames, 100), 0.0, "color")


def red_cutout(width: int = 40, height: int = 30) -> Cutout:
    """A red rectangle with three transparent pixels around it."""
    alpha = np.zeros((height + 6, width + 6), np.uint8)
    alpha[3:-3, 3:-3] = 255
    rgb = np.zeros((*alpha.shape, 3), np.uint8)
    rgb[:] = (255, 0, 0)
    return Cutout(rgb, alpha, hull_of(alpha > 127))


def sample_of(target, poses=None, front=(), backgrounds=None, views=None) -> PhotoSample:
    frames = len(poses or views)
    black = [np.zeros((SIZE_WH[1], SIZE_WH[0], 3), np.uint8)]
    return PhotoSample((0,), SIZE_WH, "thing", backgrounds or black, views or [np.eye(3)] * frames, target, [],
                       list(front), clean(frames), [(0.0, 0.0)] * frames, 95)


def red_box(image: np.ndarray) -> np.ndarray:
    """x, y, w, h of what is more than half red."""
    return np.array(cv2.boundingRect((image[:, :, 0] > 127).astype(np.uint8)))


@pytest.mark.parametrize("change", [
    {}, {"angle": 0.5}, {"aspect": 0.6}, {"shear": 0.3}, {"flip": True, "angle": -1.0}, {"tilt": (0.3, -0.2)},
    {"size": 12.0}, {"size": 90.0}, {"size": 15.0, "angle": 0.8, "tilt": (0.2, 0.2)}])
def test_the_box_is_that_of_the_pasted_pixels(change):
    pose = Pose(**({"x": 100.3, "y": 70.6, "size": 40.0} | change))
    sample = sample_of(PastedObject.fit([red_cutout()], [pose]), [pose])
    box = sample.annotation.boxes_xywh[0]
    assert np.abs(red_box(sample.render(0)) - box).max() <= 1.6
    # the middle of the outline is where the pose says, but for perspective
    if "tilt" not in change:
        assert np.allclose(box[:2] + box[2:] / 2, (100.3, 70.6), atol=0.6)
        assert sample.annotation.visible_ratio[0] > 0.93 and not sample.annotation.absent[0]


def test_motion_blur_keeps_the_box_centered():
    pose = Pose(100, 70, 40.0, velocity=(16.0, 0.0))
    sample = sample_of(PastedObject.fit([red_cutout()], [pose]), [pose])
    found, box = red_box(sample.render(0)), sample.annotation.boxes_xywh[0]
    assert np.abs(found[:2] + found[2:] / 2 - box[:2] - box[2:] / 2).max() <= 1


def test_kernels_of_motion_keep_the_brightness():
    for step in ((3, 0), (0, 7.5), (-9, 4), (200, 100)):
        kernel = line_kernel(*step)
        assert kernel.sum() == pytest.approx(1, abs=1e-5) and max(kernel.shape) <= 29
        moments = kernel * np.arange(len(kernel))
        assert moments.sum() == pytest.approx((len(kernel) - 1) / 2, abs=0.6)


def test_covered_cut_and_absent_targets():
    places = [(100, 70), (100, 70), (0, 70), (-60, 70)]
    poses = [Pose(x, y, 40.0) for x, y in places]
    width = poses[0].size * np.sqrt(4 / 3)
    # the second frame: an object of the same size covers the right half
    cover = [Pose(500, 500, 40.0), Pose(100 + width / 2, 70, 40.0), Pose(500, 500, 40.0), Pose(500, 500, 40.0)]
    sample = sample_of(PastedObject([red_cutout()], poses), poses, [PastedObject([red_cutout()], cover)])
    found = sample.annotation
    assert np.allclose(found.visible_ratio, [1, 0.5, 0.5, 0], atol=0.06)
    assert found.absent.tolist() == [False, False, False, True]
    assert found.cut.tolist() == [False, False, True, False]
    assert found.cover.tolist() == [8, 4, 4, 0]
    assert found.boxes_xywh[1, 2] == pytest.approx(width, abs=0.5)  # the whole box, covered part included
    assert found.boxes_xywh[2, 0] == 0 and found.boxes_xywh[2, 2] == pytest.approx(width / 2, abs=0.5)
    assert not found.boxes_xywh[3].any()


def test_a_target_in_its_own_photograph_follows_the_view():
    image = np.zeros((150, 200, 3), np.uint8)
    image[40:80, 60:110] = (255, 0, 0)
    mask = (image[:, :, 0] > 0).astype(np.uint8) * 255
    view = np.array([[1.3, 0, -20], [0, 1.3, -10], [0, 0, 1.0]])
    sample = sample_of(Scene([image], [mask], [hull_of(mask > 127)]), backgrounds=[image], views=[np.eye(3), view])
    assert sample.annotation.boxes_xywh[0].tolist() == [60, 40, 50, 40]
    assert np.allclose(sample.annotation.boxes_xywh[1], [58, 42, 65, 52], atol=0.01)
    assert np.abs(red_box(sample.render(1)) - sample.annotation.boxes_xywh[1]).max() <= 1
    assert np.allclose(sample.annotation.visible_ratio, 1, atol=0.03)


def test_an_object_with_a_box_is_cut_with_a_soft_edge_that_lies_beside_it():
    rng = np.random.default_rng(0)
    for _ in range(20):
        cut = from_box(make.texture(0), np.array([40.0, 30, 90, 70]), rng)
        assert np.allclose(cut.extent_wh, (50, 40))
        x, y = np.round(cut.center).astype(int)
        assert cut.alpha[y, x] == 255
        values = np.unique(cut.alpha)
        assert len(values) > 10  # a ramp


def test_soft_edges_fade_out_at_the_border_of_the_image():
    alpha = soft_edge((40, 40), np.array([0.0, 0, 40, 40]), 12.0, 0.05, 0.1)
    assert alpha[20, 0] < 100 and alpha[20, 20] == 255
    ellipse = superellipse(np.array([0.0, 0, 40, 20]), 2.0)
    assert np.allclose(np.ptp(ellipse, axis=0), (40, 20))


def test_a_mask_is_cut_exactly(tmp_path):
    mask = make.object_mask()
    cut = from_mask(make.photograph(0), mask, np.random.default_rng(1))
    assert cut.extent_wh.tolist() == [48, 36]
    assert from_mask(make.photograph(0), mask * 0, np.random.default_rng(1)) is None
    small, = fitted([cut], cut.size / 3.5)
    assert np.allclose(small.extent_wh, (16, 12)) and small.alpha.max() > 250


def test_paths_stay_in_the_image_and_move_up_to_their_size():
    steps = []
    for seed in range(200):
        poses = draw_path(np.random.default_rng(seed), 4, 40.0, (320, 240))
        places = np.array([(p.x, p.y) for p in poses])
        assert (places > 0).all() and (places < (320, 240)).all()
        steps.append(np.hypot(*np.diff(places, axis=0).T).max() / 40)
    assert np.quantile(steps, 0.3) < 0.5 and np.quantile(steps, 0.8) > 1


def test_degradations_depend_on_the_key_alone():
    image = make.texture(3)
    for seed in range(30):
        look = draw_degradation(np.random.default_rng(seed), 3, 40.0)
        one, other = look.apply(image, 1, (seed,)), look.apply(image, 1, (seed,))
        assert one.shape == image.shape and (one == other).all()
        if look.mode != "color" and look.quality[1] >= 95:
            assert (one[:, :, 0] == one[:, :, 1]).all()


@pytest.fixture(scope="module")
def everything(tmp_path_factory):
    folder = tmp_path_factory.mktemp("all")
    make.coco_folder(folder / "coco", 6)
    make.tiny_imagenet_folder(folder / "tiny")
    make.cutout_folder(folder / "cutouts")
    make.mask_video_folder(folder / "videos")
    make.photograph_folder(folder / "photographs")
    make.masked_folder(folder / "masked", 3)
    return open_material((str(folder),), "train")


def test_samples_of_all_material_are_functions_of_their_key(everything):
    kinds = set()
    for index in range(40):
        one, other = (make_sample((5, 0, index), 4, everything) for _ in range(2))
        assert (one.annotation.boxes_xywh == other.annotation.boxes_xywh).all()
        frame = index % 4
        image = one.render(frame)
        assert image.shape == (one.size_wh[1], one.size_wh[0], 3) and image.dtype == np.uint8
        assert (image == other.render(frame)).all()
        boxes = one.annotation.boxes_xywh[~one.annotation.absent]
        assert (boxes[:, :2] >= 0).all() and (boxes[:, :2] + boxes[:, 2:] <= np.array(one.size_wh) + 1e-6).all()
        kinds.add((type(one.target).__name__, one.object_class))
    assert {kind for kind, _ in kinds} == {"PastedObject", "Scene"} and len(kinds) > 5


def test_shapes_change_in_samples_of_mask_videos(tmp_path):
    material = open_material((str(make.mask_video_folder(tmp_path / "set")),), "all")
    source = material.sources[0]
    widths = [cut.extent_wh[0] for cut in source.cutouts(0, 4, np.random.default_rng(0))]
    assert widths == sorted(widths) and widths[-1] > widths[0]
    scene = source.scene(0, 4, np.random.default_rng(0))
    assert len(scene.images) == len(scene.outlines) == 4


def test_a_photograph_that_cannot_be_read_is_skipped_and_named(tmp_path, caplog):
    folder = make.coco_folder(tmp_path / "set", 6)
    (folder / "train2017" / "000001.png").write_bytes(b"torn")
    material = open_material((str(folder),), "all")
    with caplog.at_level(logging.WARNING):
        for index in range(20):
            make_sample((0, 0, index), 3, material)
    assert caplog.text.count("000001.png") == 1 and "skipped: cannot decode image" in caplog.text


def test_the_last_failure_is_an_error_in_one_line(tmp_path):
    folder = make.coco_folder(tmp_path / "set", 3)
    for image in (folder / "train2017").iterdir():
        image.write_bytes(b"torn")
    with pytest.raises(UserError, match="cannot decode image .*000"):
        make_sample((0, 0, 0), 3, open_material((str(folder),), "all"))


@pytest.mark.parametrize("write, mask", [(make.masked_folder, "masks/1.png"),
                                         (make.mask_video_folder, "video1/mask/00002.png")])
def test_a_mask_of_another_size_is_named(tmp_path, write, mask):
    folder = write(tmp_path / "set")
    make.save(folder / mask, cv2.resize(make.object_mask(), (80, 60), interpolation=cv2.INTER_NEAREST))
    source = open_material((str(folder),), "all").sources[0]
    with pytest.raises(UserError, match=f"{mask}: the mask has 80 x 60 px and its image 160 x 120 px"):
        for number in source.numbers:
            source.cutouts(number, 1, np.random.default_rng(0))


@pytest.mark.parametrize("image, message", [
    (np.zeros((30, 30, 4), np.uint8), "no pixel is opaque"), (np.zeros((30, 30, 3), np.uint8), "has no alpha")])
def test_cutouts_without_an_object_are_named(tmp_path, image, message):
    folder = make.cutout_folder(tmp_path / "set", 6)
    make.save(folder / "z_last.png", image)
    source = open_material((str(folder),), "all").sources[0]
    with pytest.raises(UserError, match=f"z_last.png.*{message}"):
        source.cutouts(6, 1, np.random.default_rng(0))
