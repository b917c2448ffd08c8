"""The paired bootstrap on cases with known answers."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mstgt.test.analysis.bootstrap import paired_bootstrap

differences = st.lists(st.floats(-100, 100), min_size=1, max_size=30).map(lambda v: np.array(v)[:, None])


def test_identical_trackers_differ_by_nothing():
    result = paired_bootstrap(np.zeros((50, 3)))
    for values in (result.difference, result.low, result.high, result.share_better):
        assert values.tolist() == [0, 0, 0]


@pytest.mark.parametrize("shift", [0.3, -2.0])
def test_a_constant_shift_is_certain(shift):
    result = paired_bootstrap(np.full((50, 1), shift))
    assert [result.difference[0], result.low[0], result.high[0]] == pytest.approx([shift] * 3)
    assert result.share_better == (shift > 0)


def test_the_interval_of_many_videos_is_that_of_the_normal_law():
    values = np.random.default_rng(3).normal(1.0, 10.0, (400, 1))
    result = paired_bootstrap(values)
    half = 1.96 * values.std() / 20
    assert result.low[0] == pytest.approx(values.mean() - half, abs=0.05)
    assert result.high[0] == pytest.approx(values.mean() + half, abs=0.05)


def test_two_videos_are_drawn_as_the_binomial_law_says():
    result = paired_bootstrap(np.array([[-1.0], [3.0]]))  # means -1, 1, 3 with 1/4, 1/2, 1/4
    assert (result.difference, result.low, result.high) == (1, -1, 3)
    assert result.share_better[0] == pytest.approx(0.75, abs=0.02)


def test_the_interval_covers_the_truth_as_often_as_it_says():
    rng = np.random.default_rng(4)
    hits = 0
    for trial in range(300):
        result = paired_bootstrap(rng.normal(0.5, 3, (60, 1)), resamples=500, seed=trial)
        hits += result.low[0] <= 0.5 <= result.high[0]
    assert 0.90 <= hits / 300 <= 0.99


@settings(max_examples=30, deadline=None)
@given(differences, st.integers(0, 5))
def test_the_seed_decides_and_the_other_way_round_is_the_mirror(values, seed):
    one, other = paired_bootstrap(values, 200, seed), paired_bootstrap(-values, 200, seed)
    assert np.array_equal(one.low, paired_bootstrap(values, 200, seed).low)
    np.testing.assert_allclose(one.low, -other.high, atol=1e-9)
    assert values.min() - 1e-9 <= one.low[0] <= one.high[0] <= values.max() + 1e-9


def test_the_bootstrap_of_no_videos_is_a_defect():
    with pytest.raises(ValueError):
        paired_bootstrap(np.zeros((0, 3)))
