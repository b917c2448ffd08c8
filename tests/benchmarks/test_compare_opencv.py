"""The comparison with OpenCV's trackers: which videos, what is tracked again, what is shown. OpenCV is a stand-in."""

from __future__ import annotations

import json
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from compare_opencv import DEFAULT_CONFIG, OPENCV_TRACKERS, OpenCvEnvironment, default_videos, main
from nested_videos import nested_benchmark
from opencv_environment import NETWORK_TRACKERS

from mstgt.config import load_config
from mstgt.config.paths import checkpoint_path, run_folder
from mstgt.models.mstgt import build_model
from mstgt.utils.errors import UserError
from tests.benchmarks.opencv_inputs import FRAMES, network_files, put_video

CONFIG = DEFAULT_CONFIG
VERSIONS = {"opencv": "4.99", "numpy": "2.99", "trackers": [*OPENCV_TRACKERS], "network_trackers": ["nano"]}


class FakeOpenCv:
    """An environment whose trackers give the first box, moved by ``off`` px; ``ends`` replaces what is said of a video
    at its end, nothing with None. It knows what it was asked."""

    def __init__(self, off: float = 0.0, **ends: dict | None):
        self.off, self.ends, self.place, self.versions = off, ends, Path("fake"), VERSIONS
        self.asked: list[str] = []

    def __call__(self, place: Path) -> FakeOpenCv:
        return self

    def describe(self) -> dict:
        return self.versions

    def run(self, job: dict):
        assert job["threads"] == 1 and job["tracker"] in (*OPENCV_TRACKERS, *NETWORK_TRACKERS)
        assert all(Path(path).is_file() for path in job["networks"].values())
        assert all(Path(path).is_file() for path in job["frames"])
        name, frames = video_name(job), len(job["frames"])
        self.asked.append(name)
        yield {"frames": frames}
        boxes = (np.array(job["box_xywh"]) + [self.off, 0, 0, 0])[None].repeat(frames, 0)
        end = self.ends.get(name, {"boxes_xywh": boxes.tolist(), "seconds": [0.1] * frames, "given": [1] * frames})
        if end is not None:
            yield end


def video_name(job: dict) -> str:
    """What the video of a job is called here."""
    group, folder = Path(job["frames"][0]).parts[-4:-2]
    return {"Two": f"Two_{1 if job['box_xywh'][0] == 60 else 2}", "Bike": f"{group}_Bike"}.get(folder, folder)


@pytest.fixture(scope="module")
def checkpoints(tmp_path_factory) -> list[Path]:
    """Two untrained networks."""
    folder = tmp_path_factory.mktemp("weights")
    for seed in (0, 1):
        torch.manual_seed(seed)
        torch.save({"net": build_model(load_config("MSTGT", CONFIG)).state_dict()}, folder / f"{seed}.pth.tar")
    return [folder / "0.pth.tar", folder / "1.pth.tar"]


@pytest.fixture(scope="module")
def videos(tmp_path_factory) -> Path:
    """Two targets in one video, polygons, TLP's rows; two videos of one name. Not to be changed."""
    root = tmp_path_factory.mktemp("videos") / "mine"
    put_video(root / "otb" / "Two", "groundtruth_rect.1.txt", ["60,40,30,20"] * FRAMES)
    (root / "otb" / "Two" / "groundtruth_rect.2.txt").write_text("10,10,30,20\n" * (FRAMES + 2))
    put_video(root / "tlp" / "Bike", "groundtruth_rect.txt", [f"{t + 1},60,40,30,20,0" for t in range(FRAMES - 1)])
    put_video(root / "vot" / "deep" / "Bike", "groundtruth.txt", ["60,40,90,40,90,60,60,60"] * FRAMES)
    (root / "notes").mkdir()
    return root


