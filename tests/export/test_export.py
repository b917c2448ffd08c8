"""Exported files: the boxes of PyTorch, through the runner, from the manual's example; and what is refused."""

from __future__ import annotations

import importlib
import importlib.util
import re
import shutil
import subprocess
import sys
import types
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch

from mstgt.config import load_config
from mstgt.export import onnx_export as export
from mstgt.export.onnx_engine import OnnxEngine, OnnxFiles, OnnxPair, load_onnx_engine
from mstgt.export.onnx_export import about, export_network
from mstgt.models.mstgt import BACKBONES, HiViTSpec, build_model
from mstgt.models.mstgt.checkpoint import load_network
from mstgt.synthetic import synthetic_video
from mstgt.test.evaluation.results import read_manifest
from mstgt.test.tracker import load_engine
from mstgt.utils.errors import UserError
from mstgt.utils.files import file_sha256

for package in ("onnx", "onnxruntime", "onnxscript"):
    pytest.importorskip(package)
onnxruntime = importlib.import_module("onnxruntime")

ROOT = Path(__file__).resolve().parents[2]
CONFIG = "MSTGT-demo-128"
SETTINGS = ["MODEL.TEMPLATE_MASK=0.5"]
VIDEO = synthetic_video(seed=3, frames=16, difficulty=0.3)
IMAGES = [VIDEO.frames.read(t) for t in range(len(VIDEO))]


