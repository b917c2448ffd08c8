"""The rows of the benchmark of tracking; what it measures is in tests/profiling/test_frame_parts.py."""

from __future__ import annotations

import argparse
import importlib
from pathlib import Path

import pytest


@pytest.fixture
def kind(monkeypatch):
    """``Kind``, imported as the command imports it: beside ``plain_tracker``."""
    monkeypatch.syspath_prepend(Path(__file__).resolve().parents[2] / "benchmarks")
    return importlib.import_module("tracking_speed").Kind


def test_a_row_is_named_by_what_it_does(kind):
    assert kind.named("bf16_compile_graph_batch16") == kind(
        {"precision": "bf16", "compile": True, "cuda_graph": True}, 16)
    assert kind.named("fp16") == kind({"precision": "fp16"})
    assert kind.named("fp32_openvino_threads2_batch4") == kind({"precision": "fp32", "threads": 2}, 4, "openvino")


@pytest.mark.parametrize("name", ["fp8", "graph", "fp32_batch0", "fp32_batch-1", "fp32_", "fp32_plain", "fp32_threads0",
                                  "fp32_openvino_compile"])
def test_other_names_are_no_rows(kind, name):
    with pytest.raises(argparse.ArgumentTypeError):
        kind.named(name)