@pytest.fixture(scope="module")
def compare(videos, checkpoints, tmp_path_factory):
    """The command on these videos, one thread a tracker; MSTGT is tracked once for all tests."""
    cache = tmp_path_factory.mktemp("cache")

    def run(opencv: FakeOpenCv, *more: str) -> int:
        return main(["--videos", str(videos), "--checkpoint", str(checkpoints[0]), "--threads", "1", "--backend",
                     "torch", "--cache", str(cache), *more], opencv)
    return run


NAMES = ["Two_1", "Two_2", "tlp_Bike", "deep_Bike"]


def test_videos_of_all_kinds_are_found_at_any_depth(videos):
    benchmark = nested_benchmark([videos, videos / "tlp"])
    assert list(benchmark.videos.video_names) == NAMES and benchmark.name == "mine+tlp"
    loaded = {video.name: video for video in benchmark.videos}
    assert list(loaded) == NAMES and all(len(video) == FRAMES for video in loaded.values())
    assert loaded["deep_Bike"].boxes_xywh[0].tolist() == [60, 40, 30, 20] == loaded["tlp_Bike"].boxes_xywh[0].tolist()
    assert loaded["tlp_Bike"].annotated == FRAMES - 1


@pytest.mark.skipif(not default_videos(), reason="no shared/real beside the checkout")
def test_the_real_videos_are_six():
    benchmark = nested_benchmark(default_videos())
    assert {video.name: len(video) for video in benchmark.videos} == {
        "Basketball": 300, "Car4": 659, "Jogging_1": 307, "Jogging_2": 307, "Bike": 300, "bag": 196}


def test_what_is_wrong_with_videos_is_said_before_anything_runs(compare, tmp_path):
    (tmp_path / "none").mkdir()
    put_video(tmp_path / "nan", "groundtruth.txt", ["nan,nan,nan,nan"], frames=1)
    for part in ("a", "b"):
        put_video(tmp_path / "same" / part / "tlp" / "Bike", "groundtruth.txt", ["1,2,3,4"], frames=1)
    for place, words in (("none", "no videos in .*none"), ("gone", "no folder .*gone"),
                         ("nan", "the first frame's box"), ("same", "would both be called tlp_Bike")):
        opencv = FakeOpenCv()
        with pytest.raises(UserError, match=words):
            compare(opencv, "--videos", str(tmp_path / place), "--cache", str(tmp_path / "cache"))
        assert not opencv.asked and not (tmp_path / "cache").exists()


def test_one_table_and_every_file_that_is_asked_for(compare, tmp_path, capsys):
    opencv = FakeOpenCv(off=15, Two_1={"boxes_xywh": [[60, 40, 30, 20]] * FRAMES, "seconds": [0.5] * FRAMES,
                                       "given": [1, 1, 0, 0, 1]})
    out = {flag: tmp_path / "out" / name for flag, name in (
        ("--json", "a.json"), ("--markdown", "a.md"), ("--plot", "a.png"), ("--sheet", "b.png"))}
    assert compare(opencv, "--trackers", "csrt", *(str(word) for pair in out.items() for word in pair)) == 0
    said = capsys.readouterr().out
    figures = json.loads(out["--json"].read_text())
    csrt = figures["trackers"]["CSRT"]
    # of a box that is half its width off, the IoU is 1/3: above 0, 0.05 … 0.3, so 7 of 21 thresholds; frame 0 is given
    assert csrt["videos_auc"]["Two_1"] == pytest.approx(100 * 20 / 21)
    assert csrt["videos_auc"]["Two_2"] == pytest.approx(100 / FRAMES * (20 + 4 * 7) / 21)
    assert csrt["success_auc"] == pytest.approx(np.mean([csrt["videos_auc"][name] for name in NAMES]))
    assert csrt["fps"] == pytest.approx(16 / (4 * 0.5 + 12 * 0.1))
    assert figures["trivial"]["success_auc"] == pytest.approx(100 * 20 / 21) and figures["trackers"][CONFIG]["fps"] > 0
    assert csrt["made_from"]["opencv"] == "4.99" and csrt["made_from"]["machine"] in said
    row = next(line for line in said.splitlines() if line.startswith("success AUC"))
    assert {row.split()[3], row.split()[4], row.split()[5]} == {
        f"{s['success_auc']:.1f}" for s in (csrt, figures["trivial"], figures["trackers"][CONFIG])}
    assert "CSRT gave no box in 2 of 20 frames (Two_1)" in said and "4 rows for 5 frames" in said
    table = out["--markdown"].read_text()
    assert "| AUC of deep_Bike |" in table and "- CSRT gave no box" in table
    assert {line.count("|") for line in table.splitlines() if line.startswith("|")} == {5}
    assert cv2.imread(str(out["--plot"])).std() > 5
    sheet = cv2.cvtColor(cv2.imread(str(out["--sheet"])), cv2.COLOR_BGR2RGB).astype(int)
    assert sheet.shape == (38 + len(NAMES) * (240 + 8), 8 + 6 * (320 + 8), 3)
    for color in ((255, 255, 255), (0x4B, 0xA6, 0xE8), (0xFF, 0x8A, 0x3D)):  # truth, MSTGT, CSRT
        assert (np.abs(sheet[60:] - color).max(axis=-1) < 8).sum() > 100


