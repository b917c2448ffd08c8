"""Files made to do harm: no code is run, nothing outside the project's folders is named, no shell is started."""

from __future__ import annotations

import ast
import importlib.util
import io
import json
import os
import pickle
import struct
import sys
import zipfile
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch

from mstgt.apps.video_demo.results import read_rows, rows_to_keep, write_results
from mstgt.apps.video_demo.track import Row
from mstgt.apps.video_demo.video_file import VideoFile
from mstgt.config import config_from_text, load_config
from mstgt.config.load import MAX_TEXT, parse_yaml, parse_yaml_mapping
from mstgt.data import index
from mstgt.data.readers.coco import coco
from mstgt.data.readers.folder import folder
from mstgt.data.store import FolderStore
from mstgt.data.video import VideoSet
from mstgt.export.onnx_engine import ANSWERS, START_INPUTS, STATE, OnnxPair
from mstgt.models.mstgt import build_model
from mstgt.models.mstgt.checkpoint import load_file, load_network
from mstgt.models.mstgt.reference import read_reference
from mstgt.test.evaluation import vot_run
from mstgt.test.evaluation.results import MANIFEST, find_results, read_boxes, read_manifest, read_scores, run_name
from mstgt.untrusted.limits import MAX_NAME_BYTES, check_names, fault_in_name
from mstgt.utils.errors import UserError, one_line, run_command
from tests.fuzz.bounded import bounded
from tests.fuzz.datasets import COCO
from tests.fuzz.networks import onnx_file, tiny
from tests.fuzz.target import jpeg

ROOT = Path(__file__).resolve().parents[1]
CONFIG = "MSTGT-demo-128"
SOURCES = [path for part in ("lib", "tracking", "benchmarks") for path in sorted((ROOT / part).rglob("*.py"))]
PARTS = sorted({path.parent for path in SOURCES})


# --- checkpoints

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


# --- names

@pytest.mark.parametrize("name", ["", ".", "..", "../x", "/x", "a/b", "a\\b", "a\nb", "\x1b[2J", "\0", "\udcff",
                                  "é" * 150])
def test_names_that_cannot_be_files_are_refused(name):
    assert fault_in_name(name)
    with pytest.raises(UserError):
        VideoSet(name, (), {}.__getitem__)
    if name != "a/b":  # the parts of a name such as TRAIN_1/x are names each
        for video in (name, f"TRAIN_1/{name}"):
            with pytest.raises(UserError, match="the video .* is refused"):
                check_names(["fine", "TRAIN_1/fine", video], "the video")


def test_ordinary_names_are_accepted():
    check_names(["a", "a.b", "..a", "TRAIN_0/é 追.x", "x" * MAX_NAME_BYTES], "the video")


@pytest.mark.parametrize("name", ["../../x", "/etc/passwd", "..", "a/b", "a\\b", "x\ny"])
def test_no_experiment_or_run_lies_elsewhere(name):
    with pytest.raises(UserError):
        run_name(CONFIG, name)
    with pytest.raises(UserError):
        load_config("MSTGT", name)
    with pytest.raises(UserError):
        load_config(name, CONFIG)


def test_a_manifest_names_no_folder_to_write_to(tmp_path):
    results = tmp_path / "test" / "tracking_results" / "mstgt" / "c" / "mine"
    results.mkdir(parents=True)
    for name in ("../../../x", "/x", "..", "", "\x1b[2J"):
        (results / MANIFEST).write_text(json.dumps({"benchmark": name, "root": str(tmp_path)}))
        with pytest.raises(UserError, match="benchmark.json: the benchmark"):
            read_manifest(results)
        with pytest.raises(UserError, match="benchmark.json"):
            find_results(tmp_path)


def test_no_key_leads_out_of_a_folder(tmp_path):
    (tmp_path / "secret").write_text("s")
    (tmp_path / "set").mkdir()
    store = FolderStore(tmp_path / "set")
    for key in ("../secret", "a/../../secret", str(tmp_path / "secret")):
        with pytest.raises(UserError, match="leads out of the dataset"):
            store.read(key)


def test_links_in_a_folder_are_followed_but_not_to_devices(tmp_path):
    (tmp_path / "elsewhere").write_text("frame")
    (tmp_path / "set").mkdir()
    (tmp_path / "set" / "a").symlink_to(tmp_path / "elsewhere")
    (tmp_path / "set" / "zero").symlink_to("/dev/zero")
    os.mkfifo(tmp_path / "set" / "pipe")
    with open(tmp_path / "set" / "huge", "wb") as file:
        file.truncate(1 << 40)
    store = FolderStore(tmp_path / "set")
    assert store.read("a") == b"frame"
    for name in ("zero", "pipe"):
        with pytest.raises(UserError, match=f"{name}: not a plain file"):
            store.read(name)
    with pytest.raises(UserError, match="huge is refused: 1099511627776 bytes"):
        store.read("huge")


