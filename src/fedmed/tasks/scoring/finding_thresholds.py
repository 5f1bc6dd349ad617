"""The probability from which on a finding is decided for, chosen for the largest F1. Pure functions over rows."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from fedmed.tasks.scoring.classification_metrics import SCORE, by_target
from fedmed.tasks.scoring.metric import Row


class FindingThreshold(NamedTuple):
    """A finding's threshold: a score of it or above is a decision for the finding.

    ``threshold`` and ``f1``, the one of the cases on which it was chosen, are None where none can be chosen.
    ``positives`` and ``cases`` are the numbers of cases that have the finding, and of which that is known.
    """

    threshold: float | None
    f1: float | None
    positives: int
    cases: int

    @property
    def missing(self) -> str:
        """The reason for which there is no threshold, in words; empty where there is one."""
        if self.threshold is not None:
            return ""
        return "no case has the finding" if self.positives == 0 else "every case has the finding"


def chosen_thresholds(rows: Sequence[Row], targets: Sequence[str]) -> dict[str, FindingThreshold]:
    """The threshold of each target with the largest F1 over the rows; of equals the one with the fewest decisions."""
    found = by_target(rows, SCORE)
    none = np.zeros(0), np.zeros(0)
    return {target: best_threshold(*found.get(target, none)) for target in targets}


def best_threshold(scores: NDArray[np.float64], truth: NDArray[np.float64]) -> FindingThreshold:
    """The threshold of one finding.

    It lies in the middle between two neighbouring scores, of which the lower is the last that is not decided for; below
    the lowest score that is 0.

    Args:
        scores: (N,) probabilities.
        truth: (N,) 1 or 0.
    """
    positives, cases = int(truth.sum()), len(truth)
    if positives in (0, cases):
        return FindingThreshold(None, None, positives, cases)
    order = np.argsort(-scores, kind="stable")
    falling, hits = scores[order], np.cumsum(truth[order])
    last = np.flatnonzero(np.diff(falling, append=-np.inf))  # the last case of each different score
    f1 = 2 * hits[last] / (last + 1 + positives)
    best = int(np.argmax(f1))
    lower = falling[last[best + 1]] if best + 1 < len(last) else 0.0
    middle = (falling[last[best]] + lower) / 2
    return FindingThreshold(float(middle), float(f1[best]), positives, cases)
