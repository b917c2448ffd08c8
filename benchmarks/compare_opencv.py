"""MSTGT beside OpenCV's own trackers and the first box kept, on real videos, in one table.

    python benchmarks/compare_opencv.py --videos /my/videos --checkpoint nano.pth.tar
    python benchmarks/compare_opencv.py --json out.json --markdown out.md --plot success.png --sheet boxes.png

--videos are folders of videos with frames and a ground-truth file each (lib/data/readers/folder.py says which kinds),
at any depth; by default the folder shared/real beside the checkout, where there is one.

What is compared, on the same frames and with the same first boxes:

    MSTGT            in fp32, through the project's own evaluation
    CSRT, KCF, MIL   in an environment of their own, which is made at the first run: a virtual environment at --env with
                     opencv-contrib-python-headless and numpy, and nothing else (benchmarks/opencv_trackers.py runs
                     there). Where such a tracker gives no box, its last one is kept; that is said under the table.
                     MIL draws random numbers, on which much depends: its figures are the means of RUNS["mil"] runs
    trivial          the first box, kept to the end

They run one after the other, each on --threads threads of the CPU. Frames a second are those of the trackers' own
calls (of MSTGT: crop, network, box), without the first frame's; reading and decoding are left out, and a thread
decodes the next frames meanwhile, for all of them. Run it on a machine that does nothing else.

Results are kept under --cache, with what made them: weights, settings and code of MSTGT; version and script of OpenCV;
the machine and its threads; each video's files. What is as it was is not tracked again: with a new checkpoint, MSTGT
alone. Exit status 1 when a video failed; it is named and in no mean.
"""

from __future__ import annotations

import argparse
import contextlib
import hashlib
import json
import logging
import math
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import torch

from benchmarks.nested_videos import nested_benchmark
from benchmarks.random_runs import mean_of_runs
from benchmarks.strips import draw_strips
from mstgt.config import PROJECT_ROOT, find_experiment, flatten, load_config, load_paths
from mstgt.data.readers.folder import absolute
from mstgt.data.store import FolderStore
from mstgt.data.video import StoredFrames, Video, VideoSet
from mstgt.test.analysis.report import BenchmarkReport, make_report
from mstgt.test.analysis.score import Score
from mstgt.test.analysis.table import ranked, text_table
from mstgt.test.evaluation.benchmarks import Benchmark
from mstgt.test.evaluation.results import has_result, read_boxes, read_scores, remove_results, write_result
from mstgt.test.evaluation.runner import Failure, WorkerSetup, load_videos, run_videos
from mstgt.test.tracker import find_checkpoint, load_engine
from mstgt.utils.errors import UserError, run_command
from mstgt.utils.files import atomic_path, file_sha256, locked, write_json, write_text
from mstgt.utils.machine import device_name
from mstgt.utils.progress import progress
from mstgt.visualize.plot_style import plot_styles
from mstgt.visualize.plots import SUFFIXES, draw_plot

OPENCV_TRACKERS = ("csrt", "kcf", "mil")
RUNS = {"mil": 3}  # of trackers that draw random numbers
PACKAGES = ("opencv-contrib-python-headless>=4.8", "numpy")
OPENCV_SCRIPT = Path(__file__).resolve().with_name("opencv_trackers.py")
REAL = PROJECT_ROOT.parent / "shared" / "real"
SHEET_SUFFIXES = (".png", ".jpg")
MADE_BY = "made_by.json"
NETWORK_CODE = ("models", "geometry", "test/tracker", "test/evaluation/lockstep.py", "test/evaluation/worker.py",
                "data/images.py")  # under lib: what MSTGT's boxes come from
FIGURES: dict[str, Callable[[Score], float | None]] = {
    "success AUC (%)": lambda s: s.auc,
    "precision at 20 px (%)": lambda s: s.precision,
    "normalised precision at 0.2 (%)": lambda s: s.norm_precision,
    "frames a second": lambda s: s.fps,
}

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Contestant:
    """A run of a tracker of the comparison.

    label      names the run; the tracker's name where it is the only one
    made_from  all that its results depend on but the videos, as JSON
    track      writes the results of the named videos to a folder; gives those that failed
    """

    label: str
    tracker: str
    made_from: dict[str, Any]
    track: Callable[[Path, Sequence[str]], list[Failure]]


# What is kept


