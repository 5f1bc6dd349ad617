"""One score a case, higher is better, whatever the task: by which its cases are ranked and its members are attacked."""

import math
from collections.abc import Iterable, Sequence

from fedmed.core.site_scores import mean_of_values
from fedmed.tasks.base import Metric, Row
from fedmed.tasks.scoring.classification_metrics import SCORE, TRUTH

TRUTH_CONFIDENCE = "confidence"
"""The score of a case of classification: the mean over its targets of the probability that is given to the truth."""


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
        The mean of the first metric's values; of a task whose first metric is no mean of values, the mean over targets
        of the probability of the truth. NaN where the case has none.
    """
    return metrics[0].reduce(rows) if metrics[0].combines == "values" else _probability_of_truth(rows)


def _probability_of_truth(rows: Iterable[Row]) -> float:
    by_target: dict[str, dict[str, float]] = {}
    for row in rows:
        by_target.setdefault(row.target, {})[row.quantity] = row.value
    pairs = [(each[SCORE], each[TRUTH]) for each in by_target.values() if {SCORE, TRUTH} <= set(each)]
    mean = mean_of_values(score if truth else 1 - score for score, truth in pairs if not math.isnan(truth))
    return math.nan if mean is None else mean
