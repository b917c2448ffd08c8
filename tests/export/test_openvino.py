"""OpenVINO as the tracker's runtime: PyTorch's boxes, in batches and threads; the cache; what is refused."""

from __future__ import annotations

import subprocess
import sys
import threading
from pathlib import Path

import numpy as np
import pytest
import torch

from mstgt.config import load_config
from mstgt.export import openvino_engine, runtime_cache
from mstgt.export.openvino_engine import OpenVinoEngine, load_openvino_engine
from mstgt.models.mstgt import BACKBONES, HiViTSpec, build_model
from mstgt.synthetic import synthetic_video
from mstgt.test.tracker import MultiTracker, Tracker, load_engine
from mstgt.test.tracker.load import resolve_backend
from mstgt.utils.device import resolve_device
from mstgt.utils.errors import UserError

pytest.importorskip("openvino")

ROOT = Path(__file__).resolve().parents[2]
CONFIG = "MSTGT-demo-128"
# Where the target moves little the frame is narrow, so that both kinds of crops are tracked with.
SETTINGS = ["TEST.NARROW_SIZE=64", "TEST.NARROW_ABOVE=0", "TEST.NARROW_MOTION=0.1", "MODEL.ASYMMETRIC_ATTENTION=true"]
VIDEO = synthetic_video(seed=3, frames=10, difficulty=0.3)
IMAGES = [VIDEO.frames.read(t) for t in range(len(VIDEO))]
BOX = VIDEO.boxes_xywh[0]


@pytest.fixture(scope="module", autouse=True)
def small():
    """The configuration's network in small: converting takes long enough as it is."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(BACKBONES, "hivit_nano", HiViTSpec(32, (1, 1, 1), 2))
        yield


@pytest.fixture(scope="module")
def cfg():
    return load_config("MSTGT", CONFIG, SETTINGS)


@pytest.fixture(scope="module")
def checkpoint(small, cfg, tmp_path_factory) -> Path:
    torch.manual_seed(0)
    network = build_model(cfg)
    with torch.no_grad():  # untrained, but with an opinion: near-ties between cells would be decided by rounding
        network.head.center[-1].weight.mul_(100)
        network.head.box[-1].bias[2:] = -1.1
    path = tmp_path_factory.mktemp("weights") / "weights.pth.tar"
    torch.save({"net": network.state_dict()}, path)
    return path


@pytest.fixture(scope="module")
def cache(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("cache")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("MSTGT_CACHE", str(folder))
        yield folder


@pytest.fixture(scope="module")
def engine(checkpoint, cfg, cache) -> OpenVinoEngine:
    return load_openvino_engine(cfg, checkpoint)


def track(engine, box=BOX) -> np.ndarray:
    tracker = Tracker(engine)
    tracker.init(IMAGES[0], box)
    return np.array([[*found, score] for found, score in map(tracker.update, IMAGES[1:])])


def test_the_boxes_are_those_of_pytorch(engine, checkpoint, cfg):
    expected = track(load_engine(cfg, checkpoint, "cpu", "torch"))
    assert np.abs(track(engine) - expected).max() <= 1e-3


def test_several_targets_have_the_boxes_that_each_has_alone(engine):
    boxes = [BOX, BOX + [5, 5, 10, 0], BOX + [-5, 0, 0, 8]]
    tracker = MultiTracker(engine)
    ids = [tracker.add(IMAGES[0], box) for box in boxes]
    found = [tracker.update(image) for image in IMAGES[1:]]
    for target_id, box in zip(ids, boxes, strict=True):
        assert np.abs([results[target_id][0] for results in found] - track(engine, box)[:, :4]).max() <= 1e-3


def test_threads_do_not_disturb_one_another(engine):
    expected, found = track(engine), {}
    threads = [threading.Thread(target=lambda i=i: found.__setitem__(i, track(engine))) for i in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert all(np.array_equal(found[i], expected) for i in range(4))


def test_after_the_warm_up_nothing_is_left_to_compile(checkpoint, cfg, cache, monkeypatch):
    engine = load_openvino_engine(cfg, checkpoint)
    engine.warm_up()
    monkeypatch.setattr(openvino_engine, "CompiledNetwork", lambda *_: pytest.fail("compiled"))
    track(engine)


def test_the_state_is_a_value(engine):
    target = engine.start(IMAGES[0], BOX)
    [(after, _)] = engine.step([IMAGES[1]], [target])
    kept = [array.copy() for array in after.state]
    engine.step([IMAGES[2]], [after])
    [(again, _)] = engine.step([IMAGES[1]], [target])
    assert all(np.array_equal(array, copied) for array, copied in zip(after.state, kept, strict=True))
    assert np.array_equal(again.box_xywh, after.box_xywh)


def test_a_cached_network_is_not_converted_again(engine, checkpoint, cfg, cache, monkeypatch):
    def refuse(*_):
        raise AssertionError("converted again")

    monkeypatch.setattr(openvino_engine, "_log", refuse)
    assert np.array_equal(track(load_openvino_engine(cfg, checkpoint)), track(engine))
    assert len([path for path in cache.iterdir() if not path.name.startswith(".")]) == 1


def test_a_corrupt_entry_is_made_again(engine, checkpoint, cfg, cache):
    [entry] = [path for path in cache.iterdir() if not path.name.startswith(".")]
    (entry / "frame_64.xml").write_bytes(b"<net")
    assert np.array_equal(track(load_openvino_engine(cfg, checkpoint)), track(engine))


def test_the_cache_is_bounded(tmp_path, monkeypatch):
    monkeypatch.setenv("MSTGT_CACHE", str(tmp_path))
    monkeypatch.setattr(runtime_cache, "MAX_BYTES", 2500)
    for number in range(4):
        made_from = {"number": str(number)}
        entry = runtime_cache.cached_entry(made_from, lambda folder: (folder / "a").write_bytes(bytes(1000)))
        runtime_cache.os.utime(entry, (number, number))
    left = {path.name for path in tmp_path.iterdir() if not path.name.startswith(".")}
    assert left == {runtime_cache.entry_key({"number": str(number)}) for number in (2, 3)}


def test_a_build_that_fails_leaves_nothing(tmp_path, monkeypatch):
    def fail(folder):
        (folder / "half").write_bytes(b"1")
        raise UserError("no")

    monkeypatch.setenv("MSTGT_CACHE", str(tmp_path))
    with pytest.raises(UserError, match="no"):
        runtime_cache.cached_entry({"a": "b"}, fail)
    assert [path.name for path in tmp_path.iterdir() if not path.name.endswith(".lock")] == []


def test_auto_goes_on_with_pytorch_where_openvino_fails(checkpoint, cfg, monkeypatch, caplog):
    def fail(*_):
        raise UserError("OpenVINO cannot convert this network (because)")

    monkeypatch.setattr(openvino_engine, "load_openvino_engine", fail)
    assert load_engine(cfg, checkpoint, "cpu").backend == "torch" and "because" in caplog.text
    with pytest.raises(UserError, match="because"):
        load_engine(cfg, checkpoint, "cpu", "openvino")


def test_auto_takes_openvino_on_x86_cpus(monkeypatch):
    monkeypatch.setattr(openvino_engine.platform, "machine", lambda: "x86_64")
    assert resolve_backend("auto", "cpu") == "openvino"
    assert resolve_backend("auto", "cuda") == resolve_backend("auto", "cpu", graph=True) == "torch"
    monkeypatch.setattr(openvino_engine.platform, "machine", lambda: "arm64")
    assert resolve_backend("auto", "cpu") == "torch"


@pytest.mark.parametrize(("backend", "device", "precision", "words"), [
    ("tensorrt", "cpu", "fp32", "unknown backend"), ("openvino", "cuda", "fp32", "runs on the CPU"),
    ("onnx", "cpu", "bf16", "computes in fp32")])
def test_what_a_runtime_cannot_do_is_refused(backend, device, precision, words):
    with pytest.raises(UserError, match=words):
        resolve_backend(backend, device, precision)


@pytest.mark.parametrize(("name", "words"), [
    ("banana", "unknown device 'banana'"), ("gpu", "unknown device"), ("cuda:x", "unknown device"),
    ("cuda:7", "no device cuda:7"), ("mps", "no device mps"), ("xpu", "unknown device")])
def test_devices_that_are_not_there_are_refused(name, words, monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: False)
    with pytest.raises(UserError, match=words):
        resolve_device(name)


def test_ctrl_c_does_not_crash(engine, checkpoint, cache):
    """OpenVINO's signal stack is too small for Python's handlers."""
    code = """
