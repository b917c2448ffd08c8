"""Commands answer --help and wrong arguments without loading PyTorch, which takes seconds.

The commands run one after the other in one process, those of ``tracking`` as subcommands of ``mstgt`` and those of
``benchmarks`` as files. The process looks at ``sys.modules`` after each of them: what the first one to load PyTorch is
called is in the output.
"""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from mstgt.command_line import PROGRAMS
from tests.processes import environment

ROOT = Path(__file__).resolve().parents[1]
SLOW = ("torch", "torchvision", "matplotlib", "wandb", "openvino", "onnxruntime")
RUN_ALL = f"""
import contextlib, io, json, runpy, sys
import tracking
sys.modules["mstgt.tracking"] = tracking  # as an installation has it
from mstgt.command_line import main
for line in sys.stdin:
    words = json.loads(line)
    is_file = words[0].endswith(".py")
    sys.argv = words if is_file else ["mstgt", *words]
    status, output = 0, io.StringIO()
    with contextlib.redirect_stdout(output), contextlib.redirect_stderr(output):
        try:
            runpy.run_path(words[0], run_name="__main__") if is_file else main()
        except SystemExit as end:
            status = end.code
    loaded = [name for name in {SLOW} if name in sys.modules]
    print(json.dumps([status, output.getvalue(), loaded]), flush=True)
    if loaded:  # what follows would be blamed for it
        break
"""
NANO = ["--config", "MSTGT-nano-128"]
BENCHMARKS = ROOT / "benchmarks"
# words of the command line; what its message must say. {folder} has a file and an empty folder; {absent} is not there.
REFUSED = [
    (["train", "--config", "MSTGT-nanno-128"], "did you mean 'MSTGT-nano-128'"),
    (["train", *NANO, "--set", "TRAIN.LRR=1"], "did you mean TRAIN.LR"),
    (["train", *NANO, "--data_dir", "{absent}"], "make it with mstgt make_synthetic, or name"),
    (["train", *NANO, "--set", 'DATA.TRAIN.DATASETS_NAME=["LASSOT"]'], "did you mean 'LASOT'"),
    (["train", *NANO, "--videos", "{absent}"], "no folder {absent} (nor absent.zip or absent.lmdb); give a folder"),
    (["train", *NANO, "--videos", "{folder}/empty"], "no videos in {folder}/empty: expected <video>/groundtruth.txt"),
    (["train", *NANO, "--photos", "{absent}"], "no folder {absent}"),
    (["train", *NANO, "--videos", "{folder}", "--set", "MODEL.PRETRAIN_FILE=absent.pth"], "no weights to start from"),
    (["train", *NANO, "--videos", "{folder}", "--resume", "{absent}"], "--resume {absent}: there is no such file"),
    (["train", *NANO, "--checkpoint_every", "soon"], "'soon' is not an interval"),
    (["train", *NANO, "--device", "banana"], "unknown device 'banana'"),
    (["train", *NANO, "--videos", "{folder}", "--device", "cuda"], "no device cuda: PyTorch finds no CUDA GPUs"),
    (["train", *NANO, "--mode", "multiple", "--device", "cuda:1"], "each process takes a CUDA GPU of its own"),
    (["train", *NANO, "--mode", "multi_node"], "--mode multi_node needs --rdzv_endpoint"),
    (["test", "--config", "MSTGT-nanno-128", "--dataset", "otb"], "did you mean 'MSTGT-nano-128'"),
    (["test", *NANO, "--dataset", "lassot"], "did you mean 'lasot'"),
    (["test", *NANO, "--dataset_dir", "{absent}"], "{absent}"),
    (["test", *NANO, "--dataset_dir", "{folder}", "--checkpoint", "{absent}"], "no checkpoint {absent}"),
    (["export", "--config", "MSTGT-nanno"], "did you mean 'MSTGT-nano'"),
    (["export", *NANO, "--checkpoint", "{absent}"], "no checkpoint {absent}"),
    (["export", "--config", "MSTGT-full-256", "--save_dir", "{folder}"], "no checkpoint"),
    (["profile", "--config", "MSTGT-nanno"], "did you mean 'MSTGT-nano'"),
    (["profile", *NANO, "--device", "banana"], "unknown device 'banana'"),
    (["profile", *NANO, "--device", "cuda"], "no device cuda"),
    (["profile", *NANO, "--picture", "x.txt"], ".png"),
    (["show_batch", "--config", "MSTGT-nanno"], "did you mean 'MSTGT-nano'"),
    (["show_batch", *NANO, "--data_dir", "{absent}"], "no dataset 'synthetic'"),
    (["show_batch", *NANO, "--samples", "0"], "--samples must be at least 1"),
    (["pretrain", *NANO, "--method", "convert", "--teacher", "{absent}"], "no teacher"),
    (["pretrain", *NANO, "--method", "distill", "--images", "."], "--teacher is missing"),
    (["pretrain", *NANO, "--method", "prune"], "--from_backbone is missing"),
    (["pretrain", *NANO, "--method", "prune", "--from_backbone", "lite_nano", "--set", "MODEL.PRETRAIN_FILE=absent.pth"
      ], "absent.pth is not there"),
    (["make_photos", "{absent}", "--out", "{folder}/out"], "no folder {absent}"),
    (["verify_reference", "{absent}"], "no file {absent}"),
    (["track", "{absent}.mp4", "--init_box", "1,2,3,4"], "{absent}.mp4"),
    (["track", "{folder}/file.mp4", "--init_box", "1,2,3"], "1,2,3"),
    (["track", "{folder}/file.mp4", "--out="], "--out: the path is empty"),
    (["track", "{folder}/file.mp4", "--config", "MSTGT-nanno"], "did you mean 'MSTGT-nano'"),
    (["web", "--config", "MSTGT-nanno"], "did you mean 'MSTGT-nano'"),
    (["web", "--checkpoint", "{absent}"], "no checkpoint {absent}"),
    (["web", "--device", "cuda:7"], "no device cuda:7"),
    (["web", "--device", "banana"], "unknown device 'banana'"),
    (["vot_workspace", "{absent}", *NANO, "--device", "banana"], "unknown device 'banana'"),
    (["vot_tracker", "--config", "MSTGT-nanno"], "did you mean 'MSTGT-nano'"),
    (["analyze", "--dataset", "lassot"], "did you mean 'lasot'"),
    (["analyze", "--dataset_dir", "~no-user/x"], "/~no-user/x (nor x.zip"),
    (["analyze", "--workers", "-1"], "at least 1, not '-1'"),
    (["compare", "A", "B", "--dataset", "lassot"], "did you mean 'lasot'"),
    (["draw", "--dataset", "otb", "--save_dir", "{absent}"], "no such results in {absent}"),
    (["pack_dataset", "{absent}", "{folder}/x.zip"], "{absent}"),
    (["trian"], "did you mean 'train'"),
    ([f"{BENCHMARKS}/ablation.py", "--out", "{absent}", "--variants", "groupd"], "did you mean 'grouped'"),
    ([f"{BENCHMARKS}/ablation.py", "--out", "{absent}", "--data_dir", "{absent}"], "no dataset 'synthetic'"),
    ([f"{BENCHMARKS}/compare_opencv.py", "--videos", "{absent}"], "{absent}"),
    ([f"{BENCHMARKS}/compare_opencv.py", "--videos", "{folder}", "--plot", "x.txt"], ".png"),
    ([f"{BENCHMARKS}/compare_opencv.py", "--videos", "{folder}", "--nano_dir", "{absent}"], "no file {absent}"),
    ([f"{BENCHMARKS}/data_pipeline.py", "--searches", "0"], "--searches at least 1"),
    ([f"{BENCHMARKS}/opencv_trackers.py", "{absent}"], "cannot read the job {absent}"),
    ([f"{BENCHMARKS}/rivals.py", "csrt", "{absent}", "1", "2", "3", "4", "1"], "opencv-contrib-python-headless"),
    ([f"{BENCHMARKS}/score_quality.py", "--videos", "{absent}"], "no folder {absent}"),
    ([f"{BENCHMARKS}/scoring.py", "--dataset", "lassot", "--results", "A={absent}"], "did you mean 'lasot'"),
    ([f"{BENCHMARKS}/tracking_speed.py", "--rows", "fp8"], "begins with none of plain, fp32"),
    ([f"{BENCHMARKS}/tracking_speed.py", "--device", "banana"], "unknown device 'banana'"),
    ([f"{BENCHMARKS}/tracking_speed.py", "--config", "MSTGT-nanno"], "did you mean 'MSTGT-nano'"),
    ([f"{BENCHMARKS}/tracking_speed.py", "--nano_dir", "{absent}"], "--nano_dir {absent}: there is no such folder"),
    ([f"{BENCHMARKS}/training_step.py", "--config", "MSTGT-nanno"], "did you mean 'MSTGT-nano'"),
    ([f"{BENCHMARKS}/training_step.py", "--device", "banana"], "unknown device 'banana'"),
]


