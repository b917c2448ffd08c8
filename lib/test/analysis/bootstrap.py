"""The paired bootstrap over videos (Efron and Tibshirani, 1993): how far a difference of means may be chance.

    result = paired_bootstrap(a - b)      # (videos, figures): what A has over B on each video

A benchmark is a sample of the videos there could have been. Drawing as many videos from it with replacement, again and
again, gives the differences that other samples like it would have shown. Both trackers are taken on the same videos, so
that hard videos, which are hard for both, do not blur the difference.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

RESAMPLES = 10_000
LEVEL = 0.95
_CHUNK = 4_000_000  # numbers drawn at a time


@dataclass(frozen=True)
class Bootstrap:
    """Of each figure: the mean difference, the ends of its interval (percentiles), the share of resamples above 0."""

    difference: np.ndarray  # (figures,)
    low: np.ndarray  # (figures,)
    high: np.ndarray  # (figures,)
    share_better: np.ndarray  # (figures,)


def paired_bootstrap(differences: np.ndarray, resamples: int = RESAMPLES, seed: int = 0,
                     level: float = LEVEL) -> Bootstrap:
    """Bootstrap the mean over videos of ``differences`` (videos, figures). The same seed gives the same numbers."""
    differences = np.asarray(differences, float)
    if differences.ndim != 2 or not len(differences) or resamples < 1:
        raise ValueError(f"differences {differences.shape}, {resamples} resamples")
    means = _resampled_means(differences, resamples, np.random.default_rng(seed))
    low, high = np.quantile(means, [(1 - level) / 2, (1 + level) / 2], axis=0)
    return Bootstrap(differences.mean(axis=0), low, high, (means > 0).mean(axis=0))


def _resampled_means(differences: np.ndarray, resamples: int, rng: np.random.Generator) -> np.ndarray:
    """(resamples, figures); how often each video is drawn is drawn at once."""
    videos = len(differences)
    at_once = max(1, _CHUNK // videos)
    shares = np.full(videos, 1 / videos)
    sizes = [min(at_once, resamples - start) for start in range(0, resamples, at_once)]
    return np.concatenate([rng.multinomial(videos, shares, size) @ differences / videos for size in sizes])
