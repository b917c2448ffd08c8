"""Checkpoints and network files made to do harm: no code is run, no memory is filled."""

from __future__ import annotations

import importlib.util
import io
import os
import pickle
import sys
import zipfile
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch

from mstgt.config import load_config
from mstgt.export.onnx_engine import ANSWERS, START_INPUTS, STATE, OnnxPair
from mstgt.models.mstgt import build_model
from mstgt.models.mstgt.checkpoint import load_file, load_network
from mstgt.models.mstgt.reference import read_reference
from mstgt.test.evaluation import vot_run
from mstgt.utils.errors import UserError
from tests.fuzz.bounded import bounded
from tests.fuzz.networks import onnx_file, tiny
from tests.fuzz.target import jpeg

ROOT = Path(__file__).resolve().parents[1]
CONFIG = "MSTGT-demo-128"


class Payload:
    """Makes a folder when it is unpickled."""

    def __init__(self, path: Path):
        self.path = path

    def __reduce__(self):
        return os.mkdir, (str(self.path),)


def poisoned(kind: str, at: Path) -> Path:
    """A file that would make the folder ``at/pwned``."""
    path, payload = at / "evil.pth.tar", {"net": Payload(at / "pwned")}
    if kind == "pickle":
        path.write_bytes(pickle.dumps(payload))
    elif kind == "second pickle":
        torch.save({"net": {}}, path)
        with zipfile.ZipFile(path, "a") as archive:
            archive.writestr("other/data.pkl", pickle.dumps(payload, protocol=2))
    else:
        torch.save(payload, path, _use_new_zipfile_serialization=kind == "zip")
    return path


@pytest.mark.parametrize("kind", ["zip", "legacy", "pickle", "second pickle"])
def test_no_checkpoint_runs_code(tmp_path, kind):
    with pytest.raises(UserError, match="evil.pth.tar"):
        load_file(poisoned(kind, tmp_path))
    assert not (tmp_path / "pwned").exists()


COMMANDS = {
    "test.py": ["--tracker_param", CONFIG, "--dataset_dir", "{videos}", "--checkpoint", "{evil}", "--num_gpus", "0",
                "--threads", "1", "--save_dir", "{out}"],
    "train.py": ["--config", CONFIG, "--videos", "{videos}", "--resume", "{evil}", "--save_dir", "{out}"],
    "export.py": ["--config", CONFIG, "--checkpoint", "{evil}", "--out", "{out}"],
    "vot_tracker.py": ["--config", CONFIG, "--checkpoint", "{evil}", "--device", "cpu"],
    "verify_reference.py": ["{evil}"],
}


@pytest.mark.parametrize("name", COMMANDS)
def test_no_command_runs_the_code_of_a_checkpoint(name, tmp_path, monkeypatch):
    (tmp_path / "videos" / "v").mkdir(parents=True)
    (tmp_path / "videos" / "v" / "groundtruth.txt").write_text("1,2,3,4\n")
    (tmp_path / "videos" / "v" / "1.jpg").write_bytes(jpeg())
    places = {"evil": poisoned("zip", tmp_path), "videos": tmp_path / "videos", "out": tmp_path / "out"}
    monkeypatch.setattr(vot_run, "import_trax", lambda: SimpleNamespace())
    monkeypatch.setattr(sys, "argv", [name, *(word.format(**places) for word in COMMANDS[name])])
    with pytest.raises(UserError, match="evil.pth.tar"):
        command(name).main()
    assert not (tmp_path / "pwned").exists()


def test_a_poisoned_pretrained_file_is_refused(tmp_path, monkeypatch):
    poisoned("zip", tmp_path).rename(tmp_path / "mae.pth")
    (tmp_path / "synthetic").mkdir()  # a dataset that is not there would be told before
    monkeypatch.setenv("MSTGT_PRETRAINED_DIR", str(tmp_path))
    monkeypatch.setattr(sys, "argv", ["train.py", "--config", CONFIG, "--set", "MODEL.PRETRAIN_FILE=mae.pth",
                                      "--data_dir", str(tmp_path), "--save_dir", str(tmp_path / "out")])
    with pytest.raises(UserError, match="mae.pth is refused"):
        command("train.py").main()
    assert not (tmp_path / "pwned").exists()


def command(name: str):
    spec = importlib.util.spec_from_file_location(f"hostile_{name[:-3]}", ROOT / "tracking" / name)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def rewritten(path: Path, method: int, times: int = 1) -> Path:
    """The checkpoint with its members packed by ``method``, each listed ``times`` times."""
    file = io.BytesIO()
    with zipfile.ZipFile(path) as old, zipfile.ZipFile(file, "w", method) as new:
        for info in old.infolist():
            new.writestr(info.filename, old.read(info))
        listed = list(new.filelist)
        for number in range(1, times):
            for info in listed:
                copy = zipfile.ZipInfo(info.filename.replace("/", f"{number}/", 1))
                for name in ("header_offset", "compress_size", "file_size", "CRC"):
                    setattr(copy, name, getattr(info, name))
                new.filelist.append(copy)
        new._didModify = True
    path.write_bytes(file.getvalue())
    return path


