"""SVT with the published options, run on updates whose answer is known, and booked for what it is."""

import math
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from fedmed.core.errors import InputError
from fedmed.experiment import Experiment
from fedmed.privacy.base import PrivateUpdate
from fedmed.privacy.ledger import Entry
from fedmed.privacy.svt import SVT

Send = Callable[..., SimpleNamespace]

# so little noise, in the selection and in what is released, that only clipping and sampling are left
QUIET = {"dp_epsilon": 1e12, "dp_noise_var": 1e12}


def test_the_defaults_are_the_published_ones() -> None:
    svt = SVT()
    assert (svt.dp_epsilon, svt.dp_fraction, svt.dp_noise_var, svt.dp_gamma) == (0.001, 0.9, 1.0, 1e-4)


@pytest.mark.parametrize(
    ("name", "value"),
    [(name, value) for name in ("dp_epsilon", "dp_noise_var", "dp_gamma") for value in (0, -1, math.nan, math.inf)]
    + [("dp_fraction", value) for value in (0, -0.1, 1.1, math.nan)],
)
def test_a_bad_option_is_refused_and_shown(name: str, value: float) -> None:
    with pytest.raises(InputError) as caught:
        SVT(**{name: value})
    assert f"--{name} is {value};" in str(caught.value)


def test_what_leaves_is_clipped_at_gamma_times_the_steps(send: Send) -> None:
    update = {"w": np.linspace(-1, 1, 400).reshape(20, 20)}
    out = send(SVT(**QUIET, dp_fraction=0.9, dp_gamma=1e-2), update, steps=5).update["w"]
    assert out.shape == (20, 20)
    assert np.abs(out).max() <= 5 * 1e-2 * (1 + 1e-6)
    kept = out != 0
    np.testing.assert_allclose(out[kept], np.clip(update["w"], -0.05, 0.05)[kept], rtol=1e-6)
    assert 0.4 < kept.mean() <= 0.9  # sampled with replacement: 1 - exp(-0.9) = 59 % of the values at least once


def test_only_values_above_the_threshold_leave(send: Send) -> None:
    update = {"w": np.concatenate([np.full(200, 1e-3), np.zeros(800)])}
    out = send(SVT(**QUIET, dp_fraction=0.1, dp_gamma=1e-2), update).update["w"]
    assert not out[200:].any()
    assert 0 < np.count_nonzero(out) <= 100
    np.testing.assert_allclose(out[out != 0], 1e-3, rtol=1e-6)


def test_the_released_noise_has_the_stated_scale(send: Send) -> None:
    gamma, noise_var = 1e-3, 0.5
    mechanism = SVT(dp_epsilon=1e12, dp_fraction=0.5, dp_noise_var=noise_var, dp_gamma=gamma)
    out = send(mechanism, {"w": np.ones(40000)}).update["w"]
    noise = out[out != 0] - gamma
    assert np.abs(noise).mean() == pytest.approx(2 * gamma / noise_var, rel=0.05)  # a Laplace variable's mean size


def test_the_published_noise_drowns_the_update(send: Send) -> None:
    """Why the summary calls it no meaningful guarantee and no harmless one either."""
    out = send(SVT(), {"w": np.full(4000, 1e-4)}).update["w"]
    assert np.std(out[out != 0]) > 1e-4


def test_the_ledger_adds_up_all_that_was_spent(send: Send) -> None:
    for number in range(2):
        ledger = send(SVT(), {"w": np.ones(4000)}, number=number).ledger
    first, second = ledger.entries
    assert first.epsilon_round == pytest.approx(3600.001)  # 0.9 of the values at noise_var 1 each, and .001
    assert first.epsilon_round == SVT().epsilon_of_round(4000)
    assert second.epsilon_total == pytest.approx(2 * 3600.001)
    assert second.epsilon_next == pytest.approx(3 * 3600.001)
    assert first.delta == 0.0


def test_at_the_published_settings_58_percent_leave_and_the_selection_is_random(send: Send) -> None:
    sent = send(SVT(), {"w": np.random.default_rng(0).normal(0, 1e-4, 200_000)})
    facts = sent.ledger.entries[0].facts
    assert facts["released_share"] == pytest.approx(0.58, abs=0.01)
    assert facts["selection_noise_over_largest_value"] > 1e6
    told = SVT().verdict(sent.ledger.entries)
    assert "epsilon spent 1.8e+05 over 1 round; requested 0.001: this is not a meaningful guarantee" in told
    assert f"with replacement ({facts['released_share']:.0%} of the values leave at fraction 0.9)" in told
    assert "the selection is random" in told


def test_a_selection_that_is_not_random_is_not_called_so(send: Send) -> None:
    entries = send(SVT(**QUIET), {"w": np.ones(1000)}).ledger.entries
    assert "larger values are selected more often" in SVT(**QUIET).verdict(entries)


@pytest.mark.parametrize("facts", [{}, {"released_share": "all", "selection_noise_over_largest_value": None}])
def test_a_site_that_sends_no_such_facts_does_not_end_the_summary(facts: dict[str, Any]) -> None:
    told = SVT().verdict([Entry("site-1", 1, 4.2e6, 4.2e6, 8.4e6, 0.0, facts)])
    assert "epsilon spent 4.2e+06" in told


def test_a_budget_that_one_round_exceeds_is_refused(small_experiment: Callable[..., Experiment]) -> None:
    with pytest.raises(InputError, match=r"One round of --privacy svt spends epsilon 4\.23e\+06"):
        small_experiment("--privacy", "svt", "--dp_max_epsilon", "8")
    small_experiment("--privacy", "svt", "--dp_max_epsilon", "1e7")


def test_the_statement_promises_no_formal_guarantee(update: PrivateUpdate) -> None:
    assert (SVT.UNIT, SVT.GUARANTEE) == ("site's update", "heuristic")
    assert not SVT().withholds_metrics
    assert "0.001" in SVT().statement()
    assert "no meaningful" in SVT().statement()
