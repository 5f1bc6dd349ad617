"""The test cases of all folds together: each case once, scored by the model that was not trained on its patient."""

from collections.abc import Mapping
from dataclasses import dataclass

import pandas as pd

from fedmed.analysis.evaluation.evaluation_folder import EvaluationFolder
from fedmed.analysis.evaluation.evaluation_table import POOLED, summarize
from fedmed.analysis.evaluation.patient_bootstrap import rows_of
from fedmed.core.errors import InputError
from fedmed.core.statistics import mean_interval
from fedmed.tasks.base import Metric, Task

FOLD = "fold"

PATIENT_COLUMNS = ("patient", "site", FOLD, "value")
"""The columns of :func:`by_patient`."""


@dataclass(frozen=True)
class PooledFolds:
    """The rows of all folds.

    Attributes:
        cases: a long table with the column ``fold`` beside.
        patients: the patient of each case.
        table: the figures with their intervals, as :func:`summarize` makes them.
    """

    task: Task
    cases: pd.DataFrame
    patients: Mapping[str, str]
    table: pd.DataFrame

    @property
    def key(self) -> Metric:
        """The metric by which the folds are summed up: the task's first one."""
        return self.task.METRICS[0]

    @property
    def metrics(self) -> tuple[Metric, ...]:
        """Those that the table has."""
        return tuple(metric for metric in self.task.METRICS if metric.name in set(self.table["metric"]))


def pooled(task: Task, folds: Mapping[str, EvaluationFolder]) -> PooledFolds:
    """The finished evaluations of the folds, by the folds' names, as one table.

    Raises:
        InputError: one cannot be read, or a case or a patient is in several of them.
    """
    tables, patients, fold_of = [], dict[str, str](), dict[str, str]()
    for name, folder in folds.items():
        own: Mapping[str, str] = folder.document()["patients"]
        again = sorted(patients.keys() & own.keys()) + sorted(set(own.values()) & fold_of.keys())
        if again:
            raise InputError(f"{again[0]} is scored in {name} and in a fold before it; expected each once: split anew.")
        tables.append(folder.cases().assign(**{FOLD: name}))
        patients |= own
        fold_of |= dict.fromkeys(own.values(), name)
    cases = pd.concat(tables, ignore_index=True)
    return PooledFolds(task, cases, patients, summarize(cases, patients, task.METRICS))


def by_patient(found: PooledFolds, metric: Metric) -> pd.DataFrame:
    """A metric's value of each patient, the mean over the patient's cases and targets; none of one without any.

    Returns:
        The columns of :data:`PATIENT_COLUMNS`; without rows for a metric that is no mean of values.
    """
    if metric.combines != "values":
        return pd.DataFrame(columns=list(PATIENT_COLUMNS))
    own = found.cases[found.cases["quantity"].isin(metric.quantities)].dropna(subset=["value"])
    own = own.assign(patient=own["case"].map(found.patients))
    return own.groupby(["patient", "site", FOLD])["value"].mean().reset_index()


def by_site(patients: pd.DataFrame) -> pd.DataFrame:
    """The patients' values by site and pooled.

    Args:
        patients: as :func:`by_patient` makes it.

    Returns:
        The columns site, patients, value (the mean), low and high (its 95 % interval), median, std and lowest.
    """
    groups = {POOLED: patients, **{str(site): rows for site, rows in patients.groupby("site")}}
    return pd.DataFrame([{"site": site, **_numbers(rows)} for site, rows in groups.items()])


def _numbers(rows: pd.DataFrame) -> dict[str, float]:
    values = rows["value"].to_numpy(dtype=float)
    estimate = mean_interval(values, rows["patient"].tolist())
    found = pd.Series(values)
    return {
        "patients": rows["patient"].nunique(),
        **estimate._asdict(),
        "median": float(found.median()),
        "std": float(found.std()),
        "lowest": float(found.min()),
    }


def by_fold(found: PooledFolds, metric: Metric) -> pd.DataFrame:
    """A metric's figure over the test cases of each fold, with the columns fold, patients and value."""
    rows = []
    for fold, cases in found.cases.groupby(FOLD, sort=False):
        value = metric.reduce(rows_of(cases))
        rows.append({FOLD: fold, "patients": cases["case"].map(found.patients).nunique(), "value": value})
    return pd.DataFrame(rows)
