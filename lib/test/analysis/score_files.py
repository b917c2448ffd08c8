"""Score the result files of several trackers: what can be scored, and what is wrong with the rest.

    scores, problems = score_folders({"ATOM": folder}, benchmark, videos, cache_folder=save_dir / ".cache/scores")

A result that is missing, unreadable or not as long as its video is a ``Problem`` and not part of any mean. So is a
file of times, without which the boxes are scored all the same. What was scored before and has not changed comes from
the cache (``mstgt.test.analysis.cache``). The rest is spread over several processes where there is much to read.
Neither changes a number.
"""

from __future__ import annotations

import gc
import sys
from collections.abc import Iterator, Mapping
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass
from multiprocessing import get_context
from pathlib import Path
from typing import NamedTuple

import numpy as np

from ...data.video import Video
from ...utils.errors import UserError, explain_worker_start, shortened
from ...utils.progress import progress
from ...utils.threads import available_cores
from ..evaluation.absent_frames import AbsentFramePolicy
from ..evaluation.benchmarks import Benchmark
from ..evaluation.results import BOX_SOURCES, find_file, has_result, present_rows, read_boxes, read_seconds
from .cache import ScoreCache
from .score import Score, VideoScore, average, score_video

PARALLEL_FROM_BYTES = 16_000_000  # less is scored faster than processes start
MAX_WORKERS = 16


class _Result(NamedTuple):
    """The result of one tracker on one video."""

    tracker: str
    folder: Path
    video: str

    @property
    def path(self) -> Path:
        return find_file(self.folder, BOX_SOURCES, self.video)


class _Outcome(NamedTuple):
    """The score of a result, or what is wrong with it; both where only its times cannot be used."""

    score: VideoScore | None
    fault: str | None = None


@dataclass(frozen=True)
class Problem:
    """Something that keeps a video out of a mean. ``missing``: ``--allow_missing`` accepts it, because the file is not
    there, or it is that of the times, without which only FPS cannot be given."""

    message: str
    missing: bool = False


def score_folders(folders: Mapping[str, Path], benchmark: Benchmark, videos: Mapping[str, Video],
                  cache_folder: Path | None = None, workers: int | None = None) -> tuple[list[Score], list[Problem]]:
    """Score the result files of each tracker (name -> folder) on ``videos``, the benchmark's videos by name.

    A tracker without a single usable result has no score. ``workers`` is the number of processes, by default one per
    processor where there is much to read.
    """
    policy = benchmark.absent_policy
    cache = ScoreCache(cache_folder, policy, videos)
    outcomes: dict[tuple[str, str], _Outcome] = {}
    to_score = []
    for tracker, folder in folders.items():
        cached = cache.load(tracker, folder)
        for name in videos:
            if name in cached:
                outcomes[tracker, name] = _Outcome(cached[name])
            elif has_result(folder, name):
                to_score.append(_Result(tracker, folder, name))
    for result, outcome in _score_all(to_score, videos, policy, workers):
        outcomes[result.tracker, result.video] = outcome
    scores = []
    problems = []
    rescored = {result.tracker for result in to_score}
    for tracker, folder in folders.items():
        found = {name: outcomes[tracker, name] for name in videos if (tracker, name) in outcomes}
        video_scores = [outcome.score for outcome in found.values() if outcome.score is not None]
        if tracker in rescored:
            # A fault is told at every run: what has one is scored again.
            cache.save(tracker, folder, [score for score, fault in found.values() if score and not fault])
        problems += _problems(tracker, folder, benchmark, found)
        score = average(tracker, video_scores, benchmark.expected)
        if score is not None:
            scores.append(score)
    return scores, problems


def _problems(tracker: str, folder: Path, benchmark: Benchmark,
              outcomes: Mapping[str, _Outcome]) -> list[Problem]:
    """What is wrong with the results of one tracker, in the order of the videos; all missing files are one line."""
    problems: list[Problem] = []
    missing: list[str] = []
    place = 0
    for name in benchmark.videos.video_names:
        outcome = outcomes.get(name)
        if outcome is not None and outcome.fault:
            problems.append(Problem(f"{tracker}: {outcome.fault}", missing=outcome.score is not None))
        elif outcome is None and not has_result(folder, name):
            if not missing:
                place = len(problems)
            missing.append(name)
    if len(missing) == 1:
        problems.insert(place, Problem(f"{tracker}: missing {folder / (missing[0] + '.txt')}", missing=True))
    elif missing:
        names = shortened([f"{name}.txt" for name in missing])
        problems.insert(place, Problem(f"{tracker}: missing {len(missing)} of {len(benchmark.videos)} results in "
                                       f"{folder}: {names}", missing=True))
    return problems


def _score_all(results: list[_Result], videos: Mapping[str, Video], policy: AbsentFramePolicy,
               workers: int | None) -> Iterator[tuple[_Result, _Outcome]]:
    workers = _worker_count(results) if workers is None else min(workers, len(results))
    with progress(total=len(results), desc="scoring", unit="video", leave=False) as bar:
        if workers < 2:
            for result in results:
                yield result, _score(result, videos[result.video], policy)
                bar.update()
            return
        # The videos reach the workers by fork, without being pickled. Only Linux can fork safely here.
        context = get_context("fork" if sys.platform == "linux" else "spawn")
        with explain_worker_start():
            pool = ProcessPoolExecutor(workers, context, _init_worker, (videos, policy))
        try:
            for result, outcome in zip(results, pool.map(_score_in_worker, results, chunksize=16), strict=True):
                yield result, outcome
                bar.update()
        except BrokenProcessPool as error:
            raise UserError("a process that scores was killed, perhaps for lack of memory: score with one process") \
                from error
        finally:
            pool.shutdown(cancel_futures=True)


def _worker_count(results: list[_Result]) -> int:
    """How many processes to score with: one where starting others takes longer than scoring."""
    size = sum(result.path.stat().st_size for result in results)
    if size < PARALLEL_FROM_BYTES or sys.platform != "linux":
        return 1
    return min(available_cores(), MAX_WORKERS)


_in_worker: tuple[Mapping[str, Video], AbsentFramePolicy]  # set in each worker process


def _init_worker(videos: Mapping[str, Video], policy: AbsentFramePolicy) -> None:
    global _in_worker
    # Keep the parent's objects out of this process's garbage collection: finalizers of objects that belong to the
    # parent's threads must not run here.
    gc.freeze()
    _in_worker = videos, policy


def _score_in_worker(result: _Result) -> _Outcome:
    videos, policy = _in_worker
    return _score(result, videos[result.video], policy)


def _score(result: _Result, video: Video, policy: AbsentFramePolicy) -> _Outcome:
    fault = None
    try:
        seconds = read_seconds(result.folder, video.name)
        if seconds is not None:
            seconds = _fitted(seconds, video, result.folder / f"{video.name}_time.txt")
    except UserError as error:
        seconds, fault = None, f"{error}; its boxes are scored without times"
    try:
        boxes_xywh = _fitted(read_boxes(result.folder, video.name), video, result.path)
        return _Outcome(score_video(boxes_xywh, video, policy, seconds), fault)
    except UserError as error:
        return _Outcome(None, str(error))


def _fitted(rows: np.ndarray, video: Video, path: Path) -> np.ndarray:
    """The rows of the video's frames. Raises :class:`UserError` where there are more or fewer."""
    rows = present_rows(rows, video)
    # A result may end where the annotation ends.
    if len(rows) not in (len(video), video.annotated):
        kind = "short" if len(rows) < len(video) else "long"
        raise UserError(f"{path}: too {kind}: {len(rows)} rows for {len(video)} frames")
    return rows
