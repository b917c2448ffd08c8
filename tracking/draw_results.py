"""Draw results on their videos: an MP4 and a sheet of frames per video.

    python tracking/draw_results.py                              # three videos of every result found
    python tracking/draw_results.py --dataset synthetic --sequence SYN_Test_000003
    python tracking/draw_results.py --dataset_dir /my/videos --results ATOM=/results/ATOM --results KCF=/results/KCF

Green is the ground truth. Results under the output folder are drawn one tracker at a time, into
<save_dir>/test/videos/<tracker>/<config>/<dataset>/. With --results all trackers are drawn into the same video, each in
its own color with a legend, into <save_dir>/test/videos/<dataset>/.
"""

from __future__ import annotations

import argparse
import logging
import sys
from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from mstgt.config.arguments import (
    add_benchmark_arguments,
    add_results_argument,
    add_shared_arguments,
    require_benchmark,
    user_path,
)
from mstgt.utils.errors import UserError, one_line, run_command

# What takes long to import is imported inside functions, after the arguments have been checked.
if TYPE_CHECKING:
    from mstgt.config import Paths
    from mstgt.data.video import Video
    from mstgt.test.evaluation.benchmarks import Benchmark
    from mstgt.visualize.result_video import TrackerBoxes


_log = logging.getLogger(__name__)


def parse_args() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    add_benchmark_arguments(parser, required=False)
    add_shared_arguments(parser, "config", defaults={"config": None})
    add_results_argument(parser)
    parser.add_argument("--trackers", nargs="+", default=[], metavar="NAME",
                        help="only these (tracker, config or tracker/config)")
    parser.add_argument("--sequence", action="append", metavar="VIDEO", help="only this video (may be repeated)")
    parser.add_argument("--limit", "--most", type=int, default=3, metavar="N",
                        help="videos per set of results, unless --sequence is given (default: %(default)s)")
    parser.add_argument("--out", type=user_path, metavar="DIR",
                        help="where the files go (default: below <save_dir>/test/videos)")
    args = parser.parse_args()
    require_benchmark(parser, args, "results", "trackers")
    if args.limit < 1:
        parser.error(f"--limit {args.limit}: give 1 or more")
    return args


def main() -> None:
    logging.basicConfig(level=logging.INFO, format="%(levelname)s: %(message)s")
    args = parse_args()

    from mstgt.config import load_paths

    paths = load_paths(args.data_dir, args.save_dir, mode="test")
    if args.results:
        draw_together(args, paths)
    else:
        draw_one_by_one(args, paths)


def draw_together(args: argparse.Namespace, paths: Paths) -> None:
    """All trackers on one benchmark in the same videos."""
    from mstgt.test.analysis.result_folders import load_near, results_on
    from mstgt.test.evaluation.benchmarks import folder_benchmark

    load_named = partial(load_near, dataset_dir=paths.dataset, data_dir=paths.data_dir)
    benchmark = folder_benchmark(args.dataset_dir) if args.dataset_dir else load_named(args.dataset)
    trackers = [*args.trackers, args.config] if args.config else args.trackers
    results = results_on(benchmark, paths.save_dir, args.results, trackers)
    out = args.out or paths.save_dir / "test" / "videos" / benchmark.name
    draw(args, benchmark, results.folders, out)


def draw_one_by_one(args: argparse.Namespace, paths: Paths) -> None:
    """Every set of results under the output folder by itself."""
    from mstgt.test.analysis.result_folders import choose
    from mstgt.test.evaluation.benchmarks import ALIASES, folder_benchmark, load_benchmark
    from mstgt.test.evaluation.results import find_results, results_root

    root = folder_benchmark(args.dataset_dir).root if args.dataset_dir else None
    dataset = ALIASES.get(args.dataset, args.dataset)
    found = [results for results in choose(find_results(paths.save_dir), args.trackers, {})
             if dataset in (None, results.benchmark) and args.config in (None, results.config)
             and root in (None, results.root)]
    if not found:
        raise UserError(f"no such results in {results_root(paths.save_dir)}; make some with python tracking/test.py")
    out = args.out or paths.save_dir / "test" / "videos"
    for results in found:
        benchmark = folder_benchmark(results.root) if results.root else load_benchmark(results.benchmark, paths.dataset)
        draw(args, benchmark, {results.name: results.folder}, out / results.tracker / results.config / benchmark.name)


def draw(args: argparse.Namespace, benchmark: Benchmark, folders: Mapping[str, Path], out: Path) -> None:
    """Draw the videos that are asked for, with the results of every tracker that has one."""
    from mstgt.test.evaluation.results import has_result
    from mstgt.visualize.result_video import write_result_sheet, write_result_video

    names = [name for name in benchmark.videos.video_names
             if any(has_result(folder, name) for folder in folders.values())]
    chosen = [name for name in names if name in args.sequence] if args.sequence else spread(names, args.limit)
    places = ", ".join(str(folder) for folder in folders.values())
    if not chosen:
        raise UserError(f"{places}: no result of {', '.join(args.sequence or ['any video of ' + benchmark.name])}")
    if unknown := [name for name in args.sequence or () if name not in chosen]:
        _log.warning("%s", one_line(f"{places}: no result of {', '.join(unknown)}"))
    failed = 0
    for name in chosen:
        try:
            video = benchmark.videos.load(name)
            trackers = [read_tracker(tracker, folder, video) for tracker, folder in folders.items()]
            write_result_video(out / f"{name}.mp4", video, trackers)
            write_result_sheet(out / f"{name}.png", video, trackers)
        except UserError as error:
            # A video that cannot be read, or a result: the others are drawn.
            failed += 1
            print(one_line(f"FAILED {name}: {error}"))
            continue
        print(one_line(out / f"{name}.mp4"))
        print(one_line(out / f"{name}.png"))
    if len(chosen) < len(names) and not args.sequence:  # not among the paths, which scripts read
        print(f"{len(chosen)} of {len(names)} videos with results were chosen; --limit N draws more", file=sys.stderr)
    if failed:
        raise UserError(f"{failed} of {len(chosen)} videos could not be drawn")


def read_tracker(tracker: str, folder: Path, video: Video) -> TrackerBoxes:
    """What is drawn of a tracker: nothing without a result of this video, but it keeps its place, so that it has the
    same color in all videos."""
    import numpy as np

    from mstgt.test.evaluation.results import has_result, present_rows, read_boxes, read_scores
    from mstgt.visualize.result_video import TrackerBoxes

    boxes_xywh, scores = np.empty((0, 4)), None
    if has_result(folder, video.name):
        boxes_xywh = present_rows(read_boxes(folder, video.name), video)
        try:
            scores = read_scores(folder, video.name)
            if scores is not None and len(scores := present_rows(scores, video)) != len(boxes_xywh):
                raise UserError(f"{folder / video.name}_score.txt: {len(scores)} rows for {len(boxes_xywh)} boxes")
        except UserError as error:
            _log.warning("%s", one_line(f"{error}; the boxes are drawn without scores"))
            scores = None
    if len(boxes_xywh) != len(video):
        _log.warning("%s", one_line(f"{video.name}: {tracker} has {len(boxes_xywh)} boxes for {len(video)} frames"))
    return TrackerBoxes(tracker, boxes_xywh, scores)


def spread(names: list[str], limit: int) -> list[str]:
    """At most ``limit`` of ``names``, evenly from the first to the last."""
    if len(names) <= limit:
        return names
    if limit == 1:
        return names[:1]
    return [names[round(i * (len(names) - 1) / (limit - 1))] for i in range(limit)]


if __name__ == "__main__":
    run_command(main)
