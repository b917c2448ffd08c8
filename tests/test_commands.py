"""The commands as a user types them: the tour in miniature, and one clear line for everything that is missing."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from mstgt.config import load_config
from mstgt.models.mstgt import build_model
from tests.processes import environment

ROOT = Path(__file__).resolve().parents[1]
REAL = ROOT.parent / "shared" / "real"
CONFIG = "MSTGT-demo-128"


def run(*arguments: str, cwd: Path = ROOT, **variables: str) -> subprocess.CompletedProcess[str]:
    """``python tracking/<arguments>`` with no MSTGT variable of the caller."""
    return subprocess.run([sys.executable, str(ROOT / "tracking" / arguments[0]), *arguments[1:]], cwd=cwd,
                          env=environment(**variables), capture_output=True, text=True, timeout=300)


@pytest.fixture(scope="module")
def tour(tmp_path_factory) -> Path:
    """Data, a network trained for a few steps, results: under <tour>/data and <tour>/out."""
    base = tmp_path_factory.mktemp("tour")
    where = ("--data_dir", str(base / "data"), "--save_dir", str(base / "out"))
    made = run("make_synthetic.py", "--out", str(base / "data" / "synthetic"), "--train", "4", "--val", "2",
               "--test", "3", "--frames", "8", "--workers", "1")
    assert made.returncode == 0, made.stderr
    assert "frames/s" in made.stdout
    trained = run("train.py", "--script", "mstgt", "--config", CONFIG.lower(), *where, *short())
    assert trained.returncode == 0, trained.stderr
    assert "epoch 2/2: train loss" in trained.stdout and "val loss" in trained.stdout
    tested = run("test.py", "--tracker_param", CONFIG, "--dataset", "synthetic", "--threads", "2", "--epoch", "2",
                 "--num_gpus", "0", *where)
    assert tested.returncode == 0, tested.stdout + tested.stderr
    assert "3 of 3 videos done" in tested.stdout
    return base


def short() -> list[str]:
    pairs = ("TRAIN.EPOCH=2", "TRAIN.BATCH_SIZE=4", "DATA.TRAIN.SAMPLE_PER_EPOCH=8", "DATA.VAL.SAMPLE_PER_EPOCH=8",
             "TRAIN.NUM_WORKER=0")
    return [word for pair in pairs for word in ("--set", pair)]


def test_the_tour_leaves_results_scores_and_plots(tour):
    folder = tour / "out" / "test" / "tracking_results" / "mstgt" / CONFIG / "synthetic"
    assert len([p for p in folder.glob("SYN_Test_*.txt") if "_time" not in p.name and "_score" not in p.name]) == 3
    scored = run("analysis_results.py", "--data_dir", str(tour / "data"), "--save_dir", str(tour / "out"),
                 "--json", str(tour / "scores.json"))
    assert scored.returncode == 0, scored.stderr
    assert CONFIG in scored.stdout and "static-box baseline" in scored.stdout
    assert json.loads((tour / "scores.json").read_text())["benchmarks"][0]["benchmark"] == "synthetic"
    assert {p.suffix for p in (tour / "out" / "test" / "result_plots" / "synthetic").iterdir()} == {
        ".png", ".pdf", ".html"}


def test_a_pruned_network_starts_a_training(tour):
    """From a larger network with random weights; the tracker that is trained from it has the smaller one's size."""
    sizes = ["--set", "DATA.TEMPLATE.SIZE=64", "--set", "DATA.SEARCH.SIZE=128", "--set", "TEST.TEMPLATE_SIZE=64",
             "--set", "TEST.SEARCH_SIZE=128", "--set", "TEST.NARROW_SIZE=0",
             "--set", "DATA.TRAIN.DATASETS_NAME=[SYNTHETIC]", "--set", "DATA.TRAIN.DATASETS_RATIO=[1]",
             "--set", "DATA.VAL.DATASETS_NAME=[SYNTHETIC_val]"]
    command = ("--config", "MSTGT-nano", "--set", "MODEL.BACKBONE.TYPE=lite_slim", "--data_dir", str(tour / "data"),
               *sizes, *short())
    folder = tour / "pretrained"
    folder.mkdir()
    cfg = load_config("MSTGT", "MSTGT-nano", [*sizes[1::2], "MODEL.BACKBONE.TYPE=lite_nano"])
    torch.manual_seed(0)
    torch.save({"net": build_model(cfg).state_dict()}, folder / "large.pth.tar")
    where = {"MSTGT_PRETRAINED_DIR": str(folder)}
    pruned = run("pretrain.py", "--method", "prune", "--from_backbone", "lite_nano", *command, "--samples", "8",
                 "--set", "MODEL.PRETRAIN_FILE=large.pth.tar", "--out", str(folder / "small.safetensors"), **where)
    assert pruned.returncode == 0, pruned.stderr
    assert "blocks.0.mlp: 96 of 768 channels" in pruned.stderr
    trained = run("train.py", *command, "--save_dir", str(tour / "out"),
                  "--set", "MODEL.PRETRAIN_FILE=small.safetensors", **where)
    assert trained.returncode == 0, trained.stderr
    assert "epoch 2/2: train loss" in trained.stdout


