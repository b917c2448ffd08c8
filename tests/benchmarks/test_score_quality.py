"""benchmarks/score_quality.py: its numbers against hand-made tracks."""

from __future__ import annotations

import numpy as np
import pytest
from score_quality import Track, auroc, find_losses, running_mean, summarize


def test_auroc_counts_pairs_and_halves_ties():
    scores, positive = np.array([0.1, 0.4, 0.4, 0.9]), np.array([False, True, False, True])
    pairs = [(s > o) + 0.5 * (s == o) for s in scores[positive] for o in scores[~positive]]
    assert auroc(scores, positive) == pytest.approx(np.mean(pairs))
    assert np.isnan(auroc(scores, np.ones(4, bool)))


def test_a_loss_is_ten_frames_off_after_one_on():
    on, off = [0.8] * 3, [0.0] * 10
    assert find_losses(np.array(on + off + on + off[:9])) == [3]
    assert find_losses(np.array(off + on)) == []
    assert find_losses(np.array(on + off + on + off)) == [3, 16]


def test_summary_of_a_loss_that_is_told_and_of_one_that_is_not():
    overlaps = np.array([1.0] + [0.8] * 9 + [0.0] * 12 + [0.7] * 3)
    told = Track(overlaps, np.where(overlaps > 0.3, 0.9, 0.05))
    silent = Track(overlaps[:22], np.full(22, 0.9))
    summary = summarize([told, silent], lost_score=0.4)
    assert summary["losses"] == 2 and summary["told"] == 0.5 and summary["recovered"] == 0.5
    assert 0 < summary["false alarms"] < 0.2 and summary["auroc"] > 0.5
    assert running_mean(np.array([1.0, 0.0]))[1] == pytest.approx(0.8)
