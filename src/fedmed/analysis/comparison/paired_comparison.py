"""Runs against each other, on the same cases: figures with intervals, paired tests, and a sentence for each pair.

Pure functions over long tables, one a run, with the columns case, target, quantity and value; ``patients`` is the
patient of each case. A metric that is a mean of the cases' values is tested by Wilcoxon's signed rank test of the
differences by case. A figure such as F1 or AUROC, of which a single case has none, is tested by exchanging the runs'
rows of whole patients.
"""

import math
from collections.abc import Iterator, Mapping
from itertools import combinations
from typing import Literal, NamedTuple

import pandas as pd

from fedmed.analysis.evaluation.evaluation_table import OVERALL, number_text, targets_apart
from fedmed.analysis.evaluation.patient_bootstrap import figure_interval, paired_difference
from fedmed.core.errors import counted
from fedmed.core.statistics import Estimate, PairedTest, holm, mean_interval, paired_test
from fedmed.tasks.base import Metric

SIGNIFICANT = 0.05

Method = Literal["Wilcoxon", "permutation"]


class RunDifference(NamedTuple):
    """One run, the subject, against another on one target or overall."""

    subject: str
    reference: str
    target: str
    cases: int
    difference: Estimate  # subject less reference, of the figures over all rows
    test: PairedTest  # its pairs are cases of Wilcoxon's test, patients of the permutation test
    method: Method
    p: float  # after Holm's correction
    least_p: float  # after Holm's correction, if all pairs of all comparisons pointed one way


def by_case(cases: pd.DataFrame, quantity: str) -> pd.DataFrame:
    """The values of a quantity, a row a case and a column a target; the mean where several sites' models scored one."""
    own = cases[cases["quantity"] == quantity]
    means = own.groupby(["case", "target"], sort=False)["value"].mean().unstack("target")
    return means[list(dict.fromkeys(own["target"]))]


def figures(cases: pd.DataFrame, metric: Metric, patients: Mapping[str, str], seed: int = 0) -> dict[str, Estimate]:
    """The figure and its interval over all rows, under ``overall``, and over those of each target."""
    if metric.combines == "values":
        parts = _parts(_values(cases, metric))
        return {target: _mean(part, patients, seed) for target, part in parts.items()}
    return {target: figure_interval(metric, part, patients, seed) for target, part in _tables(cases, metric).items()}


def compare(
    cases: Mapping[str, pd.DataFrame], metric: Metric, patients: Mapping[str, str], seed: int = 0
) -> list[RunDifference]:
    """Every run against every one before it, overall and by target; one family for Holm's correction.

    Wilcoxon's overall test pairs the cases' means over their targets. A case is left out where one of the two has no
    value, and a comparison where no case is left.

    Args:
        cases: a long table by run.
        metric: that both runs' tables have the quantities of.
        patients: the patient of each case.
        seed: of the draws of patients, and of the permutations.
    """
    pairs = _differences_of_means if metric.combines == "values" else _differences_of_figures
    found = list(pairs(cases, metric, patients, seed))
    adjusted, least = holm([each.test.p for each in found]), holm([each.test.least_p for each in found])
    return [each._replace(p=float(p), least_p=float(q)) for each, p, q in zip(found, adjusted, least, strict=True)]


def _differences_of_means(
    cases: Mapping[str, pd.DataFrame], metric: Metric, patients: Mapping[str, str], seed: int
) -> Iterator[RunDifference]:
    values = {label: _values(table, metric) for label, table in cases.items()}
    for reference, subject in combinations(values, 2):
        differences = values[subject] - values[reference]
        for target, part in _parts(differences).items():
            test = _paired(values[subject], values[reference], part)
            if test is not None:
                difference = _mean(part, patients, seed)
                yield RunDifference(
                    subject, reference, target, test.pairs, difference, test, "Wilcoxon", test.p, test.least_p
                )


def _differences_of_figures(
    cases: Mapping[str, pd.DataFrame], metric: Metric, patients: Mapping[str, str], seed: int
) -> Iterator[RunDifference]:
    tables = {label: _tables(table, metric) for label, table in cases.items()}
    for reference, subject in combinations(tables, 2):
        for target, ours in tables[subject].items():
            difference, test = paired_difference(metric, [(ours, tables[reference][target])], patients, seed)
            if not math.isnan(difference.value):
                scored = ours["case"].nunique()
                yield RunDifference(
                    subject, reference, target, scored, difference, test, "permutation", test.p, test.least_p
                )


