"""The cross-entropy of cases that are of one class each, from the same rows as their accuracy. Pure functions.

It is the plain loss of a classifier, without class weights and smoothed labels, over cases: in a validation it comes
from the probabilities that accuracy is made of, so it costs no second pass of the network.
"""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from fedmed.tasks.scoring.classification_metrics import SCORE, TRUTH
from fedmed.tasks.scoring.metric import DrawnFigures, Row, RowsMetric

LEAST = float(np.finfo(np.float64).eps)
"""A probability below this counts as this, as in scikit-learn's ``log_loss``, so that no case's loss is infinite."""


def log_loss(rows: Sequence[Row]) -> float:
    """The mean over cases of minus the natural logarithm of the true class's probability; NaN of no case."""
    losses, _ = _by_row(rows)
    return float(np.nanmean(losses)) if not np.isnan(losses).all() else float("nan")


def weighted_log_loss(rows: Sequence[Row]) -> DrawnFigures:
    """:func:`log_loss` of many draws of the rows; a case's rows are drawn together."""
    losses, known = _by_row(rows)

    def figures(weights: NDArray[np.float64]) -> NDArray[np.float64]:
        drawn = weights[:, known]
        number = drawn.sum(axis=1)
        return np.where(number > 0, drawn @ losses[known] / np.maximum(number, 1), np.nan)

    return figures


def _by_row(rows: Sequence[Row]) -> tuple[NDArray[np.float64], NDArray[np.bool_]]:
    """Each case's loss at the row of its true class's probability, NaN at all other rows; and where losses are."""
    true = {(row.case, row.target) for row in rows if row.quantity == TRUTH and row.value == 1}
    at = np.array([row.quantity == SCORE and (row.case, row.target) in true for row in rows], bool)
    values = np.array([row.value for row in rows], np.float64)
    return np.where(at, -np.log(np.clip(values, LEAST, 1.0)), np.nan), at


LOG_LOSS = RowsMetric(
    *("loss", "cross-entropy", "nats", "lower", (SCORE, TRUTH), (0.0, float(-np.log(LEAST)))),
    figure=log_loss,
    weighted=weighted_log_loss,
)
"""Reported as ``val_loss``. A task of classes has it among its metrics, not as the first, as lower is better."""
