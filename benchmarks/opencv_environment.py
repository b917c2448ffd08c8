"""OpenCV's own trackers in a virtual environment of their own, as runs of a comparison.

    environment = OpenCvEnvironment(Path("output/benchmarks/opencv_env"))
    runs = opencv_runs(environment, benchmark, ["csrt", "kcf"], {"nano": find_networks("nano", folder)}, threads=2)

CSRT and KCF are not in the OpenCV that this project depends on, and two packages of OpenCV cannot be installed side by
side. So a virtual environment is made with opencv-contrib-python-headless and numpy, where
``benchmarks/opencv_trackers.py`` runs, in one process per video.

CSRT, KCF and MIL need no files. The trackers with a network need ONNX files that OpenCV does not bring along
(``NETWORK_TRACKERS`` names them).
"""

from __future__ import annotations

import json
import math
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from tracker_runs import TrackerRun, machine

from mstgt.data.readers.folder import absolute
from mstgt.data.store import FolderStore
from mstgt.data.video import StoredFrames, Video, VideoSet
from mstgt.test.evaluation.benchmarks import Benchmark
from mstgt.test.evaluation.results import write_result
from mstgt.utils.errors import UserError
from mstgt.utils.files import file_sha256
from mstgt.utils.progress import progress

if TYPE_CHECKING:  # imported where it is needed: it loads PyTorch
    from mstgt.test.evaluation.runner import Failure

OPENCV_TRACKERS = ("csrt", "kcf", "mil")
RUNS = {"mil": 3}  # runs of trackers that draw random numbers
PACKAGES = ("opencv-contrib-python-headless>=4.9", "numpy")
OPENCV_SCRIPT = Path(__file__).resolve().with_name("opencv_trackers.py")


@dataclass(frozen=True)
class NetworkTracker:
    """A tracker of OpenCV that needs ONNX files.

    label   its name in tables
    flag    the flag of ``benchmarks/compare_opencv.py`` that says where the files are
    files   the file's name for each parameter of OpenCV; "" where the flag names the file itself
    source  where the files can be had
    """

    label: str
    flag: str
    files: Mapping[str, str]
    source: str


NETWORK_TRACKERS = {
    "nano": NetworkTracker(
        "NanoTrack", "--nano_dir",
        {"backbone": "nanotrack_backbone_sim.onnx", "neckhead": "nanotrack_head_sim.onnx"},
        "github.com/HonglinChu/SiamTrackers, NanoTrack/models/nanotrackv2"),
    "vit": NetworkTracker(
        "VitTrack", "--vit", {"net": ""}, "github.com/opencv/opencv_zoo, models/object_tracking_vittrack"),
    "dasiamrpn": NetworkTracker(
        "DaSiamRPN", "--dasiamrpn_dir",
        {"model": "dasiamrpn_model.onnx", "kernel_cls1": "dasiamrpn_kernel_cls1.onnx",
         "kernel_r1": "dasiamrpn_kernel_r1.onnx"},
        "the links in OpenCV's samples/dnn/dasiamrpn_tracker.cpp"),
}


def find_networks(name: str, place: Path) -> dict[str, Path]:
    """The files of the tracker ``name`` by parameter. ``place`` is their folder, or the file itself for "vit".

    Raises :class:`UserError` that names the first missing file.
    """
    tracker = NETWORK_TRACKERS[name]
    networks = {}
    for parameter, file_name in tracker.files.items():
        path = absolute(place / file_name if file_name else place)
        if not path.is_file():
            raise UserError(f"{tracker.flag} {place}: no file {path}; it can be had from {tracker.source}")
        networks[parameter] = path
    return networks


class OpenCvEnvironment:
    """A virtual environment with OpenCV's trackers in the folder ``place``."""

    def __init__(self, place: Path):
        self.place = place
        self.python = place / "bin" / "python"

    def describe(self) -> dict[str, Any]:
        """The versions in the environment and its trackers. The environment is made if it is missing."""
        found = self._query()
        if found is None:
            self._make()
            found = self._query()
        if found is None:
            raise UserError(f"the environment {self.place} has no OpenCV that can be imported: delete the folder, and "
                            "it is made again")
        return found

    def run(self, job: dict[str, Any]) -> Iterator[dict[str, Any]]:
        """The lines that ``benchmarks/opencv_trackers.py`` prints for ``job``. If it crashes, the last ones are
        missing."""
        with tempfile.TemporaryDirectory() as temporary:
            path = Path(temporary) / "job.json"
            path.write_text(json.dumps(job), encoding="utf-8")
            # OpenCV warns of every network that it loads, whatever the network.
            environment = {**os.environ, "OPENCV_LOG_LEVEL": "ERROR"}
            process = subprocess.Popen([self.python, "-I", OPENCV_SCRIPT, path], stdout=subprocess.PIPE, text=True,
                                       env=environment)
            try:
                for line in process.stdout or ():
                    if line.endswith("\n"):  # not the half line of a process that crashed
                        yield json.loads(line)
            finally:
                process.kill()
                process.communicate()

    def _query(self) -> dict[str, Any] | None:
        if not self.python.is_file():
            return None
        done = subprocess.run([self.python, "-I", OPENCV_SCRIPT], capture_output=True, text=True, check=False)
        return json.loads(done.stdout) if done.returncode == 0 else None

    def _make(self) -> None:
        if self.place.exists() and not (self.place / "pyvenv.cfg").is_file():
            raise UserError(f"{self.place} is no virtual environment: give another folder for it with --env")
        packages = " and ".join(PACKAGES)
        print(f"making the environment {self.place} with {packages}", flush=True)
        commands: list[list[str | Path]] = [[sys.executable, "-m", "venv", "--clear", self.place],
                                            [self.python, "-m", "pip", "install", "--quiet", *PACKAGES]]
        try:
            for command in commands:
                done = subprocess.run(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                                      stderr=subprocess.STDOUT, text=True, check=False)
                if done.returncode:
                    output = [line for line in done.stdout.splitlines() if line.strip()] or ["no message"]
                    raise UserError(f"cannot make the environment {self.place}: {output[-1].strip()}; pip must be able "
                                    f"to install {packages}, or give --trackers without names")
        except BaseException:
            shutil.rmtree(self.place, ignore_errors=True)  # an incomplete environment would be taken for a good one
            raise