def run_all(commands: list[list[str]], folder: Path) -> list[tuple[int, str, list[str]]]:
    """The status, the output and the slow modules loaded of every command, up to the first that loads one."""
    done = subprocess.run([sys.executable, "-c", RUN_ALL], input="\n".join(map(json.dumps, commands)), check=False,
                          capture_output=True, text=True, cwd=folder,
                          env=environment("LOCAL_RANK", CUDA_VISIBLE_DEVICES="", PYTHONPATH=f"{ROOT}:{BENCHMARKS}"))
    assert done.returncode == 0, done.stderr
    return [tuple(json.loads(line)) for line in done.stdout.splitlines()]


@pytest.mark.parametrize("flag", ["--help", "-h"])
def test_help_is_answered_without_pytorch(flag, tmp_path):
    scripts = [str(path) for path in sorted(BENCHMARKS.glob("*.py")) if "__main__" in path.read_text()]
    commands = [[flag], *([name, flag] for name in (*PROGRAMS, *scripts))]
    assert len(scripts) > 5
    answers = run_all(commands, tmp_path)
    for command, (status, output, loaded) in zip(commands, answers, strict=False):
        assert (status, output[:6], loaded) == (0, "usage:", []), (command, output)
        assert "python tracking/" not in output or command[0] in scripts, "an installed package has no such file"
    assert len(answers) == len(commands)


def test_every_program_is_a_subcommand():
    scripts = {path.stem for path in (ROOT / "tracking").glob("*.py")} - {"__init__"}
    assert {module for module, _ in PROGRAMS.values()} == scripts


def test_wrong_arguments_are_refused_without_pytorch(tmp_path):
    (tmp_path / "folder" / "empty").mkdir(parents=True)
    (tmp_path / "folder" / "file.mp4").write_bytes(b"")
    places = {"folder": str(tmp_path / "folder"), "absent": str(tmp_path / "absent")}

    def filled(text: str) -> str:
        return text.replace("{folder}", places["folder"]).replace("{absent}", places["absent"])

    commands = [[filled(word) for word in command] for command, _ in REFUSED]
    answers = run_all(commands, tmp_path)
    for command, (_, words), (status, output, loaded) in zip(commands, REFUSED, answers, strict=False):
        assert filled(words) in output and status in (1, 2), (command, output)
        assert "Traceback" not in output and not loaded, (command, output, loaded)
    assert len(answers) == len(commands)
