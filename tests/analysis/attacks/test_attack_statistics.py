"""The numbers of an attack, on examples worked by hand and on data whose answer is known."""

import math

import numpy as np
import pytest
from scipy import stats

from fedmed.analysis.attacks.attack_statistics import (
    allowed,
    auc,
    estimate,
    resolvable_fpr,
    roc,
    tpr_at_fpr,
    tpr_bound,
)

MEMBERS = np.array([9.0, 7.0, 5.0, 3.0, 1.0])
OTHERS = np.array([8.0, 6.0, 4.0, 2.0])


def test_auc_counts_the_pairs_in_which_the_member_is_above() -> None:
    assert auc(np.array([3.0, 1.0]), np.array([2.0, 0.0])) == 3 / 4
    assert auc(MEMBERS, OTHERS) == (4 + 3 + 2 + 1) / 20


def test_a_tie_counts_half() -> None:
    assert auc(np.array([1.0, 2.0]), np.array([1.0])) == 0.75
    assert auc(np.ones(3), np.ones(4)) == 0.5


def test_auc_is_scipys_mann_whitney_over_the_pairs() -> None:
    generator = np.random.default_rng(1)
    members, others = generator.normal(1, 1, 30).round(1), generator.normal(0, 1, 20).round(1)
    assert auc(members, others) == pytest.approx(stats.mannwhitneyu(members, others).statistic / 600)


def test_many_samples_are_worked_on_at_once() -> None:
    members, others = np.stack([MEMBERS, -MEMBERS]), np.stack([OTHERS, OTHERS])
    np.testing.assert_allclose(auc(members, others), [0.5, 0.0])
    np.testing.assert_allclose(tpr_at_fpr(members, others, 0.25), [2 / 5, 0])


@pytest.mark.parametrize(
    ("fpr", "tpr"), [(0, 1 / 5), (0.24, 1 / 5), (0.25, 2 / 5), (0.5, 3 / 5), (0.75, 4 / 5), (1, 1)]
)
def test_true_positives_at_a_rate_of_false_ones(fpr: float, tpr: float) -> None:
    assert tpr_at_fpr(MEMBERS, OTHERS, fpr) == tpr


def test_a_member_that_ties_with_a_false_alarm_is_not_found() -> None:
    assert tpr_at_fpr(np.array([2.0, 3.0]), np.array([2.0, 1.0]), 0) == 0.5
    assert tpr_at_fpr(np.ones(5), np.ones(5), 0.9) == 0


def test_rates_that_floats_cannot_hold_lose_no_false_alarm() -> None:
    assert allowed(100, 0.29) == 29
    assert allowed(43, 0.01) == 0
    assert resolvable_fpr(43, 0.01) == 1 / 43
    assert resolvable_fpr(43, 0.1) == 0.1


def test_the_roc_rises_from_corner_to_corner_and_holds_the_auc() -> None:
    fpr, tpr = roc(MEMBERS, OTHERS)
    np.testing.assert_allclose(fpr, [0, 0, 1 / 4, 1 / 4, 2 / 4, 2 / 4, 3 / 4, 3 / 4, 1, 1])
    np.testing.assert_allclose(tpr, [0, 1 / 5, 1 / 5, 2 / 5, 2 / 5, 3 / 5, 3 / 5, 4 / 5, 4 / 5, 1])
    assert np.trapezoid(tpr, fpr) == pytest.approx(auc(MEMBERS, OTHERS))


def test_the_interval_covers_the_truth_about_as_often_as_it_says() -> None:
    truth = stats.norm.cdf(1 / math.sqrt(2))  # of two normal distributions one standard deviation apart
    generator, covered, runs = np.random.default_rng(3), 0, 60
    for _ in range(runs):
        found = estimate(auc, generator.normal(1, 1, 40), generator.normal(0, 1, 30))
        assert found.low <= found.value <= found.high
        covered += found.low <= truth <= found.high
    assert 0.85 <= covered / runs <= 1


def test_the_interval_follows_from_the_seed() -> None:
    generator = np.random.default_rng(0)
    members, others = generator.normal(1, 1, 50), generator.normal(0, 1, 50)
    assert estimate(auc, members, others, seed=1) == estimate(auc, members, others, seed=1)
    assert estimate(auc, members, others, seed=1) != estimate(auc, members, others, seed=2)


def test_scores_that_are_apart_give_an_interval_without_width() -> None:
    assert estimate(auc, MEMBERS + 10, OTHERS) == (1, 1, 1)


def test_what_a_promise_allows() -> None:
    assert tpr_bound(0, 0, 0.3) == pytest.approx(0.3)  # nothing is better than chance
    assert tpr_bound(math.log(2), 0.1, 0.2) == pytest.approx(2 * 0.2 + 0.1)
    assert tpr_bound(math.log(2), 0.1, 0.6) == pytest.approx(1 - (1 - 0.1 - 0.6) / 2)  # the other side is tighter
    assert tpr_bound(1e6, 1e-5, 0.01) == 1
    assert tpr_bound(1, 0.2, 0.0) == pytest.approx(0.2)


def test_the_laplace_mechanism_reaches_its_bound_and_does_not_pass_it() -> None:
    generator, epsilon = np.random.default_rng(0), 1.0
    members, others = generator.laplace(1, 1 / epsilon, 200_000), generator.laplace(0, 1 / epsilon, 200_000)
    for rate in (0.01, 0.1, 0.7):
        assert tpr_at_fpr(members, others, rate) == pytest.approx(tpr_bound(epsilon, 0, rate), rel=0.05)
