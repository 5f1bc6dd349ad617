"""Ranks of algorithms: against scipy, the published table of Nemenyi's test, and ranks by hand."""

import math

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from fedmed.analysis.study.rank_statistics import critical_difference, friedman_p, groups, rank_test
from fedmed.core.statistics import paired_test

# Demsar 2006, table 5 (a): critical values of the two-tailed Nemenyi test at 0.05 for 2 to 10 classifiers
PUBLISHED = {2: 1.960, 3: 2.343, 4: 2.569, 5: 2.728, 6: 2.850, 7: 2.949, 8: 3.031, 9: 3.102, 10: 3.164}

# Demsar 2006, table 6: AUC of four learners on 14 data sets
C45 = [0.763, 0.599, 0.954, 0.628, 0.882, 0.936, 0.661, 0.583, 0.775, 1.000, 0.940, 0.619, 0.972, 0.957]
M = [0.768, 0.591, 0.971, 0.661, 0.888, 0.931, 0.668, 0.583, 0.838, 1.000, 0.962, 0.666, 0.981, 0.978]
CF = [0.771, 0.590, 0.968, 0.654, 0.886, 0.916, 0.609, 0.563, 0.866, 1.000, 0.965, 0.614, 0.9751, 0.946]
M_CF = [0.798, 0.569, 0.967, 0.657, 0.898, 0.931, 0.685, 0.625, 0.875, 1.000, 0.962, 0.669, 0.975, 0.970]
LEARNERS = pd.DataFrame({"C4.5": C45, "C4.5+m": M, "C4.5+cf": CF, "C4.5+m+cf": M_CF})


@pytest.mark.parametrize(("algorithms", "value"), PUBLISHED.items())
def test_the_critical_difference_is_the_published_one(algorithms: int, value: float) -> None:
    blocks = 14
    expected = value * math.sqrt(algorithms * (algorithms + 1) / (6 * blocks))
    assert critical_difference(algorithms, blocks) == pytest.approx(expected, abs=6e-4)


def test_the_published_example_of_four_learners() -> None:
    found = rank_test(LEARNERS)
    # the paper's average ranks; and its critical difference is 1.25
    assert {name: round(rank, 3) for name, rank in found.ranks.items()} == {
        "C4.5+m+cf": 1.964,
        "C4.5+m": 2.0,
        "C4.5+cf": 2.893,
        "C4.5": 3.143,
    }
    assert found.critical_difference == pytest.approx(1.25, abs=0.005)
    assert found.p == stats.friedmanchisquare(C45, M, CF, M_CF).pvalue
    by_hand = 12 * 14 / (4 * 5) * (sum(rank**2 for rank in found.ranks.values()) - 4 * 5**2 / 4)
    assert by_hand == pytest.approx(9.28, abs=0.005)  # the paper's statistic, which makes nothing of ties
    assert found.p < stats.chi2.sf(by_hand, 3)  # which ties make smaller
    assert found.blocks == 14
    assert found.alike == [["C4.5+m+cf", "C4.5+m", "C4.5+cf", "C4.5"]]  # 3.143 - 1.964 is less than 1.25


def test_lower_is_better_turns_the_ranks_round() -> None:
    higher, lower = rank_test(LEARNERS), rank_test(LEARNERS, "lower")
    assert list(lower.ranks) == list(higher.ranks)[::-1]
    assert lower.ranks["C4.5"] == pytest.approx(5 - higher.ranks["C4.5"])


def test_without_a_difference_by_friedman_one_bar_joins_all() -> None:
    generator = np.random.default_rng(3)
    scores = pd.DataFrame(generator.normal(size=(6, 5)), columns=list("abcde"))
    found = rank_test(scores)
    assert found.p > 0.05
    assert found.alike == [list(found.ranks)]


def test_equal_scores_are_no_difference() -> None:
    equal = pd.DataFrame(np.ones((6, 3)), columns=list("abc"))
    assert friedman_p(equal) == 1.0
    assert list(rank_test(equal).ranks.values()) == [2.0, 2.0, 2.0]
    assert friedman_p(equal.iloc[:1]) == 1.0


def test_two_algorithms_are_compared_by_wilcoxon() -> None:
    scores = pd.DataFrame({"a": [0.5, 0.6, 0.7, 0.8, 0.9, 0.4], "b": [0.4, 0.5, 0.5, 0.5, 0.4, 0.3]})
    found = rank_test(scores)
    assert found.ranks == {"a": 1.0, "b": 2.0}
    assert found.p == paired_test(scores["a"], scores["b"]).p == 2 / 2**6
    assert found.critical_difference is None
    assert found.alike == []
    assert rank_test(scores.iloc[:4]).alike == [["a", "b"]]


def test_groups_are_the_largest_that_are_less_than_the_distance_apart() -> None:
    ranks = {"a": 1.0, "b": 1.8, "c": 2.5, "d": 4.0}
    assert groups(ranks, 1.0) == [["a", "b"], ["b", "c"]]
    assert groups(ranks, 1.6) == [["a", "b", "c"], ["c", "d"]]
    assert groups(ranks, 0.5) == []
    assert groups(ranks, 9.0) == [["a", "b", "c", "d"]]
