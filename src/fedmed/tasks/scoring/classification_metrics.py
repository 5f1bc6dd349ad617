"""Figures of classification, of one class among several or of several findings at once. Pure functions over rows.

A case has three rows a target: ``score``, the probability of the target from 0 to 1; ``predicted``, 1 where the task's
rule decides for it, else 0; and ``truth``, 1, 0 or NaN where it is not known, which leaves the pair of case and target
out. Of one class among several the decision is for the highest score; those of findings, and the figures that they have
alone, are in ``multi_label_metrics`` and ``finding_thresholds``.

Accuracy, precision, recall and F1 follow from counts that sites can add up; an area under a curve and the calibration
error need all rows. A target that no case has has no figure, and is left out of means over targets.
"""

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fedmed.core.site_scores import mean_of_values
from fedmed.tasks.scoring.metric import DrawnFigures, Row, RowsMetric, Sums, SumsMetric

SCORE, PREDICTED, TRUTH = "score", "predicted", "truth"
BINS = 15
"""Bins of equal width of the calibration error."""

Pair = tuple[str, str]
"""A case and a target."""

OfTarget = Callable[[NDArray[np.float64], NDArray[np.float64]], DrawnFigures]
"""From the scores and the truth (N,) of a target's cases to the figures of any draws of them, weights (draws, N)."""

Area = Callable[[NDArray[np.float64], NDArray[np.float64]], NDArray[np.float64]]
"""From weights of positive and of negative cases at each score, (draws, S), to the areas, (draws,)."""


def class_rows(case: str, targets: Sequence[str], scores: Sequence[float], truth: int) -> list[Row]:
    """The rows of a case that is of one class.

    Args:
        scores: (K,) the classes' probabilities, in the order of ``targets``.
        truth: the number of the case's class, 0 to K - 1.
    """
    decided = int(np.argmax(scores))
    one_hot = [float(number == truth) for number in range(len(targets))]
    predicted = [float(number == decided) for number in range(len(targets))]
    return rows_of_case(case, targets, {SCORE: scores, PREDICTED: predicted, TRUTH: one_hot})


def rows_of_case(case: str, targets: Sequence[str], quantities: Mapping[str, Sequence[float]]) -> list[Row]:
    """A row for each value of a case's quantities, (K,) each, in the order of ``targets``."""
    return [
        Row(case, target, quantity, float(value))
        for quantity, values in quantities.items()
        for target, value in zip(targets, values, strict=True)
    ]


def auroc(rows: Sequence[Row]) -> float:
    """The mean over targets of the area under the ROC curve, each target against all others.

    A target whose cases are all positive or all negative has none; NaN where no target has one.
    """
    from sklearn.metrics import roc_auc_score  # here, as scikit-learn takes a command line its first second

    return _mean_over_targets(rows, roc_auc_score)


def weighted_auroc(rows: Sequence[Row]) -> DrawnFigures:
    """:func:`auroc` of many draws of the rows, without scikit-learn's loop over them.

    Its weights are (draws, rows), the number of times that each row is drawn; a case's rows of a target have the same.
    """
    return mean_over_targets(rows, lambda scores, truth: _areas(scores, truth, _area_under_roc))


def weighted_average_precision(rows: Sequence[Row]) -> DrawnFigures:
    """:func:`average_precision` of many draws of the rows. As :func:`weighted_auroc`."""
    return mean_over_targets(rows, lambda scores, truth: _areas(scores, truth, _average_precisions))


def mean_over_targets(rows: Sequence[Row], of_target: OfTarget) -> DrawnFigures:
    """The mean of the targets' figures of many draws of the rows; a target without one in a draw is left out of it.

    Args:
        of_target: gets the scores and the truth of the cases whose truth is known.
    """
    truth = {(row.case, row.target): row.value for row in rows if row.quantity == TRUTH}
    places: dict[str, list[int]] = {}
    for place, row in enumerate(rows):
        if row.quantity == SCORE and not math.isnan(truth.get((row.case, row.target), math.nan)):
            places.setdefault(row.target, []).append(place)
    parts = [
        (found, of_target(np.array([rows[p].value for p in found]), np.array([truth[rows[p][:2]] for p in found])))
        for found in places.values()
    ]

    def figures(weights: NDArray[np.float64]) -> NDArray[np.float64]:
        known = np.array([of(weights[:, found]) for found, of in parts]).reshape(-1, len(weights))
        number = (~np.isnan(known)).sum(axis=0)
        return np.where(number > 0, np.nansum(known, axis=0) / np.maximum(number, 1), math.nan)

    return figures