def test_the_demo_shows_commands_in_the_form_in_which_it_was_started(tmp_path):
    """It is stopped at its first command, by a file in the place of the data folder."""
    data_dir = tmp_path / "file"
    data_dir.touch()
    script = run("demo.py", "--data_dir", str(data_dir))
    assert f"$ python tracking/make_synthetic.py --out {data_dir}/synthetic" in script.stdout
    assert "error: python tracking/make_synthetic.py ended with status 1" in script.stderr
    assert "440 videos" not in script.stdout, "announced although they cannot be written"
    installed = ("import sys, tracking; sys.modules['mstgt.tracking'] = tracking\n"
                 "from mstgt.command_line import main; main()")
    command = subprocess.run([sys.executable, "-c", installed, "demo", "--data_dir", str(data_dir)], cwd=ROOT,
                             env=environment(), capture_output=True, text=True, timeout=300)
    assert f"$ mstgt make_synthetic --out {data_dir}/synthetic" in command.stdout
    assert "error: mstgt make_synthetic ended with status 1" in command.stderr
    assert "tracking/" not in command.stdout + command.stderr


def test_what_the_demo_starts_names_commands_as_the_demo_does(tmp_path):
    one_step = ("import importlib, sys, tracking; sys.modules['mstgt.tracking'] = tracking\n"
                "demo = importlib.import_module('mstgt.tracking.demo')\n"
                f"demo.main = lambda: demo.run('show_batch.py', '--config={CONFIG}', '--data_dir={tmp_path}/no')\n"
                "from mstgt.command_line import main; main()")
    command = subprocess.run([sys.executable, "-c", one_step, "demo"], cwd=ROOT, env=environment(), capture_output=True,
                             text=True, timeout=300)
    assert "error: no dataset 'synthetic'" in command.stderr and "make it with mstgt make_synthetic" in command.stderr
    assert "error: mstgt show_batch ended with status 1" in command.stderr
    assert "tracking/" not in command.stdout + command.stderr


def test_results_can_be_drawn(tour):
    drawn = run("draw_results.py", "--data_dir", str(tour / "data"), "--save_dir", str(tour / "out"), "--most", "1")
    assert drawn.returncode == 0, drawn.stderr
    for line in drawn.stdout.splitlines():
        assert Path(line).stat().st_size > 10_000
    some = run("draw_results.py", "--data_dir", str(tour / "data"), "--save_dir", str(tour / "out"),
               "--sequence", "SYN_Test_000001", "--sequence", "absent")
    assert some.returncode == 0 and len(some.stdout.splitlines()) == 2 and "no result of absent" in some.stderr


