"""The arithmetic of updates against McMahan's formula, and what makes an update unusable, also beside others."""

import numpy as np
import pytest

from fedmed.algorithms.updates import fault_of, norm_of, oversized, payload, weighted_mean

SHAPES = {"w": (2, 3), "b": ()}
GOOD = {"w": np.ones((2, 3), np.float32), "b": np.float32(0.5)}


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


def test_the_payload_is_that_of_the_arrays() -> None:
    assert payload({"w": np.zeros((2, 3), np.float32), "b": np.zeros(5, np.float64), "n": np.int64(3)}) == 24 + 40 + 8
    assert payload({}) == payload(None) == 0


def test_nothing_has_no_mean() -> None:
    with pytest.raises(ValueError, match="got 0"):
        weighted_mean([], [])


def test_a_good_update_has_no_fault() -> None:
    assert fault_of(GOOD, SHAPES) is None
    assert fault_of({**GOOD, "b": np.int64(3)}, SHAPES) is None


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_a_value_that_is_not_finite_is_a_fault_with_its_parameter(bad: float) -> None:
    values = np.ones((2, 3), np.float32)
    values[1, 1:] = bad
    fault = fault_of({**GOOD, "w": values}, SHAPES)
    assert fault is not None
    assert fault.startswith("w holds 2 values")


@pytest.mark.parametrize(
    ("update", "said"),
    [
        ({**GOOD, "w": np.ones((3, 2))}, ["w", "(3, 2)", "(2, 3)"]),
        ({**GOOD, "b": np.ones(1)}, ["b", "(1,)", "()"]),
        ({"w": GOOD["w"]}, ["missing ['b']"]),
        ({**GOOD, "extra": np.ones(1)}, ["unknown ['extra']"]),
        ({}, ["missing ['b', 'w']"]),
        ({**GOOD, "w": np.full((2, 3), "x")}, ["w", "type", "numbers"]),
        ({**GOOD, "w": np.full((2, 3), None)}, ["w", "object", "numbers"]),
        ({**GOOD, "w": np.ones((2, 3), bool)}, ["w", "bool", "numbers"]),
    ],
    ids=["shape", "scalar", "missing", "extra", "empty", "text", "objects", "bool"],
)
def test_a_fault_is_named(update: dict[str, np.ndarray], said: list[str]) -> None:
    fault = fault_of(update, SHAPES)
    assert fault is not None
    assert all(words in fault for words in said), fault


def test_the_norm_is_that_of_all_values_together() -> None:
    assert norm_of({"w": np.array([[3.0, 0.0], [0.0, 0.0]]), "b": np.float32(4.0)}) == 5.0
    assert norm_of({"w": np.zeros(3)}) == norm_of({}) == 0.0
    large = norm_of({"w": np.full(4, 3e38, np.float32)})  # its square is infinite in single precision
    assert large == pytest.approx(6e38)


@pytest.mark.parametrize("sites", [2, 3, 4])
@pytest.mark.parametrize("place", [0, -1])
def test_an_update_1000_times_larger_than_the_others_is_named(sites: int, place: int) -> None:
    names = [f"site-{number}" for number in range(1, sites + 1)]
    norms = dict(zip(names, [0.9, 1.0, 1.1, 1.2], strict=False))
    norms[names[place]] *= 1000
    found = oversized(norms, dict.fromkeys(names, 10), 100)
    assert set(found) == {names[place]}
    assert f"its norm, {norms[names[place]]:.3g}, is " in found[names[place]]


def test_how_many_times_larger_is_told() -> None:
    assert oversized({"a": 2.0, "b": 6.0, "c": 2000.0}, dict.fromkeys("abc", 1), 100) == {
        "c": "its norm, 2e+03, is 500 times the median of the other sites'"
    }


def test_two_large_ones_among_five_do_not_hide_each_other_and_a_small_one_is_no_fault() -> None:
    steps = dict.fromkeys("abcde", 10)
    assert set(oversized({"a": 1.0, "b": 1.0, "c": 1.0, "d": 1e4, "e": 1e4}, steps, 100)) == {"d", "e"}
    assert oversized({"a": 1.0, "b": 1.0, "c": 1.0, "d": 1.0, "e": 0.0}, steps, 100) == {}


@pytest.mark.parametrize(("ratio", "found"), [(99.0, {"b"}), (100.0, set()), (101.0, set())])
def test_the_limit_itself_is_accepted(ratio: float, found: set[str]) -> None:
    assert set(oversized({"a": 1.0, "b": 100.0}, {"a": 1, "b": 1}, ratio)) == found


@pytest.mark.parametrize("factor", [100, 1000])
def test_a_site_that_took_as_many_times_more_steps_may_send_a_larger_update(factor: int) -> None:
    assert oversized({"a": 1.0, "b": 1.0, "c": 1.0 * factor}, {"a": 3, "b": 3, "c": 3 * factor}, 50) == {}


def test_nor_is_a_site_named_whose_noise_is_of_the_others_size_and_whose_steps_are_few() -> None:
    norms = {"a": 10.0, "b": 10.1, "c": 9.9}  # the noise's, whatever the data are
    assert oversized(norms, {"a": 1000, "b": 1200, "c": 1}, 100) == {}


def test_stating_more_steps_does_not_hide_an_update_that_is_too_large_even_for_them() -> None:
    assert set(oversized({"a": 1.0, "b": 1.0, "c": 1e6}, {"a": 10, "b": 10, "c": 1000}, 100)) == {"c"}


@pytest.mark.parametrize(
    "norms", [{"a": 0.0, "b": 0.0, "c": 0.0}, {"a": 0.0, "b": 5.0}, {"a": 0.0, "b": 0.0, "c": 7.0}]
)
def test_zeros_are_no_measure_and_refuse_nothing(norms: dict[str, float]) -> None:
    assert oversized(norms, dict.fromkeys(norms, 1), 100) == {}


def test_a_single_update_has_nothing_to_be_compared_with() -> None:
    assert oversized({"a": 1e30}, {"a": 1}, 100) == oversized({}, {}, 100) == {}
