"""The guard: finite weight differences and single counters are understood, everything else stays at the site."""

import numpy as np
import pytest
from nvflare.apis.dxo import DXO, DataKind
from nvflare.apis.filter import ContentBlockedException

from fedmed.privacy.release_guard import refuse_other_form, understood

ONES = np.ones((2, 3), np.float32)


def test_differences_and_counters_are_told_apart() -> None:
    data = {"w": ONES, "half": ONES.astype(np.float16), "steps": np.int64(7), "scalar": np.float32(0.5)}
    update, counters = understood(DXO(DataKind.WEIGHT_DIFF, data=data))
    assert set(update) == {"w", "half", "scalar"}
    assert set(counters) == {"steps"}
    assert int(counters["steps"]) == 7


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_a_single_value_that_is_not_finite_stays_and_is_named(bad: float) -> None:
    data = {"a": np.ones(3), "conv.weight": np.array([[1.0, 2.0], [3.0, bad]])}
    with pytest.raises(ContentBlockedException, match=r"conv\.weight holds NaN or infinite"):
        understood(DXO(DataKind.WEIGHT_DIFF, data=data))


@pytest.mark.parametrize("kind", [DataKind.WEIGHTS, DataKind.COLLECTION, DataKind.METRICS])
def test_anything_but_a_difference_stays(kind: str) -> None:
    with pytest.raises(ContentBlockedException, match=str(kind)):
        understood(DXO(kind, data={"w": ONES}))


@pytest.mark.parametrize("data", [{}, None, {"steps": np.int64(3)}])
def test_an_empty_difference_stays(data: object) -> None:
    with pytest.raises(ContentBlockedException):
        understood(DXO(DataKind.WEIGHT_DIFF, data=data))


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
def test_what_is_not_understood_stays_and_is_named(values: object) -> None:
    with pytest.raises(ContentBlockedException, match="strange"):
        understood(DXO(DataKind.WEIGHT_DIFF, data={"w": ONES, "strange": values}))


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
    with pytest.raises(ContentBlockedException, match=f"(?i){why}"):
        refuse_other_form({"w": ONES}, after)


def test_a_mechanism_that_changes_values_alone_passes() -> None:
    refuse_other_form({"w": ONES}, {"w": ONES * 3})