def command(name: str) -> types.ModuleType:
    spec = importlib.util.spec_from_file_location(f"tracking_{name}", ROOT / "tracking" / f"{name}.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def run(monkeypatch: pytest.MonkeyPatch, name: str, *words: object) -> int | None:
    monkeypatch.setattr(sys, "argv", [f"{name}.py", "--config", CONFIG, "--set", *SETTINGS, *map(str, words)])
    return command(name).main()


@pytest.fixture(scope="module", autouse=True)
def small():
    """The configuration's network in small: exporting takes long enough as it is."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(BACKBONES, "hivit_nano", HiViTSpec(32, (1, 1, 1), 2))
        yield


def network(seed: int) -> torch.nn.Module:
    """Untrained, but with an opinion: it looks for some texture, and expects boxes of a quarter of the region."""
    torch.manual_seed(seed)
    made = build_model(load_config("MSTGT", CONFIG, SETTINGS))
    with torch.no_grad():
        made.head.center[-1].weight.mul_(100)
        made.head.box[-1].weight.mul_(10)
        made.head.box[-1].bias[2:] = -1.1
    return made


@pytest.fixture(scope="module")
def exported(small, tmp_path_factory) -> types.SimpleNamespace:
    """A checkpoint and what the command makes of it."""
    root = tmp_path_factory.mktemp("export")
    checkpoint = root / "weights.pth.tar"
    torch.save({"net": network(0).state_dict()}, checkpoint)
    with pytest.MonkeyPatch.context() as patch:
        assert run(patch, "export", "--checkpoint", checkpoint, "--save_dir", root) is None
    return types.SimpleNamespace(root=root, checkpoint=checkpoint, cfg=load_config("MSTGT", CONFIG, SETTINGS),
                                 files=OnnxFiles(root / "export" / CONFIG, CONFIG))


def track(engine, first: int = 0) -> np.ndarray:
    target, boxes = engine.start(IMAGES[first], VIDEO.boxes_xywh[first]), []
    for image in IMAGES[first + 1 :]:
        [(target, _)] = engine.step([image], [target])
        boxes.append(target.box_xywh)
    return np.stack(boxes)


@pytest.fixture(scope="module")
def torch_boxes(exported) -> np.ndarray:
    boxes = track(load_engine(exported.cfg, exported.checkpoint, "cpu", "torch"))
    assert boxes[:, :2].std(axis=0).min() > 1  # the target moves, or the tests below would be easy
    return boxes


def test_a_video_has_the_same_boxes(exported, torch_boxes):
    difference = np.abs(track(load_onnx_engine(exported.cfg, exported.files)) - torch_boxes).max(axis=1)
    assert difference.max() < 0.1
    assert difference[-5:].max() < 0.01  # nor do they part over time


def test_unrelated_videos_in_one_batch(exported):
    engine = load_onnx_engine(exported.cfg, exported.files)
    alone = [track(engine, first)[-1] for first in (0, 4)]
    targets = [engine.start(IMAGES[first], VIDEO.boxes_xywh[first]) for first in (0, 4)]
    for t in range(1, 16):
        if t + 4 < 16:
            targets = [found for found, _ in engine.step([IMAGES[t], IMAGES[t + 4]], targets)]
        else:
            targets[:1] = [found for found, _ in engine.step([IMAGES[t]], targets[:1])]
    assert np.abs(np.stack(alone) - [target.box_xywh for target in targets]).max() < 0.01


def test_a_fixed_batch_is_filled_up(exported):
    pair = OnnxPair(exported.files.start, exported.files.step)
    pair.any_batch, pair.batch = False, 3
    engine, free = OnnxEngine(pair, exported.cfg), load_onnx_engine(exported.cfg, exported.files)
    target = free.start(IMAGES[0], VIDEO.boxes_xywh[0])
    for count in (1, 2):
        fixed = engine.step(IMAGES[1 : count + 1], [target] * count)
        expected = free.step(IMAGES[1 : count + 1], [target] * count)
        assert len(fixed) == count
        assert np.allclose([f.box_xywh for f, _ in fixed], [e.box_xywh for e, _ in expected], atol=1e-3)
    with pytest.raises(UserError, match="--batch 3"):
        engine.step(IMAGES[:4], [target] * 4)


class Mean(torch.nn.Module):
    """As simple as a graph can be: exporting takes its time."""

    def forward(self, picture):
        return picture.float().mean(dim=(1, 2))


def test_narrow_crops_have_a_step_of_their_own(exported, tmp_path):
    # Every frame but the first is narrow.
    cfg = load_config("MSTGT", CONFIG, [*SETTINGS, "TEST.NARROW_SIZE=64", "TEST.NARROW_ABOVE=0",
                                        "TEST.NARROW_MOTION=100"])
    files = OnnxFiles(tmp_path, CONFIG)
    export.export_checkpoint(cfg, exported.checkpoint, files)
    expected = track(load_engine(cfg, exported.checkpoint, "cpu", "torch"))
    assert np.abs(track(load_onnx_engine(cfg, files)) - expected).max() < 0.1
    with pytest.raises(UserError, match="narrow_size 64, the configuration says 0"):
        load_onnx_engine(exported.cfg, files)
    with pytest.raises(UserError, match="narrow_size 0, the configuration says 64"):
        load_onnx_engine(cfg, exported.files)
    files.narrow_step.unlink()
    with pytest.raises(UserError, match="no exported network .*_step_narrow.onnx"):
        load_onnx_engine(cfg, files)


def test_a_fixed_batch_is_written(exported, tmp_path):
    metadata = {**about(exported.cfg, CONFIG, exported.checkpoint), "batch": "2", "precision": "fp32"}
    export._write(Mean(), (torch.zeros(2, 64, 64, 3, dtype=torch.uint8),), ("picture",), ("mean",), metadata, 2,
                  tmp_path / "a.onnx")
    session = pytest.importorskip("onnxruntime").InferenceSession(str(tmp_path / "a.onnx"))
    assert session.get_inputs()[0].shape == [2, 64, 64, 3]
    assert session.get_modelmeta().custom_metadata_map["batch"] == "2"


def test_the_files_hold_their_metadata(exported):
    import onnx

    for path in (exported.files.start, exported.files.step):
        model = onnx.load(path)
        said = {entry.key: entry.value for entry in model.metadata_props}
        assert said["checkpoint_sha256"] == file_sha256(exported.checkpoint) and said["checkpoint"] == "weights.pth.tar"
        assert (said["config"], said["batch"], said["search_size"]) == (CONFIG, "any", "128")
        assert next(o.version for o in model.opset_import if not o.domain) == 18
        assert str(ROOT).encode() not in path.read_bytes()
        assert [d.dim_param for d in model.graph.input[0].type.tensor_type.shape.dim][0] == "batch"


def test_the_state_changes_the_boxes(exported):
    pair, rng = OnnxPair(exported.files.start, exported.files.step), np.random.default_rng(0)
    template, search = (rng.integers(0, 256, (1, size, size, 3), np.uint8) for size in (64, 128))
    state = pair.start(template)
    boxes, _, after = pair.step(search, state)
    other, _, _ = pair.step(search, after)
    assert not np.array_equal(boxes, other) and not np.array_equal(after[2], state[2])
    assert after[0] is state[0] and after[1] is state[1]


def test_the_manuals_example_tracks(exported, torch_boxes):
    text = (ROOT / "docs" / "export.md").read_text(encoding="utf-8")
    [code] = re.findall(r"```python\n(.*?)```", text, re.DOTALL)
    module = types.ModuleType("example")
    exec(code, module.__dict__)
    name = exported.files.folder / CONFIG
    boxes = np.array(list(module.track(name, IMAGES, VIDEO.boxes_xywh[0])))
    assert np.array_equal(boxes[0], VIDEO.boxes_xywh[0])
    assert (torch_boxes[:, :2] > 0).all() and (torch_boxes[:, :2] + torch_boxes[:, 2:] < [320, 240]).all()  # unclipped
    assert np.abs(boxes[1:] - torch_boxes).max() < 0.1


@pytest.fixture
def videos(tmp_path) -> Path:
    """Two videos on disk."""
    for name, first in (("a", 0), ("b", 4)):
        (tmp_path / "mine" / name / "img").mkdir(parents=True)
        for number, image in enumerate(IMAGES[first : first + 8]):
            cv2.imwrite(str(tmp_path / f"mine/{name}/img/{number:08d}.png"), image[..., ::-1])
        np.savetxt(tmp_path / "mine" / name / "groundtruth.txt", VIDEO.boxes_xywh[first : first + 8], delimiter=",")
    return tmp_path / "mine"


def test_the_runner_takes_either_backend(exported, videos, monkeypatch, tmp_path):
    words = ["--dataset_dir", videos, "--save_dir", exported.root, "--num_gpus", 0, "--threads", 1]
    results = exported.root / "test" / "tracking_results" / "mstgt"
    assert run(monkeypatch, "test", *words, "--backend", "torch", "--checkpoint", exported.checkpoint) == 0
    assert run(monkeypatch, "test", *words, "--backend", "onnx", "--batch", 2, "--run", "onnx") == 0
    for name in ("a", "b"):
        one, other = (np.loadtxt(results / run_name / "mine" / f"{name}.txt", delimiter=",", ndmin=2)
                      for run_name in (CONFIG, f"{CONFIG}_onnx"))
        assert one.shape == (8, 4) and np.abs(one - other).max() < 0.1
    manifest = read_manifest(results / f"{CONFIG}_onnx" / "mine")
    assert manifest["backend"] == "onnx" and manifest["checkpoint_sha256"] == file_sha256(exported.checkpoint)
    assert manifest["exported"] == {p.name: file_sha256(p) for p in (exported.files.start, exported.files.step)}
    assert manifest["made_by"][0]["onnxruntime"] == onnxruntime.__version__
    with pytest.raises(UserError, match="backend: torch there, onnx now"):
        run(monkeypatch, "test", *words, "--backend", "onnx")
    torch.save({"net": network(1).state_dict()}, tmp_path / "other.pth.tar")
    with pytest.raises(UserError, match="other weights"):
        run(monkeypatch, "test", *words, "--backend", "onnx", "--checkpoint", tmp_path / "other.pth.tar")


def test_a_checkpoint_is_exported_to_the_cache_once(exported, torch_boxes, monkeypatch, tmp_path):
    monkeypatch.setenv("MSTGT_CACHE", str(tmp_path))
    assert np.abs(track(load_engine(exported.cfg, exported.checkpoint, "cpu", "onnx")) - torch_boxes).max() < 0.1
    monkeypatch.setattr(export, "export_checkpoint", lambda *_: pytest.fail("exported again"))
    assert np.abs(track(load_engine(exported.cfg, exported.checkpoint, "cpu", "onnx")) - torch_boxes).max() < 0.1


def test_a_cached_network_needs_no_pytorch():
    code = "import sys, mstgt.export.onnx_engine, mstgt.test.tracker.load; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], cwd=ROOT, check=False).returncode == 0


def test_what_is_missing_is_named(exported, tmp_path):
    with pytest.raises(UserError, match="tracking/export.py"):
        load_onnx_engine(exported.cfg, OnnxFiles(tmp_path, CONFIG))


def test_other_settings_are_refused(exported):
    cfg = load_config("MSTGT", CONFIG, ["DATA.MEAN=[0.5,0.5,0.5]"])
    with pytest.raises(UserError, match="mean"):
        load_onnx_engine(cfg, exported.files)


@pytest.mark.parametrize("damage", ["torn", "text", "empty", "metadata", "names"])
def test_broken_files_are_refused_in_one_line(exported, tmp_path, damage):
    files = OnnxFiles(tmp_path, CONFIG)
    shutil.copy(exported.files.start, files.start)
    whole = exported.files.step.read_bytes()
    files.step.write_bytes({
        "torn": whole[: len(whole) // 2], "text": b"not a network", "empty": b"",
        "metadata": whole.replace(b"weights.pth.tar", b"weights.\xff\xfe.tar"),
        "names": whole.replace(b"next_guidance", b"next_\xff\xfeidance")}[damage])
    with pytest.raises(UserError, match=re.escape(str(files.step))) as error:
        load_onnx_engine(exported.cfg, files)
    assert "\n" not in str(error.value)


def test_files_of_two_exports_are_refused(exported, tmp_path):
    import onnx

    files = OnnxFiles(tmp_path, CONFIG)
    shutil.copy(exported.files.step, files.step)
    model = onnx.load(exported.files.start)
    next(entry for entry in model.metadata_props if entry.key == "checkpoint_sha256").value = "ab" * 32
    onnx.save(model, files.start)
    with pytest.raises(UserError, match="come from different exports"):
        load_onnx_engine(exported.cfg, files)


def test_boxes_that_differ_write_nothing(exported, tmp_path, monkeypatch):
    """As an exporter that goes wrong: it writes the graphs of other weights."""
    made = iter([exported.files.start, exported.files.step])
    monkeypatch.setattr(export, "_write", lambda *arguments: shutil.copy(next(made), arguments[-1]))
    with pytest.raises(UserError, match="differ"):
        export_network(network(1), about(exported.cfg, CONFIG, exported.checkpoint), OnnxFiles(tmp_path, CONFIG))
    assert not list(tmp_path.iterdir())


def test_the_mean_of_weights_is_written(exported, tmp_path, monkeypatch):
    other = tmp_path / "other.pth.tar"
    torch.save({"net": network(1).state_dict()}, other)
    both = ["--checkpoint", exported.checkpoint, "--mean_with", other, "--out", tmp_path / "out"]
    with pytest.raises(UserError, match="--weights"):
        run(monkeypatch, "export", *both)
    run(monkeypatch, "export", *both, "--weights")
    mean = network(2)
    load_network(mean, tmp_path / "out" / f"{CONFIG}.safetensors")
    first, second, mean = (made.state_dict() for made in (network(0), network(1), mean))
    for key, value in mean.items():
        wanted = (first[key].double() + second[key].double()) / 2
        assert torch.allclose(value.double(), wanted, rtol=1e-3, atol=1e-4), key


def test_the_mean_with_weights_for_other_crops_has_the_size_of_the_configuration(exported, tmp_path, monkeypatch):
    state = network(1).state_dict()
    for name in ("backbone.pos_embed_z", "backbone.pos_embed_x"):
        state[name] = torch.ones(1, 9, state[name].shape[2])
    torch.save({"net": state}, other := tmp_path / "other.pth.tar")
    arguments = ["--weights", "--out", tmp_path / "out"]
    with pytest.raises(UserError, match="pos_embed"):
        run(monkeypatch, "export", *arguments, "--checkpoint", other)
    run(monkeypatch, "export", *arguments, "--checkpoint", exported.checkpoint, "--mean_with", other)
    mean = network(2)
    load_network(mean, tmp_path / "out" / f"{CONFIG}.safetensors")
    wanted = (network(0).state_dict()["backbone.pos_embed_x"] + 1) / 2
    assert torch.allclose(mean.state_dict()["backbone.pos_embed_x"], wanted, atol=2e-3)


def test_an_old_torch_is_named(exported, tmp_path, monkeypatch):
    monkeypatch.setattr(torch, "__version__", torch.torch_version.TorchVersion("2.9.1+cu128"))
    with pytest.raises(UserError, match="torch 2.9.1.* newer"):
        export_network(network(0), about(exported.cfg, CONFIG, exported.checkpoint), OnnxFiles(tmp_path, CONFIG))
    assert not list(tmp_path.iterdir())


def test_a_missing_package_is_named(exported, tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "onnxscript", None)
    with pytest.raises(UserError, match="pip install"):
        export_network(network(0), about(exported.cfg, CONFIG, exported.checkpoint), OnnxFiles(tmp_path, CONFIG))
    assert not list(tmp_path.iterdir())