def test_only_what_has_changed_is_tracked_again(checkpoints, tmp_path, capsys):
    names = ["One", "Other"]
    for name in names:
        put_video(tmp_path / "mine" / name, "groundtruth.txt", ["60,40,30,20"] * 2, frames=2)

    def run(*more: str, checkpoint: int = 0, versions: dict = VERSIONS) -> tuple[list[str], int]:
        """What OpenCV tracks, and how many videos MSTGT."""
        opencv = FakeOpenCv()
        opencv.versions = versions
        assert main(["--videos", str(tmp_path / "mine"), "--checkpoint", str(checkpoints[checkpoint]), "--threads", "1",
                     "--backend", "torch", "--cache", str(tmp_path / "cache"), "--trackers", "kcf", *more], opencv) == 0
        line = next(line for line in capsys.readouterr().out.splitlines() if line.startswith(f"{CONFIG}: "))
        return opencv.asked, int(line.split()[1])

    assert run() == (names, 2)
    assert run() == ([], 0)
    assert run(checkpoint=1) == ([], 2)
    assert run(checkpoint=0) == ([], 0)  # it is still known
    assert run(versions=VERSIONS | {"opencv": "5.0"}) == (names, 0)
    (tmp_path / "mine" / "Other" / "groundtruth.txt").write_text("61,40,30,20\n60,40,30,20\n\n")
    assert run() == (["Other"], 1)
    for made in (tmp_path / "cache" / "results").glob("KCF-*/made_by.json"):
        made.write_text("{")
    assert run() == (names, 0)
    assert run("--overwrite") == (names, 2)


def test_a_video_that_fails_is_named_and_costs_itself(compare, capsys):
    opencv = FakeOpenCv(Two_2=None, tlp_Bike={"error": "cannot decode image x.jpg"})
    opencv.versions = again_versions = VERSIONS | {"opencv": "3"}
    assert compare(opencv, "--trackers", "kcf") == 1
    said = capsys.readouterr().out
    assert "FAILED KCF, Two_2: OpenCV's KCF died" in said and "FAILED KCF, tlp_Bike: cannot decode" in said
    assert opencv.asked == NAMES and "KCF (2 of 4 videos)" in said
    again = FakeOpenCv()
    again.versions = again_versions
    assert compare(again, "--trackers", "kcf") == 0
    assert again.asked == ["Two_2", "tlp_Bike"]


