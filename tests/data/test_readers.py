"""Each reader on a tiny dataset in its real layout."""

from pathlib import Path

import cv2
import numpy as np
import pytest

from mstgt.data.frame_names import find_frames
from mstgt.data.readers import TRAINING_SETS, read_training_set, split_videos
from mstgt.data.readers.folder import folder
from mstgt.data.readers.frame_ranges import nfs, otb, uav123
from mstgt.data.readers.got10k import got10k_folder, got10k_train
from mstgt.data.readers.lasot import lasot_test
from mstgt.data.readers.split_lists import read_frame_ranges, read_index_ranges, read_names
from mstgt.data.readers.tnl2k import tnl2k
from mstgt.data.readers.trackingnet import trackingnet_test
from mstgt.data.readers.vot import vot
from mstgt.data.store import FolderStore
from mstgt.utils.errors import UserError

SHARED = Path(__file__).resolve().parents[3] / "shared"
real = pytest.mark.skipif(not (SHARED / "real").is_dir(), reason="no shared/real beside the checkout")
IMAGE = cv2.imencode(".jpg", np.zeros((8, 8, 3), np.uint8))[1].tobytes()


def put(root, files):
    """Write files: text, or None for an image."""
    for name, text in files.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(IMAGE if text is None else text.encode())
    return FolderStore(root)


def boxes(n, box="1,2,3,4"):
    return (box + "\n") * n


def images(pattern, numbers):
    return {pattern.format(n): None for n in numbers}


# --- lists that come with the project

def test_the_lists_are_complete_and_unique():
    for file, count in (("lasot_test.txt", 280), ("lasot_train.txt", 1120), ("lasot_extension_subset.txt", 150)):
        assert len(set(read_names(file))) == len(read_names(file)) == count
    assert not set(read_names("lasot_test.txt")) & set(read_names("lasot_train.txt"))
    for file, count in (("otb100.csv", 100), ("uav123.csv", 123), ("nfs30.csv", 100)):
        ranges = read_frame_ranges(file)
        assert len({r.name for r in ranges}) == len({r.annotation for r in ranges}) == count
    sizes = {"train_full": 9335, "vot_train": 7086, "vot_val": 1249, "train": 7934, "val": 1401}
    splits = {name: set(read_index_ranges("got10k_splits.txt", name)) for name in sizes}
    assert {name: len(indices) for name, indices in splits.items()} == sizes
    assert not splits["vot_train"] & splits["vot_val"] and max(splits["train_full"]) == 9334


@pytest.mark.parametrize("file", ["lasot_test.txt", "uav123.csv", "nfs30.csv", "got10k_splits.txt"])
@pytest.mark.skipif(not (SHARED / "facts").is_dir(), reason="no shared/facts beside the checkout")
def test_the_lists_of_videos_are_the_official_ones(file):
    import mstgt.data.specs
    assert (Path(mstgt.data.specs.__path__[0]) / file).read_text() == (SHARED / "facts" / file).read_text()


# --- GOT-10k layout

def got10k_video(folder, n=3, **extra):
    return {f"{folder}/groundtruth.txt": boxes(n), **images(folder + "/{:08d}.jpg", range(1, n + 1)),
            **{f"{folder}/{name}": text for name, text in extra.items()}}


def test_got10k_train_split_takes_official_indices_and_names_what_is_missing(tmp_path):
    store = put(tmp_path, got10k_video("train/GOT-10k_Train_000002") | got10k_video("train/GOT-10k_Train_000003")
                | {"train/list.txt": "GOT-10k_Train_000002\nGOT-10k_Train_000003\n"})
    val = got10k_train("GOT10K_votval", store, "vot_val")  # index 1 belongs to it, index 2 to the train split
    assert val.video_names == ("GOT-10k_Train_000002",) and len(val.missing) == 1248
    assert "GOT-10k_Train_000003" in got10k_train("x", store, "vot_train").video_names
    assert len(got10k_train("x", store, "train_full")) == 2


