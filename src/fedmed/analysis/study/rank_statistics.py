"""Ranks of algorithms over blocks: Friedman's test and Nemenyi's critical difference. Pure functions.

As in Demsar 2006, "Statistical comparisons of classifiers over multiple data sets" (JMLR 7). A block is a set of
conditions in which every algorithm has one score; the best one has rank 1, tied ones their mean rank.
"""

import math
from collections.abc import Mapping, Sequence
from typing import NamedTuple

import pandas as pd
from scipy import stats

from fedmed.core.statistics import paired_test

ALPHA = 0.05


class RankTest(NamedTuple):
    """The mean ranks of some algorithms, and what can be said of their differences.

    ``ranks`` are by algorithm, the best first. ``p`` is Friedman's; of two algorithms it is that of Wilcoxon's signed
    rank test of their scores. ``critical_difference`` is Nemenyi's at 0.05, None of two algorithms. ``alike`` are the
    largest groups, of two algorithms or more, within which no difference was found.
    """

    ranks: Mapping[str, float]
    blocks: int
    p: float
    critical_difference: float | None
    alike: Sequence[Sequence[str]]


def rank_test(scores: pd.DataFrame, better: str = "higher") -> RankTest:
    """The ranks of algorithms and their test.

    Args:
        scores: a row a block and a column an algorithm, two of them or more, without NaN; one block or more.
        better: ``higher`` or ``lower`` scores.
    """
    ranks = scores.rank(axis=1, ascending=better == "lower").mean().sort_values(kind="stable")
    found = {str(name): float(rank) for name, rank in ranks.items()}
    blocks, algorithms = scores.shape
    if algorithms == 2:
        p = paired_test(scores.iloc[:, 0], scores.iloc[:, 1]).p
        return RankTest(found, blocks, p, None, [list(found)] if p > ALPHA else [])
    p = friedman_p(scores)
    distance = critical_difference(algorithms, blocks)
    return RankTest(found, blocks, p, distance, [list(found)] if p > ALPHA else groups(found, distance))


def friedman_p(scores: pd.DataFrame) -> float:
    """The p value of Friedman's test by the chi-squared distribution; 1 where every block has equal scores, or of one.

    Args:
        scores: (blocks, algorithms) with three algorithms or more.
    """
    if len(scores) < 2 or (scores.nunique(axis=1) == 1).all():
        return 1.0
    return float(stats.friedmanchisquare(*(scores[name] for name in scores)).pvalue)


def critical_difference(algorithms: int, blocks: int) -> float:
    """The least difference of two mean ranks that Nemenyi's test finds at 0.05, over all pairs of the algorithms."""
    quantile = float(stats.studentized_range.ppf(1 - ALPHA, algorithms, math.inf)) / math.sqrt(2)
    return quantile * math.sqrt(algorithms * (algorithms + 1) / (6 * blocks))


def groups(ranks: Mapping[str, float], distance: float) -> list[list[str]]:
    """The largest runs of neighbours, of two or more, whose ranks lie less than ``distance`` apart.

    Args:
        ranks: in their order.
    """
    names = list(ranks)
    found: list[list[str]] = []
    for first, name in enumerate(names):
        near = [other for other in names[first:] if ranks[other] - ranks[name] < distance]
        if len(near) > 1 and not (found and set(near) <= set(found[-1])):
            found.append(near)
    return found
