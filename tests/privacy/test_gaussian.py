"""Site-level noise: as much as is stated, on what is clipped, accounted by the library, secret unless a test asks."""

import math
from collections.abc import Callable
from types import SimpleNamespace

import numpy as np
import pytest
from scipy import stats

from fedmed.core.errors import InputError
from fedmed.core.weights import l2_norm
from fedmed.experiment import Experiment
from fedmed.privacy.accounting import epsilon_of
from fedmed.privacy.base import PrivateUpdate
from fedmed.privacy.gaussian import Gaussian
from fedmed.privacy.ledger import Ledger
from fedmed.privacy.update_statistics import clipped

Send = Callable[..., SimpleNamespace]


def flat(update: PrivateUpdate) -> np.ndarray:
    return np.concatenate([update[name].astype(np.float64).ravel() for name in sorted(update)])


@pytest.mark.parametrize(("clip", "multiplier"), [(1.0, 0.5), (0.2, 4.0), (1000.0, 0.001)])
@pytest.mark.parametrize("secure", [False, True])
def test_the_noise_has_the_stated_standard_deviation(
    clip: float, multiplier: float, secure: bool, update: PrivateUpdate, send: Send
) -> None:
    mechanism = Gaussian(
        dp_clip=clip, dp_noise_multiplier=multiplier, dp_secure_noise=secure, insecure_seeded_noise=not secure
    )
    noise = flat(send(mechanism, update).update) - flat(clipped(update, clip))
    std = clip * multiplier
    assert noise.std() == pytest.approx(std, rel=6 / math.sqrt(2 * noise.size))  # six standard errors
    assert abs(noise.mean()) < 6 * std / math.sqrt(noise.size)
    assert stats.kstest(noise / std, "norm").pvalue > 1e-6


def test_without_noise_to_speak_of_the_clipped_update_is_sent(update: PrivateUpdate, send: Send) -> None:
    sent = send(Gaussian(dp_clip=0.5, dp_noise_multiplier=1e-9), update)
    assert l2_norm(sent.update) == pytest.approx(0.5, rel=1e-4)
    diagnostics = sent.ledger.entries[0].diagnostics
    assert diagnostics["clip_fraction"] == 1.0
    assert diagnostics["cosine"] == pytest.approx(1, abs=1e-5)
    assert diagnostics["update_norm"] == pytest.approx(l2_norm(update))


def test_an_update_within_the_clip_is_not_called_clipped(update: PrivateUpdate, send: Send) -> None:
    loose = send(Gaussian(dp_clip=1e9, dp_noise_multiplier=1e-18), update)
    assert loose.ledger.entries[0].diagnostics["clip_fraction"] == 0.0
    assert l2_norm(loose.update) == pytest.approx(l2_norm(update), rel=1e-4)


def test_epsilon_over_rounds_is_the_librarys_own(update: PrivateUpdate, send: Send) -> None:
    mechanism = Gaussian(dp_noise_multiplier=1.3, dp_delta=1e-4)
    for number in range(4):
        ledger = send(mechanism, update, number=number).ledger
    assert ledger.history == [(1.3, 1.0, 4)]
    assert ledger.total == epsilon_of([(1.3, 1.0, 4)], 1e-4)
    assert sum(entry.epsilon_round or 0 for entry in ledger.entries) == pytest.approx(ledger.total)


def test_noise_repeats_only_where_that_is_asked_for(update: PrivateUpdate, send: Send) -> None:
    seeded = Gaussian(dp_noise_multiplier=1.0, insecure_seeded_noise=True)
    first = flat(send(seeded, update).update)
    assert np.array_equal(flat(send(seeded, update).update), first)
    assert not np.array_equal(flat(send(seeded, update, number=1).update), first)
    assert not np.array_equal(flat(send(seeded, update, seed=1).update), first)


def test_noise_does_not_repeat_otherwise(update: PrivateUpdate, send: Send) -> None:
    mechanism = Gaussian(dp_noise_multiplier=1.0)
    assert not np.array_equal(flat(send(mechanism, update).update), flat(send(mechanism, update).update))


