"""Intervals and paired tests, on data whose mean is known and on examples worked by hand."""

import math
from itertools import product

import numpy as np
import pytest
from scipy import stats

from fedmed.core.statistics import PairedTest, exact_p, holm, least_p, mean_interval, paired_test

DICE = stats.beta(5, 1.5)
"""Skewed as scores are: many good cases, a tail of bad ones; its mean is 5 / 6.5."""


def names(patients: int, values_each: int = 1) -> list[str]:
    return [f"patient-{number}" for number in range(patients) for _ in range(values_each)]


@pytest.mark.parametrize(("patients", "draws"), [(10, 250), (40, 250)])
def test_an_interval_covers_the_true_mean_as_often_as_it_says(patients: int, draws: int) -> None:
    samples = DICE.rvs((draws, patients), random_state=np.random.default_rng(11))
    found = [mean_interval(sample, names(patients)) for sample in samples]
    assert 0.90 <= np.mean([each.low <= 5 / 6.5 <= each.high for each in found]) <= 0.98
    assert all(each.low < each.value < each.high for each in found)


def test_values_of_one_patient_are_one_piece_of_evidence() -> None:
    generator = np.random.default_rng(2)
    once = DICE.rvs(20, random_state=generator)
    thrice = np.repeat(once, 3)
    assert mean_interval(thrice, names(20, 3)) == pytest.approx(mean_interval(once, names(20)))
    apart = mean_interval(thrice, names(60))
    together = mean_interval(thrice, names(20, 3))
    assert (together.high - together.low) / (apart.high - apart.low) == pytest.approx(math.sqrt(3), rel=0.15)


def test_three_values_a_patient_that_go_together_are_covered_too() -> None:
    generator, hits = np.random.default_rng(3), 0
    for _ in range(200):
        own, each = generator.normal(size=(20, 1)), generator.normal(size=(20, 3))
        regions = DICE.ppf(stats.norm.cdf(math.sqrt(0.5) * (own + each)))
        found = mean_interval(regions.ravel(), names(20, 3))
        hits += found.low <= 5 / 6.5 <= found.high
    assert 0.90 <= hits / 200 <= 0.98


def test_the_mean_is_over_values_also_where_patients_have_different_numbers_of_them() -> None:
    found = mean_interval([0.0, 1.0, 1.0, 1.0], ["a", "b", "b", "b"])
    assert found == (0.75, 0.0, 1.0)  # the extremes are a alone and b alone


def test_one_seed_is_one_interval_and_the_order_of_patients_names_does_not_matter() -> None:
    values = DICE.rvs(15, random_state=np.random.default_rng(4))
    assert mean_interval(values, names(15), seed=5) == mean_interval(values, names(15), seed=5)
    assert mean_interval(values, names(15), seed=5) != mean_interval(values, names(15), seed=6)


def test_an_interval_needs_two_patients_and_a_spread() -> None:
    one = mean_interval([0.5, 0.7], ["a", "a"])
    assert one.value == pytest.approx(0.6)
    assert math.isnan(one.low)
    assert math.isnan(one.high)
    assert all(math.isnan(number) for number in mean_interval([], []))
    assert mean_interval([0.1 + 0.2, 0.3, 0.3], names(3)) == pytest.approx((0.3, 0.3, 0.3))
    assert mean_interval([0.2, 0.4], ["a", "b"]) == pytest.approx((0.3, 0.2, 0.4))


@pytest.mark.parametrize(("values", "clusters"), [([0.1, math.nan], ["a", "b"]), ([0.1, 0.2], ["a"])])
def test_what_has_no_mean_is_refused(values: list[float], clusters: list[str]) -> None:
    with pytest.raises(ValueError, match="finite values, each with its cluster"):
        mean_interval(values, clusters)


def test_wilcoxon_as_in_hollander_and_wolfe() -> None:
    """Depression scores before and after, "Nonparametric Statistical Methods" (1973), page 29: V = 40 of 45."""
    before = [1.83, 0.50, 1.62, 2.48, 1.68, 1.88, 1.55, 3.06, 1.30]
    after = [0.878, 0.647, 0.598, 2.05, 1.06, 1.29, 1.06, 3.14, 1.29]
    found = paired_test(before, after)
    assert found.p == 20 / 512  # 10 of the 512 ways of signs reach V = 40, on each of two sides
    assert found.effect == pytest.approx((40 - 5) / 45)
    assert found.median_difference == pytest.approx(0.49)
    assert found.pairs == 9
    assert found.least_p == 2 / 512
    assert paired_test(after, before).effect == pytest.approx(-found.effect)


