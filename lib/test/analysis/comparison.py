"""Compare two trackers on one benchmark: is one better, or may the difference be chance?

    comparison = compare(score_a, score_b)
    print(comparison.text())

Only videos that both have been scored on are compared, and the means are over these.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from .bootstrap import LEVEL, RESAMPLES, Bootstrap, paired_bootstrap
from .score import Score, VideoScore
from .table import text_table

METRICS = {"success_auc": ("AUC", "auc"), "precision": ("Prec", "precision"),
           "norm_precision": ("NormPrec", "norm_precision")}  # key: title, attribute of a score


@dataclass(frozen=True)
class Comparison:
    """The difference between trackers ``a`` and ``b``, in percentage points.

    metrics_a, metrics_b  (videos, metrics) in %, in the order of ``METRICS``
    expected              how many videos the benchmark has
    """

    a: str
    b: str
    videos: tuple[str, ...]
    expected: int
    metrics_a: np.ndarray
    metrics_b: np.ndarray
    bootstrap: Bootstrap
    resamples: int

    @property
    def differences(self) -> np.ndarray:
        return self.metrics_a - self.metrics_b

    def text(self, limit: int = 5) -> str:
        """The table of metrics, a sentence on each, and the ``limit`` videos with the greatest gains and losses."""
        of = "" if len(self.videos) == self.expected else f" of {self.expected}"
        rows = [["", self.a, self.b, "difference", f"{LEVEL:.0%} interval", "better in"]]
        for i, (title, _) in enumerate(METRICS.values()):
            difference, low, high, share = self._row(i)
            rows.append([title, f"{self.metrics_a[:, i].mean():.2f}", f"{self.metrics_b[:, i].mean():.2f}",
                         f"{difference:+.2f}", f"[{low:+.2f}, {high:+.2f}]", f"{share:.1%}"])
        table = text_table(f"{self.a} against {self.b}, {len(self.videos)}{of} videos (%; {self.resamples} resamples)",
                           rows)
        sentences = [self.sentence(metric) for metric in range(len(METRICS))]
        return "\n".join([table, *sentences, *self._extreme_lines(limit)])

    def sentence(self, metric: int) -> str:
        """What the interval of a metric means, in words."""
        title = list(METRICS.values())[metric][0]
        difference, low, high, _ = self._row(metric)
        if not self.differences[:, metric].any():
            return f"{title}: the two are the same on every video."
        if low <= 0 <= high:
            return (f"{title}: the interval holds 0: {len(self.videos)} videos do not show which of the two is better; "
                    f"a difference of {difference:+.2f} may be chance.")
        ahead, behind = (self.a, self.b) if difference > 0 else (self.b, self.a)
        return (f"{title}: the interval does not hold 0: that {ahead} is better than {behind} is hardly chance over "
                "videos.")

    def ordered(self) -> list[tuple[str, float]]:
        """The videos with their differences in AUC, the greatest gain of ``a`` first."""
        gains = self.differences[:, 0]
        return [(self.videos[i], float(gains[i])) for i in np.argsort(-gains, kind="stable")]

    def as_json(self) -> dict[str, Any]:
        """All numbers, under the keys of earlier versions."""
        metrics = {}
        for i, key in enumerate(METRICS):
            difference, low, high, share = self._row(i)
            metrics[key] = {"a": float(self.metrics_a[:, i].mean()), "b": float(self.metrics_b[:, i].mean()),
                            "difference": difference, "interval": [low, high], "share_a_better": share,
                            "interval_holds_0": low <= 0 <= high}
        per_video = {name: dict(zip(METRICS, map(float, row), strict=True))
                     for name, row in zip(self.videos, self.differences, strict=True)}
        return {"a": self.a, "b": self.b, "videos": len(self.videos), "expected_videos": self.expected,
                "resamples": self.resamples, "level": LEVEL, "figures": metrics, "video_differences": per_video}

    def _row(self, metric: int) -> tuple[float, float, float, float]:
        """Of one metric: the mean difference, the interval's ends, the share of resamples in which ``a`` is better."""
        result = self.bootstrap
        return (float(result.difference[metric]), float(result.low[metric]), float(result.high[metric]),
                float(result.share_better[metric]))

    def _extreme_lines(self, limit: int) -> list[str]:
        ordered = self.ordered()
        gains = [pair for pair in ordered[:limit] if pair[1] > 0]
        losses = [pair for pair in ordered[::-1][:limit] if pair[1] < 0]
        lines = []
        for title, pairs in (("greatest gains of", gains), ("greatest losses of", losses)):
            if pairs:
                videos = ", ".join(f"{name} {gain:+.1f}" for name, gain in pairs)
                lines.append(f"{title} {self.a} (AUC): {videos}")
        return lines


def compare(a: Score, b: Score, resamples: int = RESAMPLES, seed: int = 0) -> Comparison | None:
    """Compare two scores on the videos that both have; None where there is none."""
    others = {video.name: video for video in b.video_scores}
    pairs = [(video, others[video.name]) for video in a.video_scores if video.name in others]
    if not pairs:
        return None
    names = tuple(first.name for first, _ in pairs)
    metrics_a = np.array([_metrics_of(first) for first, _ in pairs])
    metrics_b = np.array([_metrics_of(second) for _, second in pairs])
    bootstrap = paired_bootstrap(metrics_a - metrics_b, resamples, seed)
    return Comparison(a.tracker, b.tracker, names, a.expected, metrics_a, metrics_b, bootstrap, resamples)


def _metrics_of(video: VideoScore) -> list[float]:
    """The metrics of one video in %, in the order of ``METRICS``."""
    return [getattr(video, attribute) for _, attribute in METRICS.values()]
