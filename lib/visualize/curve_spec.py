"""The three curves that a tracker is shown by, for the plots and for the report.

    CURVE_SPECS["success"].curve(score), CURVE_SPECS["success"].value(score)      # (21,) shares, AUC in %

``shares`` and ``metric`` are attributes of a score (``mstgt.test.analysis.score``); a new metric also needs a name in
``METRICS`` of the HTML report.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ..test.analysis import metrics
from ..test.analysis.score import Curves


@dataclass(frozen=True)
class CurveSpec:
    """One curve.

    x       the thresholds
    shares  the attribute of a score that is drawn, one share per threshold
    metric  the attribute of a score that ranks
    x_name  how a threshold is read: "overlap above 0.5"
    """

    title: str
    x_label: str
    x_name: str
    y_label: str
    x: np.ndarray
    shares: str
    metric: str

    def curve(self, score: Curves) -> np.ndarray:
        return getattr(score, self.shares)

    def value(self, score: Curves) -> float:
        return getattr(score, self.metric)


CURVE_SPECS = {
    "success": CurveSpec("Success", "overlap threshold", "overlap above", "share of frames above it (%)",
                         metrics.OVERLAP_THRESHOLDS, "success", "auc"),
    "precision": CurveSpec("Precision", "center error threshold (pixels)", "pixels off, at most",
                           "share of frames within it (%)", metrics.CENTER_THRESHOLDS, "precision_curve", "precision"),
    "norm_precision": CurveSpec("Normalized precision", "normalized center error threshold", "normalized error at most",
                                "share of frames within it (%)", metrics.NORMALIZED_THRESHOLDS, "normalized_curve",
                                "norm_precision"),
}