def _values(cases: pd.DataFrame, metric: Metric) -> pd.DataFrame:
    return by_case(cases, metric.quantities[0])


def _tables(cases: pd.DataFrame, metric: Metric) -> dict[str, pd.DataFrame]:
    """The rows of a metric's quantities: all of them, and those of each target that has a figure of its own."""
    own = cases[cases["quantity"].isin(metric.quantities)]
    return {OVERALL: own, **{str(target): own[own["target"] == target] for target in targets_apart(own, [metric])}}


def _paired(subject: pd.DataFrame, reference: pd.DataFrame, differences: pd.DataFrame) -> PairedTest | None:
    """Paired test of the cases' means over the targets for which both runs have a value."""
    both = differences.notna()
    a, b = (table[differences.columns].where(both).mean(axis=1).dropna() for table in (subject, reference))
    return paired_test(a, b.loc[a.index]) if len(a) else None


def _parts(values: pd.DataFrame) -> dict[str, pd.DataFrame]:
    """All targets, and each alone where there are several."""
    apart = values.columns if len(values.columns) > 1 else ()
    return {OVERALL: values, **{str(target): values[[target]] for target in apart}}


def _mean(values: pd.DataFrame, patients: Mapping[str, str], seed: int) -> Estimate:
    known = values.stack().dropna()
    return mean_interval(known.to_numpy(), [patients[case] for case, _ in known.index], seed)


def sentence(found: RunDifference, names: Mapping[str, str], metric: Metric, family: int) -> str:
    """The result of a comparison, in words that claim no more than that.

    Args:
        names: of the runs, by their labels.
        family: the number of tests that Holm's correction covers.
    """
    subject, reference, cases = names[found.subject], names[found.reference], counted(found.cases, "case")
    direction = found.difference.value if math.isnan(found.test.effect) else found.test.effect
    if found.least_p > SIGNIFICANT:
        result = (
            f"{cases} {'is' if found.cases == 1 else 'are'} too few to tell {subject} from {reference} in "
            f"{metric.title}: even if all pointed one way in every test, p would be {p_text(found.least_p)}"
        )
    elif found.p > SIGNIFICANT:
        result = (
            f"No difference was found between {subject} and {reference} in {metric.title} over {cases}; that is no "
            "proof of equality"
        )
    elif found.difference.value * direction < 0:
        result = (
            f"{subject} is {_better(direction, metric)} than {reference} in {metric.title} in the larger part "
            f"of {cases} but {_better(found.difference.value, metric)} on average, because of a few large differences"
        )
    else:
        amount = f"{number_text(abs(found.difference.value), metric)} {metric.unit}".strip()
        over = f"on average over {cases}" if metric.combines == "values" else f"over {cases}"
        result = f"{subject} is {_better(direction, metric)} than {reference} in {metric.title} by {amount} {over}"
    return f"{result} ({_numbers(found, metric, family)})."


def p_text(p: float) -> str:
    """A p value as papers write it."""
    return "< 0.001" if p < 0.001 else f"{p:.3f}"


def effect_text(effect: float) -> str:
    """A rank-biserial correlation; a dash where the test has none."""
    return "-" if math.isnan(effect) else f"{effect:.2f}"


def _better(difference: float, metric: Metric) -> str:
    return "better" if (difference > 0) == (metric.better == "higher") else "worse"


def _numbers(found: RunDifference, metric: Metric, family: int) -> str:
    value, low, high = (number_text(each, metric) for each in found.difference)
    unit = f" {metric.unit}" if metric.unit else ""
    p = p_text(found.p) if found.p < 0.001 else f"= {p_text(found.p)}"
    effect = "" if math.isnan(found.test.effect) else f", rank-biserial correlation {effect_text(found.test.effect)}"
    return (
        f"difference {value}{unit}, 95 % interval {low} to {high}; {found.method} p {p} after Holm over {family} tests"
        f"{effect}"
    )