def test_a_second_run_skips_what_is_done_and_refuses_to_mix(tour):
    where = ("--data_dir", str(tour / "data"), "--save_dir", str(tour / "out"), "--num_gpus", "0")
    again = run("test.py", "--tracker_param", CONFIG, "--dataset", "synthetic", "--epoch", "2", *where)
    assert again.returncode == 0 and "3 videos have a result already" in again.stdout
    other = run("test.py", "--tracker_param", CONFIG, "--dataset", "synthetic", "--epoch", "1", *where)
    assert_one_line(other, "another origin", "checkpoint: ", "--overwrite")


def test_overwriting_leaves_no_result_of_other_weights(tour, tmp_path):
    shutil.copytree(tour / "out", tmp_path / "out")
    where = ("--data_dir", str(tour / "data"), "--save_dir", str(tmp_path / "out"), "--num_gpus", "0")
    done = run("test.py", "--tracker_param", CONFIG, "--dataset", "synthetic", "--epoch", "1", "--overwrite",
               "--sequence", "SYN_Test_000002", *where)
    assert done.returncode == 0, done.stderr
    folder = tmp_path / "out" / "test" / "tracking_results" / "mstgt" / CONFIG / "synthetic"
    left = {p.name for p in folder.glob("*.txt")}
    assert left == {f"SYN_Test_000002{ending}" for ending in (".txt", "_time.txt", "_score.txt")}


def test_training_again_has_nothing_left_to_do_and_refuses_other_settings(tour):
    where = ("--data_dir", str(tour / "data"), "--save_dir", str(tour / "out"))
    again = run("train.py", "--config", CONFIG, *where, *short())
    assert again.returncode == 0 and "resuming after epoch 2" in again.stdout
    other = run("train.py", "--config", CONFIG, *where, *short(), "--set", "TRAIN.LR=1e-5")
    assert_one_line(other, "TRAIN.LR 0.001 -> 1e-05", "--resume none")


@pytest.mark.parametrize("settings", [
    (), ("DATA.SEARCH.NUMBER=1",), ("MODEL.BACKBONE.TYPE=lite_nano", "TRAIN.FROZEN_STAGES=3")],
    ids=["whole", "no guidance", "frozen stages"])
def test_two_processes_train_together(tour, tmp_path, settings):
    done = run("train.py", "--config", CONFIG, "--data_dir", str(tour / "data"), "--save_dir", str(tmp_path), *short(),
               *(word for pair in settings for word in ("--set", pair)),
               "--mode", "multiple", "--nproc_per_node", "2", CUDA_VISIBLE_DEVICES="")
    assert done.returncode == 0, done.stderr
    assert "batch 4 x 2" in done.stdout and done.stdout.count("epoch 2/2: train loss") == 1
    assert len(list((tmp_path / "checkpoints/train/mstgt" / CONFIG).glob("MSTGT_ep*.pth.tar"))) == 2


@pytest.mark.skipif(not REAL.is_dir(), reason="no real video here")
def test_real_video_of_every_style(tour, tmp_path):
    checkpoint = tour / "out" / "checkpoints" / "train" / "mstgt" / CONFIG / "MSTGT_ep0002.pth.tar"
    for folder, video, frames in (("otb", "Jogging_2", 307), ("tlp", "Bike", 300), ("vot", "bag", 196)):
        name = folder if folder == "tlp" else f"{folder}_folder"  # otb and vot are benchmarks of their own
        done = run("test.py", "--tracker_param", CONFIG, "--checkpoint", str(checkpoint), "--dataset_dir",
                   str(REAL / folder), "--sequence", video, "--save_dir", str(tmp_path), "--num_gpus", "0")
        assert done.returncode == 0, done.stderr
        rows = (tmp_path / "test/tracking_results/mstgt" / CONFIG / name / f"{video}.txt").read_text().splitlines()
        assert len(rows) == frames
    scored = run("analysis_results.py", "--save_dir", str(tmp_path), "--allow_missing")
    assert scored.returncode == 0, scored.stdout + scored.stderr
    assert all(f"{CONFIG}" in scored.stdout and name in scored.stdout for name in ("otb", "tlp", "vot"))


