"""The reasons for which an update is unusable, by itself and beside others."""

import numpy as np
import pytest

from fedmed.server.update_guard import Form, fault_of, forms_of, oversized

GOOD = {"w": np.ones((2, 3), np.float32), "b": np.float32(0.5)}
FORMS = forms_of(GOOD)


def test_a_good_update_has_no_fault() -> None:
    assert fault_of(GOOD, FORMS) is None


@pytest.mark.parametrize("precision", [np.float16, np.float64])
def test_floats_of_another_precision_are_floats(precision: type) -> None:
    assert fault_of({**GOOD, "w": np.ones((2, 3), precision)}, FORMS) is None


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_a_value_that_is_not_finite_is_a_fault_with_its_parameter(bad: float) -> None:
    values = np.ones((2, 3), np.float32)
    values[1, 1:] = bad
    fault = fault_of({**GOOD, "w": values}, FORMS)
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
        ({**GOOD, "w": np.full((2, 3), "x")}, ["w", "type", "floats"]),
        ({**GOOD, "w": np.full((2, 3), None)}, ["w", "object", "floats"]),
        ({**GOOD, "w": np.ones((2, 3), bool)}, ["w", "bool", "floats"]),
        ({**GOOD, "w": np.ones((2, 3), complex)}, ["w", "complex", "floats"]),
        ({**GOOD, "w": np.zeros((2, 3), np.int8)}, ["w", "int8", "floats"]),
        ({**GOOD, "w": np.full((2, 3), 1e39)}, ["w holds 6 values"]),  # infinite in single precision
        ({**GOOD, "x" * 10**6: np.ones(1)}, ["unknown ['xxx"]),
    ],
    ids=[
        *("shape", "scalar", "missing", "extra", "empty", "text", "objects", "bool", "complex", "int8", "too large"),
        "a long name",
    ],
)
def test_a_fault_is_named(update: dict[str, np.ndarray], said: list[str]) -> None:
    fault = fault_of(update, FORMS)
    assert fault is not None
    assert all(words in fault for words in said), fault
    assert len(fault) < 300


@pytest.mark.parametrize("whole", [np.int64(3), np.int32(3), np.uint8(3), np.uint64(3)])
def test_a_counter_must_be_whole_and_all_else_must_not(whole: np.generic) -> None:
    counter = {"n": Form((), np.dtype(np.int64))}
    assert fault_of({"n": whole}, counter) is None
    assert fault_of({"n": np.float32(3)}, counter) == "n is of type float32; expected whole numbers"
    assert fault_of({**GOOD, "b": whole}, FORMS) == f"b is of type {whole.dtype}; expected floats"


@pytest.mark.parametrize(("given", "kind"), [(np.uint64(2**63), np.int64), (np.int64(300), np.uint8), (-1, np.uint8)])
def test_a_counter_must_fit_its_type(given: object, kind: type) -> None:
    fault = fault_of({"n": given}, {"n": Form((), np.dtype(kind))})
    assert fault == f"n holds values that {np.dtype(kind)} cannot hold"


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
