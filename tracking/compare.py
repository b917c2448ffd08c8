"""Compare two trackers with a paired bootstrap over a benchmark's videos: is A better than B, or is it chance?

    python tracking/compare.py MSTGT-full-256 MSTGT-got-256 --dataset lasot
    python tracking/compare.py ATOM SiamRPNpp --dataset lasot --data_dir <annotations> \\
        --results ATOM=/results/ATOM --results SiamRPNpp=/results/SiamRPNpp --json difference.json

A and B are results under the output folder (config or tracker/config) or names given with --results. Prints both
trackers' AUC, precision and normalized precision on the videos that both have, the difference A − B with its 95 %
interval, the share of resamples in which A is better, what that means, and the videos with the greatest gains and
losses. Result files that are missing or corrupt are listed first and make the exit status 1, unless --allow_missing is
given and nothing else is wrong.
"""

from __future__ import annotations

import argparse
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from mstgt.config.arguments import add_benchmark_arguments, add_results_argument, add_scoring_arguments
from mstgt.utils.errors import UserError, run_command

# What takes long to import is imported inside main, after the arguments have been checked.
if TYPE_CHECKING:
    from mstgt.test.analysis.report import BenchmarkReport
    from mstgt.test.analysis.score import Score


def parse_args() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("a", metavar="A", help="a tracker")
    parser.add_argument("b", metavar="B", help="another one")
    add_benchmark_arguments(parser, required=True)
    add_results_argument(parser)
    add_scoring_arguments(parser)
    parser.add_argument("--resamples", type=int, default=10_000, metavar="N",
                        help="samples of the bootstrap (default: %(default)s)")
    parser.add_argument("--seed", type=int, default=0, help="seed of the resampling (default: %(default)s)")
    parser.add_argument("--limit", "--most", type=int, default=5, metavar="N",
                        help="how many gains and losses to name (default: %(default)s)")
    args = parser.parse_args()
    for flag, least in (("resamples", 1), ("seed", 0), ("limit", 0)):
        if getattr(args, flag) < least:
            parser.error(f"--{flag} {getattr(args, flag)}: give {least} or more")
    return args


def folder_of(name: str, folders: dict[str, Path]) -> str:
    """The one tracker of ``folders`` that ``name`` means."""
    if name in folders:
        return name
    meant = [known for known in folders if name in known.split("/")]
    if len(meant) != 1:
        raise UserError(f"{name!r} means {len(meant)} trackers: name one of {', '.join(folders)}")
    return meant[0]


def score_of(tracker: str, report: BenchmarkReport) -> Score:
    """The score of ``tracker``, which must have one."""
    for score in report.scores:
        if score.tracker == tracker:
            return score
    raise UserError(f"not one video of {tracker} could be scored on {report.benchmark}: see the problems above")


def main() -> int:
    args = parse_args()

    from mstgt.config.paths import load_paths
    from mstgt.test.analysis.comparison import compare
    from mstgt.test.analysis.report import make_report
    from mstgt.test.analysis.result_folders import chosen_benchmark, load_near, results_on, score_cache
    from mstgt.utils.files import write_json

    paths = load_paths(args.data_dir, args.save_dir, mode="test")
    load_named = partial(load_near, dataset_dir=paths.dataset, data_dir=paths.data_dir)
    benchmark = chosen_benchmark(args.dataset, args.dataset_dir, load_named)
    results = results_on(benchmark, paths.save_dir, args.results, [args.a, args.b])
    names = [folder_of(name, results.folders) for name in (args.a, args.b)]
    if names[0] == names[1]:
        raise UserError(f"{args.a} and {args.b} are one tracker: name two of {', '.join(results.folders)}")
    cache = None if args.no_cache else score_cache(paths.save_dir)
    folders = {name: results.folders[name] for name in names}
    report = make_report(benchmark, folders, with_static_box=False, cache_folder=cache, workers=args.workers)
    for line in report.problem_lines():
        print(line)
    a, b = (score_of(name, report) for name in names)
    comparison = compare(a, b, args.resamples, args.seed)
    if comparison is None:
        raise UserError(f"{a.tracker} and {b.tracker} have no video of {benchmark.name} in common")
    print(comparison.text(args.limit))
    if args.json:
        write_json(args.json, {"benchmark": benchmark.name} | comparison.as_json())
    if report.failed(args.allow_missing):
        raise UserError("the problems above make this comparison incomplete (--allow_missing accepts missing videos)")
    return 0


if __name__ == "__main__":
    run_command(main)
