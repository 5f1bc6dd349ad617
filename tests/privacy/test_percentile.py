"""The percentile filter, called heuristic, against FLARE's."""

import math
from collections.abc import Callable
from types import SimpleNamespace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from nvflare.apis.dxo import from_shareable
from nvflare.apis.fl_context import FLContext
from nvflare.apis.shareable import Shareable
from nvflare.app_common.filters.percentile_privacy import PercentilePrivacy

from fedmed.core.errors import InputError
from fedmed.privacy.percentile import Percentile, largest
from tests.privacy.results import result

Send = Callable[..., SimpleNamespace]


def test_small_differences_stay_and_large_ones_are_cut_off(send: Send) -> None:
    update = {"w": np.array([0.001, -0.002, 0.02, -0.5], np.float32)}
    sent = send(Percentile(percentile=50, percentile_gamma=0.1), update)
    np.testing.assert_allclose(sent.update["w"], [0, 0, 0.02, -0.1], rtol=1e-6)
    entry = sent.ledger.entries[0]
    assert (entry.epsilon_round, entry.epsilon_total, entry.epsilon_next, entry.delta) == (None,) * 4
    assert entry.diagnostics["clip_fraction"] == 0.25


@settings(deadline=None, max_examples=40)
@given(
    seed=st.integers(0, 2**32 - 1),
    percentile=st.floats(0, 100),
    bound=st.floats(1e-4, 10.0),
    steps=st.integers(1, 500),
    kinds=st.lists(st.sampled_from([np.float32, np.float64]), min_size=3, max_size=3),
)
def test_it_gives_flares_values_to_the_bit(
    seed: int, percentile: float, bound: float, steps: int, kinds: list[type]
) -> None:
    rng = np.random.default_rng(seed)
    shapes = {"conv.weight": (3, 4, 2), "bias": (5,), "temperature": ()}
    update = {name: np.asarray(rng.normal(size=s), kind) for (name, s), kind in zip(shapes.items(), kinds, strict=True)}
    before = {name: values.copy() for name, values in update.items()}
    dxo = from_shareable(result(dict(update), steps=steps))
    PercentilePrivacy(percentile, bound).process_dxo(dxo, Shareable(), FLContext())
    sent = largest(update, percentile, bound, steps)
    for name, values in update.items():
        assert (sent[name].shape, sent[name].dtype) == (values.shape, values.dtype)
        assert np.array_equal(sent[name], np.asarray(dxo.data[name], values.dtype)), name
        assert np.array_equal(values, before[name])


def test_bounds_are_a_step(send: Send) -> None:
    sent = send(Percentile(percentile=0, percentile_gamma=0.1), {"w": np.array([1.0, 5.0])}, steps=20)
    np.testing.assert_allclose(sent.update["w"], [1.0, 2.0])


@pytest.mark.parametrize(
    ("name", "value"),
    [("percentile", -1), ("percentile", 101), ("percentile", math.nan)]
    + [("percentile_gamma", value) for value in (0, -1, math.nan, math.inf)],
)
def test_a_bad_option_is_refused(name: str, value: float) -> None:
    with pytest.raises(InputError, match=f"--{name} is {value}"):
        Percentile(**{name: value})


def test_it_promises_nothing() -> None:
    assert Percentile.GUARANTEE == "heuristic"
    assert "no guarantee" in Percentile().statement()
    assert Percentile().verdict([]) == Percentile().statement()
