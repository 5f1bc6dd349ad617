"""From the numbers of every case to a table with uncertainty, by site and pooled. Pure functions over tables."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple

import pandas as pd

from fedmed.analysis.evaluation.evaluation_cases import SHARED
from fedmed.analysis.evaluation.evaluation_folder import Key
from fedmed.core.statistics import mean_interval
from fedmed.tasks.base import Metric, Row

COLUMNS = ("run", "site", "case", "region", "metric", "value")
POOLED, OVERALL = "pooled", "overall"
FEW = 5
"""Patients below which no resampling gives a 95 % interval: it cannot leave the range of what they have."""

MARK = "*"
"""Behind an interval of fewer patients."""

OF_FEW = (
    "their range, which no resampling leaves, covers the true mean in about 50 % (2 patients), 75 % (3) or 88 % (4) of "
    "samples, whatever the interval is called."
)


def long_table(run: str, results: Mapping[Key, Sequence[Row]]) -> pd.DataFrame:
    """The rows of every site and case with the columns of ``COLUMNS``."""
    records = [(run, site, *row) for (site, _), rows in results.items() for row in rows]
    return pd.DataFrame(records, columns=list(COLUMNS))


def summarize(cases: pd.DataFrame, patients: Mapping[str, str], metrics: Iterable[str]) -> pd.DataFrame:
    """Mean, median, standard deviation and the mean's 95 % interval of each metric, by site and region, and pooled.

    Args:
        cases: a long table.
        patients: the patient of each case, so that the bootstrap resamples patients.
        metrics: their order.

    Returns:
        The columns site, region, metric, cases, patients, mean, median, std, low and high. ``overall`` is over all
        values of all regions. Numbers without any value are NaN.
    """
    known = cases.dropna(subset=["value"]).assign(patient=lambda table: table["case"].map(patients))
    sites = [POOLED, *sorted(set(cases["site"]) - {SHARED}), *([SHARED] if _mixed(cases) else [])]
    regions = [OVERALL, *dict.fromkeys(cases["region"])]
    rows = []
    for metric in metrics:
        of_metric = known[known["metric"] == metric]
        for site in sites:
            at_site = of_metric if site == POOLED else of_metric[of_metric["site"] == site]
            for region in regions:
                values = at_site if region == OVERALL else at_site[at_site["region"] == region]
                rows.append({"site": site, "region": region, "metric": metric, **_numbers(values)})
    return pd.DataFrame(rows)


class Spread(NamedTuple):
    """How far the sites' means lie apart."""

    worst: str
    worst_mean: float
    best: str
    best_mean: float
    std: float  # between the sites' means, n - 1 in the denominator

    @property
    def gap(self) -> float:
        return abs(self.best_mean - self.worst_mean)


def spread(cases: pd.DataFrame, metric: Metric) -> Spread | None:
    """The worst and the best site by the mean over its cases and regions; None where fewer than two have cases."""
    own = cases[(cases["metric"] == metric.name) & (cases["site"] != SHARED)]
    means = own.groupby("site")["value"].mean().dropna().sort_values(ascending=metric.better == "higher")
    if len(means) < 2:
        return None
    worst, best = str(means.index[0]), str(means.index[-1])
    return Spread(worst, float(means.iloc[0]), best, float(means.iloc[-1]), float(means.std()))


def pooled_text(table: pd.DataFrame, metrics: Sequence[Metric]) -> str:
    """A row a metric: the pooled mean and its interval, overall and by region."""
    pooled = table[table["site"] == POOLED]
    regions = list(dict.fromkeys(pooled["region"]))
    rows = []
    for metric in metrics:
        values = pooled[pooled["metric"] == metric.name].set_index("region")
        unit = f" ({metric.unit})" if metric.unit else ""
        rows.append(
            {"": metric.title + unit, **{region: interval_text(values.loc[region], metric) for region in regions}}
        )
    return pd.DataFrame(rows).to_string(index=False, justify="right")


def site_text(table: pd.DataFrame, metric: Metric) -> str:
    """A row a site and region of one metric, with all its numbers."""
    rows = table[table["metric"] == metric.name].drop(columns="metric")
    shown = {
        "site": rows["site"],
        "region": rows["region"],
        "cases": rows["cases"].astype(int),
        "mean [95 % interval]": [interval_text(row, metric) for _, row in rows.iterrows()],
        **{name: [number_text(value, metric) for value in rows[name]] for name in ("median", "std")},
    }
    return pd.DataFrame(shown).to_string(index=False)


def spread_text(cases: pd.DataFrame, metric: Metric) -> str:
    """The sites against each other, in a sentence."""
    found = spread(cases, metric)
    if found is None:
        if cases[cases["metric"] == metric.name]["value"].isna().all():
            return f"No case has a {metric.title}, as every truth is empty."
        if set(cases["site"]) == {SHARED}:
            return (
                "Every case is on several sites' lists or on none, so nothing is said of single sites; lists of their "
                "own come from prepare.py split --validation per_site."
            )
        return f"Only one site has cases of its own with a {metric.title}, so there is nothing to compare it with."
    return (
        f"{metric.title} between the sites: worst {found.worst} {found.worst_mean:.4f}, best {found.best} "
        f"{found.best_mean:.4f}, gap {found.gap:.4f}, standard deviation {found.std:.4f}."
    )


def notes(table: pd.DataFrame) -> list[str]:
    """What a reader must know to read the numbers of a table, a sentence each."""
    counts = table["patients"][table["patients"] > 0]
    most, least = (int(counts.max()), int(counts.min())) if len(counts) else (0, 0)
    return [
        f"[] is the bootstrap 95 % interval of the mean; patients are resampled, not cases, {most} of them in all."
        if most > 1
        else "One patient alone gives no interval.",
        *([f"{MARK} is of fewer than {FEW} patients: {OF_FEW}"] if least < FEW and most > 1 else []),
        "Dice, HD95 and surface Dice by the published rule have no value where the truth is empty; by the challenge's "
        "rule an empty region is perfect if the prediction is empty too, and a miss if not.",
    ]


def interval_text(row: "pd.Series[Any]", metric: Metric) -> str:
    """``0.7685 [0.7012, 0.8120]``, or a dash where there is no value; marked where it is of few patients."""
    bounds = ", ".join(number_text(row[name], metric) for name in ("low", "high"))
    marked = MARK if row["patients"] < FEW else ""
    return number_text(row["mean"], metric) + ("" if pd.isna(row["low"]) else f" [{bounds}]{marked}")


def number_text(value: float, metric: Metric) -> str:
    """A share with four decimals, anything else with two; a dash where there is no value."""
    return "-" if pd.isna(value) else f"{value:.{4 if metric.is_share else 2}f}"


def _mixed(cases: pd.DataFrame) -> bool:
    """Whether some cases are a site's own and others shared."""
    return len(set(cases["site"])) > 1 and SHARED in set(cases["site"])


def _numbers(values: pd.DataFrame) -> dict[str, float]:
    if values.empty:
        return {"cases": 0, "patients": 0, **dict.fromkeys(("mean", "median", "std", "low", "high"), float("nan"))}
    numbers = values["value"]
    mean = mean_interval(numbers.to_numpy(), values["patient"].tolist())
    return {
        "cases": values["case"].nunique(),
        "patients": values["patient"].nunique(),
        "mean": mean.value,
        "median": float(numbers.median()),
        "std": float(numbers.std()),
        "low": mean.low,
        "high": mean.high,
    }