def test_got10k_labels_and_meta(tmp_path):
    meta = "[METAINFO]\nobject_class: bear\nresolution: (640, 480)\nattributes: occlusion, blur\ndifficulty: 0.25\n"
    store = put(tmp_path, got10k_video("val/a", 4, **{"absence.label": "0\n1\n0\n0\n", "cover.label": "8\n0\n4\n0\n",
                                                      "meta_info.ini": meta}) | {"val/list.txt": "a\nb\n"})
    videos = got10k_folder("SYNTHETIC_val", store, "val", synthetic=True)
    assert videos.video_names == ("a",) and videos.missing == ("b",) and videos.difficulty_of("a") == 0.25
    video = videos[0]
    assert video.visible.tolist() == [True, False, True, True]
    assert video.visible_ratio.tolist() == [1, 0, 0.5, 0]
    assert (video.object_class, video.size_wh, video.attributes, video.difficulty) == \
        ("bear", (640, 480), ("occlusion", "blur"), 0.25)
    assert video.frames.read(0).shape == (8, 8, 3)


def test_got10k_names_may_have_spaces_and_points(tmp_path):
    files = {**got10k_video("val/my video", 1), **got10k_video("val/v1.0", 1), "val/list.txt": "v1.0\r\nmy video\r\n"}
    videos = got10k_folder("x", put(tmp_path, files), "val")
    assert videos.video_names == ("v1.0", "my video") and videos.missing == ()
    (tmp_path / "val" / "list.txt").unlink()
    assert got10k_folder("x", FolderStore(tmp_path), "val").video_names == ("my video", "v1.0")


def test_got10k_test_knows_only_the_first_box(tmp_path):
    files = got10k_video("GOT-10k_Test_000001", 5) | {"GOT-10k_Test_000001/groundtruth.txt": boxes(1),
                                                     "list.txt": "GOT-10k_Test_000001\n"}
    video = got10k_folder("got10k_test", put(tmp_path, files), "test", hidden_truth=True)[0]  # root = split itself
    assert len(video) == 5 and video.visible.tolist() == [True] + [False] * 4
    assert np.isnan(video.boxes_xywh[1:]).all() and video.notes == ()


@pytest.mark.parametrize("meta", ["no section\n", "[M]\nresolution: wide\n", "[M]\ndifficulty: hard\n"])
def test_broken_meta_is_a_user_error_naming_the_file(tmp_path, meta):
    store = put(tmp_path, got10k_video("val/a", 1, **{"meta_info.ini": meta}))
    with pytest.raises(UserError, match=r"val/a/meta_info\.ini: "):
        got10k_folder("x", store, "val")[0]


# --- LaSOT

def test_lasot_absence_and_missing(tmp_path):
    store = put(tmp_path, {"bear/bear-2/groundtruth.txt": boxes(3), "bear/bear-2/full_occlusion.txt": "0,1,0",
                           "bear/bear-2/out_of_view.txt": "0,0,1"})
    videos = lasot_test(store)
    assert videos.video_names == ("bear-2",) and len(videos.missing) == 279
    video = videos[0]
    assert video.visible.tolist() == [True, False, False] and video.object_class == "bear"
    assert video.frames.keys[0] == "bear/bear-2/img/00000001.jpg" and len(video) == 3  # no images: by rule
    put(tmp_path, images("bear/bear-2/img/{:08d}.jpg", range(1, 6)))
    video = videos[0]
    assert len(video) == 5 and video.annotated == 3 and "3 rows for 5 frames" in video.notes[0]
    put(tmp_path, {"bear/bear-2/out_of_view.txt": "0,0"})
    with pytest.raises(UserError, match="full_occlusion.txt has 3 flags, .*out_of_view.txt has 2"):
        videos[0]


