"""The cases that a page shows as pictures."""

import math

import pandas as pd

from fedmed.analysis.evaluation.evaluation_folder import LONG_COLUMNS
from fedmed.analysis.report.run_page import Extreme, extremes
from fedmed.tasks.base import Metric
from fedmed.tasks.scoring.classification_metrics import ACCURACY, AUROC, class_rows

DICE = Metric("dice", "Dice", "", "higher")
VALUES = {"a": (0.9, 0.7), "b": (0.1, 0.3), "c": (math.nan, 0.5), "d": (math.nan, math.nan)}
"""Of four cases and two targets; c has no value of one of them, d of none."""

CASES = pd.DataFrame(
    [
        ("run-001", "site-1", case, target, "dice", value)
        for case, values in VALUES.items()
        for target, value in zip(("TC", "WT"), values, strict=True)
    ],
    columns=list(LONG_COLUMNS),
)


def test_the_worst_cases_come_first_then_the_best_each_once() -> None:
    assert [(each.case, round(each.score, 6), each.which) for each in extremes(CASES, [DICE], 2)] == [
        ("b", 0.2, "worst"),
        ("c", 0.5, "worst"),
        ("a", 0.8, "best"),
    ]
    assert Extreme("site-1", "b", 0.2, "worst").caption([DICE]) == "worst: b (site-1), mean Dice 0.2000"


def test_the_worst_of_a_metric_where_lower_is_better_is_the_largest() -> None:
    distance = Metric("dice", "distance", "mm", "lower")
    assert [each.case for each in extremes(CASES, [distance], 1)] == ["a", "b"]


def test_cases_of_classes_are_ranked_by_the_probability_of_the_truth() -> None:
    scores = {"sure": (0.9, 0.1), "wrong": (0.2, 0.8), "unsure": (0.5, 0.5)}
    rows = [("r", "s", *row) for case, score in scores.items() for row in class_rows(case, ("A", "B"), score, 0)]
    found = extremes(pd.DataFrame(rows, columns=list(LONG_COLUMNS)), (AUROC, ACCURACY), 1)
    assert [(each.case, round(each.score, 6), each.which) for each in found] == [
        ("wrong", 0.2, "worst"),
        ("sure", 0.9, "best"),
    ]
