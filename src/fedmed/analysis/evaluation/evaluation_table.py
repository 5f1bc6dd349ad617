"""From the rows of every case to a table of figures with intervals, by site and pooled. Pure functions over tables."""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import pandas as pd

from fedmed.analysis.evaluation.evaluation_cases import SHARED
from fedmed.analysis.evaluation.evaluation_folder import LONG_COLUMNS, Key
from fedmed.analysis.evaluation.patient_bootstrap import figure_interval, rows_of
from fedmed.core.units import Unit, in_unit
from fedmed.tasks.base import Metric, Row

POOLED, OVERALL = "pooled", "overall"

MOST_COLUMNS = 6
"""Targets that stand side by side; more of them stand one below the other."""

FEW = 5
"""Patients below which no resampling gives a 95 % interval: it cannot leave the range of what they have."""

MARK = "*"
"""Behind an interval of fewer patients."""

OF_FEW = (
    "their range, which no resampling leaves, covers the true mean in about 50 % (2 patients), 75 % (3) or 88 % (4) of "
    "samples, whatever the interval is called."
)


def long_table(run: str, results: Mapping[Key, Sequence[Row]]) -> pd.DataFrame:
    """The rows of every site and case with the columns of ``LONG_COLUMNS``."""
    records = [(run, site, *row) for (site, _), rows in results.items() for row in rows]
    return pd.DataFrame(records, columns=list(LONG_COLUMNS))


def summarize(cases: pd.DataFrame, patients: Mapping[str, str], metrics: Sequence[Metric]) -> pd.DataFrame:
    """Each metric's figure with its 95 % interval, by site and target, and pooled.

    Args:
        cases: a long table.
        patients: the patient of each case; the bootstrap draws patients.
        metrics: in the order of the table.

    Returns:
        The columns site, target, metric, cases, patients, value, median, std, low and high. ``overall`` is the figure
        over the rows of all targets; :func:`targets_apart` says which have figures of their own. ``median`` and
        ``std`` are of the cases' values, NaN for a metric that is not a mean of values. A figure that has no value is
        NaN.
    """
    sites = [POOLED, *sorted(set(cases["site"]) - {SHARED}), *([SHARED] if _mixed(cases) else [])]
    targets = [OVERALL, *targets_apart(cases, metrics)]
    rows = []
    for metric in metrics:
        own = cases[cases["quantity"].isin(metric.quantities)]
        for site in sites:
            at_site = own if site == POOLED else own[own["site"] == site]
            for target in targets:
                found = at_site if target == OVERALL else at_site[at_site["target"] == target]
                numbers = _numbers(metric, found, patients)
                rows.append({"site": site, "target": target, "metric": metric.name, **numbers})
    return pd.DataFrame(rows)


def targets_apart(cases: pd.DataFrame, metrics: Sequence[Metric]) -> list[str]:
    """The targets of a long table that have figures of their own beside those over all; none where there is but one."""
    quantities = {quantity for metric in metrics if metric.by_target for quantity in metric.quantities}
    found = [*dict.fromkeys(cases[cases["quantity"].isin(quantities)]["target"])]
    return found if len(found) > 1 else []


class Spread(NamedTuple):
    """The distance between the sites' figures of one metric."""

    worst: str
    worst_value: float
    best: str
    best_value: float
    std: float  # between the sites' figures, n - 1 in the denominator

    @property
    def gap(self) -> float:
        """The difference of the best and the worst figure, at least 0."""
        return abs(self.best_value - self.worst_value)


def spread(cases: pd.DataFrame, metric: Metric) -> Spread | None:
    """The worst and the best site by the figure over its cases and targets; None where fewer than two have one."""
    own = cases[cases["quantity"].isin(metric.quantities) & (cases["site"] != SHARED)]
    figures = pd.Series({str(site): metric.reduce(rows_of(rows)) for site, rows in own.groupby("site")}, dtype=float)
    figures = figures.dropna().sort_values(ascending=metric.better == "higher")
    if len(figures) < 2:
        return None
    worst, best = str(figures.index[0]), str(figures.index[-1])
    return Spread(worst, float(figures.iloc[0]), best, float(figures.iloc[-1]), float(figures.std()))


def pooled_cells(table: pd.DataFrame, metrics: Sequence[Metric]) -> pd.DataFrame:
    """The pooled figures with their intervals as text: a row a metric and a column a target, or turned where there are
    more than :data:`MOST_COLUMNS` targets and more of them than metrics."""
    pooled = table[table["site"] == POOLED]
    cells = {}
    for metric in metrics:
        own = pooled[pooled["metric"] == metric.name].set_index("target")
        cells[metric_heading(metric)] = {target: interval_text(own.loc[target], metric) for target in own.index}
    return _turned(pd.DataFrame.from_dict(cells, orient="index"))


def site_cells(table: pd.DataFrame, metric: Metric) -> pd.DataFrame:
    """One metric's figures with their intervals as text: a row a site and a column a target, turned as
    :func:`pooled_cells`."""
    own = table[table["metric"] == metric.name]
    cells: dict[str, dict[str, str]] = {}
    for _, row in own.iterrows():
        cells.setdefault(str(row["site"]), {})[str(row["target"])] = interval_text(row, metric)
    return _turned(pd.DataFrame.from_dict(cells, orient="index"))