def test_a_target_is_met_over_all_rounds(small_experiment: Callable[..., Experiment]) -> None:
    arguments = ("--privacy", "gaussian", "--dp_target_epsilon", "8", "--num_rounds", "12")
    experiment = small_experiment(*arguments)
    planned = experiment.privacy.planned(experiment, 5)
    assert planned is not None
    assert 0.99 * 8 <= planned <= 8
    stated = experiment.privacy.resolved(experiment)
    assert isinstance(stated, Gaussian)
    assert stated.dp_noise_multiplier is not None
    assert epsilon_of([(stated.dp_noise_multiplier, 1.0, 12)], 1e-5) == planned
    assert (stated.dp_target_epsilon, stated.budget) == (None, 8)


@pytest.mark.parametrize("multiplier", [0.5, 5.0, 5000.0])
def test_a_noisy_bit_cannot_run_away_with_an_adaptive_clip(multiplier: float) -> None:
    mechanism = Gaussian(dp_clip=0.3, dp_noise_multiplier=multiplier, dp_adaptive_clip=True)
    rng, clip = np.random.default_rng(0), 0.3
    for _ in range(300):
        clip = mechanism._next_clip(clip, rng.normal(0.5, 3 * multiplier))
        assert 0.03 <= clip <= 3.0
    assert mechanism._next_clip(0.3, -1e300) <= 3.0


def test_an_adaptive_clip_follows_the_updates_and_costs_no_more(send: Send) -> None:
    mechanism = Gaussian(dp_clip=1.0, dp_noise_multiplier=0.05, dp_adaptive_clip=True, insecure_seeded_noise=True)
    small = {"w": np.full(100, 1e-4, np.float32)}
    for number in range(30):
        ledger: Ledger = send(mechanism, small, number=number).ledger
    clips = [entry.facts["clip"] for entry in ledger.entries]
    assert clips[0] == 1.0
    assert clips[-1] < 0.7  # every update was below it, so it came down
    assert ledger.total == epsilon_of([(0.05, 1.0, 30)], 1e-5)
    stds = [entry.facts["noise_std"] / entry.facts["clip"] for entry in ledger.entries]
    of_bit = 3.0 * 0.05
    assert 1 / stds[0] ** 2 + 1 / of_bit**2 == pytest.approx(1 / 0.05**2)  # both releases cost what one did


@pytest.mark.parametrize("name", ["dp_clip", "dp_noise_multiplier", "dp_target_epsilon", "dp_max_epsilon"])
@pytest.mark.parametrize("value", [0.0, -1.0, math.nan, math.inf])
def test_a_bad_option_is_refused_and_shown(name: str, value: float) -> None:
    given = {"dp_noise_multiplier": 1.0, name: value}
    if name == "dp_target_epsilon":
        del given["dp_noise_multiplier"]
    with pytest.raises(InputError, match=f"--{name} is {value}"):
        Gaussian(**given)


@pytest.mark.parametrize("delta", [0.0, 1.0, -0.1, math.nan])
def test_a_bad_delta_is_refused(delta: float) -> None:
    with pytest.raises(InputError, match="--dp_delta"):
        Gaussian(dp_noise_multiplier=1.0, dp_delta=delta)


def test_one_of_noise_and_target_must_be_given() -> None:
    with pytest.raises(InputError, match="both given"):
        Gaussian(dp_noise_multiplier=1.0, dp_target_epsilon=8.0)
    with pytest.raises(InputError, match="neither"):
        Gaussian()
    with pytest.raises(InputError, match="exclude each other"):
        Gaussian(dp_noise_multiplier=1.0, dp_secure_noise=True, insecure_seeded_noise=True)


def test_a_budget_that_the_first_round_exceeds_is_refused_before_the_run(
    small_experiment: Callable[..., Experiment],
) -> None:
    experiment = small_experiment("--privacy", "gaussian", "--dp_noise_multiplier", "0.5", "--dp_max_epsilon", "1")
    with pytest.raises(InputError, match=r"The first round at site-1 would spend epsilon .* --dp_max_epsilon is 1"):
        experiment.privacy.check_data(experiment, {"site-1": 4})


