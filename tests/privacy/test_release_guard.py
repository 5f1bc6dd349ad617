"""The guard: finite differences, running statistics and single counters are understood, all else stays at the site."""

from typing import Any

import numpy as np
import pytest

from fedmed.core.errors import InputError
from fedmed.privacy.release_guard import SplitUpdate, refuse_other_form, split_update

ONES = np.ones((2, 3), np.float32)


def understood(data: Any, statistics: tuple[str, ...] = (), *, formal: bool = False) -> SplitUpdate:
    return split_update(data, statistics, formal=formal)


@pytest.mark.parametrize("formal", [False, True])
def test_differences_and_counters_are_told_apart(formal: bool) -> None:
    data = {"w": ONES, "half": ONES.astype(np.float16), "steps": np.int64(7), "scalar": np.float32(0.5)}
    trainable, passed = understood(data, formal=formal)
    assert set(trainable) == {"w", "half", "scalar"}
    assert set(passed) == {"steps"}
    assert int(passed["steps"]) == 7


def test_running_statistics_pass_beside_a_heuristic_and_stop_a_formal_mechanism() -> None:
    data = {"w": ONES, "norm.running_var": np.full(3, 0.5, np.float32), "steps": np.int64(7)}
    trainable, passed = understood(data, ("norm.running_var",))
    assert set(trainable) == {"w"}
    assert passed["norm.running_var"] is data["norm.running_var"]
    assert set(passed) == {"norm.running_var", "steps"}
    with pytest.raises(InputError, match=r"norm\.running_var is computed from patients"):
        understood(data, ("norm.running_var",), formal=True)


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("statistics", [(), ("conv.weight",)])
def test_a_single_value_that_is_not_finite_stays_and_is_named(bad: float, statistics: tuple[str, ...]) -> None:
    data = {"a": np.ones(3), "conv.weight": np.array([[1.0, 2.0], [3.0, bad]])}
    with pytest.raises(InputError, match=r"conv\.weight holds NaN or infinite"):
        understood(data, statistics)


@pytest.mark.parametrize("data", [{}, None, [ONES], {"steps": np.int64(3)}, {"mean": ONES}])
def test_an_empty_difference_stays(data: object) -> None:
    with pytest.raises(InputError, match="weight difference"):
        understood(data, ("mean",))


@pytest.mark.parametrize(
    "values",
    [
        np.array([1, 2, 3]),  # whole numbers that are no counter
        np.array([True]),
        np.array([1 + 2j]),
        np.array(["text"]),
        np.array([object()]),
        [[1.0], [2.0, 3.0]],
        np.longdouble([1.0]),
    ],
)
@pytest.mark.parametrize("statistics", [(), ("strange",)])
def test_what_is_not_understood_stays_and_is_named(values: object, statistics: tuple[str, ...]) -> None:
    with pytest.raises(InputError, match="strange"):
        understood({"w": ONES, "strange": values}, statistics)


@pytest.mark.parametrize(
    ("after", "why"),
    [
        ({}, "not on both sides"),
        ({"w": ONES, "more": ONES}, "more is not on both sides"),
        ({"w": ONES[:1]}, "the mechanism made"),
        ({"w": ONES.astype(np.float64)}, "the mechanism made"),
        ({"w": ONES * np.nan}, "NaN"),
    ],
)
def test_a_mechanism_that_changes_more_than_values_is_stopped(after: dict[str, np.ndarray], why: str) -> None:
    with pytest.raises(InputError, match=f"(?i){why}"):
        refuse_other_form({"w": ONES}, after)


def test_a_mechanism_that_changes_values_alone_passes() -> None:
    refuse_other_form({"w": ONES}, {"w": ONES * 3})