def bring_up_to_date(contestant: Contestant, benchmark: Benchmark, cache: Path, overwrite: bool
                     ) -> tuple[Path, list[Failure]]:
    """The folder of a tracker's results, and the videos that failed. Only what is not there or has changed is tracked.

    Results of other origins have other folders; beside the results lies what they were made from.
    """
    place = cache / f"{contestant.label.replace(' ', '_')}-{_digest(contestant.made_from)[:16]}"
    names = benchmark.videos.video_names
    states = {name: _digest(benchmark.videos.fingerprint(name)) for name in names}
    try:
        place.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UserError(f"cannot write {place}: {error.strerror or error}; give another place with --cache") from error
    with locked(place):
        known = _read_states(place / MADE_BY)
        remove_results(place, [name for name in names if overwrite or known.get(name) != states[name]])
        write_json(place / MADE_BY, {**contestant.made_from, "videos": known | states})
        left = [name for name in names if not has_result(place, name)]
        done = f"; {len(names) - len(left)} are there" if len(left) < len(names) else ""
        print(f"{contestant.label}: {len(left)} of {len(names)} videos to track{done}", flush=True)
        return place, contestant.track(place, left) if left else []


def _digest(value: Any) -> str:
    return hashlib.sha256(json.dumps(value, sort_keys=True).encode()).hexdigest()


def _read_states(path: Path) -> dict[str, str]:
    """The states of the videos that results were made from; none where that is not known."""
    try:
        videos = json.loads(path.read_text(encoding="utf-8"))["videos"]
    except FileNotFoundError:
        return {}
    except (OSError, ValueError, KeyError, TypeError) as error:
        _log.warning("%s is damaged (%s): tracking again", path, type(error).__name__)
        return {}
    return videos if isinstance(videos, dict) else {}


# MSTGT


def mstgt(args: argparse.Namespace, benchmark: Benchmark) -> Contestant:
    cfg, name, checkpoint = load_config("MSTGT", args.tracker_param), args.tracker_param, args.checkpoint
    settings = {key: value for key, value in flatten(cfg).items()
                if key.startswith(("MODEL.", "TEST.", "DATA.MEAN", "DATA.STD"))}
    made_from = {"tracker": "MSTGT", "config": name, "checkpoint_sha256": file_sha256(checkpoint), "settings": settings,
                 "precision": "fp32", "code": _code_digest(), "torch": torch.__version__, **machine(args.threads)}

    def track(place: Path, names: Sequence[str]) -> list[Failure]:
        videos, failures = load_videos(benchmark.videos, names)
        with torch_threads(args.threads):
            return failures + run_videos(WorkerSetup(partial(load_engine, cfg, checkpoint), place), videos, ["cpu"])

    return Contestant(name, name, made_from, track)


def _code_digest() -> str:
    root = Path(mstgt.__file__).parent
    paths = [path for part in NETWORK_CODE for path in ([root / part] if part.endswith(".py")
                                                       else sorted((root / part).rglob("*.py")))]
    return hashlib.sha256(b"".join(path.read_bytes() for path in paths)).hexdigest()


def machine(threads: int) -> dict[str, Any]:
    return {"machine": device_name("cpu"), "cores": len(os.sched_getaffinity(0)), "threads": threads}


@contextlib.contextmanager
def torch_threads(count: int) -> Iterator[None]:
    """Let the evaluation compute with ``count`` threads; it goes by OMP_NUM_THREADS, and else with one."""
    threads, variable = torch.get_num_threads(), os.environ.get("OMP_NUM_THREADS")
    torch.set_num_threads(count)
    os.environ["OMP_NUM_THREADS"] = str(count)
    try:
        yield
    finally:
        torch.set_num_threads(threads)
        del os.environ["OMP_NUM_THREADS"]
        if variable is not None:
            os.environ["OMP_NUM_THREADS"] = variable


# OpenCV


