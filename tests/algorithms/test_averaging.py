"""The weighted mean of updates against McMahan's formula."""

import numpy as np
import pytest

from fedmed.algorithms.averaging import weighted_mean


def draws(count: int, dtype: type = np.float64) -> list[dict[str, np.ndarray]]:
    rng = np.random.default_rng(0)
    return [{"w": rng.normal(size=(4, 5)).astype(dtype), "b": rng.normal(size=3).astype(dtype)} for _ in range(count)]


@pytest.mark.parametrize("weights", [[1, 1, 1], [5, 1, 300]])
def test_the_mean_of_equal_updates_is_that_update(weights: list[float]) -> None:
    update = draws(1, np.float32)[0]
    mean = weighted_mean([update] * 3, weights)
    for name, values in update.items():
        np.testing.assert_allclose(mean[name], values, rtol=1e-7)


def test_an_update_weighs_by_its_steps() -> None:
    mean = weighted_mean([{"x": np.array([1.0, 0.0])}, {"x": np.array([5.0, 8.0])}], [3, 1])
    assert mean["x"].tolist() == [2.0, 2.0]


def test_only_the_ratio_of_the_weights_counts() -> None:
    updates = draws(3)
    one, other = weighted_mean(updates, [1, 2, 3]), weighted_mean(updates, [10, 20, 30])
    for name in one:
        np.testing.assert_allclose(one[name], other[name], rtol=1e-14)


def test_one_update_is_its_own_mean() -> None:
    update = draws(1)[0]
    mean = weighted_mean([update], [7])
    assert all(np.array_equal(mean[name], update[name]) for name in update)


def test_a_weight_stays_with_its_update_when_the_order_changes() -> None:
    updates, weights = draws(3), [1.0, 2.0, 5.0]
    one, other = weighted_mean(updates, weights), weighted_mean(updates[::-1], weights[::-1])
    for name in one:
        np.testing.assert_allclose(one[name], other[name], rtol=1e-12)


@pytest.mark.parametrize("dtype", [np.float32, np.float64, np.float16])
def test_the_answer_has_the_updates_own_type_and_shape(dtype: type) -> None:
    updates = draws(2, dtype)
    mean = weighted_mean(updates, [1, 2])
    assert {name: (v.dtype, v.shape) for name, v in mean.items()} == {
        name: (v.dtype, v.shape) for name, v in updates[0].items()
    }


def test_the_sum_runs_in_double_precision() -> None:
    updates = [{"x": np.array([value], np.float32)} for value in (2.0**26, 4, 4, 4)]
    # in single precision, 2**24 + 1 is 2**24 again, three times; 2**24 + 3 is rounded to 2**24 + 4 once
    assert weighted_mean(updates, [1, 1, 1, 1])["x"] == 2**24 + 4


def test_the_updates_are_left_as_they_were() -> None:
    updates = draws(2)
    before = [{name: values.copy() for name, values in update.items()} for update in updates]
    weighted_mean(updates, [1, 2])
    for update, old in zip(updates, before, strict=True):
        assert all(np.array_equal(update[name], old[name]) for name in old)


@pytest.mark.parametrize("weights", [[1, 0], [1, -1], [1, float("nan")]])
def test_a_weight_that_is_not_above_0_is_refused(weights: list[float]) -> None:
    with pytest.raises(ValueError, match="weights above 0"):
        weighted_mean(draws(2), weights)


def test_nothing_has_no_mean() -> None:
    with pytest.raises(ValueError, match="got 0"):
        weighted_mean([], [])


@pytest.mark.parametrize("kind", [np.int64, np.int32, np.uint8, bool])
def test_whole_numbers_have_no_mean_that_is_not_truncated(kind: type) -> None:
    updates = [{"n": np.asarray(value, kind)} for value in (3, 4)]
    with pytest.raises(ValueError, match=r"n is of type .* expected a floating-point type"):
        weighted_mean(updates, [1, 1])
