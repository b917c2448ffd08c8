"""A report as plain values for the page: what JSON can hold, numbers rounded, overlaps over time made small.

    page_values(report)["trackers"][0]["figures"]["auc"]
"""

from __future__ import annotations

import base64
import math
from typing import Any

import numpy as np

from ...test.analysis.report import BenchmarkReport
from ...test.analysis.score import STATIC_BOX, Curves, Score, score_by_attribute
from ..curve_spec import CURVE_SPECS
from ..plot_style import PlotStyle, plot_styles

MAX_POINTS = 600  # of an overlap over time
STEPS, UNKNOWN = 250, 255  # an overlap of 1 and a bin without a judged frame, as bytes
METRICS = ("auc", "op50", "op75", "precision", "norm_precision", "ao", "sr50", "sr75", "fps")
SHORT_METRICS = ("auc", "precision", "norm_precision")  # those of a video and of an attribute

def page_values(report: BenchmarkReport) -> dict[str, Any]:
    """Everything on the page but the worst moments. Figures and curves in %; None where there is no figure."""
    scores = report.all_scores if report.scores else []
    styles = plot_styles(scores)
    return {
        "benchmark": report.benchmark,
        "expected": scores[0].expected if scores else len(report.videos),
        "problems": [problem.message for problem in report.problems],
        "notes": list(report.notes),
        "plots": [{"key": key, "figure": kind.figure, "title": kind.title, "x_label": kind.x_label,
                   "x_name": kind.x_name, "y_label": kind.y_label, "x": kind.x.round(4).tolist()}
                  for key, kind in CURVE_SPECS.items()],
        "trackers": [_tracker(i, score, styles[score.tracker]) for i, score in enumerate(scores)],
        "attributes": _attributes(report, scores),
        "measured": report.measured,
        "videos": _videos(report, scores),
    }


def _tracker(index: int, score: Score, style: PlotStyle) -> dict[str, Any]:
    return {"index": index, "name": score.tracker, "label": score.label, "trivial": score.tracker == STATIC_BOX,
            "style": f"style-{index}", "dash": " ".join(f"{length:g}" for length in style.dash), "videos": score.videos,
            "figures": _metrics(score, METRICS),
            "curves": {key: (100 * kind.curve(score)).round(2).tolist() for key, kind in CURVE_SPECS.items()}}


def _metrics(score: Curves, names: tuple[str, ...]) -> dict[str, float | None]:
    values = {name: getattr(score, name) for name in names}
    return {name: None if value is None or math.isnan(value) else round(value, 2) for name, value in values.items()}


def _attributes(report: BenchmarkReport, scores: list[Score]) -> list[dict[str, Any]]:
    """A row an attribute, with the figures of each tracker on its videos."""
    by_tracker = [score_by_attribute(score, report.videos) for score in scores]
    counts = {name: part.expected for by in by_tracker for name, part in by.items()}
    return [{"name": name, "videos": count,
             "figures": [_metrics(by[name], SHORT_METRICS) | {"videos": by[name].videos} if name in by else None
                         for by in by_tracker]}
            for name, count in counts.items()]


def _videos(report: BenchmarkReport, scores: list[Score]) -> list[dict[str, Any]]:
    """A row a video that anybody has a score on, with figures and overlaps by tracker."""
    by_tracker = [{video.name: video for video in score.video_scores} for score in scores]
    rows = []
    for name in report.videos:
        found = [by.get(name) for by in by_tracker]
        if not any(found):
            continue
        frames = max(len(video.frame_overlap) for video in found if video)
        width = bin_width(frames)
        rows.append({"name": name, "frames": frames, "bin": width, "points": -(-frames // width),
                     "figures": [_metrics(video, SHORT_METRICS) if video else None for video in found],
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
