"""The device of a training process: the one that --device names, and under torchrun the GPU of the process."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
import torch

from mstgt.train import distributed, launch
from mstgt.train.distributed import process_group
from mstgt.utils.errors import UserError
from tests.processes import environment

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture
def two_gpus(monkeypatch):
    """A machine with two GPUs, as far as PyTorch is asked; gives the devices that were made the current one."""
    chosen = []
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    monkeypatch.setattr(torch.cuda, "set_device", chosen.append)
    return chosen


@pytest.fixture
def groups(monkeypatch):
    """Stands for torch.distributed; gives the backends that were asked for."""
    backends = []
    monkeypatch.setattr(distributed.dist, "init_process_group", backends.append)
    monkeypatch.setattr(distributed.dist, "destroy_process_group", lambda: None)
    monkeypatch.setattr(distributed.dist, "get_rank", lambda: 5)
    monkeypatch.setattr(distributed.dist, "get_world_size", lambda: 8)
    return backends


@pytest.mark.parametrize(("name", "device", "current"), [
    (None, "cuda", []), ("cpu", "cpu", []), ("cuda", "cuda", []), ("cuda:1", "cuda:1", ["cuda:1"])])
def test_one_process_takes_the_device_that_is_named(two_gpus, monkeypatch, name, device, current):
    monkeypatch.delenv("LOCAL_RANK", raising=False)
    with process_group(name) as group:
        assert (group.device, group.world) == (torch.device(device), 1)
    assert two_gpus == [torch.device(name) for name in current]


@pytest.mark.parametrize(("name", "device", "backend"), [
    (None, "cuda:1", "nccl"), ("cuda", "cuda:1", "nccl"), ("cpu", "cpu", "gloo")])
def test_under_torchrun_each_process_takes_its_own_gpu(two_gpus, groups, monkeypatch, name, device, backend):
    monkeypatch.setenv("LOCAL_RANK", "1")
    with process_group(name) as group:
        assert (group.device, group.rank, group.world) == (torch.device(device), 5, 8)
    assert groups == [backend] and two_gpus == [group.device] * (device != "cpu")


@pytest.mark.parametrize(("name", "rank", "words"), [
    ("cuda:1", "0", "each process takes a CUDA GPU of its own"), ("mps", "0", "each process takes a CUDA GPU"),
    ("banana", "0", "unknown device 'banana'"), (None, "2", "process 2 of this machine has no GPU of its own")])
def test_under_torchrun_other_devices_are_refused(two_gpus, groups, monkeypatch, name, rank, words):
    monkeypatch.setenv("LOCAL_RANK", rank)
    with pytest.raises(UserError, match=words), process_group(name):
        pass
    assert not groups


def test_more_processes_than_gpus_are_refused_before_they_start(two_gpus, monkeypatch):
    with pytest.raises(UserError, match="3 processes per node are more than the 2 GPUs.*--device cpu"):
        launch.launch("train.py", [], launch.Launch(3))


def test_the_cpu_takes_any_number_of_processes(two_gpus, monkeypatch):
    started = []
    monkeypatch.setattr("torch.distributed.run.run", started.append)
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    monkeypatch.setenv("TORCH_DISABLE_SHARE_RDZV_TCP_STORE", "1")
    assert launch.launch("train.py", ["--device", "cpu"], launch.Launch(3), "cpu") == 0
    assert started[0].nproc_per_node == "3" and started[0].training_script_args == ["--device", "cpu"]


def test_a_missing_device_is_a_one_line_error(disk_set, tmp_path):
    """The command, with a folder of videos to train on."""
    for video in (tmp_path / f"video{v}" for v in range(4)):
        (video / "groundtruth.txt").write_text("20,30,30,24\n" * 8)
    command = [sys.executable, str(ROOT / "tracking/train.py"), "--config", "MSTGT-demo-128", "--videos",
               str(tmp_path), "--save_dir", str(tmp_path / "out"), "--device", "cuda:7"]
    done = subprocess.run(command, capture_output=True, text=True, check=False,
                          env=environment("LOCAL_RANK", PYTHONPATH=str(ROOT), CUDA_VISIBLE_DEVICES=""))
    words = "error: no device cuda:7: PyTorch finds no CUDA GPUs on this machine; give cpu"
    assert (done.returncode, done.stderr.splitlines()[-1]) == (1, words)
    assert "Traceback" not in done.stderr
