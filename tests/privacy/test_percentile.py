"""FLARE's percentile filter, called heuristic."""

import math
from collections.abc import Callable
from types import SimpleNamespace

import numpy as np
import pytest

from fedmed.core.errors import InputError
from fedmed.privacy.percentile import Percentile

Send = Callable[..., SimpleNamespace]


def test_small_differences_stay_and_large_ones_are_cut_off(send: Send) -> None:
    update = {"w": np.array([0.001, -0.002, 0.02, -0.5], np.float32)}
    sent = send(Percentile(percentile=50, percentile_gamma=0.1), update)
    np.testing.assert_allclose(sent.update["w"], [0, 0, 0.02, -0.1], rtol=1e-6)
    entry = sent.ledger.entries[0]
    assert (entry.epsilon_round, entry.epsilon_total, entry.epsilon_next, entry.delta) == (None,) * 4
    assert entry.diagnostics["clip_fraction"] == 0.25


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
