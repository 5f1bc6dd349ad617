"""The cases that a page shows as pictures."""

from pathlib import Path

import pandas as pd

from fedmed.analysis.evaluation.evaluation_folder import KEYS, EvaluationFolder
from fedmed.analysis.report.run_page import extremes
from fedmed.tasks.base import Metric

VALUES = {"a": (0.9, 0.7), "b": (0.1, 0.3), "c": (float("nan"), 0.5), "d": (float("nan"), float("nan"))}


def evaluation(place: Path) -> EvaluationFolder:
    """Four cases with two regions; c has no value in one of them, d in none."""
    rows = [
        ("run-001", "site-1", case, region, "dice", value)
        for case, values in VALUES.items()
        for region, value in zip(("TC", "WT"), values, strict=True)
    ]
    folder = EvaluationFolder(place)
    about = dict.fromkeys(KEYS)
    folder.begin(about)
    columns = ["run", "site", "case", "region", "metric", "value"]
    folder.finish(pd.DataFrame(rows, columns=columns), pd.DataFrame(), about)
    return folder


def test_the_worst_cases_come_first_then_the_best_each_once(tmp_path: Path) -> None:
    folder, dice = evaluation(tmp_path / "e"), Metric("dice", "Dice", "", "higher")
    assert [(case, round(mean, 6), title) for (_, case), mean, title in extremes(folder, dice, 2)] == [
        ("b", 0.2, "worst"),
        ("c", 0.5, "worst"),
        ("a", 0.8, "best"),
    ]


def test_the_worst_of_a_metric_where_lower_is_better_is_the_largest(tmp_path: Path) -> None:
    folder, distance = evaluation(tmp_path / "e"), Metric("dice", "distance", "mm", "lower")
    assert [case for (_, case), _, _ in extremes(folder, distance, 1)] == ["a", "b"]
