"""Scoring the result files of several trackers: what can be scored, and what is wrong with the rest.

    scores, problems = score_folders({"ATOM": folder}, benchmark, sequences, cache_folder=save_dir / ".cache/scores")

A result that is missing, unreadable or not as long as its video is a ``Problem`` and no part of any mean. What was
scored before and has not changed since comes from the cache (``mstgt.test.analysis.cache``); the rest is spread over
processes where there is much of it. Neither changes a figure.
"""

from __future__ import annotations

import gc
import os
import sys
from collections.abc import Iterator, Mapping
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass
from multiprocessing import get_context
from pathlib import Path

from ...data.video import Video
from ...utils.errors import UserError
from ...utils.progress import progress
from ..evaluation.absent_frames import AbsentFramePolicy
from ..evaluation.benchmarks import Benchmark
from ..evaluation.results import has_result, read_boxes, read_seconds
from .cache import ScoreCache
from .score import Score, VideoScore, average, score_video

MUCH = 16_000_000  # bytes of result files from which on processes pay

_VideoResult = tuple[str, Path, str]  # tracker, its folder, video


@dataclass(frozen=True)
class Problem:
    """Something that keeps a video out of a mean. ``missing``: there is just no file for it."""

    message: str
    missing: bool = False


def score_folders(folders: Mapping[str, Path], benchmark: Benchmark, sequences: Mapping[str, Video],
                  cache_folder: Path | None = None, workers: int | None = None) -> tuple[list[Score], list[Problem]]:
    """Score the result files of each tracker (name -> folder); ``sequences`` are the benchmark's videos by name.

    A tracker of which not one video could be scored has no score. ``workers`` (default: one for each processor where
    there is much to read) changes nothing but the time.
    """
    cache = ScoreCache(cache_folder, benchmark.absent_policy, sequences)
    jobs = [(tracker, folder, name) for tracker, folder in folders.items() for name in sequences
            if has_result(folder, name)]
    known = {tracker: cache.load(tracker, folder) for tracker, folder in folders.items()}
    todo = [job for job in jobs if job[2] not in known[job[0]]]
    found = {job[::2]: known[job[0]][job[2]] for job in jobs if job[2] in known[job[0]]}
    found |= dict(_score_all(todo, sequences, benchmark.absent_policy, workers))
    scores, problems = [], []
    for tracker, folder in folders.items():
        results = {name: found[tracker, name] for name in sequences if (tracker, name) in found}
        videos = [v for v in results.values() if isinstance(v, VideoScore)]
        if any(job[0] == tracker for job in todo):
            cache.save(tracker, folder, videos)
        problems += _problems(tracker, folder, benchmark, results)
        score = average(tracker, videos, benchmark.expected)
        scores += [score] if score is not None else []
    return scores, problems


def _problems(tracker: str, folder: Path, benchmark: Benchmark,
              results: Mapping[str, VideoScore | str]) -> list[Problem]:
    problems = []
    for name in benchmark.videos.video_names:
        if isinstance(results.get(name), str):
            problems.append(Problem(f"{tracker}: {results[name]}"))
        elif name not in results and not has_result(folder, name):
            problems.append(Problem(f"{tracker}: missing {folder / (name + '.txt')}", missing=True))
    return problems


def _score_all(jobs: list[_VideoResult], sequences: Mapping[str, Video], policy: AbsentFramePolicy,
               workers: int | None) -> Iterator[tuple[tuple[str, str], VideoScore | str]]:
    """The score of each job's video, or what is wrong with it, by tracker and video."""
    workers = _worker_count(jobs) if workers is None else min(workers, len(jobs))
    with progress(total=len(jobs), desc="scoring", unit="video", leave=False) as bar:
        for job, result in zip(jobs, _results(jobs, sequences, policy, workers), strict=True):
            bar.update()
            yield job[::2], result


def _results(jobs: list[_VideoResult], sequences: Mapping[str, Video], policy: AbsentFramePolicy,
             workers: int) -> Iterator[VideoScore | str]:
    if workers < 2:
        yield from (_score_or_fault(folder, sequences[name], policy) for _, folder, name in jobs)
        return
    pool = ProcessPoolExecutor(workers, get_context("fork" if sys.platform == "linux" else "spawn"), _remember,
                               (sequences, policy))
    try:
        yield from pool.map(_score_remembered, jobs, chunksize=16)
    except BrokenProcessPool as error:
        raise UserError("a worker process was killed, perhaps for lack of memory: run again with --workers 1") \
            from error
    finally:
        pool.shutdown(cancel_futures=True)


def _worker_count(jobs: list[_VideoResult]) -> int:
    size = sum((folder / f"{name}.txt").stat().st_size for _, folder, name in jobs)
    return 1 if size < MUCH else min(len(os.sched_getaffinity(0)) if sys.platform == "linux" else 1, 16)


_remembered: tuple[Mapping[str, Video], AbsentFramePolicy]  # of a worker process


def _remember(sequences: Mapping[str, Video], policy: AbsentFramePolicy) -> None:
    global _remembered
    gc.freeze()  # what the parent left for its collector is not for a fork to end
    _remembered = sequences, policy


def _score_remembered(job: _VideoResult) -> VideoScore | str:
    sequences, policy = _remembered
    return _score_or_fault(job[1], sequences[job[2]], policy)


def _score_or_fault(folder: Path, sequence: Video, policy: AbsentFramePolicy) -> VideoScore | str:
    """The score of one result file; the message where it cannot be scored."""
    try:
        boxes_xywh, seconds = read_boxes(folder, sequence.name), read_seconds(folder, sequence.name)
        for suffix, values in (("", boxes_xywh), ("_time", seconds)):
            if values is not None and len(values) not in (len(sequence), sequence.annotated):
                kind = "short" if len(values) < len(sequence) else "long"
                return (f"{folder / (sequence.name + suffix + '.txt')}: too {kind}: {len(values)} rows for "
                        f"{len(sequence)} frames")
        return score_video(boxes_xywh, sequence, policy, seconds)
    except UserError as error:
        return str(error)
