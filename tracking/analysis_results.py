"""Score result files and draw the plots. Needs annotations only, no images.

    python tracking/analysis_results.py                                    # everything under the output folder
    python tracking/analysis_results.py --dataset lasot --trackers MSTGT-full-256
    python tracking/analysis_results.py --dataset_dir /data/my_videos      # results on any folder of videos
    python tracking/analysis_results.py --dataset lasot --results ATOM=/results/ATOM/lasot --json scores.json

Prints one table a benchmark and writes plots (PNG and PDF) and report.html, one page with all of it, to
<save_dir>/test/result_plots/<benchmark>/; --attributes adds a table of AUC by attribute. Result files that are missing,
short, long or broken are listed first and are part of no mean; they make the exit status 1 (--allow_missing forgives
the missing ones).
"""

from __future__ import annotations

import argparse
from functools import partial
from pathlib import Path

from mstgt.config.paths import load_paths
from mstgt.test.analysis.attributes import read_attributes
from mstgt.test.analysis.report import BenchmarkReport, make_report
from mstgt.test.analysis.result_folders import (
    BenchmarkResults,
    add_arguments,
    all_results,
    chosen_benchmark,
    load_near,
    results_on,
    score_cache,
)
from mstgt.utils.errors import UserError, run_command
from mstgt.utils.files import write_json
from mstgt.visualize.html_report import write_report
from mstgt.visualize.plots import draw_plots


def parse_args() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    add_arguments(parser, one_benchmark=False)
    parser.add_argument("--trackers", nargs="+", default=[], metavar="NAME",
                        help="only these (tracker, config or tracker/config)")
    parser.add_argument("--out", type=Path, metavar="DIR",
                        help="where the plots go (in a folder a benchmark, unless one was chosen)")
    parser.add_argument("--attributes", action="store_true", help="also show AUC by attribute, and put it into --json")
    parser.add_argument("--attributes_file", type=Path, metavar="CSV",
                        help="the videos' attributes: video,<name>,… then a line a video with 0 or 1 for each")
    parser.add_argument("--with_static_box", "--with_trivial", action=argparse.BooleanOptionalAction, default=True,
                        help="show the baseline that keeps the given box in every frame")
    args = parser.parse_args()
    if args.attributes_file and not (args.dataset or args.dataset_dir):
        parser.error("--attributes_file needs --dataset or --dataset_dir: which benchmark is it of?")
    if args.results and not (args.dataset or args.dataset_dir):
        parser.error("--results needs --dataset or --dataset_dir: which benchmark are they of?")
    return args


def find_results_to_score(args: argparse.Namespace, save_dir: Path, load_named) -> list[BenchmarkResults]:
    """The one benchmark that was chosen, or all that have results."""
    if not (args.dataset or args.dataset_dir):
        return all_results(save_dir, load_named, args.trackers)
    return [results_on(chosen_benchmark(args, load_named), save_dir, args.results, args.trackers)]


def score_job(job: BenchmarkResults, plots_at: Path, cache: Path | None,
              args: argparse.Namespace) -> tuple[BenchmarkReport | None, bool]:
    """Print and draw one benchmark; the report (None when it cannot be scored) and whether something is wrong."""
    if job.benchmark is None:
        print(f"problem: {job.error}")
        return None, True
    if job.benchmark.hidden_truth:
        print(f"note: {job.name} has hidden ground truth: its server scores the results, not this command")
        return None, False
    table = read_attributes(args.attributes_file) if args.attributes_file else None
    report = make_report(job.benchmark, job.folders, args.with_static_box, cache, args.workers, table)
    print(report.text(args.attributes))
    if report.scores:
        draw_plots(report, plots_at)
        print(f"plots: {plots_at}")
    print(f"report: {write_report(report, plots_at, job.folders)}")
    return report, report.failed(args.allow_missing)


def main() -> int:
    args = parse_args()
    paths = load_paths(args.data_dir, args.save_dir, mode="test")
    load_named = partial(load_near, dataset_dir=paths.dataset, data_dir=paths.data_dir)
    jobs = find_results_to_score(args, paths.save_dir, load_named)
    chosen = bool(args.dataset or args.dataset_dir)
    cache = None if args.no_cache else score_cache(paths.save_dir)
    reports, failed = [], False
    for job in jobs:
        base = args.out or paths.save_dir / "test" / "result_plots"
        report, wrong = score_job(job, base if args.out and chosen else base / job.name, cache, args)
        reports += [report] if report else []
        failed |= wrong
    if args.json and reports:
        values = [report.as_json(args.attributes) for report in reports]
        write_json(args.json, values[0] if chosen else {"benchmarks": values})
    if failed:
        raise UserError("the problems above stand against these scores (--allow_missing forgives missing videos)")
    if not reports:
        raise UserError("nothing to score: all results found are on benchmarks with hidden ground truth")
    return 0


if __name__ == "__main__":
    run_command(main)
