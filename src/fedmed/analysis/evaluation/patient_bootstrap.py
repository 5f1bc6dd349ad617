"""Figures of metrics over patients drawn anew: intervals, and the difference of two runs on the same patients.

Patients, not cases or targets, are drawn: all rows of a patient go together. A metric that is a mean of the cases'
values has the bias-corrected interval of :func:`fedmed.core.statistics.mean_interval`; any other one, such as F1 or
AUROC, has a percentile interval of :data:`DRAWS` draws at the same level, widened for few patients. Pure functions.
"""

import math
from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy import stats

from fedmed.core.statistics import Estimate, PairedTest, expanded_level, mean_interval
from fedmed.tasks.base import Metric, Row
from fedmed.tasks.scoring.metric import DrawnFigures, RowsMetric, SumsMetric

DRAWS = 2000
"""Draws of a percentile interval, and permutations of a test."""

WEIGHTS_AT_ONCE = 4_000_000
"""Weights of rows that are held in memory at once."""


def rows_of(table: pd.DataFrame) -> list[Row]:
    """The rows of a table with the columns case, target, quantity and value."""
    columns = (table[name].tolist() for name in Row._fields)
    return [Row(*values) for values in zip(*columns, strict=True)]


def figure_interval(metric: Metric, table: pd.DataFrame, patients: Mapping[str, str], seed: int = 0) -> Estimate:
    """A metric's figure over the rows of a table with its 95 % interval.

    Args:
        metric: reads its quantities from the rows.
        table: the columns case, target, quantity and value.
        patients: the patient of each case.
        seed: of the draws.

    Returns:
        NaN bounds for fewer than two patients, or where most draws have no figure; NaN throughout where there is none.
    """
    own = table[table["quantity"].isin(metric.quantities)]
    if metric.combines == "values":
        known = own.dropna(subset=["value"])
        return mean_interval(known["value"].to_numpy(), [patients[case] for case in known["case"]], seed)
    rows = rows_of(own)
    names, owners = np.unique([patients[row.case] for row in rows], return_inverse=True)
    return _percentiles(metric.reduce(rows), figures_of(metric, rows, owners, len(names)), len(names), seed)


def mean_figure_interval(
    metric: Metric, tables: Sequence[pd.DataFrame], patients: Mapping[str, str], seed: int = 0
) -> Estimate:
    """The mean of a metric's figures over several models' rows of the same cases, with its 95 % interval.

    Each draw of patients is the same for all models.

    Args:
        tables: one a model, each as of :func:`figure_interval`.
    """
    if len(tables) == 1:
        return figure_interval(metric, tables[0], patients, seed)
    if metric.combines == "values":  # whose mean over models is that of the cases' means
        every = pd.concat(tables).groupby(["case", "target", "quantity"], sort=False)["value"].mean().reset_index()
        return figure_interval(metric, every, patients, seed)
    parts = [rows_of(table[table["quantity"].isin(metric.quantities)]) for table in tables]
    place = {name: number for number, name in enumerate(sorted({patients[row.case] for row in parts[0]}))}
    owners = [np.array([place[patients[row.case]] for row in rows], dtype=np.int64) for rows in parts]
    figures = [figures_of(metric, rows, own, len(place)) for rows, own in zip(parts, owners, strict=True)]
    value = float(np.mean([metric.reduce(rows) for rows in parts]))
    return _percentiles(value, lambda drawn: _mean_of(figures, drawn), len(place), seed)