def opencv_runs(environment: OpenCvEnvironment, benchmark: Benchmark, trackers: Sequence[str],
                networks: Mapping[str, Mapping[str, Path]], threads: int) -> list[TrackerRun]:
    """The runs of OpenCV's trackers.

    trackers  names from ``OPENCV_TRACKERS``
    networks  tracker from ``NETWORK_TRACKERS`` -> its files by parameter

    Raises :class:`UserError` where the environment's OpenCV does not have one of them.
    """
    versions = environment.describe()
    there = [*versions["trackers"], *versions.get("network_trackers", ())]
    runs = []
    for tracker in dict.fromkeys([*trackers, *networks]):
        network = NETWORK_TRACKERS.get(tracker)
        if tracker not in there:
            leave_out = f"leave out {network.flag}" if network else "leave it out of --trackers"
            raise UserError(f"OpenCV {versions['opencv']} in {environment.place} has no tracker {tracker}: "
                            f"{leave_out}, or give another environment with --env")
        label = network.label if network else tracker.upper()
        files = networks.get(tracker, {})
        checksums = {path.name: file_sha256(path) for path in files.values()}
        names = ", ".join(f"{name} with SHA-256 {checksum[:12]}…" for name, checksum in checksums.items())
        note = f"{label}: OpenCV {versions['opencv']}{', ' * bool(names)}{names}"
        for run in range(RUNS.get(tracker, 1)):
            made_from = {"tracker": tracker, "run": run, "opencv": versions["opencv"], "numpy": versions["numpy"],
                         "networks": checksums,
                         "script": file_sha256(OPENCV_SCRIPT), **machine(threads)}
            settings = {"tracker": tracker, "run": run, "threads": threads,
                        "networks": {parameter: str(path) for parameter, path in files.items()}}
            track = partial(track_with_opencv, environment, benchmark.videos, label, settings)
            runs.append(TrackerRun(f"{label} run {run + 1}" if tracker in RUNS else label, label, made_from, track,
                                   note))
    return runs


def track_with_opencv(environment: OpenCvEnvironment, videos: VideoSet, label: str, settings: Mapping[str, Any],
                      folder: Path, names: Sequence[str]) -> list[Failure]:
    """Track the videos ``names``, each in a process of its own, and write the results to ``folder``.

    ``settings`` and the video together are the job of such a process. Returns the failures. Raises :class:`UserError`
    where the tracker itself cannot be made.
    """
    from mstgt.test.evaluation.runner import Failure

    jobs = {name: {**settings, **video_job(videos.load(name))} for name in names}
    failures = []
    with progress(total=sum(len(job["frames"]) for job in jobs.values()), unit="frame", desc=label) as bar:
        for name, job in jobs.items():
            end: dict[str, Any] = {"error": f"OpenCV's {label} died; its own messages are above"}
            for line in environment.run(job):
                if "frames" in line:
                    bar.update(line["frames"])
                else:
                    end = line
            if "unusable" in end:
                raise UserError(f"{label} cannot be run: {end['unusable']}")
            if "error" in end:
                failures.append(Failure(name, end["error"]))
            else:
                boxes = np.array(end["boxes_xywh"])
                seconds = np.array(end["seconds"] or [math.nan] * len(boxes))
                write_result(folder, name, boxes, seconds, np.array(end["given"]))
    return failures


def video_job(video: Video) -> dict[str, Any]:
    """What a job says of a video."""
    frames = video.frames
    if not isinstance(frames, StoredFrames) or not isinstance(frames.store, FolderStore):
        raise UserError(f"{video.name} is not a folder of images, which is all that OpenCV's trackers read here")
    return {"frames": [os.path.join(frames.store.root, key) for key in frames.keys],
            "box_xywh": video.boxes_xywh[0].tolist()}