def test_absence_is_read_where_the_given_folder_is_the_video(tmp_path):
    put(tmp_path, {"groundtruth.txt": boxes(3), "full_occlusion.txt": "0,1,0", "out_of_view.txt": "0,0,1"})
    put(tmp_path, images("img/{:08d}.jpg", range(1, 4)))
    (video,) = folder(tmp_path)
    assert video.visible.tolist() == [True, False, False] and len(video) == 3


# --- frame ranges

def test_otb_frame_ranges(tmp_path):
    store = put(tmp_path, {"David/groundtruth_rect.txt": boxes(471), "Tiger1/groundtruth_rect.txt": boxes(354),
                           "Jogging/groundtruth_rect.1.txt": boxes(307), "Jogging/groundtruth_rect.2.txt": boxes(307)})
    videos = {v.name: v for v in otb(store)}
    assert list(videos) == ["David", "Jogging_1", "Jogging_2", "Tiger1"]
    assert videos["David"].frames.keys[0] == "David/img/0300.jpg" and len(videos["David"]) == 471
    assert videos["Tiger1"].frames.keys[0] == "Tiger1/img/0006.jpg" and len(videos["Tiger1"]) == 349
    assert all(v.notes == () for v in videos.values())


def test_uav_and_nfs(tmp_path):
    nans = "NaN,NaN,NaN,NaN\n"
    uav = uav123(put(tmp_path / "u", {"anno/UAV123/bird1_2.txt": boxes(700) + nans * 3}))[0]
    assert uav.name == "uav_bird1_2" and uav.frames.keys[0] == "data_seq/UAV123/bird1/000775.jpg"
    assert uav.visible.sum() == 700 and np.isnan(uav.boxes_xywh[-1]).all()
    video = nfs(put(tmp_path / "n", {"anno/nfs_bee.txt": boxes(45, "1\t2\t3\t4")}))[0]
    assert video.name == "nfs_bee" and video.frames.keys[-1] == "sequences/bee/00045.jpg" and len(video) == 45


def test_a_shortened_copy_is_said(tmp_path):
    store = put(tmp_path, {"Basketball/groundtruth_rect.txt": boxes(3),
                           **images("Basketball/img/{:04d}.jpg", (1, 2, 3))})
    video = otb(store)[0]
    assert len(video) == 3 and video.notes == ("3 of the 725 frames are on disk",)
    put(tmp_path / "b", {"Basketball/groundtruth_rect.txt": boxes(3), "Basketball/img/9999.jpg": None})
    with pytest.raises(UserError, match="none of the frames of Basketball"):
        otb(FolderStore(tmp_path / "b"))[0]


# --- other test sets

def test_trackingnet_numbers_from_zero(tmp_path):
    store = put(tmp_path, {"TEST/anno/v.txt": boxes(1), **images("TEST/frames/v/{}.jpg", range(12)),
                           "TEST/anno/gone.txt": boxes(1)})
    videos = trackingnet_test(store)
    assert videos.missing == ("gone",)
    assert [k.rpartition("/")[2] for k in videos[0].frames.keys] == [f"{n}.jpg" for n in range(12)]
    assert videos[0].visible.sum() == 1 and videos[0].notes == ()


def test_tnl2k_and_vot(tmp_path):
    video = tnl2k(put(tmp_path / "t", {"a/groundtruth.txt": boxes(1) + "0,0,0,0\n", "a/imgs/00001.png": None,
                                       "a/imgs/00002.png": None}))[0]
    assert video.visible.tolist() == [True, False]
    store = put(tmp_path / "v", {"a/groundtruth.txt": "0,0,4,0,4,6,0,6\n", "a/color/00000001.jpg": None,
                                 "list.txt": "a\nb\n"})
    videos = vot(store)
    assert videos.missing == ("b",) and videos[0].boxes_xywh.tolist() == [[0, 0, 4, 6]]
    assert videos[0].frames.keys == ("a/color/00000001.jpg",)


# --- any folder

