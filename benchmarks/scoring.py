"""How long it takes to score a benchmark.

    python benchmarks/scoring.py --dataset lasot --data_dir <annotations> --results ATOM=<folder> --results B=<folder>
    python benchmarks/scoring.py                       # made-up results on made-up annotations of LaSOT's size

Result folders are copied under new names until there are ``--trackers`` of them. Prints a table: scoring without a
cache in one process, scoring and filling the cache as the analysis does it, and scoring again from the cache; each with
reading the annotations, without plots. Wall time, and processor time, which other work on the machine disturbs less.
"""

from __future__ import annotations

import argparse
import os
import shutil
import tempfile
import time
from functools import partial
from pathlib import Path

import numpy as np

from mstgt.config.arguments import add_benchmark_arguments, add_results_argument, add_scoring_arguments
from mstgt.config.paths import load_paths
from mstgt.test.analysis.report import make_report
from mstgt.test.analysis.result_folders import chosen_benchmark, external_folder, load_near
from mstgt.test.evaluation.benchmarks import Benchmark, folder_benchmark
from mstgt.utils.device import device_name
from mstgt.utils.errors import UserError, run_command
from mstgt.utils.progress import progress

VIDEOS, FRAMES = 280, 2448  # LaSOT's test set: the number of videos and their mean length
CACHE = "cache"


def made_up(root: Path) -> tuple[Benchmark, list[Path]]:
    """Annotations in whole pixels and one result of four decimals, of boxes that wander."""
    rng, results = np.random.default_rng(0), root / "results"
    results.mkdir()
    for v in progress(range(VIDEOS), desc="made-up videos", unit="video"):
        folder = root / "videos" / f"video-{v}"
        folder.mkdir(parents=True)
        boxes = np.concatenate([500 + rng.normal(0, 2, (FRAMES, 2)).cumsum(axis=0), np.full((FRAMES, 2), 90)], axis=1)
        np.savetxt(folder / "groundtruth.txt", boxes, fmt="%d", delimiter=",")
        np.savetxt(results / f"video-{v}.txt", boxes + rng.normal(0, 9, boxes.shape), fmt="%.4f", delimiter=",")
    return folder_benchmark(root / "videos"), [results]


def copies(folders: list[Path], trackers: int, root: Path) -> dict[str, Path]:
    """``trackers`` folders, made from ``folders`` in turn."""
    return {f"tracker-{i}": Path(shutil.copytree(folders[i % len(folders)], root / f"tracker-{i}"))
            for i in range(trackers)}


def processor_seconds() -> float:
    """What this process and its finished children have used."""
    return sum(os.times()[:4])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    add_benchmark_arguments(parser, required=False)
    add_results_argument(parser)
    add_scoring_arguments(parser)
    parser.add_argument("--trackers", type=int, default=8, help="%(default)s by default")
    args = parser.parse_args()
    if bool(args.dataset or args.dataset_dir) != bool(args.results):
        parser.error("a benchmark and --results go together")
    with tempfile.TemporaryDirectory() as name:
        root = Path(name)
        if args.results:
            paths = load_paths(args.data_dir, args.save_dir, mode="test")
            load_named = partial(load_near, dataset_dir=paths.dataset, data_dir=paths.data_dir)
            benchmark = chosen_benchmark(args.dataset, args.dataset_dir, load_named)
            folders = [external_folder(folder, benchmark) for folder in args.results.values()]
        else:
            benchmark, folders = made_up(root)
        trackers = copies(folders, args.trackers, root)
        size = sum(p.stat().st_size for folder in trackers.values() for p in folder.iterdir()) / 1e6
        print(f"{device_name('cpu')}, {os.cpu_count()} processors, NumPy {np.__version__}; {benchmark.name}: "
              f"{len(benchmark.videos)} videos x {len(trackers)} trackers, {size:.0f} MB of result files\n")
        print("| what | seconds | processor seconds |\n|---|---|---|")
        runs = {"no cache, 1 process": {"workers": 1},
                "cold: filling the cache": {"cache_folder": root / CACHE, "workers": args.workers},
                "warm: from the cache": {"cache_folder": root / CACHE, "workers": args.workers}}
        figures = []
        for what, options in runs.items():
            wall, processor = time.perf_counter(), processor_seconds()
            report = make_report(benchmark, trackers, **options)
            print(f"| {what} | {time.perf_counter() - wall:.2f} | {processor_seconds() - processor:.2f} |", flush=True)
            figures.append(report.as_json())
        if any(f != figures[0] for f in figures):
            raise UserError("the three ways of scoring do not agree")


if __name__ == "__main__":
    run_command(main)