def assert_one_line(done: subprocess.CompletedProcess[str], *words: str) -> None:
    """It failed, and the last line of its errors says so with ``words``; no traceback."""
    lines = [line for line in done.stderr.splitlines() if not line.startswith(("WARNING", "INFO"))]
    assert done.returncode != 0 and len(lines) == 1 and lines[0].startswith("error: "), done.stderr
    assert all(word in lines[0] for word in words), lines[0]


@pytest.mark.parametrize(("arguments", "choice"), [
    (("video_demo.py", "udp://127.0.0.1:9", "--init_box", "1,2,3,4", "--set", "TEST.EPOCH=9"), "TEST.EPOCH chooses"),
    (("web_demo.py", "--set", "TEST.EPOCH=9"), "TEST.EPOCH chooses"),
    (("export.py", "--epoch", "9"), "--epoch chooses")], ids=lambda words: words[0])
def test_advice_on_the_epoch_names_what_the_program_has(arguments, choice, tmp_path):
    trained = tmp_path / "checkpoints" / "train" / "mstgt" / CONFIG / "MSTGT_ep0003.pth.tar"
    trained.parent.mkdir(parents=True)
    trained.touch()
    done = run(*arguments, "--config", CONFIG, "--save_dir", str(tmp_path))
    assert_one_line(done, "MSTGT_ep0009.pth.tar", f"(there: MSTGT_ep0003.pth.tar; {choice})")


@pytest.mark.parametrize(("arguments", "words"), [
    (("train.py", "--script", "MSTGT", "--config", "MSTGT-full-256", "--save_dir", "./output", "--mode", "multiple",
      "--nproc_per_node", "2", "--use_wandb", "0"), ("mae_hivit_base_1600ep.pth", "MODEL.PRETRAIN_FILE")),
    (("train.py", "--config", CONFIG), ("synthetic", "data_dir")),
    (("train.py", "--config", CONFIG, "--resume", "nowhere.pth.tar"), ("nowhere.pth.tar",)),
    (("train.py", "--config", "MSTGT-demo-129"), (CONFIG,)),
    (("test.py", "--tracker_param", "MSTGT-full-256", "--dataset", "lasot", "--threads", "8", "--num_gpus", "2"),
     ("lasot",)),
    (("test.py", "--tracker_param", CONFIG, "--dataset", "lassot"), ("lasot",)),
    (("test.py", "--tracker_param", CONFIG, "--dataset", "lasot", "--workers", "1" + 30 * "0"), ("from 1 to 4096",)),
    (("test.py", "--tracker_param", CONFIG, "--dataset_dir", "tests/config"), ("tests/config",)),
    (("analysis_results.py",), ("tracking/test.py",)),
    (("profile_model.py", "--script", "MSTGT", "--config", "MSTGT-full-255"), ("MSTGT-full-256",)),
    (("profile_model.py", "--config", CONFIG, "--device", "cuda:99"), ("cuda:99",)),
    (("verify_reference.py", "README.md"), ("README.md",)),
    (("draw_results.py",), ("tracking/test.py",)),
])
def test_what_is_missing_is_one_line(arguments, words, tmp_path):
    done = run(*arguments, MSTGT_DATA_DIR=str(tmp_path / "data"), MSTGT_SAVE_DIR=str(tmp_path / "out"),
               MSTGT_PRETRAINED_DIR=str(tmp_path / "nets"))
    assert_one_line(done, *words)
    assert not (tmp_path / "out").exists()  # nothing half-written


def test_profile_prints_what_the_network_costs():
    done = run("profile_model.py", "--script", "MSTGT", "--config", "MSTGT-full-256", "--seconds", "0.1",
               "--device", "cpu")
    assert done.returncode == 0, done.stderr
    assert all(text in done.stdout for text in ("73.86 M", "74.03 M", "62.5 GFLOPs", "frames/s"))


def test_parity_command():
    done = run("verify_reference.py", "tests/data/mstgt_small.npz")
    assert done.returncode == 0 and "within" in done.stdout