def test_folder_recognizes_the_styles(tmp_path):
    put(tmp_path, {
        "otb/groundtruth_rect.txt": boxes(1), "otb/img/1.jpg": None,
        "two/groundtruth_rect.1.txt": boxes(1), "two/groundtruth_rect.2.txt": boxes(1, "9,9,9,9"), "two/1.jpg": None,
        "vot/groundtruth.txt": "0,0,4,0,4,6,0,6\n", "vot/color/00000001.jpg": None,
        "tlp/groundtruth_rect.txt": "1,1,2,3,4,0\n3,1,2,3,4,1\n", **images("tlp/img/{:05d}.jpg", (1, 2, 3, 4)),
        "bare/frame10.jpg": None, "bare/frame9.jpg": None, "bare/preview.jpg": None,
        "notes/readme.txt": "x", ".hidden/1.jpg": None})
    videos = folder(tmp_path)
    assert set(videos.video_names) == {"otb", "two_1", "two_2", "vot", "tlp"} and videos.missing == ("bare",)
    by_name = {v.name: v for v in videos}
    assert by_name["two_2"].boxes_xywh[0, 0] == 9
    tlp = by_name["tlp"]  # frame 2 has no row, frame 3 is lost, frame 4 is past the annotation
    assert len(tlp) == 4 and tlp.visible.tolist() == [True, False, False, False] and tlp.annotated == 3
    put(tmp_path, {"bare/groundtruth.txt": boxes(2)})
    keys = folder(tmp_path).load("bare").frames.keys
    assert keys == ("bare/frame9.jpg", "bare/frame10.jpg")


def test_folder_looks_into_classes(tmp_path):
    put(tmp_path, {"bike/bike-1/groundtruth.txt": boxes(1), "bike/bike-1/img/1.jpg": None,
                   "cup/cup-2/groundtruth.txt": boxes(1), "cup/cup-2/1.jpg": None,
                   "a/one/groundtruth.txt": boxes(1), "b/one/groundtruth.txt": boxes(1), "a/bare/1.jpg": None,
                   "notes/readme.md": "x", "empty/readme.txt": "x", "clip.mp4/1.jpg": None,
                   "clip.avi/groundtruth.txt": boxes(1), "clip.avi/1.jpg": None})
    videos = folder(tmp_path)
    assert set(videos.video_names) == {"bike-1", "cup-2", "a_one", "b_one", "clip.avi"}
    assert videos.missing == ("a/bare", "clip.mp4"), "a folder, whatever its name ends in"
    note, = videos.notes
    assert "empty, notes (neither frames nor ground truth)" in note


@pytest.mark.parametrize(("names", "order", "ignored"), [
    (["10_camA.png", "9_camA.png", "preview.png"], ["9_camA.png", "10_camA.png"], ["preview.png"]),
    (["2_cam1.jpg", "10_cam1.jpg"], ["2_cam1.jpg", "10_cam1.jpg"], []),
    (["f9.jpg", "f10.jpg", "cover.jpg", "._f9.jpg", "x.txt"], ["f9.jpg", "f10.jpg"], ["cover.jpg"]),
    (["1_rgb.png", "1_ir.png", "2_rgb.png", "2_ir.png"], ["1_ir.png", "2_ir.png"], ["1_rgb.png", "2_rgb.png"]),
    (["s2_1.png", "s1_2.png", "s1_1.png"], ["s1_1.png", "s1_2.png", "s2_1.png"], []),
    # Times: the seconds, or their decimals, begin again.
    (["12-00-58.jpg", "12-00-59.jpg", "12-01-00.jpg"], ["12-00-58.jpg", "12-00-59.jpg", "12-01-00.jpg"], []),
    (["12-01-00_b1.jpg", "12-00-59_b1.jpg"], ["12-00-59_b1.jpg", "12-01-00_b1.jpg"], []),
    (["7.97.png", "7.99.png", "8.01.png"], ["7.97.png", "7.99.png", "8.01.png"], []),
    (["0.1.png", "0.25.png", "0.3.png", "10.5.png"], ["0.1.png", "0.25.png", "0.3.png", "10.5.png"], []),
    (["0.5.png", "1.png", "1.25.png", "1.5.png"], ["0.5.png", "1.png", "1.25.png", "1.5.png"], []),
    (["t_0.2s.png", "t_0.9s.png", "t_1.0s.png"], ["t_0.2s.png", "t_0.9s.png", "t_1.0s.png"], []),
    # Scenes and their frames, and a copy, are no decimals.
    (["1.10.png", "1.9.png", "2.1.png"], ["1.9.png", "1.10.png", "2.1.png"], []),
    (["v1.5.png", "v1.15.png", "v1.25.png"], ["v1.5.png", "v1.15.png", "v1.25.png"], []),
    (["1.jpg", "2.jpg", "3.jpg", "3.1.jpg", "4.jpg"], ["1.jpg", "2.jpg", "3.jpg", "4.jpg"], ["3.1.jpg"]),
    (["id9_1.png", "id4_2.png", "id5_3.png"], ["id9_1.png", "id4_2.png", "id5_3.png"], []),
    (["1.jpg", "2.jpg", "1.png"], ["1.jpg", "2.jpg"], ["1.png"]), ([], [], []), (["a.jpg"], [], ["a.jpg"])])