def pooled_text(table: pd.DataFrame, metrics: Sequence[Metric]) -> str:
    """:func:`pooled_cells` for the screen."""
    return pooled_cells(table, metrics).to_string(justify="right")


def site_text(table: pd.DataFrame, metric: Metric) -> str:
    """A row a site and target of one metric, with all its numbers; of many targets :func:`site_cells`."""
    rows = table[table["metric"] == metric.name].drop(columns="metric")
    if rows["target"].nunique() > MOST_COLUMNS:
        return site_cells(table, metric).to_string(justify="right")
    figure = "mean" if metric.combines == "values" else "value"
    shown = {
        "site": rows["site"],
        "target": rows["target"],
        "cases": rows["cases"].astype(int),
        f"{figure} [95 % interval]": [interval_text(row, metric) for _, row in rows.iterrows()],
    }
    if metric.combines == "values":
        shown |= {name: [number_text(value, metric) for value in rows[name]] for name in ("median", "std")}
    return pd.DataFrame(shown).to_string(index=False)


def spread_text(cases: pd.DataFrame, metric: Metric) -> str:
    """The sites against each other, in a sentence."""
    found = spread(cases, metric)
    if found is not None:
        shown = [number_text(value, metric) for value in (found.worst_value, found.best_value, found.gap, found.std)]
        return (
            f"{metric.title} between the sites: worst {found.worst} {shown[0]}, best {found.best} {shown[1]}, "
            f"gap {shown[2]}, standard deviation {shown[3]}."
        )
    if cases[cases["quantity"].isin(metric.quantities)]["value"].isna().all():
        return f"No case has a {metric.title}, as every truth is empty."
    if set(cases["site"]) == {SHARED}:
        return (
            "Every case is on several sites' lists or on none, so nothing is said of single sites; lists of their "
            "own come from prepare.py split --validation per_site."
        )
    return f"Only one site has cases of its own with a {metric.title}, so there is nothing to compare it with."


def notes(
    table: pd.DataFrame, metrics: Sequence[Metric], of_task: Sequence[str] = (), unit: Unit = "patient"
) -> list[str]:
    """The sentences that a reader needs to understand the numbers of a table.

    Args:
        table: as :func:`summarize` makes it.
        metrics: of the table.
        of_task: further sentences, of the task.
        unit: what the bootstrap draws.
    """
    if unit != "patient":
        of_task = [f"Nobody knows whose the {unit}s are, so nothing is said of patients.", *of_task]
    counts = table["patients"][table["patients"] > 0]
    most, least = (int(counts.max()), int(counts.min())) if len(counts) else (0, 0)
    if most < 2:
        return [f"One {unit} alone gives no interval.", *of_task]
    resampled = "patients are resampled, not cases" if unit == "patient" else f"{unit}s with their copies are resampled"
    return [
        f"[] is the bootstrap 95 % interval of {_figures_in_words(metrics)}; {resampled}, {most} of them in all.",
        *([in_unit(f"{MARK} is of fewer than {FEW} patients: {OF_FEW}", unit)] if least < FEW else []),
        *of_task,
    ]


def interval_text(row: "pd.Series[Any]", metric: Metric) -> str:
    """``0.7685 [0.7012, 0.8120]``, or a dash where there is no value; marked where it is of few patients."""
    bounds = ", ".join(number_text(row[name], metric) for name in ("low", "high"))
    marked = MARK if row["patients"] < FEW else ""
    return number_text(row["value"], metric) + ("" if pd.isna(row["low"]) else f" [{bounds}]{marked}")


def number_text(value: float, metric: Metric) -> str:
    """A share with four decimals, anything else with two; a dash where there is no value."""
    return "-" if pd.isna(value) else f"{value:.{4 if metric.is_share else 2}f}"


def metric_heading(metric: Metric) -> str:
    """The metric's title with its unit, ``HD95 (mm)``."""
    return metric.title + (f" ({metric.unit})" if metric.unit else "")


def _turned(cells: pd.DataFrame) -> pd.DataFrame:
    many = cells.shape[1] > MOST_COLUMNS and cells.shape[1] > cells.shape[0]
    return (cells.T if many else cells).fillna("-")


def _figures_in_words(metrics: Sequence[Metric]) -> str:
    means = {metric.combines == "values" for metric in metrics}
    return "the mean" if means == {True} else "the figure" if means == {False} else "the mean or other figure"


def _mixed(cases: pd.DataFrame) -> bool:
    """True where some cases are a site's own and others shared."""
    return len(set(cases["site"])) > 1 and SHARED in set(cases["site"])


def _numbers(metric: Metric, found: pd.DataFrame, patients: Mapping[str, str]) -> dict[str, float]:
    """The figure over some rows of a metric's quantities, and the numbers beside it."""
    known = found.dropna(subset=["value"])
    estimate = figure_interval(metric, found, patients)
    values = known["value"] if metric.combines == "values" else pd.Series(dtype=float)
    return {
        "cases": known["case"].nunique(),
        "patients": known["case"].map(patients).nunique(),
        "value": estimate.value,
        "median": float(values.median()),
        "std": float(values.std()),
        "low": estimate.low,
        "high": estimate.high,
    }
