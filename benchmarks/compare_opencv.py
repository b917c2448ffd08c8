"""Compare MSTGT with OpenCV's own trackers and with the static-box baseline on real videos.

    python benchmarks/compare_opencv.py --videos /my/videos --checkpoint nano.pth.tar
    python benchmarks/compare_opencv.py --videos /my/videos --config MSTGT-nano MSTGT-mini --nano_dir nanotrack
    python benchmarks/compare_opencv.py --json out.json --markdown out.md --plot success.png --speed_plot speed.png \\
        --sheet boxes.png

--videos are folders of videos with frames and a ground-truth file each (lib/data/readers/folder.py says which kinds),
at any depth; by default the folders otb, tlp and vot of shared/real beside the checkout, where they exist.

The trackers, on the same frames and with the same first boxes:

    MSTGT                the configurations --config, in fp32, through the project's own evaluation, with the runtime
                         --backend
    CSRT, KCF, MIL       those named by --trackers
    NanoTrack            cv2.TrackerNano, where --nano_dir gives its two ONNX files
    VitTrack             cv2.TrackerVit, where --vit gives its ONNX file
    DaSiamRPN            cv2.TrackerDaSiamRPN, where --dasiamrpn_dir gives its three ONNX files
    static-box baseline  the first box, kept to the end

OpenCV's trackers run in a virtual environment of their own, which is made in the first run at --env
(benchmarks/opencv_environment.py). Where such a tracker returns no box, its last one is kept, and a note says so. MIL
draws random numbers, and its result depends much on them: its figures are the means of three runs.

The table has the mean and the median of the success AUC, precision, speed, the AUC of every video, and, for each
configuration of MSTGT, the difference of every tracker to it with the 95% interval of the paired bootstrap over videos.

The trackers run one after the other, each with --threads threads of the CPU. Frames a second are those of the trackers'
own calls (of MSTGT: crop, network, box) without the first frame. Reading and decoding are not counted; a thread decodes
the next frames meanwhile, for all trackers alike. Run the comparison on a machine that does nothing else.

Results are kept under --cache with what they were made from: weights, settings, runtime and code of MSTGT; version,
script and networks of OpenCV; the machine and the threads; the files of each video. Only what has changed is tracked
again: with a new checkpoint, MSTGT alone. The exit status is 1 if a video failed; that video is named and left out of
the means.
"""

from __future__ import annotations

import argparse
import logging
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import cv2
from comparison_table import as_json, as_markdown, compare_with, make_notes, merge_runs, table_rows
from nested_videos import nested_benchmark
from opencv_environment import (
    NETWORK_TRACKERS,
    OPENCV_TRACKERS,
    OpenCvEnvironment,
    find_networks,
    opencv_runs,
)
from strips import draw_strips
from tracker_runs import TrackerRun, mstgt_run, update_results

from mstgt.config import PROJECT_ROOT, find_experiment, load_config, load_paths
from mstgt.config.arguments import add_shared_arguments
from mstgt.data.readers.folder import absolute
from mstgt.test.analysis.report import BenchmarkReport, make_report
from mstgt.test.analysis.table import text_table
from mstgt.test.evaluation.results import has_result, read_boxes
from mstgt.test.tracker import find_checkpoint
from mstgt.utils.errors import UserError, run_command
from mstgt.utils.files import atomic_path, write_json, write_text
from mstgt.visualize.plot_style import SUFFIXES, plot_styles
from mstgt.visualize.text import Color

DEFAULT_CONFIG = "MSTGT-nano"
SHEET_SUFFIXES = (".png", ".jpg")

Environment = Callable[[Path], OpenCvEnvironment]