def test_numbers_in_names_decide(names, order, ignored):
    frames = find_frames(names)
    assert (list(frames.names), list(frames.ignored)) == (order, ignored) and len(frames.numbers) == len(order)


def test_folder_takes_ground_truth_as_people_write_it(tmp_path):
    put(tmp_path, {"a/GroundTruth.TXT": "x;y;w;h\n1;2;3;4\n", "a/Img/1_left.jpg": None, "a/Img/poster.jpg": None,
                   "b/groundtruth_RECT.csv": boxes(1), "b/IMG/0001.JPG": None})
    a, b = folder(tmp_path)
    assert a.boxes_xywh.tolist() == b.boxes_xywh.tolist() == [[1, 2, 3, 4]]
    assert a.frames.keys == ("a/Img/1_left.jpg",) and b.frames.keys == ("b/IMG/0001.JPG",)
    assert "GroundTruth.TXT is a header" in a.notes[0] and "1 images are ignored" in a.notes[1]


def test_folder_reads_mot_challenge(tmp_path):
    rows = ["1,4,10,10,5,5,1,1,1", "2,4,12,10,5,5,1,1,1", "2,7,50,50,9,9,1,1,1", "3,9,0,0,9,9,0,8,1",
            "4,7,54,50,9,9,1,1,0.4"]
    put(tmp_path, {"m/gt/gt.txt": "\n".join(rows), **images("m/img1/{:06d}.jpg", (1, 2, 3, 4, 5))})
    videos = folder(tmp_path)
    assert videos.video_names == ("m_4", "m_7")
    one, two = videos
    assert one.frames.keys == ("m/img1/000001.jpg", "m/img1/000002.jpg") and one.visible.all()
    assert two.frames.keys[0] == "m/img1/000002.jpg" and two.visible.tolist() == [True, False, True]
    assert two.boxes_xywh[2].tolist() == [54, 50, 9, 9]


def test_folder_may_be_one_video(tmp_path):
    put(tmp_path / "mine", {"groundtruth.txt": boxes(1), "00000001.jpg": None})
    videos = folder(tmp_path / "mine")
    assert videos.video_names == ("mine",) and videos[0].frames.read(0).shape == (8, 8, 3)


@pytest.mark.parametrize(("rows", "line"), [("1,1,2,3,4,0\n1,1,2,3,4,0\n", 2), ("1.5,1,2,3,4,0\n", 1),
                                            ("1,1,2,3,4,0\n999999999,1,2,3,4,0\n", 2), ("nan,1,2,3,4,0\n", 1)])
def test_tlp_frame_numbers_must_rise(tmp_path, rows, line):
    put(tmp_path, {"v/groundtruth_rect.txt": rows, "v/img/1.jpg": None})
    with pytest.raises(UserError, match=f"line {line}: frame number"):
        folder(tmp_path)[0]


