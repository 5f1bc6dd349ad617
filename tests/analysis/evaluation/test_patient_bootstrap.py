"""Figures over drawn patients against figures of rows that were drawn one by one, and intervals with known coverage."""

import math
from collections.abc import Sequence

import numpy as np
import pandas as pd
import pytest
from sklearn.metrics import roc_auc_score

from fedmed.analysis.evaluation.patient_bootstrap import figure_interval, figures_of, paired_difference, rows_of
from fedmed.core.statistics import mean_interval
from fedmed.tasks.base import Metric, Row
from fedmed.tasks.scoring.classification_metrics import ACCURACY, AUROC, AVERAGE_PRECISION, F1, class_rows

CLASSES = ("A", "B")
FIGURES = [AUROC, AVERAGE_PRECISION, ACCURACY, F1]


def classified(number: int, skill: float, seed: int = 0) -> pd.DataFrame:
    """Rows of so many cases; the more skill, the further the scores are on the side of the truth."""
    generator = np.random.default_rng(seed)
    rows: list[Row] = []
    for case in range(number):
        truth = case % 2
        score = 1 / (1 + math.exp(-generator.normal(skill * (1 if truth else -1), 1)))
        rows += class_rows(f"case-{case}", CLASSES, (1 - score, score), truth)
    return pd.DataFrame(rows, columns=list(Row._fields))


def own_patients(table: pd.DataFrame) -> dict[str, str]:
    return {case: f"patient of {case}" for case in table["case"].unique()}


def repeated(rows: Sequence[Row], times: dict[str, int]) -> list[Row]:
    return [row._replace(case=f"{row.case}/{n}") for row in rows for n in range(times[row.case])]


@pytest.mark.parametrize("metric", FIGURES, ids=lambda metric: metric.name)
def test_a_drawn_figure_is_that_of_the_rows_as_often_as_they_were_drawn(metric: Metric) -> None:
    rows = metric.read(rows_of(classified(12, 0.4)))
    cases = sorted({row.case for row in rows})
    owners = np.array([cases.index(row.case) // 2 for row in rows])  # two cases a patient
    drawn = np.random.default_rng(0).multinomial(6, [1 / 6] * 6, size=5).astype(float)
    expected = [metric.reduce(repeated(rows, {c: int(each[n // 2]) for n, c in enumerate(cases)})) for each in drawn]
    assert figures_of(metric, rows, owners, 6)(drawn) == pytest.approx(expected, nan_ok=True)


def test_a_mean_of_values_has_the_interval_of_a_mean() -> None:
    generator = np.random.default_rng(3)
    values = {f"case-{n}": float(generator.beta(5, 1.5)) for n in range(20)}
    table = pd.DataFrame([Row(c, "A", "dice", v) for c, v in values.items()], columns=list(Row._fields))
    patients = {case: f"p{n // 2}" for n, case in enumerate(values)}
    found = figure_interval(Metric("dice", "Dice", "", "higher"), table, patients)
    assert found == mean_interval(list(values.values()), list(patients.values()))


def test_the_interval_of_an_area_covers_it_about_as_often_as_it_says() -> None:
    truth = 0.9213503964748575  # of two normal distributions two standard deviations apart: Phi(2 / sqrt(2))
    found = [figure_interval(AUROC, t, own_patients(t)) for t in (classified(60, 1.0, seed) for seed in range(40))]
    assert all(each.low <= each.value <= each.high for each in found)
    assert sum(each.low <= truth <= each.high for each in found) >= 34


def test_the_figure_is_scikit_learns() -> None:
    table = classified(30, 0.5)
    score, truth = (
        table[(table["quantity"] == name) & (table["target"] == "B")]["value"].tolist() for name in ("score", "truth")
    )
    assert figure_interval(AUROC, table, own_patients(table)).value == pytest.approx(roc_auc_score(truth, score))


def test_cases_of_one_patient_are_drawn_together() -> None:
    table = classified(40, 0.5)
    apart = figure_interval(AUROC, table, own_patients(table))
    together = figure_interval(AUROC, table, {f"case-{n}": f"p{n // 8}" for n in range(40)})
    assert together.value == apart.value
    assert together != apart


def test_without_patients_to_draw_or_a_figure_there_is_no_interval() -> None:
    one = classified(6, 1.0)
    alone = figure_interval(ACCURACY, one, dict.fromkeys(one["case"], "p"))
    assert (math.isnan(alone.low), math.isnan(alone.value)) == (True, False)
    positive = one[one["case"].isin(["case-1", "case-3"])]  # an area needs both classes
    assert math.isnan(figure_interval(AUROC, positive, own_patients(positive)).value)


@pytest.mark.parametrize("metric", FIGURES, ids=lambda metric: metric.name)
def test_a_run_that_is_better_in_every_patient_is_found_and_an_equal_one_is_not(metric: Metric) -> None:
    good, bad = classified(40, 2.5), classified(40, 0.0, seed=1)
    difference, test = paired_difference(metric, [(good, bad)], own_patients(good))
    figures = [metric.reduce(rows_of(each)) for each in (good, bad)]
    assert difference.value == pytest.approx(figures[0] - figures[1])
    assert difference.low > 0
    assert test.p < 0.01
    assert test.p >= test.least_p
    same, none = paired_difference(metric, [(good, good)], own_patients(good))
    assert (same.value, same.low, same.high, none.p) == (0, 0, 0, 1)


def test_few_patients_are_exchanged_in_every_way() -> None:
    good, bad = classified(6, 9.0), classified(6, -9.0)
    _, test = paired_difference(ACCURACY, [(good, bad)], own_patients(good))
    assert (test.pairs, test.p, test.least_p) == (6, 2 / 2**6, 2 / 2**6)
    assert math.isnan(test.effect)


def test_p_of_runs_that_are_alike_is_uniform() -> None:
    """Of runs with independent noise of one kind, p is below one half about every second time."""
    found = [
        paired_difference(
            AUROC, [(classified(24, 0.7, seed), classified(24, 0.7, seed + 100))], own_patients(classified(24, 0))
        )
        for seed in range(40)
    ]
    small = sum(test.p <= 0.5 for _, test in found)
    assert 10 <= small <= 30
    assert sum(test.p <= 0.05 for _, test in found) <= 6
