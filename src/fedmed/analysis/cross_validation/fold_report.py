"""A cross-validation as a paper shows it: patients by site and pooled, every metric, the folds, and notes."""

import math
from collections.abc import Mapping, Sequence
from typing import Any

import pandas as pd

from fedmed.analysis.comparison.configuration import configurations
from fedmed.analysis.comparison.table_document import Block
from fedmed.analysis.cross_validation.folds import Fold
from fedmed.analysis.cross_validation.pooled_folds import FOLD, PooledFolds, by_fold, by_patient, by_site
from fedmed.analysis.evaluation.evaluation_table import (
    interval_text,
    metric_heading,
    notes,
    number_text,
    pooled_cells,
    site_cells,
    spread_text,
)
from fedmed.core.errors import counted
from fedmed.tasks.base import Metric

RANKS = (
    "Figures that rank cases, such as AUROC, compare the scores of the folds' models with each other, which differ in "
    "calibration; a single model's are usually a little higher."
)


def in_words(folds: Sequence[Fold], found: PooledFolds, data: str, model: str) -> str:
    """The task, the data, the configuration and the number of folds, patients and cases, in a line."""
    experiment = folds[0].experiment
    unit, training = found.task.unit, experiment.training
    return (
        f"{found.task.name}, {data}: {configurations([experiment])[0]}, {training.num_rounds} rounds, seed "
        f"{training.seed}; {len(folds)} folds, {model} models, {counted(len(set(found.patients.values())), unit)} and "
        f"{counted(len(found.patients), 'case')}, each scored once by the model that did not learn from it"
    )


def report(folds: Sequence[Fold], found: PooledFolds, line: str) -> list[Block]:
    """The blocks of the document."""
    key, unit = found.key, found.task.unit
    patients = by_patient(found, key)
    of_sites = _of_sites(by_site(patients), key, unit) if len(patients) else _with_index(site_cells(found.table, key))
    untested = frozenset().union(*(fold.patients for fold in folds)) - frozenset(found.patients.values())
    told = [
        spread_text(found.cases, key),
        *notes(found.table, found.metrics, found.task.NOTES, unit),
        *([RANKS] if any(metric.combines == "rows" for metric in found.metrics) else []),
        *([f"{counted(len(untested), unit)} in the test cases of no fold."] if untested else []),
    ]
    return [
        Block(line),
        Block(f"{metric_heading(key)} by {unit}" if len(patients) else metric_heading(key), of_sites),
        Block("All metrics, pooled", _with_index(pooled_cells(found.table, found.metrics))),
        Block(f"{metric_heading(key)} by fold", _of_folds(by_fold(found, key), key, unit)),
        Block("Notes", items=told),
    ]


def _of_sites(table: pd.DataFrame, metric: Metric, unit: str) -> pd.DataFrame:
    numbers = {name: [number_text(value, metric) for value in table[name]] for name in ("median", "std", "lowest")}
    means = [interval_text(row, metric) for _, row in table.iterrows()]
    return pd.DataFrame(
        {"site": table["site"], f"{unit}s": table["patients"], "mean [95 % interval]": means, **numbers}
    )


def _of_folds(table: pd.DataFrame, metric: Metric, unit: str) -> pd.DataFrame:
    values = [number_text(value, metric) for value in table["value"]]
    return pd.DataFrame({FOLD: table[FOLD], f"{unit}s": table["patients"], metric_heading(metric): values})


def _with_index(cells: pd.DataFrame) -> pd.DataFrame:
    return cells.rename_axis("").reset_index()


def numbers(runs: Mapping[str, str], found: PooledFolds, line: str) -> dict[str, Any]:
    """Every number as JSON values; None stands for NaN.

    Args:
        runs: the run of each fold.
    """
    key = found.key
    patients = by_patient(found, key)
    return {
        "what": line,
        "metric": key.name,
        "runs": dict(runs),
        "sites": _records(by_site(patients)) if len(patients) else [],
        "patients": _records(patients),
        "folds": _records(by_fold(found, key)),
        "table": _records(found.table),
    }


def _records(table: pd.DataFrame) -> list[dict[str, Any]]:
    return [{str(name): _plain(value) for name, value in row.items()} for row in table.to_dict("records")]


def _plain(value: Any) -> Any:
    return None if isinstance(value, float) and math.isnan(value) else value