def test_rows_of_six_numbers_that_are_not_tlps_are_an_error(tmp_path):
    put(tmp_path, {"v/groundtruth.txt": "1,1,20,20,9,9\n2,1,22,20,9,9\n", "v/img/1.jpg": None})  # MOTChallenge
    with pytest.raises(UserError, match="line 1: the last of six numbers is 1 .* not 9; of rows frame,id,x,y,w,h"):
        folder(tmp_path)[0]


def test_two_ground_truths_are_an_error(tmp_path):
    put(tmp_path, {"v/groundtruth_rect.txt": boxes(1), "v/groundtruth.txt": boxes(1)})
    with pytest.raises(UserError, match="keep one"):
        folder(tmp_path)


# --- names and errors

def test_training_sets_by_name(tmp_path):
    put(tmp_path / "synthetic", got10k_video("train/a") | {"train/list.txt": "a\n"})
    assert read_training_set("SYNTHETIC", lambda key: tmp_path / key).video_names == ("a",)
    assert read_training_set(f"FOLDER:{tmp_path / 'synthetic' / 'train'}", None).video_names == ("a",)
    with pytest.raises(UserError, match="did you mean 'GOT10K_votval'"):
        read_training_set("GOT10K_voteval", lambda key: tmp_path / key)


@pytest.mark.parametrize("name", TRAINING_SETS)
def test_a_dataset_that_is_not_there_is_named_with_what_to_do(tmp_path, name):
    for create in (False, True):
        root = tmp_path / TRAINING_SETS[name][0]
        if create:
            root.mkdir()
        with pytest.raises(UserError) as error:
            read_training_set(name, lambda key: tmp_path / key)
        assert str(root) in str(error.value) and "data_dir" in str(error.value)


@pytest.mark.parametrize("reader", [lasot_test, otb, uav123, nfs, tnl2k, vot, trackingnet_test])
def test_an_empty_root_is_named(tmp_path, reader):
    with pytest.raises(UserError, match="no videos of .* looked for .*create_default_local_file"):
        reader(FolderStore(tmp_path))


# --- real material

@real
def test_real_otb_by_table_and_as_folder():
    store = FolderStore(SHARED / "real" / "otb")
    table, anyhow = {v.name: v for v in otb(store)}, {v.name: v for v in folder(store.root)}
    assert set(table) == set(anyhow) == {"Basketball", "Car4", "Jogging_1", "Jogging_2"}
    for name, count in {"Basketball": 300, "Car4": 659, "Jogging_1": 307, "Jogging_2": 307}.items():
        assert len(table[name]) == len(anyhow[name]) == count and table[name].visible.all()
        np.testing.assert_array_equal(table[name].boxes_xywh, anyhow[name].boxes_xywh)
    assert table["Jogging_2"].boxes_xywh[0].tolist() == [180, 79, 37, 114]
    assert table["Car4"].frames.read(658).ndim == 3 and "725" in table["Basketball"].notes[0]


@real
def test_real_tlp_and_vot():
    bike = folder(SHARED / "real" / "tlp")[0]
    assert len(bike) == 300 and bike.boxes_xywh[0].tolist() == [302, 214, 132, 430]
    assert bike.frames.read(299).shape == (720, 1280, 3)
    for video in (folder(SHARED / "real" / "vot")[0], vot(FolderStore(SHARED / "real" / "vot"))[0],
                  folder(SHARED / "real" / "vot" / "bag")[0]):
        assert video.name == "bag" and len(video) == 196
        np.testing.assert_allclose(video.boxes_xywh[0], [291.827, 124.711, 150.346, 139.578])


