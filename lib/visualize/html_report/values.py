"""A report as plain values for the page: what JSON can hold, numbers rounded, overlaps over time reduced.

    page_values(report)["trackers"][0]["metrics"]["auc"]
"""

from __future__ import annotations

import base64
import math
from typing import Any

import numpy as np

from ...test.analysis.report import BenchmarkReport
from ...test.analysis.score import STATIC_BOX, Curves, Score, score_by_attribute
from ...test.analysis.table import ranked
from ..curve_spec import CURVE_SPECS
from ..plot_style import PlotStyle, plot_styles

MAX_POINTS = 600  # of an overlap over time
STEPS = 250  # the byte that stands for an overlap of 1
UNKNOWN = 255  # the byte of a bin without a judged frame
METRICS = ("auc", "op50", "op75", "precision", "norm_precision", "ao", "sr50", "sr75", "fps")
SHORT_METRICS = ("auc", "precision", "norm_precision")  # of a video and of an attribute


def page_values(report: BenchmarkReport) -> dict[str, Any]:
    """Everything on the page except the worst moments. Metrics and curves in %; None where a metric is undefined."""
    scores = report.all_scores if report.scores else []
    styles = plot_styles(scores)
    return {
        "benchmark": report.benchmark,
        "expected": scores[0].expected if scores else len(report.videos),
        "problems": [problem.message for problem in report.problems],
        "notes": [*report.notes, *_common_note(report)],
        "plots": [{"key": key, "metric": spec.metric, "title": spec.title, "x_label": spec.x_label,
                   "x_name": spec.x_name, "y_label": spec.y_label, "x": spec.x.round(4).tolist()}
                  for key, spec in CURVE_SPECS.items()],
        "trackers": [_tracker(i, score, styles[score.tracker]) for i, score in enumerate(scores)],
        "attributes": _attributes(report, scores),
        "measured": report.measured,
        "videos": _videos(report, scores),
    }


def _common_note(report: BenchmarkReport) -> list[str]:
    """Says where the trackers' means are over different videos, and gives them on the videos that all have."""
    common = report.common_scores()
    if not common:
        return []
    means = ", ".join(f"{score.tracker} {score.auc:.2f}" for score in ranked(common))
    return [f"The means are over different videos for different trackers. AUC on the {common[0].videos} videos that "
            f"all have: {means}"]


def _tracker(index: int, score: Score, style: PlotStyle) -> dict[str, Any]:
    return {"index": index, "name": score.tracker, "label": score.label, "baseline": score.tracker == STATIC_BOX,
            "style": f"style-{index}", "dash": " ".join(f"{length:g}" for length in style.dash), "videos": score.videos,
            "metrics": _metrics(score, METRICS),
            "curves": {key: (100 * spec.curve(score)).round(2).tolist() for key, spec in CURVE_SPECS.items()}}


def _metrics(score: Curves, names: tuple[str, ...]) -> dict[str, float | None]:
    values = {name: getattr(score, name) for name in names}
    return {name: None if value is None or math.isnan(value) else round(value, 2) for name, value in values.items()}


def _attributes(report: BenchmarkReport, scores: list[Score]) -> list[dict[str, Any]]:
    """One row per attribute, with the metrics of each tracker on its videos."""
    by_tracker = [score_by_attribute(score, report.videos) for score in scores]
    counts = {name: part.expected for by in by_tracker for name, part in by.items()}
    return [{"name": name, "videos": count,
             "metrics": [_metrics(by[name], SHORT_METRICS) | {"videos": by[name].videos} if name in by else None
                         for by in by_tracker]}
            for name, count in counts.items()]


def _videos(report: BenchmarkReport, scores: list[Score]) -> list[dict[str, Any]]:
    """One row per video that any tracker has a score on, with metrics and overlaps by tracker."""
    by_tracker = [{video.name: video for video in score.video_scores} for score in scores]
    rows = []
    for name in report.videos:
        found = [by.get(name) for by in by_tracker]
        if not any(found):
            continue
        frames = max(len(video.frame_overlap) for video in found if video)
        width = bin_width(frames)
        rows.append({"name": name, "frames": frames, "bin": width, "points": -(-frames // width),
                     "metrics": [_metrics(video, SHORT_METRICS) if video else None for video in found],
                     "overlap": [_overlap(video.frame_overlap, width) if video else None for video in found]})
    return rows


def bin_width(frames: int) -> int:
    """How many frames share a point, so that there are at most ``MAX_POINTS``."""
    return max(1, -(-frames // MAX_POINTS))


def _overlap(overlap: np.ndarray, width: int) -> dict[str, str]:
    mean, least = bin_overlap(overlap, width)
    return {"mean": encode(mean)} | ({"least": encode(least)} if width > 1 else {})


def bin_overlap(overlap: np.ndarray, width: int) -> tuple[np.ndarray, np.ndarray]:
    """The mean and the least of each ``width`` frames of (N,) overlaps, leaving NaN out; NaN where all of them are."""
    starts = np.arange(0, len(overlap), width)
    known = ~np.isnan(overlap)
    count = np.add.reduceat(known.astype(int), starts)
    total = np.add.reduceat(np.where(known, overlap, 0.0).astype(float), starts)
    mean = np.divide(total, count, out=np.full(len(starts), np.nan), where=count > 0)
    return mean, np.fmin.reduceat(overlap, starts)


def encode(overlap: np.ndarray) -> str:
    """Overlaps in [0, 1] as base64 of a byte each: 0 … ``STEPS``, or ``UNKNOWN`` for NaN."""
    known = np.nan_to_num(overlap, nan=0.0)
    data = np.where(np.isnan(overlap), UNKNOWN, np.rint(STEPS * known)).astype(np.uint8)
    return base64.b64encode(data.tobytes()).decode("ascii")
