"""Figures of several findings at once, any number of which a case may have. Pure functions over rows.

A case has two rows a finding: ``score``, the probability from 0 to 1, and ``truth``, 1, 0 or NaN where it is not known.
Decisions, rows of ``predicted``, are added by an evaluation that has thresholds. Every figure over several findings is
the mean of theirs, so that a rare finding counts as much as a frequent one.
"""

import math
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from fedmed.tasks.scoring.classification_metrics import (
    AUROC,
    AVERAGE_PRECISION,
    F1,
    SCORE,
    TRUTH,
    OfTarget,
    by_target,
    distance_from_calibration,
    mean_over_targets,
    rows_of_case,
    shares_of,
)
from fedmed.tasks.scoring.log_loss import LEAST
from fedmed.tasks.scoring.metric import DrawnFigures, Row, RowsMetric, Sums, SumsMetric

PRESENT, KNOWN = "present", "known"
"""Begin the names of a finding's numbers of cases that have it, and of those of which that is known."""


def finding_rows(case: str, targets: Sequence[str], scores: Sequence[float], truth: Sequence[float]) -> list[Row]:
    """The rows of a case with any number of findings.

    Args:
        scores: (K,) the findings' probabilities, in the order of ``targets``.
        truth: (K,) 1, 0, or NaN where it is not known whether the finding is there.
    """
    return rows_of_case(case, targets, {SCORE: scores, TRUTH: truth})


def _mean_over_cases(of_case: NDArray[np.float64]) -> DrawnFigures:
    return lambda weights: shares_of(weights @ of_case, weights.sum(axis=1))


def _entropies(scores: NDArray[np.float64], truth: NDArray[np.float64]) -> DrawnFigures:
    right = np.where(truth == 1, scores, 1 - scores)
    return _mean_over_cases(-np.log(np.clip(right, LEAST, 1.0)))


def _squares(scores: NDArray[np.float64], truth: NDArray[np.float64]) -> DrawnFigures:
    return _mean_over_cases((scores - truth) ** 2)


def _figure(rows: Sequence[Row], of_finding: OfTarget) -> float:
    return float(mean_over_targets(rows, of_finding)(np.ones((1, len(rows))))[0])


def binary_cross_entropy(rows: Sequence[Row]) -> float:
    """The mean over findings of the mean over cases of minus the logarithm of the truth's probability, in nats.

    It is the training loss without positive weights. NaN of no case.
    """
    return _figure(rows, _entropies)


def weighted_binary_cross_entropy(rows: Sequence[Row]) -> DrawnFigures:
    """:func:`binary_cross_entropy` of many draws of the rows, whose weights are (draws, rows)."""
    return mean_over_targets(rows, _entropies)


def brier_score(rows: Sequence[Row]) -> float:
    """The mean over findings of the mean square of the probability's distance from the truth, 0 to 1 (Brier 1950)."""
    return _figure(rows, _squares)


def weighted_brier_score(rows: Sequence[Row]) -> DrawnFigures:
    """:func:`brier_score` of many draws of the rows, whose weights are (draws, rows)."""
    return mean_over_targets(rows, _squares)


def finding_calibration_error(rows: Sequence[Row]) -> float:
    """The mean over findings of the expected calibration error of their probabilities, 0 to 1; NaN of no case.

    Of one finding it is the mean over cases of the distance, in the bin of the case's probability, of the mean
    probability and the share of cases that have the finding.
    """
    return _figure(rows, distance_from_calibration)


def weighted_finding_calibration_error(rows: Sequence[Row]) -> DrawnFigures:
    """:func:`finding_calibration_error` of many draws of the rows, whose weights are (draws, rows)."""
    return mean_over_targets(rows, distance_from_calibration)


def presences(rows: Sequence[Row]) -> dict[str, float]:
    """The numbers of cases that have each finding, ``present <finding>``, and of which it is known."""
    found = {target: truth for target, (truth, _) in by_target(rows, TRUTH).items()}
    return {
        **{f"{PRESENT} {target}": float(truth.sum()) for target, truth in found.items()},
        **{f"{KNOWN} {target}": float(len(truth)) for target, truth in found.items()},
    }


def prevalence(sums: Sums) -> float:
    """The mean over findings of the share of cases that have the finding; NaN where it is known of none."""
    targets = [name.removeprefix(KNOWN) for name, count in sums.items() if name.startswith(f"{KNOWN} ") and count]
    shares = [sums.get(PRESENT + target, 0.0) / sums[KNOWN + target] for target in targets]
    return sum(shares) / len(shares) if shares else math.nan


_SCORED = (SCORE, TRUTH)

FINDING_LOSS = RowsMetric(
    *("loss", "binary cross-entropy", "nats", "lower", _SCORED, (0.0, float(-np.log(LEAST)))),
    figure=binary_cross_entropy,
    weighted=weighted_binary_cross_entropy,
)
"""Reported as ``val_loss``."""

BRIER_SCORE = RowsMetric(
    *("brier", "Brier score", "", "lower", _SCORED, (0.0, 1.0)), figure=brier_score, weighted=weighted_brier_score
)
FINDING_CALIBRATION_ERROR = RowsMetric(
    *("calibration_error", "calibration error", "", "lower", _SCORED, (0.0, 1.0)),
    figure=finding_calibration_error,
    weighted=weighted_finding_calibration_error,
)
PREVALENCE = SumsMetric(
    *("prevalence", "prevalence", "", "", (TRUTH,), (0.0, 1.0)),
    sums=presences,
    parts=(f"{PRESENT} {{target}}", f"{KNOWN} {{target}}"),
    of_sums=prevalence,
)

FINDING_METRICS = (
    *(AUROC, AVERAGE_PRECISION, F1, FINDING_LOSS),
    *(BRIER_SCORE, FINDING_CALIBRATION_ERROR, PREVALENCE),
)
"""Of several findings at once, the best model by the mean AUROC of the findings."""

FINDING_NOTES = (
    "Figures over several findings are the mean of theirs. A finding that every case has, or none, has neither an "
    "AUROC nor an average precision, and those means leave it out.",
    "The average precision of a model that knows nothing is the prevalence, and its AUROC 0.5.",
    "Drawn cases lie less evenly in the bins of the calibration error, so that its interval can lie above its value.",
    "Pooled figures are over the rows of all cases. Where rows stay at the sites, as in the rounds of a federation, "
    "an AUROC over sites is the mean of the sites' AUROC, each over the findings that the site can score.",
)
"""The rules of :data:`FINDING_METRICS`, for the end of a table."""
