"""tracking/test.py on every benchmark's layout, and on videos that something is wrong with."""

from __future__ import annotations

import json
import shutil

import cv2
import pytest

from mstgt.config import dump_config, load_config
from mstgt.test.evaluation.results import read_boxes, read_scores, read_seconds
from mstgt.test.evaluation.runner import Failure
from mstgt.utils.errors import UserError
from mstgt.utils.files import file_sha256

BOX = "40,30,24,20"
ROWS = f"{BOX}\n" * 3
LASOT = {"groundtruth.txt": ROWS, "full_occlusion.txt": "0,0,0", "out_of_view.txt": "0,0,0", "img/{:08d}.jpg": 3}

# benchmark: its name in results, the video's name, how many videos it has, its files under the data folder
LAYOUTS = {
    "lasot": ("lasot", "bear-2", 280, {f"lasot/bear/bear-2/{name}": content for name, content in LASOT.items()}),
    "lasot_extension_subset": ("lasot_extension_subset", "atv-1", 150, {
        f"lasot_extension_subset/atv/atv-1/{name}": content for name, content in LASOT.items()}),
    "got10k": ("got10k_test", "GOT-10k_Test_000001", 180, {
        "got10k/test/list.txt": "GOT-10k_Test_000001\n", "got10k/test/GOT-10k_Test_000001/groundtruth.txt": BOX,
        "got10k/test/GOT-10k_Test_000001/{:08d}.jpg": 3}),
    "trackingnet": ("trackingnet", "0-6LB4FqxoE_0", 511, {
        "trackingnet/TEST/anno/0-6LB4FqxoE_0.txt": BOX, "trackingnet/TEST/frames/0-6LB4FqxoE_0/{0}.jpg": 3}),
    "uav": ("uav", "uav_bike1", 123, {"uav/anno/UAV123/bike1.txt": ROWS, "uav/data_seq/UAV123/bike1/{:06d}.jpg": 3}),
    "otb": ("otb", "Car4", 100, {"otb/Car4/groundtruth_rect.txt": ROWS, "otb/Car4/img/{:04d}.jpg": 3}),
    "nfs": ("nfs", "nfs_bee", 100, {"nfs/anno/nfs_bee.txt": ROWS, "nfs/sequences/bee/{:05d}.jpg": 3}),
    "tnl2k": ("tnl2k", "Cat_video", 700, {"tnl2k/Cat_video/groundtruth.txt": ROWS,
                                          "tnl2k/Cat_video/imgs/{:05d}.jpg": 3}),
}


@pytest.mark.parametrize("name", LAYOUTS)
def test_a_benchmark_is_run_on_the_videos_that_are_on_disk(name, command, put, tmp_path):
    benchmark, video, videos, files = LAYOUTS[name]
    put(tmp_path / "data", files)
    threads = ("--threads", "2")  # more than there are videos
    where = ("--dataset", name, "--data_dir", tmp_path / "data")
    missing = f"{videos - 1} of the {videos} videos of {benchmark} are not on disk"
    assert command(*where, *threads) == 1
    assert "1 of 1 videos done" in command.said and command.said.count(missing) == 2
    assert "--allow_missing makes" in command.said
    folder = command.folder(benchmark)
    boxes = read_boxes(folder, video)
    assert boxes.shape == (3, 4) and boxes[0].tolist() == [40, 30, 24, 20]
    assert len(read_scores(folder, video)) == 3 and (read_seconds(folder, video) > 0).all()
    assert command(*where, "--allow_missing") == 0 and "1 videos have a result already" in command.said
    assert command.said.count(missing) == 2
    assert command(*where, "--sequence", video) == 0 and "not on disk" not in command.said


def test_the_manifest_says_what_made_the_results(command, videos, checkpoint):
    assert command("--dataset_dir", videos(a=2), "--batch", "2", "--set", "TEST.SEARCH_FACTOR=4.5") == 0
    manifest = json.loads((command.folder() / "benchmark.json").read_text())
    assert manifest["checkpoint_sha256"] == file_sha256(checkpoint) and manifest["precision"] == "fp32"
    assert manifest["settings"] == dump_config(load_config("MSTGT", "MSTGT-demo-128", ["TEST.SEARCH_FACTOR=4.5"]))
    [made_by] = manifest["made_by"]
    assert made_by["batch"] == 2 and all(made_by[key] for key in ("code", "torch", "device"))
    with pytest.raises(UserError, match=r"TEST\.SEARCH_FACTOR: 4\.5 there, 4\.0 now.*--overwrite.*--run"):
        command("--dataset_dir", videos(a=2))
    for flag in ("compile", "cuda_graph"):
        assert manifest[flag] is False
        with pytest.raises(UserError, match=f"{flag}: False there, True now"):
            command("--dataset_dir", videos(a=2), "--set", "TEST.SEARCH_FACTOR=4.5", f"--{flag}")


BROKEN = {  # video: what is wrong, and the words of its line
    "nan": ("nan,nan,nan,nan", "(nan, nan, nan, nan); the first box is that of frame 2: remove"),
    "flat": ("40,30,0,20", "no box in the first frame (40, 30, 0, 20)"),
    "outside": ("400,30,20,20", "outside the image"),
    "words": ("40,thirty,24,20", "line 1"),
    "fractions": ("0.4,0.4,0.25,0.3", "in fractions of the image; boxes are in pixels"),
}


