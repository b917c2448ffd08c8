"""The paired bootstrap over videos (Efron and Tibshirani, 1993): how far a difference of means may be chance.

    result = paired_bootstrap(a - b)      # (videos, metrics): A minus B on each video

A benchmark is a sample of all possible videos. Resampling it many times with replacement estimates how much the
difference would vary between such samples. The bootstrap is paired: both trackers are resampled on the same videos,
so that the variation between easy and hard videos, which they share, cancels.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

RESAMPLES = 10_000
LEVEL = 0.95
_CHUNK = 4_000_000  # counts drawn at a time


@dataclass(frozen=True)
class Bootstrap:
    """For each metric: the mean difference, the ends of its interval (percentiles), the share of resamples above 0."""

    difference: np.ndarray  # (metrics,)
    low: np.ndarray  # (metrics,)
    high: np.ndarray  # (metrics,)
    share_better: np.ndarray  # (metrics,)


def paired_bootstrap(differences: np.ndarray, resamples: int = RESAMPLES, seed: int = 0,
                     level: float = LEVEL) -> Bootstrap:
    """Bootstrap the mean over videos of ``differences`` (videos, metrics). The same seed gives the same numbers."""
    differences = np.asarray(differences, float)
    if differences.ndim != 2 or not len(differences) or resamples < 1:
        raise ValueError(f"differences {differences.shape}, {resamples} resamples")
    means = _resampled_means(differences, resamples, np.random.default_rng(seed))
    low, high = np.quantile(means, [(1 - level) / 2, (1 + level) / 2], axis=0)
    return Bootstrap(differences.mean(axis=0), low, high, (means > 0).mean(axis=0))


def _resampled_means(differences: np.ndarray, resamples: int, rng: np.random.Generator) -> np.ndarray:
    """The mean of each resample, (resamples, metrics)."""
    videos = len(differences)
    # How often each video is drawn follows a multinomial distribution, so a resample is one row of counts. Rows are
    # drawn in chunks to bound the memory.
    at_once = max(1, _CHUNK // videos)
    shares = np.full(videos, 1 / videos)
    sizes = [min(at_once, resamples - start) for start in range(0, resamples, at_once)]
    return np.concatenate([rng.multinomial(videos, shares, size) @ differences / videos for size in sizes])