@pytest.mark.parametrize("number", [1, 2, 9, 30, 50])
def test_the_exact_p_is_scipys_where_there_are_no_ties(number: int) -> None:
    differences = np.random.default_rng(number).normal(0.3, 1, number)
    assert exact_p(differences) == pytest.approx(stats.wilcoxon(differences, method="exact").pvalue)


def test_the_exact_p_with_ties_is_the_share_of_all_ways_of_signs() -> None:
    differences = np.array([1.0, 1.0, 2.0, -2.0, 2.0, 3.0, -1.0, 4.0])
    ranks = stats.rankdata(np.abs(differences))
    sums = np.array([ranks[np.array(ways)].sum() for ways in product([False, True], repeat=len(ranks))])
    found = ranks[differences > 0].sum()
    assert exact_p(differences) == pytest.approx(2 * min(np.mean(sums <= found), np.mean(sums >= found)))
    assert exact_p(np.ones(6)) == pytest.approx(2 / 2**6)
    assert exact_p(np.array([1.0, -1.0])) == 1


def test_many_differences_are_judged_by_the_normal_approximation_to_the_same_end() -> None:
    generator = np.random.default_rng(9)
    a, b = generator.normal(0.12, 1, 201).round(2), np.zeros(201)
    assert paired_test(a, b).p == pytest.approx(exact_p(a[a != 0]), rel=0.02)


def test_the_effect_runs_from_all_below_to_all_above() -> None:
    a = np.array([0.5, 0.6, 0.7, 0.9])
    assert paired_test(a + np.array([0.01, 0.02, 0.03, 0.04]), a).effect == 1
    assert paired_test(a - np.array([0.01, 0.02, 0.03, 0.04]), a).effect == -1
    balanced = paired_test(a + np.array([0.01, -0.02, -0.03, 0.04]), a)  # ranks 1 + 4 against 2 + 3
    assert balanced.effect == 0
    assert balanced.p == 1


def test_pairs_without_a_difference_are_left_out_of_the_ranks() -> None:
    some, none = [0.3, 0.1, 0.6, 0.2, 0.7], [0.1, 0.2, 0.2, 0.1, 0.4]
    with_zeros = paired_test([*some, 0.5, 0.5], [*none, 0.5, 0.5])
    without = paired_test(some, none)
    assert (with_zeros.p, with_zeros.effect) == (without.p, without.effect)
    assert (with_zeros.pairs, without.pairs) == (7, 5)


def test_where_no_pair_differs_nothing_is_found() -> None:
    assert paired_test([0.1, 0.9], [0.1, 0.9]) == PairedTest(2, 0.0, 0.0, 1.0, 0.5)
    assert paired_test([0.1 + 0.2, 0.3], [0.3, 0.3]).p == 1  # 0.1 + 0.2 is 0.30000000000000004


def test_differences_that_are_equal_but_for_their_floats_share_a_rank() -> None:
    found = paired_test([0.3, 0.8, 0.1], [0.2, 0.7, 0.2])  # 0.1, 0.1 and -0.1, up to the last bit
    assert found.effect == pytest.approx((2 + 2 - 2) / 6)


@pytest.mark.parametrize(("pairs", "least"), [(1, 1.0), (5, 0.0625), (6, 0.03125)])
def test_few_pairs_cannot_give_a_small_p(pairs: int, least: float) -> None:
    a = np.arange(1.0, pairs + 1)
    assert paired_test(2 * a, a).p == least == least_p(pairs)


@pytest.mark.parametrize(("a", "b"), [([1.0], [1.0, 2.0]), ([], []), ([math.nan], [1.0])])
def test_what_cannot_be_paired_is_refused(a: list[float], b: list[float]) -> None:
    with pytest.raises(ValueError, match="expected"):
        paired_test(a, b)


def test_holm_by_hand() -> None:
    """0.005 * 4, 0.01 * 3, 0.03 * 2, and 0.04 * 1, which may not fall below the one before it."""
    np.testing.assert_allclose(holm([0.01, 0.04, 0.03, 0.005]), [0.03, 0.06, 0.06, 0.02])


def test_holm_as_statsmodels_computes_it() -> None:
    """``multipletests(p, method="holm")`` of statsmodels 0.15."""
    np.testing.assert_allclose(holm([0.01, 0.02, 0.022, 0.09, 0.4]), [0.05, 0.08, 0.08, 0.18, 0.4])


def test_adjusted_p_values_are_never_below_the_raw_ones_nor_above_one() -> None:
    raw = np.random.default_rng(5).random(30)
    adjusted = holm(raw)
    assert (adjusted >= raw).all()
    assert adjusted.max() <= 1
    assert (np.diff(adjusted[np.argsort(raw)]) >= 0).all()
    assert holm([0.03]) == [0.03]
    assert holm([]).size == 0
