"""The guard: finite weight differences pass untouched, everything else stays at the site."""

import numpy as np
import pytest
from nvflare.apis.dxo import DXO, DataKind, from_shareable
from nvflare.apis.filter import ContentBlockedException
from nvflare.apis.fl_constant import ReturnCode
from nvflare.apis.fl_context import FLContext
from nvflare.apis.shareable import Shareable, make_reply

from fedmed.privacy.guard import FiniteDifferenceGuard


def result(data: object, kind: str = DataKind.WEIGHT_DIFF) -> Shareable:
    return DXO(kind, data=data, meta={"NUM_STEPS_CURRENT_ROUND": 3}).to_shareable()


def guarded(shareable: Shareable) -> Shareable:
    return FiniteDifferenceGuard().process(shareable, FLContext())


def test_a_finite_difference_passes_untouched() -> None:
    data = {"w": np.array([1.5, -2.0], np.float32), "b": np.float32(0)}
    passed = from_shareable(guarded(result(data)))
    assert passed.data_kind == DataKind.WEIGHT_DIFF
    assert passed.meta["NUM_STEPS_CURRENT_ROUND"] == 3
    assert set(passed.data) == {"w", "b"}
    assert passed.data["w"].tolist() == [1.5, -2.0]
    assert passed.data["w"].dtype == np.float32


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_a_single_value_that_is_not_finite_stays_and_is_named(bad: float) -> None:
    data = {"a": np.ones(3), "conv.weight": np.array([[1.0, 2.0], [3.0, bad]])}
    with pytest.raises(ContentBlockedException, match=r"conv\.weight"):
        guarded(result(data))


@pytest.mark.parametrize("kind", [DataKind.WEIGHTS, DataKind.COLLECTION, DataKind.METRICS])
def test_anything_but_a_difference_stays(kind: str) -> None:
    with pytest.raises(ContentBlockedException, match=str(kind)):
        guarded(result({"w": np.ones(3)}, kind))


@pytest.mark.parametrize("data", [{}, None])
def test_an_empty_difference_stays(data: object) -> None:
    with pytest.raises(ContentBlockedException):
        guarded(result(data))


def test_what_is_no_result_at_all_does_not_pass() -> None:
    with pytest.raises(Exception, match="not a valid DXO"):
        guarded(Shareable({"w": 1}))


def test_what_cannot_be_checked_does_not_pass() -> None:
    for values in (np.array([object()]), np.array(["text"])):
        with pytest.raises((ContentBlockedException, TypeError)):
            guarded(result({"w": values}))


def test_a_failed_result_passes_as_what_it_is() -> None:
    failed = make_reply(ReturnCode.EXECUTION_EXCEPTION)
    assert guarded(failed) is failed
    assert failed.get_return_code() == ReturnCode.EXECUTION_EXCEPTION
