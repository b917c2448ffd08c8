"""What a comparison shows: a table with one column per tracker, notes, and all of it as JSON or Markdown.

    report, runs_by_tracker = merge_runs(report, runs)
    comparisons = compare_with(report, ["MSTGT-nano"])
    rows = table_rows(report, comparisons)

Under the metrics the table has, for each configuration of MSTGT, the difference of every tracker to it: the mean over
the videos that both have, and the 95% interval of the paired bootstrap over videos.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from random_runs import mean_of_runs
from tracker_runs import TrackerRun

from mstgt.test.analysis.bootstrap import LEVEL, RESAMPLES
from mstgt.test.analysis.comparison import Comparison, compare
from mstgt.test.analysis.report import BenchmarkReport
from mstgt.test.analysis.score import Score
from mstgt.test.analysis.table import ranked
from mstgt.test.evaluation.results import has_result, read_scores

# Configuration of MSTGT -> tracker -> how that tracker compares with it.
Comparisons = dict[str, dict[str, Comparison]]


def median_auc(score: Score) -> float:
    """The median over videos of the success AUC in %; unlike the mean it is not decided by a few lost videos."""
    return float(np.median([video.auc for video in score.video_scores]))


METRICS: dict[str, Callable[[Score], float | None]] = {
    "success AUC (%)": lambda s: s.auc,
    "median of the videos' AUC (%)": median_auc,
    "precision at 20 px (%)": lambda s: s.precision,
    "normalized precision at 0.2 (%)": lambda s: s.norm_precision,
    "frames a second": lambda s: s.fps,
}


def merge_runs(report: BenchmarkReport, runs: Sequence[TrackerRun]) -> tuple[BenchmarkReport, dict[str, list[Score]]]:
    """The report with the runs of each tracker replaced by their mean, and the runs of trackers that have several."""
    by_label = {score.tracker: score for score in report.scores}
    by_tracker: dict[str, list[Score]] = {}
    for run in runs:
        if run.label in by_label:
            by_tracker.setdefault(run.tracker, []).append(by_label[run.label])
    means = [mean_of_runs(tracker, scores) for tracker, scores in by_tracker.items()]
    merged = replace(report, scores=tuple(score for score in means if score is not None))
    return merged, {tracker: scores for tracker, scores in by_tracker.items() if len(scores) > 1}


def compare_with(report: BenchmarkReport, references: Sequence[str]) -> Comparisons:
    """Compare every tracker, and the static-box baseline, with each of the trackers ``references``.

    Positive differences mean that the other tracker is better than the reference.
    """
    scores = {score.tracker: score for score in report.all_scores}
    comparisons: Comparisons = {}
    for reference in references:
        found: dict[str, Comparison] = {}
        for tracker, score in scores.items():
            comparison = compare(score, scores[reference]) if reference in scores and tracker != reference else None
            if comparison:
                found[tracker] = comparison
        if found:
            comparisons[reference] = found
    return comparisons


def auc_difference(comparison: Comparison) -> tuple[float, float, float]:
    """The mean difference in AUC, in percentage points, and the ends of its interval."""
    bootstrap = comparison.bootstrap
    return float(bootstrap.difference[0]), float(bootstrap.low[0]), float(bootstrap.high[0])


def table_rows(report: BenchmarkReport, comparisons: Comparisons) -> list[list[str]]:
    """The metrics, the differences to MSTGT, then the AUC of every video. One column per tracker, the best first."""
    scores = ranked(report.all_scores)
    rows = [["", *(score.label for score in scores)]]
    for title, metric in METRICS.items():
        rows.append([title, *(_number(metric(score)) for score in scores)])
    for reference, others in comparisons.items():
        differences, intervals = [], []
        for score in scores:
            if score.tracker in others:
                difference, low, high = auc_difference(others[score.tracker])
                differences.append(f"{difference:+.1f}")
                intervals.append(f"[{low:+.1f}, {high:+.1f}]")
            else:
                differences.append("-")
                intervals.append("-")
        rows.append([f"AUC minus that of {reference}", *differences])
        rows.append([f"  {LEVEL:.0%} interval of it", *intervals])
    by_video = [{video.name: video.auc for video in score.video_scores} for score in scores]
    for name in report.videos:
        rows.append([f"AUC of {name}", *(_number(aucs.get(name)) for aucs in by_video)])
    return rows


def _number(value: float | None) -> str:
    return "-" if value is None else f"{value:.1f}"


def as_markdown(title: str, rows: Sequence[Sequence[str]], notes: Sequence[str]) -> str:
    """The table as Markdown, with the notes as a list below it."""
    lines = ["| " + " | ".join(row).strip() + " |" for row in rows]
    lines.insert(1, "|---" + "|---:" * (len(rows[0]) - 1) + "|")
    return "\n".join([title, "", *lines, "", *(f"- {note}" for note in notes), ""])


def make_notes(report: BenchmarkReport, runs: Sequence[TrackerRun], runs_by_tracker: Mapping[str, Sequence[Score]],
               folders: Mapping[str, Path], comparisons: Comparisons) -> list[str]:
    """What a reader of the table must know: the machine, files, versions, the interval, and frames without a box.

    folders  the results by the run's label
    """
    made_from = runs[0].made_from
    threads = "1 thread" if made_from["threads"] == 1 else f"{made_from['threads']} threads"
    notes = [f"{threads} for each tracker on {made_from['machine']}, {made_from['cores']} cores; frames a second: the "
             "trackers' own calls without the first, without reading and decoding, which a thread does ahead for all"]
    notes += dict.fromkeys(run.note for run in runs)
    if comparisons:
        notes.append(f"{LEVEL:.0%} interval: of the mean difference, by the paired bootstrap over videos "
                     f"({RESAMPLES} resamples); where it contains 0, these videos do not show which tracker is better")
    for tracker, scores in runs_by_tracker.items():
        aucs = ", ".join(f"{score.auc:.1f}" for score in scores)
        notes.append(f"{tracker} is random: the mean of {len(scores)} runs, whose AUC are {aucs}")
    for run in runs:
        if "opencv" in run.made_from:  # whose "scores" say in which frames the tracker returned a box
            notes += _frames_without_box(run.label, folders[run.label], list(report.videos))
    return notes + list(report.notes)


def _frames_without_box(label: str, folder: Path, names: Sequence[str]) -> list[str]:
    given = {name: read_scores(folder, name) for name in names if has_result(folder, name)}
    missing = {name: int((values == 0).sum()) for name, values in given.items()}
    videos = [name for name, count in missing.items() if count]
    if not videos:
        return []
    frames = sum(len(values) for values in given.values())
    return [f"{label} gave no box in {sum(missing.values())} of {frames} frames ({', '.join(videos)}): its last box "
            "was kept"]


def as_json(report: BenchmarkReport, runs: Sequence[TrackerRun], runs_by_tracker: Mapping[str, Sequence[Score]],
            comparisons: Comparisons, notes: Sequence[str]) -> dict[str, Any]:
    """All metrics by tracker in %, with those of every video and run, the differences, and what the results are made
    from."""
    value = report.as_json()
    for score in report.all_scores:
        metrics = value["trackers"][score.tracker] if score.tracker in value["trackers"] else value["trivial"]
        metrics["median_auc"] = median_auc(score)
        metrics["videos_auc"] = {video.name: video.auc for video in score.video_scores}
        metrics["minus"] = {reference: _difference_as_json(others[score.tracker])
                            for reference, others in comparisons.items() if score.tracker in others}
        if score.tracker in runs_by_tracker:
            metrics["runs_auc"] = [run.auc for run in runs_by_tracker[score.tracker]]
        for run in runs:
            if run.tracker == score.tracker:
                metrics.setdefault("made_from", run.made_from)
    frames = {name: len(video) for name, video in report.videos.items()}
    return value | {"frames": frames, "notes": list(notes)}


def _difference_as_json(comparison: Comparison) -> dict[str, Any]:
    difference, low, high = auc_difference(comparison)
    return {"success_auc": difference, "interval": [low, high], "level": LEVEL, "videos": len(comparison.videos)}
