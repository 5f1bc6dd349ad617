"""Tables of cases whose means, medians and spreads are known."""

import math

import pandas as pd
import pytest

from fedmed.analysis.evaluation.evaluation_table import (
    interval_text,
    long_table,
    notes,
    pooled_cells,
    pooled_text,
    site_cells,
    site_text,
    spread,
    spread_text,
    summarize,
)
from fedmed.tasks.base import Metric, Row
from fedmed.tasks.scoring.classification_metrics import ACCURACY, class_rows

DICE = Metric("dice", "Dice", "", "higher")
HD95 = Metric("hd95", "HD95", "mm", "lower")


def cases(values: dict[tuple[str, str], tuple[float, float]], metric: str = "dice") -> pd.DataFrame:
    """By site and case the values of TC and ET."""
    return long_table(
        "run-1",
        {key: [Row(key[1], r, metric, v) for r, v in zip(("TC", "ET"), v, strict=True)] for key, v in values.items()},
    )


THREE = cases({("a", "x"): (0.2, 0.4), ("a", "y"): (0.6, math.nan), ("b", "z"): (0.8, 1.0)})
PATIENTS = {"x": "p", "y": "q", "z": "r"}


def row(table: pd.DataFrame, site: str, target: str) -> "pd.Series":
    return table[(table["site"] == site) & (table["target"] == target)].iloc[0]


def test_the_long_table_has_the_stated_columns() -> None:
    assert list(THREE.columns) == ["run", "site", "case", "target", "quantity", "value"]
    assert len(THREE) == 6


def test_means_are_over_the_values_that_there_are() -> None:
    table = summarize(THREE, PATIENTS, [DICE])
    overall = row(table, "pooled", "overall")
    assert overall["value"] == pytest.approx((0.2 + 0.4 + 0.6 + 0.8 + 1.0) / 5)
    assert overall["median"] == pytest.approx(0.6)
    assert overall["cases"] == 3
    assert overall["low"] < overall["value"] < overall["high"]
    assert row(table, "pooled", "ET")["cases"] == 2
    assert row(table, "a", "overall")["value"] == pytest.approx(0.4)
    assert row(table, "a", "TC")["std"] == pytest.approx(0.4 / math.sqrt(2))


def test_a_region_without_any_value_stays_empty() -> None:
    table = summarize(cases({("a", "x"): (0.2, math.nan)}), PATIENTS, [DICE])
    assert row(table, "pooled", "ET")["cases"] == 0
    assert interval_text(row(table, "pooled", "ET"), DICE) == "-"


def test_patients_are_resampled_not_cases() -> None:
    """Two patients scanned often say less than as many patients scanned once."""
    many = cases({("a", str(n)): (0.5 + 0.3 * (n % 2), math.nan) for n in range(12)})
    of_two = summarize(many, {str(n): str(n % 2) for n in range(12)}, [DICE])
    of_twelve = summarize(many, {str(n): str(n) for n in range(12)}, [DICE])
    wide, narrow = (row(t, "pooled", "TC")["high"] - row(t, "pooled", "TC")["low"] for t in (of_two, of_twelve))
    assert wide > 1.2 * narrow


def test_the_worst_site_is_the_lowest_dice_and_the_farthest_distance() -> None:
    found = spread(THREE, DICE)
    assert found is not None
    assert (found.worst, found.best) == ("a", "b")
    assert found.gap == pytest.approx(0.9 - 0.4)
    assert found.std == pytest.approx(0.5 / math.sqrt(2))
    distances = spread(cases({("a", "x"): (1, 1), ("b", "z"): (9, 9)}, "hd95"), HD95)
    assert distances is not None
    assert (distances.worst, distances.gap) == ("b", 8)


