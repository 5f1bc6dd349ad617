"""One score a case, higher is better, whatever the task: by which its cases are ranked and its members are attacked."""

import math
from collections.abc import Iterable, Sequence

from fedmed.core.site_scores import mean_of_values
from fedmed.tasks.base import Metric, Row
from fedmed.tasks.scoring.classification_metrics import SCORE, TRUTH
from fedmed.tasks.scoring.multi_label_metrics import PREVALENCE

TRUTH_CONFIDENCE = "confidence"
"""The score of a case of classification: the probability that is given to its class, or of findings the mean of those
that are given to the truth of each."""

WHOLE = 1e-3
"""The most by which the probabilities of classes that exclude one another miss 1, for rounding."""


def case_score_name(metrics: Sequence[Metric]) -> str:
    """The name of the score: that of the task's first metric where cases have values of it, else ``confidence``."""
    return metrics[0].name if metrics[0].combines == "values" else TRUTH_CONFIDENCE


def case_score_title(metrics: Sequence[Metric]) -> str:
    """The score's title, for a table's heading."""
    return metrics[0].title if metrics[0].combines == "values" else "probability of the truth"


def case_score(metrics: Sequence[Metric], rows: Sequence[Row]) -> float:
    """The score of one case.

    Args:
        metrics: the task's; the first one is the one that chooses the best model.
        rows: of the case.

    Returns:
        The mean of the first metric's values; of a task whose first metric is no mean of values, the probability of the
        case's class, or of findings the mean over them of the probability of the truth. NaN where the case has none.
    """
    if metrics[0].combines == "values":
        return metrics[0].reduce(rows)
    by_target: dict[str, dict[str, float]] = {}
    for row in rows:
        by_target.setdefault(row.target, {})[row.quantity] = row.value
    pairs = [(each[SCORE], each[TRUTH]) for each in by_target.values() if {SCORE, TRUTH} <= set(each)]
    of_class = None if PREVALENCE in metrics else _of_the_one_class(pairs)  # which findings alone have
    return _mean_of_truths(pairs) if of_class is None else of_class


def _mean_of_truths(pairs: Iterable[tuple[float, float]]) -> float:
    """The mean over findings of the probability that is given to the truth of each; NaN where none is known."""
    mean = mean_of_values(score if truth else 1 - score for score, truth in pairs if not math.isnan(truth))
    return math.nan if mean is None else mean


def _of_the_one_class(pairs: Sequence[tuple[float, float]]) -> float | None:
    """The score of the one true target of classes that exclude one another; None of findings.

    Args:
        pairs: the score and the truth of each target.
    """
    of_class = [score for score, truth in pairs if truth == 1]
    if len(of_class) == 1 and math.isclose(sum(score for score, _ in pairs), 1, abs_tol=WHOLE):
        return of_class[0]
    return None