def test_a_kept_index_from_somebody_else_names_no_other_file(tmp_path):
    root = tmp_path / "coco"
    for key, content in (("annotations/instances_train2017.json", json.dumps(COCO).encode()),
                         ("train2017/000000000005.jpg", jpeg()), ("train2017/000000000007.jpg", jpeg())):
        (root / key).parent.mkdir(parents=True, exist_ok=True)
        (root / key).write_bytes(content)
    assert len(coco("COCO17", FolderStore(root))) == 3
    file = tmp_path / index.FOLDER / "coco-COCO17.npz"
    with np.load(file) as kept:
        arrays = {name: kept[name] for name in kept.files}
    for name, value in (("image_names", np.array(["../../secret", "x"])), ("images", arrays["images"] + 9),
                        ("boxes_xywh", np.zeros((1, 4))), ("ids", arrays["ids"].astype(float))):
        np.savez(file, **(arrays | {name: value}))
        keys = [video.frames.keys[0] for video in coco("COCO17", FolderStore(root))]
        assert keys == [f"train2017/00000000000{i}.jpg" for i in (5, 7, 5)]


def gif(width: int, height: int) -> bytes:
    """An image of a pixel on a canvas of the given size."""
    canvas = b"GIF89a" + struct.pack("<HH", width, height) + b"\x80\0\0" + b"\0\0\0\xff\xff\xff"
    return canvas + b"\x2c" + struct.pack("<HHHH", 0, 0, 1, 1) + b"\0\x02\x02\x44\x01\0\x3b"


def test_a_video_with_images_too_large_is_refused_by_its_header(tmp_path):
    (tmp_path / "fine.gif").write_bytes(gif(64, 48))
    assert VideoFile(tmp_path / "fine.gif").size_wh == (64, 48)
    (tmp_path / "bomb.gif").write_bytes(gif(16_000, 16_000))  # 1.7 GB while it is decoded
    (tmp_path / "wide.gif").write_bytes(gif(40_000, 2))
    for name in ("bomb.gif", "wide.gif"):
        with bounded(1 << 28), pytest.raises(UserError, match=f"{name}: it has no frame that can be decoded, or "
                                                              "its images have more than 67108864 px or 32766 px"):
            VideoFile(tmp_path / name)


def test_a_track_with_boxes_of_any_size_is_not_drawn(tmp_path):
    box = np.array([1.0, 2, 30, 40])
    rows = [Row(frame, frame / 10, 1, box, 0.5, None, True) for frame in range(3)]
    write_results(tmp_path / "t.csv", "csv", rows, {})
    text = (tmp_path / "t.csv").read_text()
    for old, new in ((",30.00,", ",1e300,"), (",30.00,", ",nan,"), (",40.00,", ",-4,")):
        (tmp_path / "t.csv").write_text(text.replace(old, new, 1))
        with pytest.raises(UserError, match=r"t.csv, line 2: not a row of a track \(not a box: "):
            read_rows(tmp_path / "t.csv")
    (tmp_path / "t.csv").write_text(text.replace("\n0,", f"\n-{10**12},", 1))
    with bounded(), pytest.raises(UserError, match="the first correction cannot be at frame 2"):
        rows_to_keep(tmp_path / "t.csv", {1: 2})


@pytest.mark.parametrize("read", [read_boxes, read_scores])
def test_a_result_too_great_is_refused_unread(tmp_path, read):
    for name in ("v.txt", "v_score.txt"):
        with open(tmp_path / name, "wb") as file:
            file.truncate(1 << 40)
    with bounded(), pytest.raises(UserError, match="txt is refused: 1099511627776 bytes"):
        read(tmp_path, "v")


def test_two_videos_of_one_name_are_an_error(tmp_path):
    for file in ("a/groundtruth_rect.1.txt", "a_1/groundtruth.txt"):
        (tmp_path / file).parent.mkdir()
        (tmp_path / file).write_text("1,2,3,4\n")
    with pytest.raises(UserError, match="two videos would be called a_1"):
        folder(tmp_path)


# --- texts

@pytest.mark.parametrize("tag", ["!!python/object/apply:os.mkdir [{0}]", "!!python/object/new:os.mkdir [{0}]",
                                 "!!python/name:os.system", "!!python/module:os"])
def test_yaml_builds_no_objects(tmp_path, tag):
    with pytest.raises(UserError, match="not valid YAML"):
        parse_yaml(tag.format(tmp_path / "pwned"), "x.yaml")
    assert not (tmp_path / "pwned").exists()


def nested(first: str, step: str) -> str:
    """Ten times ten times … what is in ``first``."""
    return f"a0: &a0 {first}\n" + "".join(
        f"a{i}: &a{i} {step.format(', '.join([f'*a{i - 1}'] * 10))}\n" for i in range(1, 12))


