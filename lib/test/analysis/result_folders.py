"""What there is to score: result folders grouped by the benchmark they belong to.

    jobs = all_results(save_dir, load_named)        # everything under the output folder
    jobs[0].benchmark, jobs[0].folders             # tracker -> folder of result files
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from ...utils.errors import UserError, unknown_name
from ..evaluation.benchmarks import ALIASES, Benchmark, folder_benchmark, load_benchmark
from ..evaluation.results import ResultSet, find_results, is_result_file, results_root

HOW_TO_MAKE_RESULTS = "make some with: python tracking/test.py --tracker_param <config> --dataset <benchmark>"


def add_arguments(parser: argparse.ArgumentParser, one_benchmark: bool) -> None:
    """The arguments of every command that scores; ``one_benchmark``: it must be chosen."""
    which = parser.add_mutually_exclusive_group(required=one_benchmark)
    which.add_argument("--dataset", help="one benchmark by its name")
    which.add_argument("--dataset_dir", type=Path, metavar="DIR", help="one benchmark that is a folder of videos")
    parser.add_argument("--results", action=_AddResults, type=_name_and_folder, default={}, metavar="NAME=DIR",
                        help="also score the <video>.txt files in DIR; may be repeated")
    parser.add_argument("--data_dir", help="the folder that holds the datasets, or the dataset's own root")
    parser.add_argument("--save_dir", help="the output folder")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the figures as JSON")
    parser.add_argument("--allow_missing", action="store_true", help="missing videos do not make the status 1")
    parser.add_argument("--no_cache", action="store_true",
                        help="neither use nor keep the scores of earlier runs (<save_dir>/.cache/scores)")
    parser.add_argument("--workers", type=int, metavar="N", help="processes to score with (default: as many as pay)")


def chosen_benchmark(args: argparse.Namespace, load_named: Callable[[str], Benchmark]) -> Benchmark:
    """The benchmark that ``--dataset`` or ``--dataset_dir`` names; it must have a ground truth to score with."""
    benchmark = folder_benchmark(args.dataset_dir) if args.dataset_dir else load_named(args.dataset)
    if benchmark.hidden_truth:
        raise UserError(f"{benchmark.name} has hidden ground truth: its server scores the results, not this command")
    return benchmark


def score_cache(save_dir: Path) -> Path:
    """Where the scores of earlier runs are kept."""
    return save_dir / ".cache" / "scores"


class _AddResults(argparse.Action):
    """Collects NAME=DIR pairs in a dict; a name can be given once."""

    def __call__(self, parser, namespace, values, option_string=None):
        name, folder = values
        given = getattr(namespace, self.dest)
        if name in given:
            parser.error(f"{option_string} {name}=… is given twice: a table can show each name once")
        setattr(namespace, self.dest, given | {name: folder})


def _name_and_folder(text: str) -> tuple[str, Path]:
    name, separator, folder = text.partition("=")
    if not (name and separator and folder):
        raise argparse.ArgumentTypeError(f"expected NAME=DIR, not {text!r}")
    return name, Path(folder).expanduser()


@dataclass
class BenchmarkResults:
    """One benchmark and the trackers to score on it. ``error`` stands in for a benchmark that cannot be loaded."""

    name: str
    benchmark: Benchmark | None = None
    folders: dict[str, Path] = field(default_factory=dict)
    error: str | None = None


def results_on(benchmark: Benchmark, save_dir: Path, external: dict[str, Path],
               trackers: Sequence[str]) -> BenchmarkResults:
    """The results on one chosen benchmark: those under ``save_dir`` that belong to it, and ``external`` ones."""
    own = [r for r in find_results(save_dir) if belongs(r, benchmark)]
    folders = {r.name: r.folder for r in choose(own, trackers, external)}
    folders |= {name: external_folder(folder, benchmark.name) for name, folder in external.items()}
    if not folders:
        raise UserError(f"nothing to score on {benchmark.name}: no results under {results_root(save_dir)}; "
                        f"{HOW_TO_MAKE_RESULTS}")
    return BenchmarkResults(benchmark.name, benchmark, folders)


def all_results(save_dir: Path, load_named: Callable[[str], Benchmark],
                trackers: Sequence[str]) -> list[BenchmarkResults]:
    """A job for each benchmark that has results under ``save_dir``."""
    jobs: dict[tuple[str, Path | None], BenchmarkResults] = {}
    for result in choose(find_results(save_dir), trackers, {}):
        key = ALIASES.get(result.benchmark, result.benchmark) if result.root is None else result.benchmark, result.root
        if key not in jobs:
            jobs[key] = _load(key[0], result, load_named)
        jobs[key].folders[result.name] = result.folder
    if not jobs:
        raise UserError(f"nothing to score: no results under {results_root(save_dir)}; {HOW_TO_MAKE_RESULTS}")
    return list(jobs.values())


def _load(name: str, result: ResultSet, load_named: Callable[[str], Benchmark]) -> BenchmarkResults:
    try:
        return BenchmarkResults(name, load_named(name) if result.root is None else folder_benchmark(result.root))
    except UserError as error:
        return BenchmarkResults(name, error=f"{result.folder}: {error}")


def load_near(name: str, dataset_dir: Callable[[str], Path], data_dir: Path) -> Benchmark:
    """The benchmark ``name`` where ``dataset_dir`` says, else in ``data_dir`` itself when that is its root."""
    try:
        return load_benchmark(name, dataset_dir)
    except UserError as error:
        try:
            return load_benchmark(name, lambda _: data_dir)
        except UserError:
            raise error from None


def belongs(result: ResultSet, benchmark: Benchmark) -> bool:
    """Whether results were made on ``benchmark``. Without a manifest only the folder's name can say."""
    if benchmark.root is not None:
        return result.root == benchmark.root
    return result.root is None and ALIASES.get(result.benchmark, result.benchmark) == benchmark.name


def choose(results: Sequence[ResultSet], trackers: Sequence[str], external: dict[str, Path]) -> list[ResultSet]:
    """The results of ``trackers``, each named as tracker, config or tracker/config; all of them when none is named."""
    known = {name for r in results for name in (r.tracker, r.config, r.name)}
    for name in trackers:
        if name not in known and name not in external:
            raise unknown_name("tracker", name, known) if known else UserError(
                f"no results of tracker {name!r}; {HOW_TO_MAKE_RESULTS}")
    return [r for r in results if not trackers or {r.tracker, r.config, r.name} & set(trackers)]


def external_folder(folder: Path, benchmark: str) -> Path:
    """The folder of raw results: ``folder``, or ``folder/<benchmark>`` when the files are in there."""
    if not folder.is_dir():
        raise UserError(f"no results: there is no folder {folder}; give the folder that holds <video>.txt")
    inner = folder / benchmark
    here = any(is_result_file(path) for path in folder.iterdir())
    return inner if inner.is_dir() and not here else folder