class OpenCvEnvironment:
    """A virtual environment with OpenCV's trackers."""

    def __init__(self, place: Path):
        self.place, self.python = place, place / "bin" / "python"

    def describe(self) -> dict[str, Any]:
        """The versions in it, and its trackers. It is made where it is not there."""
        found = self._ask()
        if found is None:
            self._make()
            found = self._ask()
        if found is None:
            raise UserError(f"the environment {self.place} has no OpenCV that can be imported: delete it, and it is "
                            "made anew")
        return found

    def run(self, job: dict[str, Any]) -> Iterator[dict[str, Any]]:
        """The lines that benchmarks/opencv_trackers.py prints; where it dies, the last ones are not there."""
        with tempfile.TemporaryDirectory() as temporary:
            path = Path(temporary) / "job.json"
            path.write_text(json.dumps(job), encoding="utf-8")
            process = subprocess.Popen([self.python, "-I", OPENCV_SCRIPT, path], stdout=subprocess.PIPE, text=True)
            try:
                yield from (json.loads(line) for line in process.stdout if line.endswith("\n"))
            finally:
                process.kill()
                process.communicate()

    def _ask(self) -> dict[str, Any] | None:
        if not self.python.is_file():
            return None
        done = subprocess.run([self.python, "-I", OPENCV_SCRIPT], capture_output=True, text=True, check=False)
        return json.loads(done.stdout) if done.returncode == 0 else None

    def _make(self) -> None:
        if self.place.exists() and not (self.place / "pyvenv.cfg").is_file():
            raise UserError(f"{self.place} is no virtual environment: give another place for it with --env")
        print(f"making the environment {self.place} with {' and '.join(PACKAGES)}", flush=True)
        try:
            for command in ([sys.executable, "-m", "venv", "--clear", self.place],
                            [self.python, "-m", "pip", "install", "--quiet", *PACKAGES]):
                done = subprocess.run(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                                      stderr=subprocess.STDOUT, text=True, check=False)
                if done.returncode:
                    said = [line for line in done.stdout.splitlines() if line.strip()] or ["it said nothing"]
                    raise UserError(f"cannot make the environment {self.place}: {said[-1].strip()}; pip must be able "
                                    f"to install {' and '.join(PACKAGES)}, or give --trackers without names")
        except BaseException:
            shutil.rmtree(self.place, ignore_errors=True)  # half an environment serves nobody
            raise


Environment = Callable[[Path], OpenCvEnvironment]


def opencv(args: argparse.Namespace, benchmark: Benchmark, environment: OpenCvEnvironment) -> Iterator[Contestant]:
    versions = environment.describe()
    script = file_sha256(OPENCV_SCRIPT)
    for tracker in dict.fromkeys(args.trackers):
        if tracker not in versions["trackers"]:
            raise UserError(f"OpenCV {versions['opencv']} in {environment.place} has no tracker {tracker}: leave it "
                            "out of --trackers, or give another environment with --env")
        for run in range(RUNS.get(tracker, 1)):
            made_from = {"tracker": tracker, "run": run, "opencv": versions["opencv"], "numpy": versions["numpy"],
                         "script": script, **machine(args.threads)}
            label = f"{tracker.upper()} run {run + 1}" if tracker in RUNS else tracker.upper()
            settings = {"tracker": tracker, "run": run, "threads": args.threads}
            yield Contestant(label, tracker.upper(), made_from,
                             partial(track_with_opencv, environment, benchmark.videos, settings))


def track_with_opencv(environment: OpenCvEnvironment, videos: VideoSet, settings: Mapping[str, Any], place: Path,
                      names: Sequence[str]) -> list[Failure]:
    """Track ``names``, each in a process of its own; ``settings`` are the other half of their jobs."""
    jobs = {name: {**settings, **as_job(videos.load(name))} for name in names}
    tracker, failures = settings["tracker"].upper(), []
    with progress(total=sum(len(job["frames"]) for job in jobs.values()), unit="frame", desc=tracker) as bar:
        for name, job in jobs.items():
            end = {"error": f"OpenCV's {tracker} died; what it said is above"}
            for line in environment.run(job):
                if "frames" in line:
                    bar.update(line["frames"])
                else:
                    end = line
            if "error" in end:
                failures.append(Failure(name, end["error"]))
            else:
                boxes, seconds, given = end["boxes_xywh"], end["seconds"], end["given"]
                write_result(place, name, np.array(boxes), seconds or [math.nan] * len(boxes), given)
    return failures


def as_job(video: Video) -> dict[str, Any]:
    """What OpenCV must know of a video."""
    frames = video.frames
    if not isinstance(frames, StoredFrames) or not isinstance(frames.store, FolderStore):
        raise UserError(f"{video.name} is not a folder of pictures, which is all that OpenCV's trackers read here")
    return {"frames": [os.path.join(frames.store.root, key) for key in frames.keys],
            "box_xywh": video.boxes_xywh[0].tolist()}


# What is shown


def merge_runs(report: BenchmarkReport, contestants: Sequence[Contestant]
               ) -> tuple[BenchmarkReport, dict[str, list[Score]]]:
    """The report with the mean of a tracker's runs in their place, and the runs of those that have several."""
    by_label = {score.tracker: score for score in report.scores}
    runs: dict[str, list[Score]] = {}
    for contestant in contestants:
        runs.setdefault(contestant.tracker, []).extend(filter(None, [by_label.get(contestant.label)]))
    scores = [mean_of_runs(tracker, found) for tracker, found in runs.items() if found]
    return (replace(report, scores=tuple(filter(None, scores))),
            {tracker: found for tracker, found in runs.items() if len(found) > 1})