def test_checkpoints_that_would_fill_the_memory_are_refused(tmp_path):
    class Room:
        def __reduce__(self):
            return torch.FloatTensor, (1 << 40,)

    class Bytes:
        def __reduce__(self):
            return bytearray, (1 << 40,)

    path = tmp_path / "bomb.pth.tar"
    with bounded():
        for value, why in (({"net": Room()}, "it names torch.FloatTensor"), ({"net": Bytes()}, "bytearray")):
            torch.save(value, path)
            with pytest.raises(UserError, match=f"bomb.pth.tar is refused: .*{why}"):
                load_file(path)
        torch.save({"net": {"a": torch.zeros(1 << 20)}}, path)
        with pytest.raises(UserError, match="its members are compressed"):
            load_file(rewritten(path, zipfile.ZIP_DEFLATED))
        torch.save({"net": {"a": torch.zeros(1 << 20)}}, path)
        with pytest.raises(UserError, match="declare more bytes than the file has"):
            load_file(rewritten(path, zipfile.ZIP_STORED, times=3))
        wide = tiny().state_dict() | {"norm.weight": torch.zeros(1).expand(1 << 40)}  # 4 TB without any memory
        torch.save({"net": wide}, path)
        with pytest.raises(UserError, match=r"norm.weight \(1099511627776,\) for \(16,\)"):
            load_network(tiny(), path)


def test_a_checkpoint_too_great_for_any_memory_is_refused_unread(tmp_path):
    for name in ("x.pth.tar", "x.safetensors"):
        with open(tmp_path / name, "wb") as file:
            file.truncate(1 << 40)
        with bounded(), pytest.raises(UserError, match=f"{name} is refused: it has more than the 17179869184 bytes"):
            load_file(tmp_path / name)


def test_a_bomb_among_checkpoints_is_not_unpacked_to_look_at_its_checksum(tmp_path, monkeypatch):
    torch.save({"net": {"a": torch.zeros(1 << 20)}}, tmp_path / "bomb.pth.tar")
    rewritten(tmp_path / "bomb.pth.tar", zipfile.ZIP_DEFLATED)
    monkeypatch.setattr(zipfile.ZipFile, "testzip", lambda _archive: pytest.fail("it is unpacked"))
    with pytest.raises(UserError, match="its members are compressed"):
        load_file(tmp_path / "bomb.pth.tar")


@pytest.mark.parametrize("location", ["inside", "../secret", "{0}/secret", "sub/../../secret", "link"])
def test_an_onnx_file_reads_nothing_outside_its_folder(tmp_path, location):
    onnx = pytest.importorskip("onnx")
    pytest.importorskip("onnxruntime")
    (tmp_path / "export" / "sub").mkdir(parents=True)
    for name in ("secret", "export/inside"):
        (tmp_path / name).write_bytes(np.ones(4, np.float32).tobytes())
    (tmp_path / "export" / "link").symlink_to(tmp_path / "secret")
    data = onnx.TensorProto(name="w", data_type=onnx.TensorProto.FLOAT, dims=[4],
                            data_location=onnx.TensorProto.EXTERNAL)
    data.external_data.add(key="location", value=location.format(tmp_path))
    model = onnx.load_from_string(onnx_file((*START_INPUTS, *STATE), (*ANSWERS, "next_guidance")))
    model.graph.initializer.append(data)
    model.graph.node[0].CopyFrom(onnx.helper.make_node("Add", [STATE[-1], "w"], [ANSWERS[0]]))
    (tmp_path / "export" / "start.onnx").write_bytes(onnx_file(START_INPUTS, STATE))
    (tmp_path / "export" / "step.onnx").write_bytes(model.SerializeToString())
    if location == "inside":
        assert OnnxPair(tmp_path / "export" / "start.onnx", tmp_path / "export" / "step.onnx").any_batch
        return
    with pytest.raises(UserError, match="step.onnx is corrupt, or no ONNX file") as error:
        OnnxPair(tmp_path / "export" / "start.onnx", tmp_path / "export" / "step.onnx")
    assert "\n" not in str(error.value)


def test_a_reference_file_makes_no_room_beyond_a_limit(tmp_path):
    path = tmp_path / "r.npz"
    parts = {f"{a}/{b}": np.zeros(1) for a in ("track", "train") for b in ("template", "search", "search1")}
    header = io.BytesIO()
    np.lib.format.write_array_header_1_0(header, {"descr": "<f8", "fortran_order": False, "shape": (1 << 40,)})
    with bounded():
        np.savez(path, meta=np.array([16, 1, 1, 1, 2, 8]), **parts)
        with zipfile.ZipFile(path, "a") as archive:
            archive.writestr("state/x.npy", header.getvalue())
        with pytest.raises(UserError, match="r.npz is no reference file: ValueError: an array of"):
            read_reference(path)
        for meta in (np.array([1 << 40, 1, 1, 1, 2, 8]), np.array([np.nan] * 6), np.zeros(6, int) - 1):
            np.savez(path, meta=meta, **parts)
            with pytest.raises(UserError, match="r.npz: meta must hold"):
                read_reference(path)


def test_weights_that_are_no_numbers_are_refused(tmp_path):
    state = build_model(load_config("MSTGT", CONFIG)).state_dict()
    state["norm.bias"] = torch.full_like(state["norm.bias"], torch.nan)
    torch.save({"net": state}, tmp_path / "nan.pth.tar")
    with pytest.raises(UserError, match="nan.pth.tar holds NaN or infinity in norm.bias"):
        load_network(build_model(load_config("MSTGT", CONFIG)), tmp_path / "nan.pth.tar")