import signal, sys
from mstgt.config import load_config
from mstgt.test.tracker import load_engine
load_engine(load_config("MSTGT", sys.argv[1], sys.argv[3:]), sys.argv[2]).warm_up()
try:
    signal.raise_signal(signal.SIGINT)
except KeyboardInterrupt:
    print("interrupted")
"""
    done = subprocess.run([sys.executable, "-c", code, CONFIG, str(checkpoint), *SETTINGS], capture_output=True,
                          text=True, cwd=ROOT, check=False)
    assert (done.returncode, done.stdout) == (0, "interrupted\n"), done.stderr


def test_a_cached_network_tracks_without_torch(engine, checkpoint, cache, tmp_path):
    """Nothing on the way to the first box imports PyTorch, timm or OpenVINO's telemetry."""
    code = """
import sys
import numpy as np
from mstgt.config import load_config
from mstgt.test.tracker import Tracker, load_engine
engine = load_engine(load_config("MSTGT", sys.argv[1], sys.argv[3:]), sys.argv[2])
tracker = Tracker(engine)
image = np.zeros((90, 120, 3), np.uint8)
tracker.init(image, (30, 30, 20, 20))
tracker.update(image)
print(engine.backend, [name for name in ("torch", "timm", "wandb", "openvino_telemetry") if name in sys.modules])
"""
    done = subprocess.run([sys.executable, "-c", code, CONFIG, str(checkpoint), *SETTINGS], capture_output=True,
                          text=True, cwd=ROOT, check=False)
    assert done.stdout == "openvino []\n", done.stdout + done.stderr
