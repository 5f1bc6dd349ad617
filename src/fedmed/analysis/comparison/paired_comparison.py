"""Runs against each other, on the same cases: means with intervals, paired tests, and a sentence for each pair.

Pure functions over tables. ``values`` is a run's table of one metric, a row a case and a column a region, NaN where
the metric has no value; ``patients`` is the patient of each case.
"""

from collections.abc import Mapping
from itertools import combinations
from typing import NamedTuple

import pandas as pd

from fedmed.analysis.evaluation.evaluation_table import OVERALL, number_text
from fedmed.core.errors import counted
from fedmed.core.statistics import Estimate, PairedTest, holm, mean_interval, paired_test
from fedmed.tasks.base import Metric

SIGNIFICANT = 0.05


class Comparison(NamedTuple):
    """One run, the subject, against another on one region or overall."""

    subject: str
    reference: str
    region: str
    difference: Estimate  # subject less reference, the mean over all values
    test: PairedTest
    p: float  # after Holm's correction
    least_p: float  # after Holm's correction, if all cases of all comparisons pointed one way


def by_case(cases: pd.DataFrame, metric: str) -> pd.DataFrame:
    """The values of a metric from a long table; where several sites' models were scored on a case, their mean."""
    of_metric = cases[cases["metric"] == metric]
    means = of_metric.groupby(["case", "region"], sort=False)["value"].mean().unstack("region")
    return means[list(dict.fromkeys(of_metric["region"]))]


def means(values: pd.DataFrame, patients: Mapping[str, str], seed: int = 0) -> dict[str, Estimate]:
    """The mean and its interval of all values, under ``overall``, and of each region's."""
    return {region: _mean(part, patients, seed) for region, part in _parts(values).items()}


def compare(values: Mapping[str, pd.DataFrame], patients: Mapping[str, str], seed: int = 0) -> list[Comparison]:
    """Every run against every one before it, overall and by region; one family for Holm's correction.

    The overall test pairs the cases' means over their regions. A case is left out where one of the two has no value,
    and a comparison where no case is left.
    """
    found = []
    for reference, subject in combinations(values, 2):
        differences = values[subject] - values[reference]
        for region, part in _parts(differences).items():
            test = _paired(values[subject], values[reference], part)
            if test is not None:
                difference = _mean(part, patients, seed)
                found.append(Comparison(subject, reference, region, difference, test, test.p, test.least_p))
    adjusted, least = holm([each.test.p for each in found]), holm([each.test.least_p for each in found])
    return [each._replace(p=float(p), least_p=float(q)) for each, p, q in zip(found, adjusted, least, strict=True)]


def _paired(subject: pd.DataFrame, reference: pd.DataFrame, differences: pd.DataFrame) -> PairedTest | None:
    """By case, the mean over the regions where both have a value."""
    both = differences.notna()
    a, b = (table[differences.columns].where(both).mean(axis=1).dropna() for table in (subject, reference))
    return paired_test(a, b.loc[a.index]) if len(a) else None


def _parts(values: pd.DataFrame) -> dict[str, pd.DataFrame]:
    """All regions, and each alone."""
    return {OVERALL: values, **{str(region): values[[region]] for region in values}}


def _mean(values: pd.DataFrame, patients: Mapping[str, str], seed: int) -> Estimate:
    known = values.stack().dropna()
    return mean_interval(known.to_numpy(), [patients[case] for case, _ in known.index], seed)


def sentence(found: Comparison, names: Mapping[str, str], metric: Metric, family: int) -> str:
    """What a comparison found, in words that claim no more than that.

    Args:
        names: of the runs, by their labels.
        family: how many tests Holm's correction covers.
    """
    subject, reference, cases = names[found.subject], names[found.reference], counted(found.test.pairs, "case")
    if found.least_p > SIGNIFICANT:
        said = (
            f"{cases} {'is' if found.test.pairs == 1 else 'are'} too few to tell {subject} from {reference} in "
            f"{metric.title}: even if all pointed one way in every test, p would be {p_text(found.least_p)}"
        )
    elif found.p > SIGNIFICANT:
        said = (
            f"No difference was found between {subject} and {reference} in {metric.title} over {cases}; that is no "
            "proof of equality"
        )
    elif found.difference.value * found.test.effect < 0:
        said = (
            f"{subject} is {_better(found.test.effect, metric)} than {reference} in {metric.title} in the larger part "
            f"of {cases} but {_better(found.difference.value, metric)} on average, because of a few large differences"
        )
    else:
        amount = f"{number_text(abs(found.difference.value), metric)} {metric.unit}".strip()
        said = (
            f"{subject} is {_better(found.test.effect, metric)} than {reference} in {metric.title} by {amount} on "
            f"average over {cases}"
        )
    return f"{said} ({_numbers(found, metric, family)})."


def p_text(p: float) -> str:
    """A p value as papers write it."""
    return "< 0.001" if p < 0.001 else f"{p:.3f}"


def _better(difference: float, metric: Metric) -> str:
    return "better" if (difference > 0) == (metric.better == "higher") else "worse"


def _numbers(found: Comparison, metric: Metric, family: int) -> str:
    value, low, high = (number_text(each, metric) for each in found.difference)
    unit = f" {metric.unit}" if metric.unit else ""
    p = p_text(found.p) if found.p < 0.001 else f"= {p_text(found.p)}"
    return (
        f"difference {value}{unit}, 95 % interval {low} to {high}; Wilcoxon p {p} after Holm over {family} tests, "
        f"rank-biserial correlation {found.test.effect:.2f}"
    )
