"""The VOT toolkit: the entry in a workspace, the TraX protocol, and a whole evaluation by the official toolkit.

What needs ``vot-trax`` or ``vot-toolkit`` (the extra ``vot``) is skipped where they are not installed.
"""

from __future__ import annotations

import configparser
import runpy
import shlex
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch

from mstgt.config import load_config
from mstgt.models.mstgt import build_model
from mstgt.test.evaluation.vot_run import Connection
from mstgt.test.evaluation.vot_workspace import add_tracker, tracker_entry
from mstgt.test.tracker import load_tracker
from mstgt.utils.errors import UserError
from tests.processes import environment

COMMANDS = Path(__file__).resolve().parents[3] / "tracking"
CONFIG = "MSTGT-demo-128"
FRAMES = 6
with_trax = pytest.mark.skipif(find_spec("trax") is None, reason="vot-trax is not installed")
with_toolkit = pytest.mark.skipif(find_spec("vot") is None, reason="vot-toolkit is not installed")


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory) -> Path:
    """A network with random weights, whose boxes are about as large as the target."""
    torch.manual_seed(0)
    network = build_model(load_config("MSTGT", CONFIG))
    network.head.box[4].bias.data[2:] = -1.1  # sigmoid: a quarter of the search region
    path = tmp_path_factory.mktemp("net") / "net 100%.pth.tar"  # a name that needs care in an ini file
    torch.save({"net": network.state_dict()}, path)
    return path


@pytest.fixture(scope="module")
def video(tmp_path_factory) -> Path:
    """A square that moves, as a VOT video; the ground truth is a polygon."""
    folder = tmp_path_factory.mktemp("vot") / "square"
    (folder / "color").mkdir(parents=True)
    rows = []
    for n in range(FRAMES):
        image = np.random.default_rng(n).integers(0, 60, (120, 160, 3), np.uint8)
        x, y = 40 + 3 * n, 30 + n
        image[y : y + 20, x : x + 30] = (250, 200, 100)
        cv2.imwrite(str(folder / f"color/{n + 1:08d}.jpg"), image)
        rows.append(f"{x},{y},{x + 30},{y},{x + 30},{y + 20},{x},{y + 20}\n")
    (folder / "groundtruth.txt").write_text("".join(rows))
    (folder / "sequence").write_text("channels.color=color/%08d.jpg\nfps=30\nformat=default\nname=square\n")
    (folder / "anchor.value").write_text("1\n" + "0\n" * (FRAMES - 2) + "-1\n")
    return folder


def expected(video: Path, checkpoint: Path, order: range) -> tuple[np.ndarray, list[float]]:
    """Boxes and scores of our own tracker over the frames in ``order``."""
    tracker = load_tracker(CONFIG, checkpoint=checkpoint, device="cpu")
    first = order[0]
    tracker.init(read(video, first), (40 + 3 * first, 30 + first, 30, 20))
    answers = [tracker.update(read(video, n)) for n in order[1:]]
    boxes = np.array([box for box, _ in answers])
    assert len(np.unique(boxes.round(1), axis=0)) == len(boxes)  # every frame has an answer of its own
    return boxes, [score for _, score in answers]


def read(video: Path, n: int) -> np.ndarray:
    return cv2.cvtColor(cv2.imread(str(video / f"color/{n + 1:08d}.jpg")), cv2.COLOR_BGR2RGB)


def test_an_entry_survives_the_ini_file(tmp_path):
    command = ["/opt/my python/bin/python", "it's 100%.py", "--set", "TEST.EPOCH=3"]
    path = tmp_path / "w" / "trackers.ini"
    assert add_tracker(path, "MSTGT", tracker_entry("MSTGT", "a%b", command))
    parser = configparser.ConfigParser()
    parser.read(path)
    assert shlex.split(parser["MSTGT"]["command"]) == command
    assert parser["MSTGT"]["label"] == "a%b" and parser["MSTGT"]["protocol"] == "trax"


def test_other_entries_stay_and_an_own_one_is_replaced_on_demand(tmp_path):
    path = tmp_path / "trackers.ini"
    path.write_text("# mine\n[KCF]\ncommand = kcf\n")
    assert add_tracker(path, "MSTGT", tracker_entry("MSTGT", "one", ["one"]))
    assert add_tracker(path, "MSTGT-2", tracker_entry("MSTGT-2", "two", ["two"]))
    assert not add_tracker(path, "MSTGT", tracker_entry("MSTGT", "one", ["one"]))
    with pytest.raises(UserError, match=r"trackers\.ini has another tracker MSTGT already"):
        add_tracker(path, "MSTGT", tracker_entry("MSTGT", "new", ["new"]))
    assert add_tracker(path, "MSTGT", tracker_entry("MSTGT", "new", ["new"]), overwrite=True)
    parser = configparser.ConfigParser()
    parser.read(path)
    assert {name: parser[name]["command"] for name in parser.sections()} == \
        {"KCF": "kcf", "MSTGT": "new", "MSTGT-2": "two"}
    assert path.read_text().startswith("# mine\n[KCF]\ncommand = kcf\n")


def test_what_cannot_be_entered_is_refused(tmp_path):
    with pytest.raises(UserError, match="'my tracker' is no name"):
        tracker_entry("my tracker", "x", ["x"])
    (tmp_path / "trackers.ini").write_text("command without a section\n")
    with pytest.raises(UserError, match=r"trackers\.ini"):
        add_tracker(tmp_path / "trackers.ini", "MSTGT", tracker_entry("MSTGT", "x", ["x"]))
    assert (tmp_path / "trackers.ini").read_text() == "command without a section\n"


