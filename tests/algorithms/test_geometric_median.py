"""The geometric median against SciPy's minimiser, and where it is known."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import minimize

from fedmed.algorithms.geometric_median import GeometricMedian
from tests.algorithms.robust_updates import flat, random_updates

NEAR = 5e-4
"""Where the median is one of the updates, the last steps to it are short, and it ends before."""


def objective(place: np.ndarray, rows: np.ndarray, weights: np.ndarray) -> float:
    return float(weights @ np.linalg.norm(rows - place, axis=1))


@settings(max_examples=25, deadline=None)
@given(number=st.integers(3, 8), seed=st.integers(0, 999))
def test_no_minimiser_finds_a_lesser_sum_of_distances(number: int, seed: int) -> None:
    updates = random_updates(number, seed)
    weights = np.random.default_rng(seed).uniform(1, 3, number)
    rows = np.stack([flat(update) for update in updates])
    found = flat(GeometricMedian().rule(updates, weights.tolist()).update)
    for start in (rows.mean(axis=0), found):
        best = minimize(objective, start, (rows, weights), method="Nelder-Mead", options={"maxiter": 4000})
        assert objective(found, rows, weights) <= best.fun * (1 + NEAR)
    assert objective(rows.T @ weights / weights.sum(), rows, weights) > objective(found, rows, weights)


def test_on_a_line_it_is_the_weighted_median() -> None:
    updates = [{"w": np.array([value, value])} for value in (0.0, 1.0, 2.0, 10.0, 1000.0)]
    found = GeometricMedian().rule(updates, [1.0, 1.0, 1.0, 1.0, 1.0])
    np.testing.assert_allclose(found.update["w"], 2.0, atol=1e-3)
    found = GeometricMedian().rule(updates, [1.0, 1.0, 1.0, 4.0, 2.0])
    np.testing.assert_allclose(found.update["w"], 10.0, atol=1e-2)


@pytest.mark.parametrize("far", [1e3, 1e12, 1e30])
def test_however_far_an_update_is_it_moves_the_median_no_further(far: float) -> None:
    honest = random_updates(4, 2)
    direction = {name: np.ones_like(values) for name, values in honest[0].items()}
    found = [
        flat(GeometricMedian().rule([*honest, {n: v * size for n, v in direction.items()}], [1.0] * 5).update)
        for size in (far, 10 * far)
    ]
    np.testing.assert_allclose(found[0], found[1], rtol=0.02)


def test_a_share_is_the_weight_in_the_median_over_that_in_the_mean() -> None:
    updates, weights = random_updates(5, 4), [1.0, 2.0, 3.0, 4.0, 5.0]
    found = GeometricMedian().rule(updates, weights)
    rows = np.stack([flat(update) for update in updates])
    near = np.array(weights) / np.linalg.norm(rows - flat(found.update), axis=1)
    expected = np.minimum(1, near / near.sum() / (np.array(weights) / 15))
    np.testing.assert_allclose(found.shares, expected, rtol=1e-4)
    assert min(found.shares) < 1


def test_where_most_updates_are_zero_so_is_the_median() -> None:
    updates = [{"w": np.full(2, value, np.float32)} for value in (0.0, 0.0, 0.0, 1e20, -3.0)]
    np.testing.assert_allclose(GeometricMedian().rule(updates, [1.0] * 5).update["w"], 0, atol=1e-9)
