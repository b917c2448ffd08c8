"""The results there are to score: result folders, grouped by the benchmark they belong to.

    found = all_results(save_dir, load_named)        # everything under the output folder
    found[0].benchmark, found[0].folders             # tracker -> folder of result files
"""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from ...utils.errors import UserError, unknown_name
from ..evaluation.benchmarks import ALIASES, Benchmark, folder_benchmark, load_benchmark
from ..evaluation.results import ResultSet, find_results, has_result, results_root

MAX_DEPTH = 4  # levels of folders in which raw results are looked for: <tracker>/<config>/<run>/<benchmark>
HOW_TO_MAKE_RESULTS = "make some with python tracking/test.py"


def chosen_benchmark(dataset: str | None, dataset_dir: Path | None,
                     load_named: Callable[[str], Benchmark]) -> Benchmark:
    """The benchmark called ``dataset``, or the one in the folder ``dataset_dir``.

    Raises :class:`UserError` where its ground truth is hidden, so that nothing can be scored.
    """
    if dataset_dir is not None:
        benchmark = folder_benchmark(dataset_dir)
    else:
        assert dataset is not None
        benchmark = load_named(dataset)
    if benchmark.hidden_truth:
        raise UserError(f"{benchmark.name} has hidden ground truth: its server scores the results, not this command")
    return benchmark


def score_cache(save_dir: Path) -> Path:
    """Where the scores of earlier runs are kept."""
    return save_dir / ".cache" / "scores"


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
    own = [results for results in find_results(save_dir) if belongs(results, benchmark)]
    folders = {results.name: results.folder for results in choose(own, trackers, external)}
    for name, folder in external.items():
        folders[name] = external_folder(folder, benchmark)
    if not folders:
        raise UserError(f"nothing to score on {benchmark.name}: no results under {results_root(save_dir)}; "
                        f"{HOW_TO_MAKE_RESULTS}")
    return BenchmarkResults(benchmark.name, benchmark, folders)


def all_results(save_dir: Path, load_named: Callable[[str], Benchmark],
                trackers: Sequence[str]) -> list[BenchmarkResults]:
    """The results on every benchmark that has some under ``save_dir``."""
    by_benchmark: dict[tuple[str, Path | None], BenchmarkResults] = {}
    for results in choose(find_results(save_dir), trackers, {}):
        name = results.benchmark
        if results.root is None:
            name = ALIASES.get(name, name)
        # Two folder benchmarks may have the same name.
        key = (name, results.root)
        if key not in by_benchmark:
            by_benchmark[key] = _load(name, results, load_named)
        by_benchmark[key].folders[results.name] = results.folder
    if not by_benchmark:
        raise UserError(f"nothing to score: no results under {results_root(save_dir)}; {HOW_TO_MAKE_RESULTS}")
    return list(by_benchmark.values())


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
    known = {name for result in results for name in (result.tracker, result.config, result.name)}
    for name in trackers:
        if name in known or name in external:
            continue
        if known:
            raise UserError(f"no results: {unknown_name('tracker', name, known)}; {HOW_TO_MAKE_RESULTS}")
        raise UserError(f"no results of tracker {name!r}; {HOW_TO_MAKE_RESULTS}")
    if not trackers:
        return list(results)
    return [result for result in results if {result.tracker, result.config, result.name} & set(trackers)]


def external_folder(folder: Path, benchmark: Benchmark) -> Path:
    """The folder of raw results on ``benchmark``: ``folder`` itself, ``folder/<benchmark>``, or the only folder below
    it that has a result of one of the benchmark's videos.

    Raises :class:`UserError` where several have one. Where none has, it is ``folder``.
    """
    if not folder.is_dir():
        raise UserError(f"no results: there is no folder {folder}; give the folder that holds <video>.txt")
    names = benchmark.videos.video_names
    for place in (folder, folder / benchmark.name):
        if any(has_result(place, name) for name in names):
            return place
    below: list[Path] = []
    for root, inner, _ in os.walk(folder):
        if len(Path(root).relative_to(folder).parts) == MAX_DEPTH:
            inner.clear()
        places = [Path(root, name) for name in sorted(inner)]
        below += [place for place in places if any(has_result(place, name) for name in names)]
    if len(below) > 1:
        raise UserError(f"results on {benchmark.name} are in several folders below {folder}: "
                        f"{', '.join(str(path.relative_to(folder)) for path in below[:3])}; give one of them")
    return below[0] if below else folder