def table_rows(report: BenchmarkReport) -> list[list[str]]:
    """The figures, then the AUC of every video; a column a tracker, the best first."""
    scores = ranked(report.all_scores)
    rows = [["", *(score.label for score in scores)]]
    rows += [[title, *(_number(figure(score)) for score in scores)] for title, figure in FIGURES.items()]
    by_video = [{video.name: video.auc for video in score.video_scores} for score in scores]
    rows += [[f"AUC of {name}", *(_number(found.get(name)) for found in by_video)] for name in report.videos]
    return rows


def _number(value: float | None) -> str:
    return "-" if value is None else f"{value:.1f}"


def as_markdown(title: str, rows: Sequence[Sequence[str]], notes: Sequence[str]) -> str:
    lines = ["| " + " | ".join(row) + " |" for row in rows]
    lines.insert(1, "|---" + "|---:" * (len(rows[0]) - 1) + "|")
    return "\n".join([title, "", *lines, "", *(f"- {note}" for note in notes), ""])


def make_notes(report: BenchmarkReport, runs: Mapping[str, Sequence[Score]], contestants: Sequence[Contestant],
               folders: Mapping[str, Path], args: argparse.Namespace) -> list[str]:
    """What one must know to read the table."""
    network, *others = (contestant.made_from for contestant in contestants)
    threads = "1 thread" if network["threads"] == 1 else f"{network['threads']} threads"
    version = f"; OpenCV {others[0]['opencv']}" if others else ""
    notes = [f"{threads} each on {network['machine']}, {network['cores']} cores; frames a second: "
             "the trackers' own calls without the first, without reading and decoding; a thread decodes ahead for all",
             f"{network['config']}: weights {Path(args.checkpoint).name} with SHA-256 "
             f"{network['checkpoint_sha256'][:12]}…, fp32, PyTorch {network['torch']}{version}"]
    notes += [f"{tracker} is random: the mean of {len(found)} runs, whose AUC are "
              + ", ".join(f"{score.auc:.1f}" for score in found) for tracker, found in runs.items()]
    for label in [contestant.label for contestant in contestants[1:]]:
        place = folders[label]
        scores = {name: read_scores(place, name) for name in report.videos if has_result(place, name)}
        lost = {name: int((given == 0).sum()) for name, given in scores.items() if (given == 0).any()}
        if lost:
            frames = sum(map(len, scores.values()))
            notes.append(f"{label} gave no box in {sum(lost.values())} of {frames} frames ({', '.join(lost)}): its "
                         "last box was kept")
    return notes + list(report.notes)


def as_json(report: BenchmarkReport, runs: Mapping[str, Sequence[Score]], contestants: Sequence[Contestant],
            notes: Sequence[str]) -> dict[str, Any]:
    """All figures in %, by tracker, with those of every video and run, and what made them."""
    value = report.as_json()
    for score in report.all_scores:
        figures = value["trackers"].get(score.tracker, value.get("trivial"))
        figures["videos_auc"] = {video.name: video.auc for video in score.video_scores}
        if score.tracker in runs:
            figures["runs_auc"] = [run.auc for run in runs[score.tracker]]
        made_from = [contestant.made_from for contestant in contestants if contestant.tracker == score.tracker]
        if made_from:
            figures["made_from"] = made_from[0]
    return value | {"frames": {name: len(video) for name, video in report.videos.items()}, "notes": list(notes)}


def write_sheet(path: Path, report: BenchmarkReport, folders: Mapping[str, Path]) -> None:
    """The ground truth and all trackers' boxes on some frames of every video; the trackers' colours are the plot's.

    ``folders``: the results by tracker.
    """
    boxes = {name: {label: read_boxes(place, name) for label, place in folders.items() if has_result(place, name)}
             for name in report.videos}
    colours = {score.tracker: tuple(bytes.fromhex(plot_styles(report.all_scores)[score.tracker].dark_color[1:]))
               for score in reversed(report.scores)}
    sheet = draw_strips(report.videos.values(), boxes, colours)
    with atomic_path(path) as temporary:
        if not cv2.imwrite(str(temporary), cv2.cvtColor(sheet, cv2.COLOR_RGB2BGR)):
            raise UserError(f"cannot write {path}: a picture of {sheet.shape[1]} x {sheet.shape[0]} px")