@pytest.mark.parametrize("batch", ["1", "3"])
def test_broken_videos_give_a_line_each_and_the_rest_is_done(batch, command, videos, put):
    root = videos(single=1, truncated=6, gone=4, whole=5)
    truncated = root / "truncated/img/00000004.jpg"
    truncated.write_bytes(truncated.read_bytes()[:-200])
    (root / "gone/img/00000001.jpg").write_bytes(b"")
    for name, (first, _) in BROKEN.items():
        put(root, {f"{name}/groundtruth.txt": f"{first}\n{BOX}\n{BOX}\n", name + "/img/{:08d}.jpg": 3})
    assert command("--dataset_dir", root, "--batch", batch) == 1
    lines = {line.split()[1].rstrip(":"): line for line in command.said.splitlines() if line.startswith("FAILED")}
    assert lines.keys() == {"truncated", "gone", *BROKEN}
    assert str(truncated) in lines["truncated"] and "cut short" in lines["truncated"]
    assert "00000001.jpg" in lines["gone"]
    assert all(words in lines[name] for name, (_, words) in BROKEN.items())
    assert command.boxes().keys() == {f"{n}{e}" for n in ("single", "whole") for e in (".txt", "_score.txt")}
    assert "2 of 9 videos done" in command.said
    assert read_boxes(command.folder(), "single").tolist() == [[40, 30, 24, 20]]
    for name in lines:
        shutil.rmtree(root / name)
    assert command("--dataset_dir", root) == 0  # nothing is left to do


def test_a_video_file_in_place_of_images_is_named(command, put, tmp_path):
    for name in ("film", "nothing"):
        put(tmp_path / "mine", {f"{name}/groundtruth.txt": ROWS})
    (tmp_path / "mine/film/a.mp4").write_bytes(b"film")
    assert command("--dataset_dir", tmp_path / "mine") == 1
    assert f"FAILED film: there are no images in {tmp_path / 'mine/film/img'}: the frames of a.mp4" in command.said
    assert f"FAILED nothing: there are no images in {tmp_path / 'mine/nothing/img'}: fetch them" in command.said


def test_an_annotation_that_is_longer_than_its_video_is_said(command, videos):
    root = videos(**dict.fromkeys("abcdefg", 2))
    for name in "abcdefg":
        with (root / name / "groundtruth.txt").open("a") as truth:
            truth.write(f"{BOX}\n{BOX}\n")
    assert command("--dataset_dir", root, "--sequence", "a") == 0
    assert "a: the annotation has 4 rows for 2 frames: the last 2 are ignored" in command.said
    assert command("--dataset_dir", root) == 0
    assert command.said.count("rows for 2 frames") == 5 and "2 more notes on videos" in command.said


def test_a_frame_of_another_size_is_said_once(command, videos):
    odd = videos(a=6) / "a/img/00000003.jpg"
    cv2.imwrite(str(odd), cv2.resize(cv2.imread(str(odd)), (192, 144)))
    assert command("--dataset_dir", odd.parents[2]) == 0
    assert command.said.count("a: image 3 has 192 x 144 px, the first one 96 x 72 px") == 1
    assert command.said.count("192 x 144") == 1 and len(read_boxes(command.folder(), "a")) == 6


def test_failures_of_one_reason_are_one_line(command, capsys):
    failures = [Failure(name, "gone") for name in "abcde"] + [Failure("f", "truncated")]
    command.module.print_summary(dict.fromkeys("abcdefg", 2), failures, 0.5, command.folder())
    said = capsys.readouterr().out.splitlines()
    assert said[:2] == ["FAILED a, b, c and 2 more: gone", "FAILED f: truncated"]
    assert said[2].startswith("1 of 7 videos done, 4.0 frames/s")
    command.module.print_summary({}, [], 0.5, command.folder())
    assert capsys.readouterr().out == f"nothing left to track; results in {command.folder()}\n", "not 0 of 0 videos"


def test_a_folder_with_frames_without_ground_truth_is_said_but_no_failure(command, videos, put):
    root = videos(a=2)
    put(root, {"bare/img/{:08d}.jpg": 2})
    assert command("--dataset_dir", root) == 0
    assert "1 of the 2 videos of mine have no ground truth (bare)" in command.said


@pytest.mark.parametrize("words", [("--threads", "0"), ("--batch", "0"), ("--num_gpus", "-1"), ("--shard", "3/2"),
                                   ("--sequence", "nobody")])
def test_bad_arguments_are_one_line_and_write_nothing(words, command, videos, tmp_path):
    with pytest.raises(UserError) as error:
        command("--dataset_dir", videos(a=2), *words)
    assert words[1] in str(error.value) or words[0] in str(error.value)
    assert "\n" not in str(error.value) and not command.save_dir.exists()


def test_a_run_is_gone_on_with_in_the_runtime_of_its_results(command, videos, monkeypatch):
    """By default the second run would take OpenVINO, whose boxes differ in their last digits."""
    monkeypatch.setattr("mstgt.export.openvino_engine.is_openvino_available", lambda: True)
    command.caplog.set_level("INFO")
    root = videos(a=2, b=2)
    assert command("--dataset_dir", root, "--sequence", "a", "--backend", "torch") == 0
    assert command("--dataset_dir", root) == 0
    assert f"the results in {command.folder()} were made with --backend torch: going on with it" in command.said
    assert "1 of 1 videos done" in command.said
    assert json.loads((command.folder() / "benchmark.json").read_text())["backend"] == "torch"
    with pytest.raises(UserError, match="backend: torch there, onnx now, --backend torch goes on with it"):
        command("--dataset_dir", root, "--backend", "onnx")
    assert command("--dataset_dir", root) == 0
    assert "nothing left to track" in command.said and "0 of 0" not in command.said


def test_a_result_that_cannot_be_written_is_a_failure(command, videos, monkeypatch):
    def full(*_):
        raise UserError("cannot write a.txt: No space left on device")

    monkeypatch.setattr("mstgt.test.evaluation.worker.write_result", full)
    assert command("--dataset_dir", videos(a=2)) == 1 and "No space left" in command.said
    assert not command.boxes()
