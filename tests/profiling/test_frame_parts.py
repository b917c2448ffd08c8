"""The profile of a frame: every part is there, FLOPs are those of the network, products are multiplied by hand."""

from __future__ import annotations

import itertools
import json
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from mstgt.config import load_config
from mstgt.models.mstgt import build_model
from mstgt.profiling import profile as profiling
from mstgt.profiling.frame_parts import NETWORK, main_products, profile_frame
from mstgt.profiling.profile import measure_cost, time_rounds
from mstgt.test.tracker.torch_engine import TorchEngine
from mstgt.utils.errors import UserError
from mstgt.visualize.frame_parts import draw_parts

CFG = load_config("MSTGT", "MSTGT-demo-128")
ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="module")
def network():
    torch.manual_seed(0)
    return build_model(CFG)


@pytest.fixture(scope="module")
def profile(network):
    return profile_frame(TorchEngine(network, CFG), seconds=0.0)


def test_the_parts_of_a_frame_have_the_flops_of_the_frame(network, profile):
    assert [part.name for part in profile.parts] == ["decode", "crop", "input", *NETWORK, "box"]
    assert all(part.seconds > 0 for part in profile.parts)
    assert sum(part.flops for part in profile.parts) == measure_cost(network).frame_flops
    assert {part.name for part in profile.parts if part.flops} == set(NETWORK)


def test_a_frame_computes_only_what_is_read(network):
    """Of the last block the search tokens, of the guidance what makes the next state; by hand for nano at 128 px."""
    cost = measure_cost(network)
    cue, prompt, z, x, c = 3, 4, 16, 64, 192
    last_block = 2 * (cue + prompt + z) * (9 * c * c + 2 * (cue + prompt + z + x) * c)  # proj, MLP; attention
    tokens, grouped = z + x + z, 18  # six groups of three make the first 16 tokens
    guidance = 2 * c * c * (3 * (tokens - grouped) + 9 * (tokens - z)) + 2 * 2 * 3 * c * (tokens - grouped)
    assert cost.published_flops - cost.frame_flops - cost.template_flops == last_block + guidance


def test_the_product_is_that_of_all_tokens(network):
    ways, flops = main_products(TorchEngine(network, CFG))
    assert flops == 2 * 87 * 192 * 768
    results = [way() for way in ways.values()]
    assert all(result.shape == (1, 87, 768) for result in results)
    for result in results[1:]:
        torch.testing.assert_close(result, results[0], atol=1e-4, rtol=1e-4)


def test_rounds_are_interleaved_and_timed(monkeypatch):
    calls, clock = [], itertools.count()
    monkeypatch.setattr(profiling.time, "perf_counter", lambda: float(next(clock)))
    works = {"a": lambda: calls.append("a"), "b": lambda: calls.append("b")}
    times = time_rounds(works, torch.device("cpu"), rounds=4)
    assert calls[2 * profiling.WARM_UP :] == ["a", "b"] * 4
    assert {name: taken.tolist() for name, taken in times.items()} == {"a": [1.0] * 4, "b": [1.0] * 4}


def test_the_image_is_written_whole_or_not_at_all(profile, tmp_path):
    draw_parts(profile.parts, "nano", tmp_path / "frame.png")
    assert (tmp_path / "frame.png").read_bytes()[:4] == b"\x89PNG"
    (tmp_path / "file").write_text("")
    with pytest.raises(UserError, match="frame.png"):
        draw_parts(profile.parts, "nano", tmp_path / "file" / "frame.png")


def command(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, *arguments], cwd=ROOT, capture_output=True, text=True, timeout=300)


def test_the_command_writes_what_it_prints(tmp_path):
    done = command("tracking/profile_model.py", "--config", "MSTGT-demo-128", "--device", "cpu", "--seconds", "0.1",
                   "--precision", "bf16", "--json", str(tmp_path / "p.json"), "--plot", str(tmp_path / "p.svg"))
    assert done.returncode == 0, done.stderr
    written = json.loads((tmp_path / "p.json").read_text())
    assert written["how"] == "bf16" and written["backend"] in ("torch", "openvino")
    assert [part["name"] for part in written["parts"]][-1] == "box"
    assert written["cost"]["parameters"] > 3e6 and written["frames_per_second"]["network"] > 0
    assert all(name in done.stdout for name in ("decode", "stage 3", "GFLOP/s", "peak:"))
    assert (tmp_path / "p.svg").stat().st_size > 1000
    wrong = command("tracking/profile_model.py", "--config", "MSTGT-demo-128", "--plot", str(tmp_path / "p.doc"))
    assert wrong.returncode == 1 and wrong.stderr.strip().endswith("the name must end in .png, .pdf or .svg")


def test_the_benchmark_compares_and_checks(tmp_path):
    done = command("benchmarks/tracking_speed.py", "--config", "MSTGT-nano-128", "--rows", "plain", "fp32",
                   "fp32_batch2", "--rounds", "2", "--threads", "1", "--json", str(tmp_path / "speed.json"))
    assert done.returncode == 0, done.stderr
    rows = json.loads((tmp_path / "speed.json").read_text())["rows"]
    assert list(rows) == ["plain", "fp32", "fp32_batch2"] and rows["plain"]["tracker_ratio"] == 1
    assert "fp32: boxes within" in done.stdout and "| fp32_batch2 |" in done.stdout
    wrong = command("benchmarks/tracking_speed.py", "--rows", "fp32_batch")
    assert wrong.returncode == 2 and "'batch' is none of compile, graph, batchN, threadsN, openvino" in wrong.stderr