@pytest.mark.parametrize(("count", "held_out"), [(1, [0]), (2, [1]), (9, [8]), (10, [9]), (25, [9, 19])])
def test_a_folder_is_split_for_training_and_validation(count, held_out):
    names = [f"video{i:02d}" for i in range(count)]
    assert split_videos(names, held_out=True) == tuple(names[i] for i in held_out)
    trained_on = [i for i in range(count) if i not in held_out] or held_out
    assert split_videos(names, held_out=False) == tuple(names[i] for i in trained_on)


# --- folders as they are in the wild

def test_a_gap_is_found_although_frames_at_the_end_are_missing_too(tmp_path):
    put(tmp_path, {"v/groundtruth.txt": "".join(f"{row},2,30,30\n" for row in range(10))})
    put(tmp_path, images("v/img/{:04d}.jpg", (1, 2, 3, 5, 6, 7)))  # 4 is missing, and so are 8 to 10
    (video,) = folder(tmp_path)
    assert video.boxes_xywh[:, 0].tolist() == [0, 1, 2, 4, 5, 6] and video.missing_names == ("v/img/0004.jpg",)
    assert any("the last 3 are ignored" in note for note in video.notes)


def test_two_names_of_one_number_are_one_frame(tmp_path):
    put(tmp_path, {"v/groundtruth.txt": boxes(2)})
    put(tmp_path, dict.fromkeys(("v/img/1.jpg", "v/img/01.jpg", "v/img/2.jpg", "v/img/02.jpg"), None))
    (video,) = folder(tmp_path)
    assert len(video) == 2 and "2 images are ignored" in video.notes[0] and "1.jpg, 2.jpg" in video.notes[0]


@pytest.mark.parametrize("truth", ["v/Ground_Truth.txt", "v/GROUNDTRUTH_RECT.TXT", "v/groundtruth.csv"])
def test_ground_truth_in_other_spellings_and_with_a_comment(tmp_path, truth):
    put(tmp_path, {truth: "# x y w h\r\n1 2 30 30\r\n2 2 30 30\r\n"})
    put(tmp_path, images("v/Img/{:04d}.JPG", (1, 2)))
    (video,) = folder(tmp_path)
    assert video.boxes_xywh[:, 0].tolist() == [1, 2] and "is a header" in video.notes[0]


def test_motchallenge_in_upper_case(tmp_path):
    put(tmp_path, {"v/GT/GT.txt": "1,1,1,2,30,30,1,-1,-1,-1\n2,1,2,2,30,30,1,-1,-1,-1\n"})
    put(tmp_path, images("v/IMG1/{:06d}.jpg", (1, 2)))
    (video,) = folder(tmp_path)
    assert (video.name, len(video), video.boxes_xywh[:, 0].tolist()) == ("v", 2, [1, 2])


def test_motchallenge_without_the_first_image_of_a_track(tmp_path):
    put(tmp_path, {"v/gt/gt.txt": "".join(f"{n},1,{n},2,30,30,1,1,1\n" for n in range(3, 8)),
                   **images("v/img1/{:06d}.jpg", (1, 2, 4, 6))})
    (video,) = folder(tmp_path)
    assert video.frames.keys == ("v/img1/000004.jpg", "v/img1/000006.jpg") and video.boxes_xywh[:, 0].tolist() == [4, 6]
    assert video.missing_names == ("v/img1/000003.jpg", "v/img1/000005.jpg")


@pytest.mark.parametrize("last", [3, 4])
def test_motchallenge_with_images_numbered_from_0(last, tmp_path):
    put(tmp_path, {"v/gt/gt.txt": "".join(f"{n},1,{n},2,30,30,1,1,1\n" for n in range(2, last + 1)),
                   **images("v/img1/{:06d}.jpg", range(4))})
    (video,) = folder(tmp_path)
    assert video.boxes_xywh[:, 0].tolist() == list(range(2, last + 1)) and not video.missing_names
    # Only a frame without an image tells that frames count from 1.
    first, notes = ("v/img1/000001.jpg", 1) if last == 4 else ("v/img1/000002.jpg", 0)
    assert video.frames.keys[0] == first and len(video.notes) == notes