def test_a_missing_package_is_one_line(monkeypatch):
    monkeypatch.setitem(sys.modules, "trax", None)
    with pytest.raises(UserError, match=r"vot-trax is not installed.*pip install -e"):
        Connection("MSTGT")


def start(checkpoint: Path, stderr: Path) -> subprocess.Popen[bytes]:
    command = [sys.executable, str(COMMANDS / "vot_tracker.py"), "--config", CONFIG, "--checkpoint", str(checkpoint),
               "--device", "cpu"]
    with open(stderr, "wb") as errors:
        return subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=errors, bufsize=0,
                                env=environment("VOT_"))


@with_trax
def test_regions_and_confidences_of_the_vot_protocol(video, checkpoint, tmp_path):
    from trax import FileImage, Polygon, Rectangle, TraxException
    from trax.client import Client

    def frame(n):
        return {"color": FileImage.create(str(video / f"color/{n + 1:08d}.jpg"))}

    process = start(checkpoint, tmp_path / "stderr")
    log = []
    client = Client(stream=(process.stdin.fileno(), process.stdout.fileno()), log=log.append)
    boxes, scores = expected(video, checkpoint, range(FRAMES))
    polygon = Polygon.create([(40, 30), (70, 30), (70, 50), (40, 50)])
    for region in (polygon, Rectangle.create(40, 30, 30, 20)):  # a second beginning in one process
        [(given, properties)], _ = client.initialize(frame(0), [(region, {})], {})
        assert given.bounds() == (40, 30, 30, 20) and float(properties["confidence"]) == 1
        for n in range(1, FRAMES):
            [(region, properties)], seconds = client.frame(frame(n), {}, [])
            np.testing.assert_allclose(region.bounds(), boxes[n - 1], atol=1e-3)
            assert float(properties["confidence"]) == pytest.approx(scores[n - 1], abs=1e-6) and seconds > 0
    with pytest.raises(TraxException):
        client.frame({"color": FileImage.create(str(tmp_path / "gone.jpg"))}, {}, [])
    assert process.wait(100) == 1 and "cannot read" in "".join(log)
    assert (tmp_path / "stderr").read_text() == \
        f"error: cannot read {tmp_path / 'gone.jpg'}: No such file or directory\n"


@with_trax
@pytest.mark.parametrize("command", ["vot_tracker.py", "vot_workspace.py"])
def test_a_checkpoint_that_is_not_there_is_one_line(tmp_path, monkeypatch, command):
    folder = [str(tmp_path / "w")] if command == "vot_workspace.py" else []
    with pytest.raises(UserError, match=f"no (such checkpoint:|checkpoint) {tmp_path}/none"):
        run(monkeypatch, command, *folder, "--config", CONFIG, "--checkpoint", str(tmp_path / "none.pth.tar"))
    assert not list(tmp_path.iterdir())


def run(monkeypatch, command: str, *arguments: str) -> None:
    """A command in this process."""
    monkeypatch.setattr(sys, "argv", [command, *arguments])
    runpy.run_path(str(COMMANDS / command))["main"]()


@with_trax
def test_started_by_hand_it_says_who_starts_it(checkpoint, tmp_path):
    process = start(checkpoint, tmp_path / "stderr")
    said, _ = process.communicate(timeout=200)  # nobody writes
    assert said.startswith(b"@@TRAX:hello") and process.returncode == 1
    assert "started by the VOT toolkit" in (tmp_path / "stderr").read_text()


STACK = """title: tiny
experiments:
  once: {type: unsupervised, repetitions: 1}
  many: {type: multistart}
"""


@with_trax
@with_toolkit
def test_the_official_toolkit_evaluates_it(video, checkpoint, tmp_path, monkeypatch):
    from vot.region.io import read_trajectory

    work = tmp_path / "w"
    (work / "sequences").mkdir(parents=True)
    (work / "sequences" / "square").symlink_to(video)
    (work / "sequences" / "list.txt").write_text("square\n")
    (work / "stack.yaml").write_text(STACK)
    (work / "config.yaml").write_text("registry: [./trackers.ini]\nstack: ./stack.yaml\n")
    run(monkeypatch, "vot_workspace.py", str(work), "--config", CONFIG.lower(), "--checkpoint", str(checkpoint),
        "--device", "cpu")
    done = subprocess.run([sys.executable, "-m", "vot", "evaluate", "--workspace", str(work), "MSTGT"], cwd=tmp_path,
                          env=environment("VOT_"), capture_output=True, text=True, timeout=400)
    assert "Evaluation concluded" in done.stdout + done.stderr
    forwards, backwards = range(FRAMES), range(FRAMES - 1, -1, -1)
    for name, order in (("once/square/square_001", forwards), ("many/square/square_00000000", forwards),
                        (f"many/square/square_{FRAMES - 1:08d}", backwards)):
        trajectory = read_trajectory(str(work / "results" / "MSTGT" / f"{name}.bin"))
        boxes = np.array([[r.x, r.y, r.width, r.height] for r in trajectory[1:]])
        np.testing.assert_allclose(boxes, expected(video, checkpoint, order)[0], atol=1e-3)