def test_a_delta_of_a_patients_share_is_refused(small_experiment: Callable[..., Experiment]) -> None:
    experiment = small_experiment("--privacy", "gaussian", "--dp_noise_multiplier", "1", "--dp_delta", "0.1")
    for patients in ({"site-1": 4, "site-2": 60}, {"site-2": 10}, {"site-2": 10**6}):
        with pytest.raises(InputError, match=rf"not below 1 / {patients['site-2']} patients of site-2"):
            experiment.privacy.check_data(experiment, patients)
    experiment.privacy.check_data(experiment, {"site-1": 9})


def test_what_cannot_be_accounted_is_refused_before_the_run(small_experiment: Callable[..., Experiment]) -> None:
    for options in (("--dp_target_epsilon", "0.01"), ("--dp_noise_multiplier", "1e-200")):
        experiment = small_experiment("--privacy", "gaussian", "--num_rounds", "600", *options)
        with pytest.raises(InputError, match=r"No noise multiplier|cannot tell epsilon"):
            experiment.privacy.check_data(experiment, {"site-1": 60})


def test_a_noise_that_follows_from_a_target_is_accepted_at_the_site(
    small_experiment: Callable[..., Experiment],
) -> None:
    arguments = ("--privacy", "gaussian", "--dp_target_epsilon", "90", "--dp_accountant", "prv", "--num_rounds", "1")
    experiment = small_experiment(*arguments)
    experiment.privacy.check_data(experiment, {"site-1": 60})
    stated = experiment.privacy.resolved(experiment)
    assert 0.1 < stated.dp_noise_multiplier < 0.102  # hardly any
    stated.check_data(experiment, {"site-1": 60})
    assert stated.spend(Ledger("run", {}), stated.dp_noise_multiplier, 1.0, 1).total <= 90


def test_a_target_is_a_budget_too_and_no_maximum_below_it_makes_sense() -> None:
    assert Gaussian(dp_target_epsilon=8.0).budget == 8.0
    assert Gaussian(dp_target_epsilon=8.0, dp_max_epsilon=9.0).budget == 8.0
    with pytest.raises(InputError, match=r"--dp_target_epsilon 8 .* --dp_max_epsilon 1 stops"):
        Gaussian(dp_target_epsilon=8.0, dp_max_epsilon=1.0)
    with pytest.raises(InputError, match=r"--dp_target_epsilon 701 .* at most 700, or take rdp"):
        Gaussian(dp_target_epsilon=701.0, dp_accountant="prv")
    assert Gaussian(dp_noise_multiplier=8.0).budget is None


def test_diagnostics_that_leave_are_called_unprotected() -> None:
    mechanism = Gaussian(dp_noise_multiplier=1.0, dp_send_diagnostics=True)
    assert "diagnostics leave UNPROTECTED" in mechanism.statement()
    assert mechanism.document()["diagnostics_leave_unprotected"]


def test_what_the_summary_says() -> None:
    mechanism = Gaussian(dp_noise_multiplier=1.0)
    assert (mechanism.UNIT, mechanism.GUARANTEE) == ("site's update", "formal")
    assert "stay at the sites" in mechanism.statement()
    assert "UNPROTECTED" in Gaussian(dp_noise_multiplier=1.0, dp_release_metrics=True).statement()
    assert "PROTECTS NOTHING" in Gaussian(dp_noise_multiplier=1.0, insecure_seeded_noise=True).statement()
    assert "nothing was released" in mechanism.verdict([])


def test_the_verdict_states_the_largest_epsilon(update: PrivateUpdate, send: Send) -> None:
    mechanism = Gaussian(dp_noise_multiplier=1.0)
    entries = send(mechanism, update).ledger.entries
    assert f"epsilon {entries[0].epsilon_total:.4g} at delta 1e-05" in mechanism.verdict(entries)