@pytest.mark.parametrize("text", [
    nested("{x: 1}", "{{<<: [{}]}}"), "TRAIN:\n- &a {x: 1}\n- {<<: *a}\n", "? {<<: {x: 1}}\n: 1\n",
    nested("[1, 2]", "[{}]"), nested("{x: 1}", "{{y: [{}]}}"), f"TRAIN: {{LR: [{'1, ' * 100_000}]}}",
    "TRAIN: &t {LR: *t}\n"], ids=["merges", "merge in a list", "merge in a key", "lists", "mappings", "long", "itself"])
def test_yaml_that_unfolds_without_end_is_refused(text):
    with bounded(1 << 28):
        for read in (parse_yaml_mapping, config_from_text):
            try:
                read(text, "x.yaml")
            except UserError as error:
                assert "x.yaml" in str(error) and "\n" not in str(error) and len(str(error)) < 300
            else:
                assert read is parse_yaml_mapping and "<<" not in text and len(text) <= MAX_TEXT


def test_an_error_is_one_line_that_steers_no_terminal(capsys):
    def main():
        raise UserError("video a\x1b[2J\nb\u2028c\udcff")

    with pytest.raises(SystemExit):
        run_command(main)
    assert capsys.readouterr().err == "error: video a\\x1b[2J\\nb\\u2028c\\udcff\n"
    assert one_line("é 追 \t") == "é 追 \\t"


# --- the source

FORBIDDEN = {"eval", "exec", "compile", "__import__", "os.system", "os.popen", "pickle.load", "pickle.loads",
             "pickle.Unpickler", "marshal.loads", "shelve.open", "yaml.load", "yaml.unsafe_load", "yaml.full_load",
             "tempfile.mktemp", "subprocess.getoutput", "subprocess.getstatusoutput", "torch.jit.load",
             "torch.hub.load", "shutil.unpack_archive", "tarfile.open", "runpy.run_path"}
DECODERS = {"cv2.imread", "cv2.imdecode", "simplejpeg.decode_jpeg"}
FORBIDDEN_METHODS = {"extractall", "extract"}  # of archives
SUBPROCESS = {f"subprocess.{name}" for name in ("run", "Popen", "call", "check_call", "check_output")}


def dotted(node: ast.AST) -> str:
    if isinstance(node, ast.Attribute):
        return f"{dotted(node.value)}.{node.attr}"
    return node.id if isinstance(node, ast.Name) else ""


def sins(tree: ast.AST) -> list[str]:
    found = []
    for node in ast.walk(tree):
        if not isinstance(node, ast.Call):
            continue
        name, options = dotted(node.func), {k.arg: k.value for k in node.keywords}
        values = {key: value.value for key, value in options.items() if isinstance(value, ast.Constant)}
        if name in FORBIDDEN or name.rpartition(".")[2] in FORBIDDEN_METHODS:
            found.append(name)
        words = [*node.args[:1], *(options[key] for key in ("args",) if key in options)]
        if "shell" in options or name in SUBPROCESS and isinstance(words[0], (ast.Constant, ast.JoinedStr)):
            found.append(f"{name} with a shell or a string")
        if name == "torch.load" and values.get("weights_only") is not True:
            found.append("torch.load without weights_only=True")
        if name.endswith("np.load") and values.get("allow_pickle") is not False or "allow_pickle" in values \
                and values["allow_pickle"]:
            found.append("np.load without allow_pickle=False")
    return found


@pytest.mark.parametrize("folder", PARTS, ids=lambda path: str(path.relative_to(ROOT)))
def test_no_shell_and_no_code_from_data(folder):
    for path in folder.glob("*.py"):
        assert (path.name, sins(ast.parse(path.read_bytes()))) == (path.name, [])


def test_images_are_decoded_where_their_headers_are_looked_at():
    inside = [path for path in SOURCES if path.is_relative_to(ROOT / "lib") and "synthetic" not in path.parts]
    found = {path.relative_to(ROOT).as_posix() for path in inside for node in ast.walk(ast.parse(path.read_bytes()))
             if isinstance(node, ast.Call) and dotted(node.func) in DECODERS}
    assert found == {"lib/data/images.py"}


@pytest.mark.parametrize("line", [
    "eval('1')", "os.system('ls')", "subprocess.run('ls')", "subprocess.run(['ls'], shell=True)", "pickle.loads(b'')",
    "torch.load(f)", "torch.load(f, weights_only=False)", "np.load(f)", "np.load(f, allow_pickle=True)",
    "yaml.load(f, Loader=yaml.Loader)", "z.extractall(d)", "subprocess.Popen(f'ls {x}', shell=y)"])
def test_dangerous_calls_are_found(line):
    assert len(sins(ast.parse(line))) >= 1
    assert sins(ast.parse("network.eval(); subprocess.run([a, b]); torch.load(f, weights_only=True)")) == []
