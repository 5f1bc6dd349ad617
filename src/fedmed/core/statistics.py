"""Means with intervals, and paired tests, of scores a case. Pure functions.

Patients, not cases or regions, are what is drawn anew: the values of one patient go together.
"""

import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import stats

CONFIDENCE = 0.95
RESAMPLES = 5000

EXACT = 200
"""Differences up to which all ways of signs are counted."""

ROUNDING = 12
"""Decimals of a difference; what lies beyond is the noise of floats and must neither break a tie nor rank as one."""


class Estimate(NamedTuple):
    """A number with its 95 % interval."""

    value: float
    low: float
    high: float


class PairedTest(NamedTuple):
    """The outcome of a paired test of a against b.

    ``effect`` is the matched-pairs rank-biserial correlation in [-1, 1]: 1 where a is above b in every pair.
    ``least_p`` is the smallest p that so many pairs can give; above 0.05 nothing can be found in them.
    """

    pairs: int
    median_difference: float
    effect: float
    p: float
    least_p: float


def mean_interval(values: ArrayLike, clusters: Sequence[str], seed: int = 0) -> Estimate:
    """The mean of the values with a bootstrap 95 % interval that draws whole clusters.

    Bias-corrected and accelerated (Efron 1987), at a level widened for few clusters as in Hesterberg's expanded
    interval ("What teachers should know about the bootstrap", 2015, arXiv 1411.5279): what is drawn from n clusters
    varies too little by sqrt((n - 1) / n), and as a normal where Student's distribution is due. Of 1000 samples of
    skewed Dice, Beta(5, 1.5), one to three a patient, it covers the true mean in 0.93 to 0.95 from 10 patients on and
    in 0.90 to 0.92 of 5; as it was, in 0.89 to 0.91 of 10 and 0.82 to 0.85 of 5.

    Args:
        values: (n,), without NaN.
        clusters: (n,), whose each value is: the patient.
        seed: of the resampling.

    Returns:
        NaN bounds for fewer than two clusters, and NaN throughout for no value; bounds equal to the mean where all
        clusters have the same.

    Raises:
        ValueError: a value is NaN or infinite, or there are not as many clusters as values.
    """
    numbers = np.asarray(values, dtype=np.float64)
    if numbers.shape != (len(clusters),) or not np.isfinite(numbers).all():
        raise ValueError(f"expected finite values, each with its cluster; found {numbers.shape} and {len(clusters)}")
    _, which = np.unique(np.asarray(clusters), return_inverse=True)
    sums, counts = np.bincount(which, weights=numbers), np.bincount(which).astype(np.float64)
    if not len(counts):
        return Estimate(math.nan, math.nan, math.nan)
    mean = float(numbers.mean())
    if len(counts) < 2:
        return Estimate(mean, math.nan, math.nan)
    if np.ptp(np.round(sums / counts, ROUNDING)) == 0:  # nothing to draw from, and BCa divides by the spread
        return Estimate(mean, mean, mean)
    found = stats.bootstrap(
        (sums, counts),
        _ratio,
        paired=True,
        vectorized=True,
        n_resamples=RESAMPLES,
        confidence_level=expanded_level(len(counts)),
        method="BCa",
        rng=np.random.default_rng(seed),
    ).confidence_interval
    return Estimate(mean, float(found.low), float(found.high))


def _ratio(sums: NDArray[np.float64], counts: NDArray[np.float64], axis: int = -1) -> NDArray[np.float64]:
    """The mean over all values of the drawn clusters."""
    return np.asarray(sums.sum(axis=axis) / counts.sum(axis=axis))


def expanded_level(clusters: int) -> float:
    """The level at which a bootstrap interval of so many clusters covers as a 95 % interval of Student's does."""
    quantile = stats.t.ppf((1 + CONFIDENCE) / 2, clusters - 1) * math.sqrt(clusters / (clusters - 1))
    return min(float(1 - 2 * stats.norm.sf(quantile)), 1 - 2 / RESAMPLES)  # of two to four, all that was drawn


def paired_test(a: ArrayLike, b: ArrayLike) -> PairedTest:
    """Wilcoxon's signed rank test of two scores a case, two-sided.

    Pairs without a difference are left out of the ranks (Wilcoxon's own way) and of the effect; where none has one,
    p = 1 and the effect is 0. p is exact, with ties too, for up to 200 differences, else of the normal approximation.
    The effect is the simple difference of Kerby 2014, "The simple difference formula"
    (Comprehensive Psychology 3): the share of the rank sum that speaks for a, minus that for b.

    Args:
        a: (n,) with n >= 1, without NaN.
        b: (n,), in the same order of cases.

    Raises:
        ValueError: the lengths differ, there is no pair, or a value is not finite.
    """
    first, second = (np.asarray(each, dtype=np.float64) for each in (a, b))
    if first.shape != second.shape or first.ndim != 1 or not first.size:
        raise ValueError(f"expected pairs; found {first.shape} and {second.shape}")
    if not np.isfinite([first, second]).all():
        raise ValueError("expected finite values in every pair")
    differences = np.round(first - second, ROUNDING)
    median, pairs, some = float(np.median(differences)), len(differences), differences[differences != 0]
    if not some.size:
        return PairedTest(pairs, median, 0.0, 1.0, least_p(pairs))
    p = exact_p(some) if some.size <= EXACT else float(stats.wilcoxon(some, method="asymptotic").pvalue)
    return PairedTest(pairs, median, rank_biserial(some), p, least_p(pairs))


def exact_p(differences: NDArray[np.float64]) -> float:
    """The two-sided p of a signed rank test of differences (n,) that are not 0; tied ones have their mean rank.

    The share of the 2^n ways of signs whose rank sum is at least as far out, counted rank by rank. scipy's exact p
    knows no ties, and its permutations take a second for twelve differences.
    """
    doubled = np.rint(2 * stats.rankdata(np.abs(differences))).astype(np.int64)  # a mean rank may be a half
    share = np.ones(1)  # of the ways so far, by their doubled sum of the positive ranks
    for rank in doubled:
        share = (np.pad(share, (0, rank)) + np.pad(share, (rank, 0))) / 2
    found = int(doubled[differences > 0].sum())
    return float(min(1.0, 2 * min(share[: found + 1].sum(), share[found:].sum())))


def rank_biserial(differences: NDArray[np.float64]) -> float:
    """The matched-pairs rank-biserial correlation of differences (n,) that are not 0, in [-1, 1]."""
    ranks = stats.rankdata(np.abs(differences))
    return float((ranks * np.sign(differences)).sum() / ranks.sum())


def least_p(pairs: int) -> float:
    """The smallest two-sided p of a signed rank test: all of so many pairs differ in one direction."""
    return min(1.0, 2.0 ** (1 - pairs))


def holm(p_values: ArrayLike) -> NDArray[np.float64]:
    """p values (n,) adjusted for one family of n tests, in the same order (Holm 1979, step-down)."""
    p = np.asarray(p_values, dtype=np.float64)
    order = np.argsort(p, kind="stable")
    steps = np.maximum.accumulate(p[order] * np.arange(len(p), 0, -1))
    adjusted = np.empty_like(p)
    adjusted[order] = np.minimum(steps, 1.0)
    return adjusted