def parse(arguments: Sequence[str] | None) -> argparse.Namespace:
    kept = load_paths(mode="test").save_dir / "benchmarks"
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--videos", type=Path, nargs="+", metavar="DIR", help="folders of videos, at any depth")
    parser.add_argument("--tracker_param", "--config", default="MSTGT-nano-128", help="an experiment of MSTGT")
    parser.add_argument("--checkpoint", help="its weights; default: the run's of epoch TEST.EPOCH, or those that "
                        "come with the project")
    parser.add_argument("--trackers", nargs="*", choices=OPENCV_TRACKERS, default=OPENCV_TRACKERS, help="of OpenCV")
    parser.add_argument("--threads", type=int, default=2, help="of each tracker (default: %(default)s)")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write all figures there")
    parser.add_argument("--markdown", type=Path, metavar="FILE", help="write the table there")
    parser.add_argument("--plot", type=Path, metavar="FILE", help="write the success plot there, as PNG or PDF")
    parser.add_argument("--sheet", type=Path, metavar="FILE", help="write a picture there: a strip of frames a video, "
                        "with the true box and the trackers'")
    parser.add_argument("--env", type=Path, default=kept / "opencv_env", help="OpenCV's virtual environment")
    parser.add_argument("--cache", type=Path, default=kept / "compare_opencv", help="where results are kept")
    parser.add_argument("--overwrite", action="store_true", help="track again what has a result")
    args = parser.parse_args(arguments)
    if args.threads < 1:
        raise UserError("--threads must be at least 1")
    for flag, path, known in (("--plot", args.plot, SUFFIXES), ("--sheet", args.sheet, SHEET_SUFFIXES)):
        if path and path.suffix not in known:
            raise UserError(f"{flag} {path}: the name must end in {' or '.join(known)}")
    if not args.videos and not REAL.is_dir():
        raise UserError("there is no folder shared/real beside the checkout: name folders of videos with --videos")
    args.videos = args.videos or [REAL]
    args.tracker_param = find_experiment("MSTGT", args.tracker_param).stem
    args.checkpoint = args.checkpoint or find_checkpoint(
        "MSTGT", args.tracker_param, load_config("MSTGT", args.tracker_param), load_paths(mode="test").save_dir)
    args.env, args.cache = absolute(args.env), absolute(args.cache)
    return args


def main(arguments: Sequence[str] | None = None, environment: Environment = OpenCvEnvironment) -> int:
    logging.basicConfig(level=logging.INFO, format="%(levelname)s: %(message)s")
    args = parse(arguments)
    benchmark = nested_benchmark(args.videos)
    for name in benchmark.videos.video_names:
        benchmark.videos.load(name)  # what is wrong with one is said before anything runs
    contestants = [mstgt(args, benchmark)]
    if args.trackers:
        contestants += opencv(args, benchmark, environment(args.env))
    folders, failures = {}, []
    for contestant in contestants:
        folders[contestant.label], failed = bring_up_to_date(contestant, benchmark, args.cache / "results",
                                                             args.overwrite)
        failures += [f"FAILED {contestant.label}, {failure.video}: {failure.reason}" for failure in failed]
    report = make_report(benchmark, folders, cache_folder=args.cache / "scores")
    show(args, report, contestants, folders)
    for line in failures + [f"problem: {problem.message}" for problem in report.problems]:
        print(line)
    return 1 if failures or report.failed(allow_missing=False) else 0


def show(args: argparse.Namespace, report: BenchmarkReport, contestants: Sequence[Contestant],
         folders: Mapping[str, Path]) -> None:
    """Print the table and write the files that were asked for."""
    report, runs = merge_runs(report, contestants)
    rows, notes = table_rows(report), make_notes(report, runs, contestants, folders, args)
    title = f"{report.benchmark}: {len(report.videos)} videos, {sum(map(len, report.videos.values()))} frames"
    print(text_table(title, rows) + "".join(f"\n{note}" for note in notes))
    if args.json:
        write_json(args.json, as_json(report, runs, contestants, notes))
    if args.markdown:
        write_text(args.markdown, as_markdown(title, rows, notes))
    if args.plot:
        draw_plot(report, "success", args.plot)
    if args.sheet:
        first_runs = {contestant.tracker: folders[contestant.label] for contestant in reversed(contestants)}
        write_sheet(args.sheet, report, first_runs)
    for path in filter(None, (args.json, args.markdown, args.plot, args.sheet)):
        print(path)


if __name__ == "__main__":
    run_command(main)
