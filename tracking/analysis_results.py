"""Score result files and draw the plots. Needs annotations only, no images.

    python tracking/analysis_results.py                                    # everything under the output folder
    python tracking/analysis_results.py --dataset lasot --trackers MSTGT-full-256
    python tracking/analysis_results.py --dataset_dir /data/my_videos      # results on any folder of videos
    python tracking/analysis_results.py --dataset lasot --results ATOM=/results/ATOM/lasot --json scores.json

Prints one table per benchmark. Writes plots (PNG and PDF) and report.html, one page with all of it, to
<save_dir>/test/result_plots/<benchmark>/; --attributes adds a table of AUC by attribute. Result files that are missing,
short, long or corrupt are listed first and are not part of any mean. They make the exit status 1, unless
--allow_missing is given and nothing else is wrong.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from mstgt.config.arguments import (
    add_benchmark_arguments,
    add_results_argument,
    add_scoring_arguments,
    require_benchmark,
    user_path,
)
from mstgt.utils.errors import UserError, one_line, run_command

# What takes long to import is imported inside functions, after the arguments have been checked.
if TYPE_CHECKING:
    from mstgt.test.analysis.report import BenchmarkReport
    from mstgt.test.analysis.result_folders import BenchmarkResults
    from mstgt.test.evaluation.benchmarks import Benchmark


def parse_args() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    add_benchmark_arguments(parser, required=False)
    add_results_argument(parser)
    add_scoring_arguments(parser)
    parser.add_argument("--trackers", nargs="+", default=[], metavar="NAME",
                        help="only these (tracker, config or tracker/config)")
    parser.add_argument("--out", type=user_path, metavar="DIR",
                        help="where the plots go, with one folder per benchmark unless one was chosen "
                        "(default: <save_dir>/test/result_plots)")
    parser.add_argument("--attributes", action="store_true", help="also show AUC by attribute, and put it into --json")
    parser.add_argument("--attributes_file", type=user_path, metavar="CSV",
                        help="the videos' attributes: video,<name>,… then a line per video with 0 or 1 for each")
    parser.add_argument("--with_static_box", "--with_trivial", action=argparse.BooleanOptionalAction, default=True,
                        help="show the static-box baseline, which returns the given box in every frame")
    args = parser.parse_args()
    require_benchmark(parser, args, "attributes_file", "results")
    return args


def find_results_to_score(args: argparse.Namespace, save_dir: Path,
                          load_named: Callable[[str], Benchmark]) -> list[BenchmarkResults]:
    """The one benchmark that was chosen, or all that have results."""
    from mstgt.test.analysis.result_folders import all_results, chosen_benchmark, results_on

    if not (args.dataset or args.dataset_dir):
        return all_results(save_dir, load_named, args.trackers)
    benchmark = chosen_benchmark(args.dataset, args.dataset_dir, load_named)
    return [results_on(benchmark, save_dir, args.results, args.trackers)]


def score_benchmark(results: BenchmarkResults, plots_dir: Path, cache: Path | None,
                    args: argparse.Namespace) -> tuple[BenchmarkReport | None, bool]:
    """Print and draw one benchmark; the report (None when it cannot be scored) and whether something is wrong."""
    if results.benchmark is None:
        print(f"problem: {one_line(results.error)}")
        return None, True
    if results.benchmark.hidden_truth:
        print(f"note: {results.name} has hidden ground truth: its server scores the results, not this command")
        return None, False

    from mstgt.test.analysis.attributes import read_attributes
    from mstgt.test.analysis.report import make_report

    table = read_attributes(args.attributes_file) if args.attributes_file else None
    report = make_report(results.benchmark, results.folders, args.with_static_box, cache, args.workers, table)
    print(report.text(args.attributes))

    # matplotlib takes seconds to import. The table is printed before.
    from mstgt.visualize import plots
    from mstgt.visualize.html_report import write_report

    if report.scores:
        plots.draw_plots(report, plots_dir)
        print(one_line(f"plots: {plots_dir}"))
    print(one_line(f"report: {write_report(report, plots_dir, results.folders)}"))
    return report, report.failed(args.allow_missing)


def main() -> int:
    args = parse_args()

    from mstgt.config.paths import load_paths
    from mstgt.test.analysis.result_folders import load_near, score_cache
    from mstgt.utils.files import write_json

    paths = load_paths(args.data_dir, args.save_dir, mode="test")
    load_named = partial(load_near, dataset_dir=paths.dataset, data_dir=paths.data_dir)
    found = find_results_to_score(args, paths.save_dir, load_named)
    chosen = bool(args.dataset or args.dataset_dir)
    cache = None if args.no_cache else score_cache(paths.save_dir)
    plots_root = args.out or paths.save_dir / "test" / "result_plots"
    reports = []
    failed = False
    for results in found:
        plots_dir = plots_root if args.out and chosen else plots_root / results.name
        report, wrong = score_benchmark(results, plots_dir, cache, args)
        if report is not None:
            reports.append(report)
        failed |= wrong
    if args.json and reports:
        values = [report.as_json(args.attributes) for report in reports]
        write_json(args.json, values[0] if chosen else {"benchmarks": values})
    if failed:
        raise UserError("the problems above make these scores incomplete (--allow_missing accepts missing videos)")
    if not reports:
        raise UserError("nothing to score: all results found are on benchmarks with hidden ground truth")
    return 0


if __name__ == "__main__":
    run_command(main)