def test_shared_cases_say_nothing_of_sites() -> None:
    shared = cases({("shared", "x"): (0.2, 0.4)})
    assert spread(shared, DICE) is None
    assert "per_site" in spread_text(shared, DICE)
    assert "nothing to compare" in spread_text(cases({("a", "x"): (0.2, 0.4), ("shared", "z"): (1, 1)}), DICE)
    assert set(summarize(shared, PATIENTS, [DICE])["site"]) == {"pooled"}


def test_a_person_reads_shares_with_four_decimals_and_mm_with_two() -> None:
    both = pd.concat([THREE, cases({("a", "x"): (1.5, 2), ("b", "z"): (3, 4)}, "hd95")])
    text = pooled_text(summarize(both, PATIENTS, [DICE, HD95]), [DICE, HD95])
    assert "0.6000 [" in text
    assert "HD95 (mm)" in text
    assert "2.62 [" in text
    assert "0.9000" in site_text(summarize(THREE, PATIENTS, [DICE]), DICE)
    assert "worst a 0.4000" in spread_text(THREE, DICE)


def test_intervals_of_few_patients_are_marked_and_explained() -> None:
    table = summarize(THREE, PATIENTS, [DICE])
    assert interval_text(row(table, "pooled", "overall"), DICE).endswith("]*")
    assert any("fewer than 5 patients" in sentence for sentence in notes(table, [DICE]))
    assert "no interval" in notes(summarize(cases({("a", "x"): (1, 1)}), PATIENTS, [DICE]), [DICE])[0]


def test_a_site_of_few_patients_is_marked_where_there_are_many_in_all() -> None:
    many = {(site, f"{site}{n}"): (0.1 * n, 0.5) for site, count in (("a", 3), ("b", 9)) for n in range(count)}
    table = summarize(cases(many), {case: case for _, case in many}, [DICE])
    assert not interval_text(row(table, "pooled", "overall"), DICE).endswith("*")
    assert interval_text(row(table, "a", "TC"), DICE).endswith("*")
    assert any("fewer than 5" in sentence for sentence in notes(table, [DICE]))
    assert not any("fewer" in sentence for sentence in notes(table[table["site"] == "b"], [DICE]))


def test_where_no_case_has_a_value_that_is_said() -> None:
    nothing = cases({("a", "x"): (math.nan, math.nan), ("b", "z"): (math.nan, math.nan)})
    assert "No case has a Dice" in spread_text(nothing, DICE)


def test_many_targets_stand_one_below_the_other() -> None:
    targets = [f"finding {n}" for n in range(14)]
    rows = [Row(case, target, "dice", 0.5) for case in ("x", "y") for target in targets]
    table = summarize(long_table("run-1", {("a", "x"): rows[:14], ("b", "y"): rows[14:]}), PATIENTS, [DICE])
    assert pooled_cells(table, [DICE]).index.tolist() == ["overall", *targets]
    assert site_cells(table, DICE).columns.tolist() == ["pooled", "a", "b"]
    assert max(map(len, pooled_text(table, [DICE]).splitlines())) < 60
    assert len(site_text(table, DICE).splitlines()) == 1 + 15
    assert pooled_cells(summarize(THREE, PATIENTS, [DICE]), [DICE]).columns.tolist() == ["overall", "TC", "ET"]


def test_a_figure_that_is_no_mean_of_values_has_neither_median_nor_deviation() -> None:
    results = {("a", case): class_rows(case, ("A", "B"), (0.3, 0.7), n % 2) for n, case in enumerate("xyz")}
    table = summarize(long_table("run-1", results), PATIENTS, [ACCURACY])
    assert row(table, "pooled", "overall")["value"] == pytest.approx(1 / 3)
    assert table[["median", "std"]].isna().all(axis=None)
    assert "median" not in site_text(table, ACCURACY)
    assert "of the figure; patients" in notes(table, [ACCURACY])[0]
    assert "of the mean or other figure" in notes(table, [ACCURACY, DICE])[0]
    assert notes(table, [ACCURACY], ["Of the task."])[-1] == "Of the task."
