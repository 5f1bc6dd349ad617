"""Comparisons of tables whose answers are known."""

import math
import re
from itertools import pairwise

import numpy as np
import pandas as pd
import pytest

from fedmed.analysis.comparison.paired_comparison import RunDifference, by_case, compare, figures, sentence
from fedmed.analysis.evaluation.evaluation_folder import LONG_COLUMNS
from fedmed.core.statistics import Estimate, PairedTest, holm, mean_interval, paired_test
from fedmed.tasks.base import Metric
from fedmed.tasks.scoring.classification_metrics import ACCURACY, class_rows

DICE, HD95 = Metric("dice", "Dice", "", "higher"), Metric("hd95", "HD95", "mm", "lower")
NAMES = {"a": "run-a (fedavg)", "b": "run-b (svt)"}


def table(values: np.ndarray, targets: tuple[str, ...] = ("TC", "WT", "ET")) -> pd.DataFrame:
    """Cases case-0, case-1, ... in rows."""
    index = pd.Index([f"case-{n}" for n in range(len(values))], name="case")
    return pd.DataFrame(values, index=index, columns=pd.Index(targets, name="target"))


def long(values: pd.DataFrame, quantity: str = "dice") -> pd.DataFrame:
    """The same values, a row each."""
    rows = [("r", "s", case, target, quantity, row[target]) for case, row in values.iterrows() for target in values]
    return pd.DataFrame(rows, columns=list(LONG_COLUMNS))


def compared(runs: dict[str, pd.DataFrame]) -> list[RunDifference]:
    return compare({label: long(values) for label, values in runs.items()}, DICE, own_patients(runs["a"]))


def own_patients(values: pd.DataFrame) -> dict[str, str]:
    return {case: f"patient of {case}" for case in values.index}


@pytest.fixture
def runs() -> dict[str, pd.DataFrame]:
    """a, b a little below it, and c that is a with noise; a third of the cases have no ET."""
    generator = np.random.default_rng(6)
    a = generator.beta(5, 1.5, (20, 3))
    a[::3, 2] = math.nan
    b = a - 0.02 - 0.01 * generator.random((20, 3))
    return {"a": table(a), "b": table(b), "c": table(a + 0.01 * generator.normal(size=(20, 3)))}


def test_the_long_table_becomes_a_row_a_case_and_models_of_several_sites_are_averaged() -> None:
    rows = [
        ("run", "site-1", "x", "TC", "dice", 0.2),
        ("run", "site-2", "x", "TC", "dice", 0.4),
        ("run", "site-1", "x", "ET", "dice", math.nan),
        ("run", "site-1", "y", "ET", "dice", 0.9),
        ("run", "site-1", "y", "TC", "dice", 0.5),
        ("run", "site-1", "y", "TC", "hd95", 7.0),
    ]
    found = by_case(pd.DataFrame(rows, columns=list(LONG_COLUMNS)), "dice")
    assert list(found.columns) == ["TC", "ET"]
    assert found.loc["x", "TC"] == pytest.approx(0.3)
    assert found.loc["y"].tolist() == [0.5, 0.9]
    assert math.isnan(found.loc["x", "ET"])


def test_means_are_over_all_values_and_over_those_of_each_region(runs: dict[str, pd.DataFrame]) -> None:
    a = runs["a"]
    found = figures(long(a), DICE, own_patients(a))
    assert list(found) == ["overall", "TC", "WT", "ET"]
    assert found["overall"].value == pytest.approx(np.nanmean(a.to_numpy()))
    assert found["ET"].value == pytest.approx(np.nanmean(a["ET"]))
    assert found["TC"] == mean_interval(a["TC"], list(a.index))


def test_cases_of_one_patient_are_drawn_together(runs: dict[str, pd.DataFrame]) -> None:
    twice = pd.concat([runs["a"], runs["a"].rename(index=lambda case: f"{case} again")])
    once = figures(long(runs["a"]), DICE, own_patients(runs["a"]))["overall"]
    patients = {case: case.removesuffix(" again") for case in twice.index}
    assert figures(long(twice), DICE, patients)["overall"] == pytest.approx(once)
    apart = figures(long(twice), DICE, own_patients(twice))["overall"]
    assert apart.high - apart.low < 0.85 * (once.high - once.low)


def test_every_pair_is_tested_overall_and_by_region_in_one_family(runs: dict[str, pd.DataFrame]) -> None:
    found = compared(runs)
    assert [(each.subject, each.reference) for each in found[::4]] == [("b", "a"), ("c", "a"), ("c", "b")]
    assert [each.target for each in found] == ["overall", "TC", "WT", "ET"] * 3
    assert [each.p for each in found] == holm([each.test.p for each in found]).tolist()
    first = found[0]
    assert first.test == paired_test(runs["b"].mean(axis=1), runs["a"].mean(axis=1))
    assert first.test.effect == -1
    assert found[3].test.pairs == 13  # of 20 cases, those with an ET
    assert found[5].p > 0.05


def test_a_difference_is_that_of_the_means_that_are_shown(runs: dict[str, pd.DataFrame]) -> None:
    patients = own_patients(runs["a"])
    shown = {label: figures(long(values), DICE, patients) for label, values in runs.items()}
    for each in compared(runs):
        ours, theirs = shown[each.subject][each.target].value, shown[each.reference][each.target].value
        assert each.difference.value == pytest.approx(ours - theirs)
        assert each.difference.low <= each.difference.value <= each.difference.high