def main(arguments: Sequence[str] | None = None, environment: Environment = OpenCvEnvironment) -> int:
    logging.basicConfig(level=logging.INFO, format="%(levelname)s: %(message)s")
    args = parse(arguments)
    benchmark = nested_benchmark(args.videos)
    for name in benchmark.videos.video_names:
        benchmark.videos.load(name)  # reports a damaged video before hours of tracking
    runs = [mstgt_run(config, checkpoint, benchmark, args.threads, args.backend, label)
            for label, config, checkpoint in args.networks]
    references = [run.label for run in runs]
    if args.trackers or args.opencv_networks:
        runs += opencv_runs(environment(args.env), benchmark, args.trackers, args.opencv_networks, args.threads)
    folders: dict[str, Path] = {}
    problems = []
    for run in runs:
        folders[run.label], failures = update_results(run, benchmark, args.cache / "results", args.overwrite)
        problems += [f"FAILED {run.label}, {failure.video}: {failure.reason}" for failure in failures]
    report = make_report(benchmark, folders, cache_folder=args.cache / "scores")
    show(args, report, runs, references, folders)
    problems += [f"problem: {problem.message}" for problem in report.problems]
    for line in problems:
        print(line)
    return 1 if problems or report.failed(allow_missing=False) else 0


def parse(arguments: Sequence[str] | None) -> argparse.Namespace:
    """The command line. ``networks`` are the label, configuration and checkpoint of each MSTGT to run, and
    ``opencv_networks`` the files of OpenCV's trackers by tracker and parameter."""
    args = _parser().parse_args(arguments)
    if args.threads < 1:
        raise UserError("--threads must be at least 1")
    for flag, path, known in (("--plot", args.plot, SUFFIXES), ("--speed_plot", args.speed_plot, SUFFIXES),
                              ("--sheet", args.sheet, SHEET_SUFFIXES)):
        if path and path.suffix not in known:
            raise UserError(f"{flag} {path}: the name must end in {' or '.join(known)}")
    args.videos = args.videos or default_videos()
    if not args.videos:
        raise UserError("no videos: name folders of annotated videos with --videos")
    args.networks = _networks(args.config, args.checkpoint)
    places = {"nano": args.nano_dir, "vit": args.vit, "dasiamrpn": args.dasiamrpn_dir}
    args.opencv_networks = {name: find_networks(name, place) for name, place in places.items() if place}
    args.env = absolute(args.env)
    args.cache = absolute(args.cache)
    return args


def _parser() -> argparse.ArgumentParser:
    kept = load_paths(mode="test").save_dir / "benchmarks"
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--videos", type=Path, nargs="+", metavar="DIR", help="folders of videos, at any depth")
    parser.add_argument("--config", "--tracker_param", nargs="+", metavar="NAME", default=[DEFAULT_CONFIG],
                        help=f"experiments of MSTGT (default: {DEFAULT_CONFIG})")
    parser.add_argument("--checkpoint", nargs="+", metavar="FILE", help="a checkpoint for each --config (default: the "
                        "one that training left, else the shipped one)")
    add_shared_arguments(parser, "backend")
    parser.add_argument("--trackers", nargs="*", choices=OPENCV_TRACKERS, default=OPENCV_TRACKERS,
                        help="OpenCV's trackers without a network (default: all; none: --trackers without names)")
    for tracker in NETWORK_TRACKERS.values():
        files = " and ".join(filter(None, tracker.files.values()))
        parser.add_argument(tracker.flag, type=Path, metavar="DIR" if files else "FILE",
                            help=f"compare with {tracker.label} too: "
                            + (f"the folder of {files}" if files else "its ONNX file") + f", from {tracker.source}")
    parser.add_argument("--threads", type=int, default=2, help="threads of each tracker (default: %(default)s)")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write all figures to this file")
    parser.add_argument("--markdown", type=Path, metavar="FILE", help="write the table to this file")
    parser.add_argument("--plot", type=Path, metavar="FILE", help="write the success plot to this PNG or PDF file")
    parser.add_argument("--speed_plot", type=Path, metavar="FILE",
                        help="write the plot of AUC against frames a second to this PNG or PDF file")
    parser.add_argument("--sheet", type=Path, metavar="FILE", help="write an image with the boxes of all trackers on "
                        "some frames of every video to this PNG or JPEG file")
    parser.add_argument("--env", type=Path, default=kept / "opencv_env", metavar="DIR",
                        help="OpenCV's virtual environment (default: %(default)s)")
    parser.add_argument("--cache", type=Path, default=kept / "compare_opencv", metavar="DIR",
                        help="folder in which results are kept (default: %(default)s)")
    parser.add_argument("--overwrite", action="store_true", help="track all videos again")
    return parser


