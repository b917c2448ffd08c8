"""Parsers of settings and of the texts that the project writes itself."""

from __future__ import annotations

import json
import random
from pathlib import Path

import yaml

from mstgt.config import config_from_text, dump_config, load_config
from mstgt.config.paths import read_local_file
from mstgt.test.analysis.attributes import read_attributes
from mstgt.test.evaluation import provenance
from mstgt.test.evaluation.results import MANIFEST, read_manifest
from mstgt.test.evaluation.vot_workspace import add_tracker, tracker_entry
from mstgt.train.trainers.state import truncate_records
from mstgt.visualize.training_curves import curve, read_lines
from tests.fuzz.mutate import as_json, mutate_tree
from tests.fuzz.target import CONFIG, Target

MANIFEST_VALUE = {
    "benchmark": "mine", "root": "/data/mine", "tracker": "mstgt", "config": CONFIG, "checkpoint": "/c.pth",
    "checkpoint_sha256": "a" * 64, "settings": "MODEL: {INIT: xavier}\nTEST: {SEARCH_SIZE: 128}\n",
    "precision": "fp32", "backend": "torch", "compile": False, "cuda_graph": False, "exported": {"a.onnx": "b" * 64},
    "made_by": [{"code": "x", "torch": "2", "device": "CPU", "batch": 1}]}
METRICS = b"".join(json.dumps(line).encode() + b"\n" for line in (
    {"epoch": 1, "step": 20, "at": 0.5, "global_step": 20, "lr": 1e-3, "total": 3.5, "iou": 0.2},
    {"epoch": 1, "at": 1.0, "global_step": 40, "lr": 1e-3, "train": {"total": 3.0, "iou": 0.3}, "val": {"iou": 0.4}}))
_PROVENANCE = provenance.RunProvenance(Path("c"), "a", "MODEL: {INIT: xavier}\n", "fp32", "CPU", 1,
                                       exported={"a.onnx": "c"})


class _NamedBenchmark:
    root = None


def _settings() -> bytes:
    return dump_config(load_config("MSTGT", CONFIG)).encode()


def _yaml_tree(rng: random.Random) -> bytes:
    tree = mutate_tree(yaml.safe_load(_settings()), rng)
    return yaml.safe_dump(json.loads(json.dumps(tree, default=str, skipkeys=True))).encode()


def _yaml(data: bytes, _folder: Path) -> None:
    text = data.decode("utf-8", "surrogateescape")
    cfg = config_from_text(text, "the file")
    assert config_from_text(dump_config(cfg)) == cfg
    provenance._relevant_settings(text)


def _override(data: bytes, _folder: Path) -> None:
    load_config("MSTGT", CONFIG, [data.decode("utf-8", "surrogateescape")])


def _local(data: bytes, at: Path) -> None:
    (at / "local.py").write_bytes(data)
    read_local_file(at / "local.py", ("lasot_dir", "otb_dir"))


def _manifest(data: bytes, at: Path) -> None:
    (at / MANIFEST).write_bytes(data)
    found = read_manifest(at)
    assert not {"/", "\\"} & set(found["benchmark"]) and found["benchmark"] not in ("", ".", "..")
    provenance._differences(found, _PROVENANCE, _NamedBenchmark)


def _metrics(data: bytes, at: Path) -> None:
    (at / "metrics.jsonl").write_bytes(data)
    lines = read_lines(at / "metrics.jsonl")
    for name, half in (("total", "train"), ("iou", "val"), ("lr", "")):
        assert all(isinstance(value, float) or abs(value) <= 1e9 for value in curve(lines, name, half)[1])
    truncate_records(at, 30)


def _attributes(data: bytes, at: Path) -> None:
    (at / "table.csv").write_bytes(data)
    read_attributes(at / "table.csv")


def _vot_ini(data: bytes, at: Path) -> None:
    (at / "trackers.ini").write_bytes(data)
    add_tracker(at / "trackers.ini", "MSTGT", tracker_entry("MSTGT", CONFIG, ["python", "x y"]), overwrite=True)


TARGETS: dict[str, Target] = {
    "yaml": Target(lambda: (_settings(), b"TRAIN:\n  LR: 1e-3\nDA: {sfactor: [2, 6]}\n"), _yaml, "the file",
                   _yaml_tree),
    "override": Target(lambda: (b"TRAIN.LR=1e-3", b"DATA.TRAIN.DATASETS_NAME=[LASOT]", b"DATA={SEARCH: {SIZE: 64}}",
                                b"MODEL.PRETRAIN_FILE=x.pth", b"TRAIN.SEED=5"), _override, "--set"),
    "local": Target(lambda: (b'"""x"""\nlasot_dir = \'/a\'\notb_dir = "b"\n',), _local, "local.py"),
    "manifest": Target(lambda: (as_json(MANIFEST_VALUE),), _manifest, MANIFEST,
                       lambda rng: as_json(mutate_tree(MANIFEST_VALUE, rng))),
    "metrics": Target(lambda: (METRICS,), _metrics, "metrics.jsonl", lambda rng: b"\n".join(
        as_json(mutate_tree(json.loads(line), rng)) for line in METRICS.splitlines())),
    "attributes": Target(lambda: (b"video,blur,dark\na,0,1\nb,1,1\n",), _attributes, "table.csv"),
    "vot_ini": Target(lambda: (b"[A]\nlabel = x\ncommand = y %% z\n\n[MSTGT]\nlabel = q\n",), _vot_ini,
                      "trackers.ini"),
}
