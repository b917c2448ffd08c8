"""Runs of two processes that are killed, stopped or broken, as a cluster does it; and what is left of them."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch

from mstgt.config.paths import checkpoint_path
from mstgt.synthetic.set_spec import SPLITS, SetSpec
from mstgt.synthetic.writer import write_set
from mstgt.train.trainers.state import METRICS, list_resumable
from tests.processes import children, command_line, environment

ROOT = Path(__file__).resolve().parents[2]
CONFIG = "MSTGT-demo-128"
SETTINGS = ("TRAIN.EPOCH=2", "TRAIN.BATCH_SIZE=2", "DATA.TRAIN.SAMPLE_PER_EPOCH=16", "DATA.VAL.SAMPLE_PER_EPOCH=4",
            "TRAIN.NUM_WORKER=1", "TRAIN.DROP_PATH_RATE=0.2", "DA.imix=true", "DA.imix_epoch=0",
            "TRAIN.PRINT_INTERVAL=1", "TRAIN.EMA_DECAY=0.9")


@pytest.fixture(scope="module")
def data(tmp_path_factory) -> Path:
    base = tmp_path_factory.mktemp("data")
    write_set(base / "synthetic", SetSpec(
        videos={"train": 3, "val": 1, "test": 1}, frames=dict.fromkeys(SPLITS, 8), size_wh=(160, 120), seed=0,
        difficulty=dict.fromkeys(SPLITS, (0.0, 0.4))), 1, False)
    return base


def command(data: Path, out: Path, *more: str) -> list[str]:
    pairs = [word for pair in SETTINGS for word in ("--set", pair)]
    return [sys.executable, str(ROOT / "tracking" / "train.py"), "--config", CONFIG, "--data_dir", str(data),
            "--save_dir", str(out), "--mode", "multiple", "--nproc_per_node", "2", "--checkpoint_every", "1", *pairs,
            *more]


def start(words: list[str], **options) -> subprocess.Popen[str]:
    return subprocess.Popen(words, env=environment(CUDA_VISIBLE_DEVICES=""), stdout=subprocess.PIPE,
                            stderr=subprocess.STDOUT, text=True, **options)


def start_group(*arguments) -> subprocess.Popen[str]:
    """The command, with whatever it starts, in a process group of its own."""
    return start(command(*arguments), start_new_session=True)


def finish(process: subprocess.Popen[str]) -> str:
    output, _ = process.communicate(timeout=300)
    return output


def folder_of(out: Path) -> Path:
    return out / "checkpoints" / "train" / "mstgt" / CONFIG


def wait_for_step(process: subprocess.Popen[str], folder: Path, steps: int) -> None:
    """Until ``steps`` steps are logged, or the run has ended."""
    while process.poll() is None:
        path = folder / METRICS
        if path.is_file() and path.read_text().count('"step"') >= steps:
            return
        time.sleep(0.02)


@pytest.fixture(scope="module")
def undisturbed(data, tmp_path_factory) -> Path:
    out = tmp_path_factory.mktemp("whole")
    process = start_group(data, out)
    output = finish(process)
    assert process.returncode == 0, output
    assert "batch 2 x 2" in output and "curves: " in output and output.count("epoch 2/2: train loss") == 1
    assert (folder_of(out) / "training.png").stat().st_size > 10_000
    return folder_of(out)


def final(folder: Path) -> dict:
    return torch.load(checkpoint_path(folder, 2), weights_only=True)


def assert_equal_runs(one: Path, other: Path) -> None:
    first, second = final(one), final(other)
    for part in ("net", "ema"):
        for name, value in first[part].items():
            assert torch.equal(value, second[part][name]), (part, name)
    for state, twin in zip(first["optimizer"]["state"].values(), second["optimizer"]["state"].values(), strict=True):
        assert torch.equal(state["exp_avg_sq"], twin["exp_avg_sq"])
    figures = [[json.loads(line) for line in (f / METRICS).read_text().splitlines()] for f in (one, other)]
    assert [(x["global_step"], x.get("total")) for x in figures[0]] == [(x["global_step"], x.get("total"))
                                                                        for x in figures[1]]


def test_a_killed_and_resumed_run_equals_an_uninterrupted_one(data, undisturbed, tmp_path):
    """SIGKILL to all processes in the middle of the first epoch and of the second: bit-identical in the end."""
    for steps in (2, 6):
        process = start_group(data, tmp_path)
        wait_for_step(process, folder_of(tmp_path), steps)
        assert process.poll() is None, process.communicate()[0]
        os.killpg(process.pid, signal.SIGKILL)
        finish(process)
        assert list_resumable(folder_of(tmp_path))
    process = start_group(data, tmp_path)
    output = finish(process)
    assert process.returncode == 0 and "resuming after epoch" in output, output
    assert_equal_runs(undisturbed, folder_of(tmp_path))


def test_sigterm_saves_a_checkpoint_and_a_crashed_process_is_restarted(data, undisturbed, tmp_path):
    """SIGTERM to the launcher as a cluster sends it; then one of two processes dies and torchrun starts both again."""
    process = start_group(data, tmp_path)
    wait_for_step(process, folder_of(tmp_path), 2)
    process.send_signal(signal.SIGTERM)
    output = finish(process)
    assert process.returncode == 143, output
    assert "stopped by SIGTERM" in output
    process = start_group(data, tmp_path, "--max-restarts", "1")
    wait_for_step(process, folder_of(tmp_path), 5)
    os.kill(workers_of(process.pid)[1], signal.SIGKILL)
    output = finish(process)
    assert process.returncode == 0, output
    assert_equal_runs(undisturbed, folder_of(tmp_path))


def workers_of(launcher: int) -> list[int]:
    return [pid for pid in children(launcher) if "train.py" in command_line(pid)]


def test_multi_node_training_with_two_nodes_on_one_machine(data, tmp_path):
    """--mode multi_node with a process each, through the rendezvous of torchrun."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        endpoint = f"127.0.0.1:{listener.getsockname()[1]}"
    nodes = []
    for _ in range(2):
        words = command(data, tmp_path, "--mode", "multi_node", "--nnodes", "2", "--nproc_per_node", "1",
                        "--rdzv-endpoint", endpoint, "--set", "TRAIN.EPOCH=1")
        nodes.append(start(words))
    outputs = [finish(node) for node in nodes]
    assert [node.returncode for node in nodes] == [0, 0], outputs
    assert "".join(outputs).count("epoch 1/1: train loss") == 1 and "batch 2 x 2" in "".join(outputs)
    assert checkpoint_path(folder_of(tmp_path), 1).is_file()