def default_videos() -> list[Path]:
    """The folders of test videos in shared/real beside the checkout; [] where there are none."""
    real = PROJECT_ROOT.parent / "shared" / "real"
    return [folder for folder in (real / "otb", real / "tlp", real / "vot") if folder.is_dir()]


def _networks(configs: Sequence[str], checkpoints: Sequence[str] | None) -> list[tuple[str, str, str | Path]]:
    """The label, configuration and checkpoint of each MSTGT to run. One configuration may have several checkpoints."""
    names = [find_experiment("MSTGT", config).stem for config in configs]
    if checkpoints and len(names) == 1:
        names *= len(checkpoints)
    if checkpoints and len(checkpoints) != len(names):
        raise UserError(f"--checkpoint has {len(checkpoints)} files for {len(names)} configurations: give one for each")
    save_dir = load_paths(mode="test").save_dir
    files: list[str | Path] = [*checkpoints] if checkpoints else [
        find_checkpoint("MSTGT", name, load_config("MSTGT", name), save_dir) for name in names]
    counts = Counter(names)
    labels = [name if counts[name] == 1 else f"{name} ({Path(file).name})"
              for name, file in zip(names, files, strict=True)]
    if len(set(labels)) < len(labels):
        label = Counter(labels).most_common(1)[0][0]
        raise UserError(f"two runs would both be called {label}: give each configuration once, or checkpoints with "
                        "different file names")
    return list(zip(labels, names, files, strict=True))


def show(args: argparse.Namespace, report: BenchmarkReport, runs: Sequence[TrackerRun], references: Sequence[str],
         folders: Mapping[str, Path]) -> None:
    """Print the table and write the files that were asked for.

    references  the trackers that all others are compared with
    folders     the results by the run's label
    """
    from mstgt.visualize.plots import draw_plot  # loads matplotlib

    report, runs_by_tracker = merge_runs(report, runs)
    comparisons = compare_with(report, references)
    rows = table_rows(report, comparisons)
    notes = make_notes(report, runs, runs_by_tracker, folders, comparisons)
    title = f"{report.benchmark}: {len(report.videos)} videos, {sum(map(len, report.videos.values()))} frames"
    print(text_table(title, rows) + "".join(f"\n{note}" for note in notes))
    if args.json:
        write_json(args.json, as_json(report, runs, runs_by_tracker, comparisons, notes))
    if args.markdown:
        write_text(args.markdown, as_markdown(title, rows, notes))
    if args.plot:
        draw_plot(report, "success", args.plot)
    if args.speed_plot:
        draw_plot(report, "speed", args.speed_plot)
    if args.sheet:
        first_runs = {run.tracker: folders[run.label] for run in reversed(runs)}
        write_sheet(args.sheet, report, first_runs)
    for path in filter(None, (args.json, args.markdown, args.plot, args.speed_plot, args.sheet)):
        print(path)


def write_sheet(path: Path, report: BenchmarkReport, folders: Mapping[str, Path]) -> None:
    """Draw the ground truth and all trackers' boxes on some frames of every video. The colors are those of the plots.

    ``folders`` are the results by tracker.
    """
    boxes = {name: {label: read_boxes(folder, name) for label, folder in folders.items() if has_result(folder, name)}
             for name in report.videos}
    styles = plot_styles(report.all_scores)
    colors: dict[str, Color] = {}
    for score in reversed(report.scores):  # the first one, which is MSTGT, is drawn over the others
        red, green, blue = bytes.fromhex(styles[score.tracker].dark_color[1:])
        colors[score.tracker] = (red, green, blue)
    sheet = draw_strips(report.videos.values(), boxes, colors)
    with atomic_path(path) as temporary:
        if not cv2.imwrite(str(temporary), cv2.cvtColor(sheet, cv2.COLOR_RGB2BGR)):
            raise UserError(f"cannot write {path}: an image of {sheet.shape[1]} x {sheet.shape[0]} px")


if __name__ == "__main__":
    run_command(main)
