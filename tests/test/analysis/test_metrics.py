"""Metrics against values worked out by hand and against their properties."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mstgt.test.analysis import metrics

side = st.floats(0, 500)
box = st.tuples(st.floats(-500, 500), st.floats(-500, 500), side, side)
boxes = st.lists(st.tuples(box, box), min_size=1, max_size=10).map(np.array)


@given(boxes)
def test_iou_is_symmetric_and_in_range(pairs):
    a, b = pairs[:, 0], pairs[:, 1]
    overlap = metrics.iou(a, b)
    np.testing.assert_array_equal(overlap, metrics.iou(b, a))
    assert ((overlap >= 0) & (overlap <= 1)).all()


@given(st.lists(st.tuples(st.integers(-99, 99), st.integers(-99, 99), st.integers(1, 99), st.integers(1, 99)),
                min_size=1, max_size=10).map(np.array))
def test_a_perfect_trajectory_misses_only_the_last_threshold(path):
    assert metrics.success_curve(metrics.iou(path, path)).tolist() == [1] * 20 + [0]
    assert metrics.precision_curve(metrics.center_error(path, path)).min() == 1
    assert metrics.normalized_precision_curve(metrics.normalized_center_error(path, path)).min() == 1


@given(boxes, st.floats(0.5, 20))
def test_iou_does_not_depend_on_scale(pairs, factor):
    a, b = pairs[:, 0].round(1), pairs[:, 1].round(1)
    np.testing.assert_allclose(metrics.iou(a, b), metrics.iou(a * factor, b * factor), atol=1e-6)


@given(st.lists(st.floats(0, 1), min_size=1, max_size=30))
def test_success_falls_and_precision_rises(values):
    assert (np.diff(metrics.success_curve(values)) <= 0).all()
    assert (np.diff(metrics.precision_curve(np.multiply(values, 60))) >= 0).all()


def test_iou_by_hand():
    a = np.array([[0, 0, 2, 2], [0, 0, 2, 2], [0, 0, 2, 2], [0, 0, 0, 0]])
    b = np.array([[1, 1, 2, 2], [2, 0, 2, 2], [0, 0, 2, 1], [0, 0, 0, 0]])
    assert metrics.iou(a, b).tolist() == [1 / 7, 0, 0.5, 0]


def test_errors_by_hand():
    predicted, true = np.array([[3, 4, 10, 20]]), np.array([[0, 0, 10, 20]])
    assert metrics.center_error(predicted, true).tolist() == [5]
    assert metrics.normalized_center_error(predicted, true) == pytest.approx([np.hypot(0.3, 0.2)])


def test_success_is_strict_and_precision_is_not():
    curve = metrics.success_curve([0.5, 0.0, 1.0, 0.52])
    assert curve[0] == 0.75 and curve[9] == 0.75 and curve[10] == 0.5 and curve[11] == 0.25 and curve[20] == 0
    curve = metrics.precision_curve([20.0, 20.01, 0.0, 50.0])
    assert curve[0] == 0.25 and curve[19] == 0.25 and curve[20] == 0.5 and curve[21] == 0.75 and curve[50] == 1
    curve = metrics.normalized_precision_curve([0.2, 0.21, 0.6])
    assert curve[19] == 0 and curve[20] == 1 / 3 and curve[50] == 2 / 3


def test_cut_to_image_moves_the_corner_then_cuts_the_size():
    cut = metrics.cut_to_image([[-5, -5, 10, 10], [90, 40, 20, 20], [200, 0, 5, 5], [-5, 0, 200, 9]], (100, 50))
    assert cut.tolist() == [[0, 0, 10, 10], [90, 40, 10, 10], [100, 0, 0, 5], [0, 0, 100, 9]]
