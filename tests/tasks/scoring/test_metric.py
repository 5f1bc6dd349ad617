"""A metric is one figure over any set of cases, and a federation gets it in one of three ways."""

import math

import pytest

from fedmed.core.site_scores import CASES, mean_over_sites
from fedmed.tasks.scoring.metric import Metric, Row, RowsMetric, SumsMetric

DICE = Metric("dice", "Dice", "", "higher")
RATIO = SumsMetric(
    "ratio", "ratio", "", "higher", ("a", "b"), parts=("a", "b"),
    sums=lambda rows: {q: sum(r.value for r in rows if r.quantity == q) for q in ("a", "b")},
    of_sums=lambda sums: sums["a"] / sums["b"] if sums.get("b") else math.nan,
)  # fmt: skip
RANGE = RowsMetric(
    "range", "range", "mm", "lower", ("a",),
    figure=lambda rows: max((r.value for r in rows), default=math.nan) - min((r.value for r in rows), default=0.0),
)  # fmt: skip
ROWS = [
    Row("x", "TC", "dice", 0.5), Row("x", "WT", "dice", math.nan), Row("y", "TC", "dice", 1.0),
    Row("x", "TC", "a", 3.0), Row("x", "TC", "b", 6.0), Row("y", "TC", "a", 1.0), Row("y", "TC", "b", 2.0),
]  # fmt: skip


def test_each_reads_its_own_quantities() -> None:
    assert (DICE.quantities, RATIO.quantities) == (("dice",), ("a", "b"))
    assert [row.value for row in RANGE.read(ROWS)] == [3.0, 1.0]
    assert (DICE.combines, RATIO.combines, RANGE.combines) == ("values", "sums", "rows")
    assert (DICE.is_share, RANGE.is_share) == (True, False)


def test_each_reduces_the_rows_of_whatever_cases_are_given() -> None:
    assert (DICE.reduce(ROWS), RATIO.reduce(ROWS), RANGE.reduce(ROWS)) == (0.75, 0.5, 2.0)
    only = [row for row in ROWS if row.case == "x"]
    assert (DICE.reduce(only), RATIO.reduce(only), RANGE.reduce(only)) == (0.5, 0.5, 0.0)


@pytest.mark.parametrize("metric", [DICE, RATIO, RANGE], ids=lambda metric: metric.combines)
def test_of_nothing_there_is_no_figure_and_no_report(metric: Metric) -> None:
    assert math.isnan(metric.reduce([]))
    assert metric.report([]) == {}


def test_a_site_reports_what_the_federation_needs() -> None:
    assert DICE.report(DICE.read(ROWS)) == {"val_dice": 0.75, "val_dice_values": 2}
    assert DICE.report(DICE.read(ROWS)[:1], "TC") == {"val_dice_tc": 0.5, "val_dice_tc_values": 1}
    sums = {"val_ratio_sum_a": 4.0, "val_ratio_sum_b": 8.0}
    assert RATIO.report(RATIO.read(ROWS)) == {"val_ratio": 0.5, "val_ratio_values": 2, **sums}
    assert RANGE.report(RANGE.read(ROWS)) == {"val_range": 2.0, "val_range_values": 2}


@pytest.mark.parametrize("sites", [1, 2, 3, 7])
def test_values_and_sums_give_the_figure_of_all_rows_however_cases_are_dealt(sites: int) -> None:
    rows = [
        Row(f"case-{n}", "TC", quantity, value)
        for n in range(7)
        for quantity, value in (("dice", math.nan if n == 3 else n / 7), ("a", n**2), ("b", 10.0 + n))
    ]
    cases = [f"case-{n}" for n in range(7)]
    reports = {}
    for site in range(sites):
        own = [row for row in rows if row.case in cases[site::sites]]
        reports[f"site-{site}"] = {
            **DICE.report(DICE.read(own)), **RATIO.report(RATIO.read(own)), CASES: len(cases[site::sites])
        }  # fmt: skip
    found = mean_over_sites(reports, {RATIO.reported: RATIO.of_sums})
    assert found["val_dice"] == pytest.approx(DICE.reduce(rows), abs=1e-12)
    assert found["val_ratio"] == pytest.approx(RATIO.reduce(rows), abs=1e-12)
    assert set(found) == {"val_dice", "val_ratio"}