def _areas(scores: NDArray[np.float64], truth: NDArray[np.float64], area: Area) -> DrawnFigures:
    """Areas from the weights of positive and of negative cases at each different score, scores rising."""
    order = np.argsort(scores, kind="stable")
    starts = np.flatnonzero(np.diff(scores[order], prepend=-np.inf))
    positive = (truth == 1)[order]

    def figures(weights: NDArray[np.float64]) -> NDArray[np.float64]:
        rising = weights[:, order]
        return area(*(np.add.reduceat(rising * mask, starts, axis=1) for mask in (positive, ~positive)))

    return figures


def _area_under_roc(positive: NDArray[np.float64], negative: NDArray[np.float64]) -> NDArray[np.float64]:
    """The share of pairs of a positive and a negative case whose positive has the higher score; ties count half."""
    pairs = positive.sum(axis=1) * negative.sum(axis=1)
    lower = np.cumsum(negative, axis=1) - negative / 2
    return shares_of((positive * lower).sum(axis=1), pairs)


def _average_precisions(positive: NDArray[np.float64], negative: NDArray[np.float64]) -> NDArray[np.float64]:
    """The precision at each threshold, weighted by the recall that it adds; NaN without positive or negative cases."""
    hits, called = (np.cumsum(each[:, ::-1], axis=1) for each in (positive, positive + negative))
    precision = np.nan_to_num(shares_of(hits, called))
    found = shares_of((positive[:, ::-1] * precision).sum(axis=1), positive.sum(axis=1))
    return np.where(negative.sum(axis=1) > 0, found, math.nan)


def shares_of(part: NDArray[np.float64], whole: NDArray[np.float64]) -> NDArray[np.float64]:
    """The quotients, NaN where the whole is 0."""
    return np.divide(part, whole, out=np.full_like(part, math.nan), where=whole > 0)


def average_precision(rows: Sequence[Row]) -> float:
    """The mean over targets of the average precision, the area under the precision-recall curve. As :func:`auroc`."""
    from sklearn.metrics import average_precision_score

    return _mean_over_targets(rows, average_precision_score)


def _mean_over_targets(rows: Sequence[Row], area: Callable[..., float]) -> float:
    pairs = by_target(rows, SCORE).values()
    mean = mean_of_values(float(area(truth, scores)) for scores, truth in pairs if 0 < truth.sum() < len(truth))
    return math.nan if mean is None else mean


def by_target(rows: Sequence[Row], quantity: str) -> dict[str, tuple[NDArray[np.float64], NDArray[np.float64]]]:
    """The values of a quantity and the truth of each target, (N,) each, where the truth is known."""
    truth: dict[Pair, float] = {(row.case, row.target): row.value for row in rows if row.quantity == TRUTH}
    found: dict[str, list[tuple[float, float]]] = {}
    for row in rows:
        known = truth.get((row.case, row.target), math.nan) if row.quantity == quantity else math.nan
        if not math.isnan(known):
            found.setdefault(row.target, []).append((row.value, known))
    return {target: _columns(pairs) for target, pairs in found.items()}


