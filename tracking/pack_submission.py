"""Pack the results of a benchmark with hidden ground truth as its server takes them.

    python tracking/pack_submission.py --dataset got10k --config MSTGT-full-256
    python tracking/pack_submission.py --dataset trackingnet --results Mine=/results/mine/trackingnet

Checks every file against the benchmark on disk (every video is there, a row for every frame, finite numbers, no
negative side, the first box as given; for GOT-10k the times too) and lists all problems with file and line. With a
problem nothing is written and the exit status is 1. Result files are only read. The zip goes to
<save_dir>/test/submissions/<benchmark>/<tracker>_<config>.zip and replaces one that is there; the same results give the
same bytes.
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from mstgt.config.arguments import add_shared_arguments, user_path
from mstgt.utils.errors import UserError, one_line, run_command, shortened

# What takes long to import is imported inside functions, after the arguments have been checked.
if TYPE_CHECKING:
    from mstgt.test.evaluation.benchmarks import Benchmark


def parse_args() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--dataset", required=True, help="got10k (or got10k_test) or trackingnet")
    add_shared_arguments(parser, "script", "data_dir", "save_dir")
    which = parser.add_mutually_exclusive_group(required=True)
    add_shared_arguments(which, "config", defaults={"config": None})
    which.add_argument("--results", type=_name_and_folder, metavar="NAME=DIR",
                       help="pack the result files in DIR, of any tracker (NAME= may be left out)")
    parser.add_argument("--run", default="", metavar="NAME", help="the run's name, as given to --run of the test")
    parser.add_argument("--out", type=user_path, metavar="FILE.zip",
                        help="the file to write (default: below <save_dir>/test/submissions)")
    parser.add_argument("--allow_missing", action="store_true",
                        help="pack the videos that are on disk, though the server wants all")
    args = parser.parse_args()
    if args.out and args.out.suffix != ".zip":
        parser.error(f"--out must end in .zip, not {args.out.name!r}")
    return args


def _name_and_folder(text: str) -> tuple[str, Path]:
    """NAME=DIR, or a folder by itself, which then gives the name."""
    name, separator, folder = text.partition("=")
    whole = user_path(text)
    if separator and name and folder and not whole.exists():
        return name, user_path(folder)
    return whole.resolve().name, whole


def find_source(args: argparse.Namespace, benchmark: Benchmark, save_dir: Path) -> tuple[Path, str]:
    """The folder of result files, and a name for them."""
    from mstgt.config import find_experiment, script_name
    from mstgt.test.analysis.result_folders import external_folder
    from mstgt.test.evaluation.results import result_folder, run_name

    if args.results:
        name, folder = args.results
        return external_folder(folder, benchmark), name
    script = script_name(args.script)
    config = find_experiment(args.script, args.config).stem
    run = run_name(config, args.run)
    source = result_folder(save_dir, script, run, benchmark.name)
    if not source.is_dir():
        raise UserError(f"no results: there is no folder {source}; make them with: python tracking/test.py "
                        f"--config {config} --dataset {benchmark.name}")
    return source, f"{script}_{run}"


def main() -> int:
    args = parse_args()

    from mstgt.config import load_paths
    from mstgt.test.evaluation.benchmarks import ALIASES, load_benchmark
    from mstgt.test.evaluation.results import read_manifest
    from mstgt.test.evaluation.submission import absent_videos, collect, server_of, unexpected_files, write_zip

    server = server_of(args.dataset)
    paths = load_paths(args.data_dir, args.save_dir, mode="test")
    benchmark = load_benchmark(args.dataset, paths.dataset)
    source, name = find_source(args, benchmark, paths.save_dir)
    manifest = read_manifest(source)
    made_on = benchmark.name if manifest is None else manifest["benchmark"]
    if ALIASES.get(made_on, made_on) != benchmark.name:
        raise UserError(f"{source} holds results on {made_on}, not on {benchmark.name}")
    members, problems = collect(benchmark, source, server)
    absent = absent_videos(benchmark)
    if absent and not args.allow_missing:
        problems.insert(0, f"{absent}; the server wants all (--allow_missing packs what is there)")
    for problem in problems:
        print(one_line(f"problem: {problem}"))
    if problems:
        raise UserError(f"{len(problems)} problem(s) with the results in {source}: nothing was written")
    unexpected = unexpected_files(benchmark, source)
    if unexpected:
        print(one_line(f"note: {len(unexpected)} file(s) in {source} belong to none of the videos and are left out: "
                       f"{shortened(unexpected)}"))
    out = args.out or paths.save_dir / "test" / "submissions" / benchmark.name / f"{name}.zip"
    write_zip(out, members)
    incomplete = f"; NOT COMPLETE, {absent}" if absent else ""
    print(one_line(f"{out}: {len(members)} files of {len(benchmark.videos)} videos, "
                   f"{out.stat().st_size / 1e6:.2f} MB{incomplete}"))
    return 0


if __name__ == "__main__":
    run_command(main)
