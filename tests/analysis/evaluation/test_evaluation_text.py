"""Evaluations side by side: the metrics that sum a run up, and their pooled means."""

import pandas as pd

from fedmed.analysis.evaluation.evaluation_text import headline, overview
from fedmed.tasks.base import Metric

DICE, CHALLENGE = Metric("dice", "Dice", "", "higher"), Metric("challenge_dice", "Dice, challenge's rule", "", "higher")
HD95, SURFACE = Metric("hd95", "HD95", "mm", "lower"), Metric("surface_dice", "surface Dice", "", "higher")


def test_a_run_is_summed_up_by_the_first_metrics_up_to_the_first_that_is_no_share() -> None:
    assert headline((DICE, CHALLENGE, HD95, SURFACE)) == (DICE, CHALLENGE)
    assert headline((HD95, DICE)) == (HD95, DICE)
    assert headline((HD95,)) == (HD95,)


def test_the_overview_has_a_row_a_run_and_metric_with_the_pooled_means() -> None:
    rows = [
        (site, target, metric, value, 4)
        for site, shift in (("pooled", 0.0), ("site-1", 0.5))
        for metric, value in (("dice", 0.25 + shift), ("hd95", 7.0))
        for target in ("overall", "TC")
    ]
    table = pd.DataFrame(rows, columns=["site", "target", "metric", "value", "cases"])
    lines = overview({"run-001": ((DICE, HD95), table), "run-002": ((DICE, HD95), table)}).splitlines()
    assert lines[0].split() == ["run", "metric", "cases", "overall", "TC"]
    assert [line.split() for line in lines[1:]] == [
        [run, "dice", "4", "0.2500", "0.2500"] for run in ("run-001", "run-002")
    ]
