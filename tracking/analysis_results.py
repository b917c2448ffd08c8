"""Score result files and draw the plots. Needs annotations only, no images.

    python tracking/analysis_results.py                                    # everything under the output folder
    python tracking/analysis_results.py --dataset lasot --trackers MSTGT-full-256
    python tracking/analysis_results.py --dataset_dir /data/my_videos      # results on any folder of videos
    python tracking/analysis_results.py --dataset lasot --results ATOM=/results/ATOM/lasot --json scores.json

Prints one table a benchmark and writes success, precision and normalised precision plots (PNG and PDF) to
<save_dir>/test/result_plots/<benchmark>/. Result files that are missing, short, long or broken are listed first and
are part of no mean; they make the exit status 1 (--allow_missing forgives the missing ones).
"""

from __future__ import annotations

import argparse
from functools import partial
from pathlib import Path

from lib.config.paths import load_paths
from lib.test.analysis.jobs import Job, found_jobs, load_near, named_job
from lib.test.analysis.plots import draw_plots
from lib.test.analysis.report import Report, make_report
from lib.test.evaluation.benchmarks import folder_benchmark
from lib.utils.errors import UserError, run_command
from lib.utils.files import write_json


def parse_args() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    which = parser.add_mutually_exclusive_group()
    which.add_argument("--dataset", help="one benchmark by its name")
    which.add_argument("--dataset_dir", type=Path, metavar="DIR", help="one benchmark that is a folder of videos")
    parser.add_argument("--trackers", nargs="+", default=[], metavar="NAME",
                        help="only these (tracker, config or tracker/config)")
    parser.add_argument("--results", action="append", default=[], type=_name_and_folder, metavar="NAME=DIR",
                        help="also score the <video>.txt files in DIR; may be repeated")
    parser.add_argument("--data_dir", help="the folder that holds the datasets, or the dataset's own root")
    parser.add_argument("--save_dir", help="the output folder")
    parser.add_argument("--out", type=Path, metavar="DIR",
                        help="where the plots go (in a folder a benchmark, unless one was chosen)")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the figures as JSON")
    parser.add_argument("--with_trivial", action=argparse.BooleanOptionalAction, default=True,
                        help="show the tracker that keeps the first box")
    parser.add_argument("--allow_missing", action="store_true", help="missing videos do not make the status 1")
    args = parser.parse_args()
    if args.results and not (args.dataset or args.dataset_dir):
        parser.error("--results needs --dataset or --dataset_dir: which benchmark are they of?")
    return args


def _name_and_folder(text: str) -> tuple[str, Path]:
    name, separator, folder = text.partition("=")
    if not (name and separator and folder):
        raise argparse.ArgumentTypeError(f"expected NAME=DIR, not {text!r}")
    return name, Path(folder).expanduser()


def find_jobs(args: argparse.Namespace, save_dir: Path, load_named) -> list[Job]:
    """The one benchmark that was chosen, or all that have results."""
    if not (args.dataset or args.dataset_dir):
        return found_jobs(save_dir, load_named, args.trackers)
    benchmark = folder_benchmark(args.dataset_dir) if args.dataset_dir else load_named(args.dataset)
    if benchmark.hidden_truth:
        raise UserError(f"{benchmark.name} has hidden ground truth: its server scores the results, not this command")
    return [named_job(benchmark, save_dir, dict(args.results), args.trackers)]


def score_job(job: Job, plots_at: Path, args: argparse.Namespace) -> tuple[Report | None, bool]:
    """Print and draw one benchmark; the report (None when it cannot be scored) and whether something is wrong."""
    if job.benchmark is None:
        print(f"problem: {job.error}")
        return None, True
    if job.benchmark.hidden_truth:
        print(f"note: {job.name} has hidden ground truth: its server scores the results, not this command")
        return None, False
    report = make_report(job.benchmark, job.folders, args.with_trivial)
    print(report.text())
    if report.scores:
        draw_plots(report.benchmark, report.all_scores, plots_at)
        print(f"plots: {plots_at}")
    return report, report.failed(args.allow_missing)


def main() -> int:
    args = parse_args()
    paths = load_paths(args.data_dir, args.save_dir, half="test")
    load_named = partial(load_near, dataset_dir=paths.dataset, data_dir=paths.data_dir)
    jobs = find_jobs(args, paths.save_dir, load_named)
    chosen = bool(args.dataset or args.dataset_dir)
    reports, failed = [], False
    for job in jobs:
        base = args.out or paths.save_dir / "test" / "result_plots"
        report, wrong = score_job(job, base if args.out and chosen else base / job.name, args)
        reports += [report] if report else []
        failed |= wrong
    if args.json and reports:
        values = [report.as_json() for report in reports]
        write_json(args.json, values[0] if chosen else {"benchmarks": values})
    if failed:
        raise UserError("the problems above stand against these scores (--allow_missing forgives missing videos)")
    if not reports:
        raise UserError("nothing to score: all results found are on benchmarks with hidden ground truth")
    return 0


if __name__ == "__main__":
    run_command(main)