def _columns(pairs: Iterable[tuple[float, float]]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    values, truth = np.asarray(list(pairs), dtype=np.float64).T
    return values, truth


def right_answers(rows: Sequence[Row]) -> dict[str, float]:
    """``cases``, and of them ``right``: those decided as the truth is for every target whose truth is known."""
    right: dict[str, bool] = {}
    decided: dict[Pair, float] = {(row.case, row.target): row.value for row in rows if row.quantity == PREDICTED}
    for row in rows:
        if row.quantity == TRUTH and not math.isnan(row.value):
            agrees = decided.get((row.case, row.target)) == row.value
            right[row.case] = right.get(row.case, True) and agrees
    return {"right": float(sum(right.values())), "cases": float(len(right))}


def counts(rows: Sequence[Row]) -> dict[str, float]:
    """The decisions for each target that are right, ``hit <target>``, wrong, ``false <target>``, and those missed."""
    sums: dict[str, float] = {}
    for target, (predicted, truth) in by_target(rows, PREDICTED).items():
        sums[f"hit {target}"] = float((predicted * truth).sum())
        sums[f"false {target}"] = float((predicted * (1 - truth)).sum())
        sums[f"missed {target}"] = float(((1 - predicted) * truth).sum())
    return sums


def accuracy(sums: Sums) -> float:
    """The share of right cases; NaN of none."""
    return _share(sums.get("right", 0.0), sums.get("cases", 0.0))


def macro_precision(sums: Sums) -> float:
    """The mean over targets of the share of decisions for the target that are right.

    A target that is never decided for is left out too; NaN where none is left.
    """
    return _over_targets(sums, lambda hit, false, missed: _share(hit, hit + false))


def macro_recall(sums: Sums) -> float:
    """The mean over targets of the share of the target's cases that were found; NaN where there are none.

    Of one class among several that is the balanced accuracy.
    """
    return _over_targets(sums, lambda hit, false, missed: _share(hit, hit + missed))


def macro_f1(sums: Sums) -> float:
    """The mean over targets of F1, the harmonic mean of precision and recall; NaN where there are none."""
    return _over_targets(sums, lambda hit, false, missed: _share(2 * hit, 2 * hit + false + missed))


def _over_targets(sums: Sums, of_counts: Callable[[float, float, float], float]) -> float:
    targets = [key.removeprefix("hit ") for key in sums if key.startswith("hit ")]
    found = [tuple(sums[f"{kind} {target}"] for kind in ("hit", "false", "missed")) for target in targets]
    mean = mean_of_values(of_counts(hit, false, missed) for hit, false, missed in found if hit + missed > 0)
    return math.nan if mean is None else mean


def calibration_error(rows: Sequence[Row]) -> float:
    """The expected calibration error, 0 to 1; NaN of no decision.

    The mean over decisions of the distance, in the decision's bin of :data:`BINS`, of the decided target's mean
    probability and the share of right decisions (Guo et al. 2017).
    """
    return float(weighted_calibration_error(rows)(np.ones((1, len(rows))))[0])


def weighted_calibration_error(rows: Sequence[Row]) -> DrawnFigures:
    """:func:`calibration_error` of many draws of the rows. As :func:`weighted_auroc`."""
    places, scores, truths = decisions(rows)
    of_decisions = distance_from_calibration(scores, truths)
    return lambda weights: of_decisions(weights[:, places])


def distance_from_calibration(scores: NDArray[np.float64], truth: NDArray[np.float64]) -> DrawnFigures:
    """The expected calibration error of draws of some probabilities, (N,), of what is 1 or 0 in ``truth``, (N,)."""
    surplus = np.zeros((len(scores), BINS))
    surplus[np.arange(len(scores)), confidence_bins(scores)] = scores - truth
    return lambda weights: shares_of(np.abs(weights @ surplus).sum(axis=1), weights.sum(axis=1))


def decisions(rows: Sequence[Row]) -> tuple[NDArray[np.int64], NDArray[np.float64], NDArray[np.float64]]:
    """The decisions for targets whose truth is known: each one's row's place, the probability, and 1 if it is right.

    Three arrays (N,).
    """
    values = {row[:3]: row.value for row in rows}
    found = [
        (place, values[row.case, row.target, SCORE], truth)
        for place, row in enumerate(rows)
        if row.quantity == PREDICTED and row.value == 1
        if not math.isnan(truth := values.get((row.case, row.target, TRUTH), math.nan))
    ]
    table = np.array(found, dtype=np.float64).reshape(-1, 3)
    return table[:, 0].astype(np.int64), table[:, 1], table[:, 2]


def confidence_bins(scores: NDArray[np.float64]) -> NDArray[np.int64]:
    """The bin of each probability, 0 to ``BINS`` - 1; each holds its upper edge (Guo et al. 2017)."""
    return np.clip(np.ceil(scores * BINS).astype(np.int64) - 1, 0, BINS - 1)


def _share(part: float, whole: float) -> float:
    return part / whole if whole else math.nan


_DECIDED = (PREDICTED, TRUTH)
_SCORED = (SCORE, TRUTH)
_OF_CASES: dict[str, Any] = {"sums": right_answers, "parts": ("right", "cases")}
_OF_TARGETS: dict[str, Any] = {"sums": counts, "parts": ("hit {target}", "false {target}", "missed {target}")}

AUROC = RowsMetric("auroc", "AUROC", "", "higher", _SCORED, figure=auroc, weighted=weighted_auroc)
AVERAGE_PRECISION = RowsMetric(
    *("average_precision", "average precision", "", "higher", _SCORED),
    figure=average_precision,
    weighted=weighted_average_precision,
)
ACCURACY = SumsMetric("accuracy", "accuracy", "", "higher", _DECIDED, **_OF_CASES, of_sums=accuracy)
F1 = SumsMetric("f1", "F1", "", "higher", _DECIDED, **_OF_TARGETS, of_sums=macro_f1)
PRECISION = SumsMetric("precision", "precision", "", "higher", _DECIDED, **_OF_TARGETS, of_sums=macro_precision)
RECALL = SumsMetric("recall", "recall", "", "higher", _DECIDED, **_OF_TARGETS, of_sums=macro_recall)

BALANCED_ACCURACY = SumsMetric(
    *("balanced_accuracy", "balanced accuracy", "", "higher", _DECIDED), **_OF_TARGETS, of_sums=macro_recall
)
CALIBRATION_ERROR = RowsMetric(
    *("calibration_error", "calibration error", "", "lower", (SCORE, PREDICTED, TRUTH), (0.0, 1.0)),
    figure=calibration_error,
    weighted=weighted_calibration_error,
)

CLASS_METRICS = (ACCURACY, BALANCED_ACCURACY, F1, PRECISION, RECALL, AUROC, CALIBRATION_ERROR)
"""Of one class among several, the best model by accuracy. A task may choose another order, and so another first."""