def _mean_of(figures: Sequence[DrawnFigures], drawn: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.mean([each(drawn) for each in figures], axis=0)


def figures_of(metric: Metric, rows: Sequence[Row], owners: NDArray[np.int64], patients: int) -> DrawnFigures:
    """The function from draws of patients to figures of a metric.

    Args:
        rows: of the metric's quantities.
        owners: (rows,) the number of each row's patient, from 0.
        patients: their number.
    """
    if isinstance(metric, SumsMetric):
        return _figures_of_sums(metric, rows, owners, patients)
    if isinstance(metric, RowsMetric) and metric.weighted is not None:
        weighted = metric.weighted(rows)
        return lambda drawn: _in_parts(drawn, len(rows), lambda part: weighted(part[:, owners]))
    return lambda drawn: np.array([metric.reduce(_repeated(rows, owners, counts)) for counts in drawn])


def paired_difference(
    metric: Metric,
    pairs: Sequence[tuple[pd.DataFrame, pd.DataFrame]],
    patients: Mapping[str, str],
    seed: int = 0,
) -> tuple[Estimate, PairedTest]:
    """The difference of a metric's figures of two runs on the same cases, its 95 % interval, and a permutation test.

    The interval draws patients, the same ones for both runs. The test exchanges the two runs' rows of a patient at
    random, as they may be exchanged where the runs are alike: all ways of up to 10 patients, else :data:`DRAWS` of them
    (Good 2005, "Permutation, parametric and bootstrap tests of hypotheses", section 3.2). Two-sided. ``pairs`` are
    patients; it has neither a median nor an effect size, which are NaN.

    Args:
        metric: one that is not a mean of the cases' values.
        pairs: the columns case, target, quantity and value of one run, and of the other. Of several pairs, such as one
            a seed, it is the mean of the differences, and what is drawn or exchanged is so in all of them.
        patients: the patient of each case.
        seed: of the draws and permutations.
    """
    found = [_figures_of_both(metric, subject, reference, patients) for subject, reference in pairs]
    figures, number = [each for each, _ in found], found[0][1]
    value = float(_difference(figures, np.ones((1, number)), np.zeros((1, number)))[0])
    interval = _percentiles(value, lambda drawn: _difference(figures, drawn, np.zeros_like(drawn)), number, seed)
    if number < 2 or math.isnan(value):
        return interval, PairedTest(number, math.nan, math.nan, 1.0, 1.0)
    ways = min(2**number, DRAWS + 1)
    return interval, PairedTest(number, math.nan, math.nan, _permutation_p(figures, number, seed), 2 / ways)


def _figures_of_both(
    metric: Metric, subject: pd.DataFrame, reference: pd.DataFrame, patients: Mapping[str, str]
) -> tuple[DrawnFigures, int]:
    """The figures by how often each patient's rows of the subject, then of the reference, are drawn; (draws, 2 P).

    Gives P, the number of patients, too. The two runs' rows of a case are those of two cases.
    """
    runs = [rows_of(table[table["quantity"].isin(metric.quantities)]) for table in (subject, reference)]
    names = sorted({patients[row.case] for rows in runs for row in rows})
    place = {name: number for number, name in enumerate(names)}
    owners = [place[patients[row.case]] + len(names) * run for run, rows in enumerate(runs) for row in rows]
    every = [row._replace(case=f"{row.case} of {run}") for run, rows in enumerate(runs) for row in rows]
    return figures_of(metric, every, np.array(owners, dtype=np.int64), 2 * len(names)), len(names)


def _difference(
    figures: Sequence[DrawnFigures], kept: NDArray[np.float64], exchanged: NDArray[np.float64]
) -> NDArray[np.float64]:
    """The mean difference of the figures, (draws,), where the runs keep the rows of some patients and exchange others'.

    Args:
        figures: of both runs' rows, one a pair.
        kept: (draws, P) how often each patient is drawn with the rows as they are.
        exchanged: (draws, P) how often with the rows of the other run.
    """
    one, other = np.hstack([kept, exchanged]), np.hstack([exchanged, kept])
    return np.mean([each(one) - each(other) for each in figures], axis=0)


def _permutation_p(figures: Sequence[DrawnFigures], patients: int, seed: int) -> float:
    def statistic(exchanged: NDArray[np.float64], kept: NDArray[np.float64], axis: int = -1) -> NDArray[np.float64]:
        pair = (np.asarray(each, dtype=np.float64).reshape(-1, patients) for each in (kept, exchanged))
        return _difference(figures, *pair).reshape(np.shape(kept)[:-1])

    found = stats.permutation_test(
        (np.zeros(patients), np.ones(patients)),
        statistic,
        permutation_type="samples",
        vectorized=True,
        n_resamples=DRAWS,
        rng=np.random.default_rng(seed),
    )
    return float(found.pvalue)


def _percentiles(value: float, figures: DrawnFigures, patients: int, seed: int) -> Estimate:
    if patients < 2 or math.isnan(value):
        return Estimate(value, math.nan, math.nan)
    generator = np.random.default_rng(seed)
    drawn = generator.multinomial(patients, [1 / patients] * patients, size=DRAWS).astype(np.float64)
    found = figures(drawn)
    known = found[~np.isnan(found)]
    if 2 * len(known) < DRAWS:
        return Estimate(value, math.nan, math.nan)
    outside = (1 - expanded_level(patients)) / 2
    low, high = np.quantile(known, (outside, 1 - outside))
    return Estimate(value, float(low), float(high))


def _figures_of_sums(metric: SumsMetric, rows: Sequence[Row], owners: NDArray[np.int64], patients: int) -> DrawnFigures:
    """Sums of a draw are the patients' own sums times the number of times that each is drawn."""
    by_patient: list[list[Row]] = [[] for _ in range(patients)]
    for row, owner in zip(rows, owners, strict=True):
        by_patient[owner].append(row)
    sums = [metric.sums(each) for each in by_patient]
    names = sorted({name for each in sums for name in each})
    table = np.array([[each.get(name, 0.0) for name in names] for each in sums])
    return lambda drawn: np.array(
        [metric.of_sums(dict(zip(names, totals, strict=True))) for totals in (drawn @ table).tolist()]
    )


def _repeated(rows: Sequence[Row], owners: NDArray[np.int64], counts: NDArray[np.float64]) -> list[Row]:
    """The rows of a draw; a case that is drawn again has another name, so that it counts as another case."""
    times = counts[owners].astype(int)
    return [
        row._replace(case=f"{row.case} again {n}") for row, many in zip(rows, times, strict=True) for n in range(many)
    ]


def _in_parts(drawn: NDArray[np.float64], rows: int, figures: DrawnFigures) -> NDArray[np.float64]:
    """The figures of all draws, some draws at a time, so that memory holds few weights."""
    step = max(1, WEIGHTS_AT_ONCE // max(1, rows))
    return np.concatenate([figures(drawn[place : place + step]) for place in range(0, len(drawn), step)])