def test_of_a_random_tracker_the_mean_of_its_runs_is_shown(compare, tmp_path, capsys):
    class Random(FakeOpenCv):
        def run(self, job):
            self.off = 15 * job["run"]
            return super().run(job)

    opencv = Random()
    assert compare(opencv, "--trackers", "mil", "--json", str(tmp_path / "a.json")) == 0
    mil = json.loads((tmp_path / "a.json").read_text())["trackers"]["MIL"]
    aucs = [100 * 20 / 21, None, None]
    for run, hits in ((1, 7), (2, 0)):  # IoU 1/3 and 0; the first frame of five (of four in tlp_Bike) is given
        aucs[run] = 100 * np.mean([(20 + (n - 1) * hits) / n / 21 for n in (5, 5, 4, 5)])
    assert mil["runs_auc"] == pytest.approx(aucs) and mil["success_auc"] == pytest.approx(np.mean(aucs))
    assert mil["videos_auc"]["Two_1"] == pytest.approx(100 / 21 * (20 + (20 + 4 * 7) / 5 + 20 / 5) / 3)
    assert mil["fps"] == pytest.approx(10) and opencv.asked == 3 * NAMES
    said = capsys.readouterr().out
    assert "MIL is random: the mean of 3 runs" in said and "MIL run 2: 4 of 4 videos to track" in said


def test_a_tracker_that_did_not_begin_has_no_speed(compare, capsys):
    boxes = [[10, 10, 30, 20]] * FRAMES
    assert compare(FakeOpenCv(Two_2={"boxes_xywh": boxes, "seconds": None, "given": [1, 0, 0, 0, 0]}),
                   "--trackers", "kcf") == 0
    said = capsys.readouterr().out
    assert "KCF gave no box in 4 of 20 frames (Two_2)" in said
    columns = next(line for line in said.splitlines() if line.startswith("frames a second")).split()[3:]
    assert columns.count("-") == 2  # KCF and the static-box baseline


def test_several_configurations_and_a_tracker_with_a_network(compare, checkpoints, tmp_path, capsys):
    """One configuration with two checkpoints; each has the differences to it, with their intervals."""
    opencv = FakeOpenCv(off=15)
    out = {flag: tmp_path / name for flag, name in (("--json", "a.json"), ("--speed_plot", "a.png"))}
    assert compare(opencv, "--checkpoint", *map(str, checkpoints), "--trackers", "--nano_dir",
                   str(network_files(tmp_path, "nano")), *(str(word) for pair in out.items() for word in pair)) == 0
    said = capsys.readouterr().out
    value = json.loads(out["--json"].read_text())
    references = [f"{CONFIG} ({path.name})" for path in checkpoints]
    assert list(value["trackers"]) == [*references, "NanoTrack"]
    nano, first = value["trackers"]["NanoTrack"], value["trackers"][references[0]]
    difference = nano["minus"][references[0]]
    assert difference["success_auc"] == pytest.approx(nano["success_auc"] - first["success_auc"])
    assert difference["interval"][0] <= difference["success_auc"] <= difference["interval"][1]
    assert difference["videos"] == 4 and list(value["trivial"]["minus"]) == references
    assert list(first["minus"]) == references[1:]
    assert nano["median_auc"] == pytest.approx(np.median(list(nano["videos_auc"].values())))
    row = next(line for line in said.splitlines() if line.startswith("median of the videos' AUC"))
    assert f"{nano['median_auc']:.1f}" in row
    assert f"AUC minus that of {references[1]}" in said and said.count("95% interval of it") == 2
    assert "NanoTrack: OpenCV 4.99, nanotrack_backbone_sim.onnx with SHA-256 " in said
    assert set(nano["made_from"]["networks"]) == set(NETWORK_TRACKERS["nano"].files.values())
    assert cv2.imread(str(out["--speed_plot"])).std() > 5


def test_a_network_that_opencv_cannot_load_ends_the_comparison(compare, tmp_path):
    opencv = FakeOpenCv(Two_1={"unusable": "OpenCV 4.99 cannot load a.onnx"})
    opencv.versions = VERSIONS | {"opencv": "4.98"}
    with pytest.raises(UserError, match="NanoTrack cannot be run: OpenCV 4.99 cannot load a.onnx"):
        compare(opencv, "--trackers", "--nano_dir", str(network_files(tmp_path, "nano")))
    assert opencv.asked == ["Two_1"]
    with pytest.raises(UserError, match="has no tracker dasiamrpn: leave out --dasiamrpn_dir"):
        compare(opencv, "--trackers", "--dasiamrpn_dir", str(network_files(tmp_path, "dasiamrpn")))