def test_the_order_of_cases_and_regions_does_not_matter(runs: dict[str, pd.DataFrame]) -> None:
    a, b = runs["a"], runs["b"]
    turned = compared({"a": a, "b": b.iloc[::-1][["ET", "TC", "WT"]]})
    straight = compared({"a": a, "b": b})
    assert {each.target: each.test.effect for each in turned} == {each.target: each.test.effect for each in straight}


def test_a_case_without_a_value_in_one_of_two_runs_is_left_out_of_both() -> None:
    a, b = table(np.array([[0.5, 0.1, 0.5]] * 4)), table(np.array([[0.5, 0.1, 0.5]] * 4))
    b.loc["case-0", "WT"] = math.nan  # without it the case's mean would rise from 0.37 to 0.5
    b.loc["case-1"] = math.nan
    found = {each.target: each.test for each in compared({"a": a, "b": b})}
    assert found["overall"] == PairedTest(3, 0.0, 0.0, 1.0, 0.25)
    assert found["WT"].pairs == 2


def comparison(value: float, p: float, effect: float, pairs: int = 43, least_p: float = 0.001) -> RunDifference:
    test = PairedTest(pairs, value, effect, p / 4, least_p / 4)
    interval = Estimate(value, value - 0.01, value + 0.01)
    return RunDifference("b", "a", "overall", pairs, interval, test, "Wilcoxon", p, least_p)


def test_a_difference_is_told_with_its_size_and_its_certainty() -> None:
    assert sentence(comparison(-0.034, 0.012, -0.62), NAMES, DICE, 4) == (
        "run-b (svt) is worse than run-a (fedavg) in Dice by 0.0340 on average over 43 cases (difference -0.0340, 95 % "
        "interval -0.0440 to -0.0240; Wilcoxon p = 0.012 after Holm over 4 tests, rank-biserial correlation -0.62)."
    )
    assert "is better than" in sentence(comparison(0.034, 0.012, 0.6), NAMES, DICE, 4)
    assert "p < 0.001 after" in sentence(comparison(0.034, 0.0002, 0.6), NAMES, DICE, 4)


def test_of_a_distance_more_is_worse() -> None:
    told = sentence(comparison(1.5, 0.01, 0.6), NAMES, HD95, 4)
    assert "worse than run-a (fedavg) in HD95 by 1.50 mm on average" in told
    assert "better than" in sentence(comparison(-1.5, 0.01, -0.6), NAMES, HD95, 4)


def test_no_difference_is_not_called_equality() -> None:
    told = sentence(comparison(-0.001, 0.7, -0.05), NAMES, DICE, 4)
    assert told.startswith("No difference was found between run-b (svt) and run-a (fedavg) in Dice over 43 cases; that")
    assert "no proof of equality" in told
    assert not re.search("worse|better", told)


def test_too_few_cases_are_called_so() -> None:
    """Of four cases the least p is 1/8, and over four tests Holm's correction makes it 1/2."""
    a = table(np.linspace(0.1, 0.9, 12).reshape(4, 3))
    found = compared({"a": a, "b": a - table(np.linspace(0.01, 0.02, 12).reshape(4, 3))})
    assert [each.least_p for each in found] == [0.5] * 4
    told = sentence(found[0], NAMES, DICE, len(found))
    assert told.startswith("4 cases are too few to tell run-b (svt) from run-a (fedavg) in Dice: even if all")
    assert "p would be 0.500" in told


def test_a_mean_that_goes_against_most_cases_is_told_as_such() -> None:
    told = sentence(comparison(-0.02, 0.01, 0.5), NAMES, DICE, 4)
    assert "better than run-a (fedavg) in Dice in the larger part of 43 cases but worse on average" in told


def test_no_comparison_can_have_a_smaller_p_than_its_least() -> None:
    """Holm's correction never falls where a p value rises, so the least ones bound all others."""
    generator = np.random.default_rng(8)
    for cases in (3, 5, 8):
        runs = {name: table(generator.random((cases, 3))) for name in "abc"}
        assert all(each.p >= each.least_p for each in compared(runs))
    assert all(many <= few for few, many in pairwise([holm([2.0 ** (1 - n)] * 8)[0] for n in (3, 5, 8)]))


def test_a_figure_without_values_of_cases_is_compared_by_a_permutation_test() -> None:
    right, wrong = (
        pd.DataFrame(
            [("r", "s", *row) for n in range(9) for row in class_rows(f"case-{n}", ("A", "B"), (score, 1 - score), 0)],
            columns=list(LONG_COLUMNS),
        )
        for score in (0.9, 0.1)
    )
    patients = {f"case-{n}": f"patient {n}" for n in range(9)}
    found = compare({"a": wrong, "b": right}, ACCURACY, patients)
    assert [(each.target, each.method, each.cases, each.difference) for each in found] == [
        (target, "permutation", 9, (1, 1, 1)) for target in ("overall", "A", "B")
    ]
    assert [each.p for each in found] == [3 * 2 / 2**9] * 3
    told = sentence(found[0], NAMES, ACCURACY, 3)
    assert told.startswith("run-b (svt) is better than run-a (fedavg) in accuracy by 1.0000 over 9 cases (difference")
    assert told.endswith("permutation p = 0.012 after Holm over 3 tests).")
