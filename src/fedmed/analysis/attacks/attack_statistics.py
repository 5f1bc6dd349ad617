"""The power of scores to tell members from others: ROC, AUC, and the success at few false alarms. Pure functions.

An attack is a score a case; it calls those above a threshold members. Its worth at few false alarms counts more than
its mean: Carlini et al. 2022, "Membership inference attacks from first principles" (arXiv 2112.03570), section IV.
"""

import math
from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray
from scipy import stats

from fedmed.core.statistics import Estimate

Scores = NDArray[np.float64]
"""A score a case in the last axis, (..., n); higher speaks for a member."""

ATTACK_RESAMPLES = 2000


def auc(members: Scores, others: Scores) -> Scores:
    """The probability that a member scores above another case, ties counted half; 0.5 is chance.

    It is Mann and Whitney's U over the number of pairs.

    Args:
        members: (..., n).
        others: (..., m), with the same axes before the last.

    Returns:
        (...), each in [0, 1].
    """
    n, m = members.shape[-1], others.shape[-1]
    ranks = stats.rankdata(np.concatenate([members, others], axis=-1), axis=-1)[..., :n]
    return np.asarray((ranks.sum(axis=-1) - n * (n + 1) / 2) / (n * m))


def tpr_at_fpr(members: Scores, others: Scores, fpr: float) -> Scores:
    """The largest share of members found by a threshold that calls at most ``fpr`` of the others members.

    Of m others, ``allowed(m, fpr)`` may be called so; a tie with the next one is not found. Shapes as in :func:`auc`.
    """
    m = others.shape[-1]
    false_alarms = allowed(m, fpr)
    if false_alarms >= m:
        return np.ones(members.shape[:-1])
    threshold = np.sort(others, axis=-1)[..., m - 1 - false_alarms]
    return np.asarray((members > threshold[..., None]).mean(axis=-1))


def allowed(others: int, fpr: float) -> int:
    """The number of others that may be false alarms at a rate of ``fpr`` in [0, 1]."""
    return math.floor(others * fpr + 1e-9)  # 0.07 * 100 is 7.000000000000001, and 0.29 * 100 28.999999999999996


def resolvable_fpr(others: int, fpr: float) -> float:
    """The rate that so many others can speak of: ``fpr``, and nothing below one of them."""
    return max(fpr, 1 / others)


def roc(members: Scores, others: Scores) -> tuple[Scores, Scores]:
    """False and true positive rates over all thresholds, from (0, 0) to (1, 1), both rising.

    Args:
        members: (n,).
        others: (m,).
    """
    thresholds = np.unique(np.concatenate([members, others]))[::-1]
    rates = [[0.0, *(each >= t).mean(axis=0)] for each, t in ((x[:, None], thresholds) for x in (others, members))]
    return np.array(rates[0]), np.array(rates[1])


def estimate(statistic: Callable[[Scores, Scores], Scores], members: Scores, others: Scores, seed: int = 0) -> Estimate:
    """A statistic of two samples with its bootstrap percentile interval, members and others resampled separately.

    (Efron and Tibshirani 1993, section 13.3.) Scores that are all apart give an interval of no width, which means only
    that no resample can mix them.

    Args:
        members: (n,) with n >= 2.
        others: (m,) with m >= 2.
        seed: of the resampling.
    """
    found = stats.bootstrap(
        (members, others),
        lambda x, y, axis=-1: statistic(x, y),
        n_resamples=ATTACK_RESAMPLES,
        vectorized=True,
        confidence_level=0.95,
        method="percentile",
        rng=np.random.default_rng(seed),
    )
    interval = found.confidence_interval
    return Estimate(float(statistic(members, others)), float(interval.low), float(interval.high))


def tpr_bound(epsilon: float, delta: float, fpr: float) -> float:
    """The most that any attack finds of the members at a false positive rate, under (epsilon, delta)-DP.

    min(e^epsilon FPR + delta, 1 - e^-epsilon (1 - delta - FPR)), Kairouz et al. 2015, "The composition theorem for
    differential privacy" (arXiv 1311.0776), theorem 2.1; within [0, 1].
    """
    growth = math.exp(min(epsilon, 700.0))  # beyond, a double overflows, and the bound is 1 long before
    return max(0.0, min(1.0, growth * fpr + delta, 1 - (1 - delta - fpr) / growth))