def test_without_opencv_only_the_network_is_compared(compare, capsys):
    def environment(place):
        raise AssertionError("not wanted")

    assert compare(environment, "--trackers") == 0
    assert "KCF" not in capsys.readouterr().out


def test_without_a_checkpoint_the_run_s_own_is_compared(videos, checkpoints, tmp_path, monkeypatch, capsys):
    epoch = load_config("MSTGT", CONFIG).TEST.EPOCH
    path = checkpoint_path(run_folder(tmp_path, "mstgt", CONFIG), epoch)
    path.parent.mkdir(parents=True)
    path.write_bytes(checkpoints[0].read_bytes())
    monkeypatch.setenv("MSTGT_SAVE_DIR", str(tmp_path))
    assert main(["--videos", str(videos), "--trackers", "--threads", "1", "--backend", "torch", "--config",
                 CONFIG.lower()]) == 0
    assert f"{CONFIG}: weights {path.name} with" in capsys.readouterr().out
    assert list((tmp_path / "benchmarks" / "compare_opencv" / "results").glob(f"{CONFIG}-*/Two_1.txt"))


@pytest.mark.parametrize(("more", "words"), [
    (("--threads", "0"), "--threads"), (("--plot", "a.txt"), "--plot a.txt: the name must end in .png"),
    (("--sheet", "a.pdf"), "--sheet a.pdf"), (("--checkpoint", "gone.pth"), "gone.pth"),
    (("--speed_plot", "a.txt"), "--speed_plot a.txt"),
    (("--nano_dir", "gone"), r"--nano_dir gone: no file .*gone.nanotrack_backbone_sim\.onnx; it can be had from"),
    (("--vit", "gone.onnx"), r"--vit gone\.onnx: no file .*gone\.onnx"),
    (("--config", CONFIG, "MSTGT-mini-128"), "--checkpoint has 1 files for 2 configurations"),
    (("--checkpoint", "a/x.pth", "b/x.pth"), r"would both be called .* \(x\.pth\)")])
def test_bad_arguments_are_named(compare, more, words):
    opencv = FakeOpenCv()
    with pytest.raises(UserError, match=words):
        compare(opencv, *more)
    assert not opencv.asked


def test_an_opencv_without_a_tracker_is_named(compare):
    opencv = FakeOpenCv()
    opencv.versions = VERSIONS | {"trackers": ["mil"]}
    with pytest.raises(UserError, match="has no tracker csrt"):
        compare(opencv)


def test_a_folder_that_is_no_environment_is_left_alone(tmp_path):
    (tmp_path / "mine.txt").write_text("dear")
    with pytest.raises(UserError, match="no virtual environment"):
        OpenCvEnvironment(tmp_path).describe()
    assert (tmp_path / "mine.txt").read_text() == "dear"


@pytest.mark.nightly
def test_the_environment_is_made_and_tracks(compare, tmp_path, capsys):
    """Needs a package index."""
    place = tmp_path / "env"
    assert compare(OpenCvEnvironment, "--env", str(place)) == 0
    said = capsys.readouterr().out
    assert f"making the environment {place}" in said and all(name.upper() in said for name in OPENCV_TRACKERS)
    assert OpenCvEnvironment(place).describe()["trackers"] == [*OPENCV_TRACKERS]
    assert compare(OpenCvEnvironment, "--env", str(place)) == 0 and "making" not in capsys.readouterr().out
    dies = {"tracker": "none such", "run": 0, "threads": 1, "frames": [], "box_xywh": []}
    assert list(OpenCvEnvironment(place).run(dies)) == []
