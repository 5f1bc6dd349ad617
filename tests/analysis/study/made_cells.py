"""Cells of made-up scores."""

from collections.abc import Mapping
from typing import Any

import pandas as pd

from fedmed.analysis.comparison.run_cost import Cost
from fedmed.analysis.study.cell_scores import GLOBAL, CellScores
from fedmed.analysis.study.study_cells import Cell
from fedmed.experiment import Experiment

COLUMNS = ["model", "home", "case", "target", "quantity", "value"]


def cell(experiment: Experiment, algorithm: str, seed: int = 0, partition: str = "iid", attack: str = "none") -> Cell:
    return Cell(partition, algorithm, attack, seed, (), experiment)


def dice_scores(
    planned: Cell,
    values: Mapping[str, float] | Mapping[str, Mapping[str, float]],
    homes: Mapping[str, str],
    patients: Mapping[str, str] | None = None,
    curve: Mapping[int, float] | None = None,
    cost: Cost | None = None,
) -> CellScores:
    """A cell whose model has this Dice in each case, of one target; or of each site's own model by site."""
    by_model: dict[str, Any] = dict(values) if _nested(values) else {GLOBAL: values}
    rows = [
        (model, homes[case], case, "ET", "dice", value)
        for model, of_model in by_model.items()
        for case, value in of_model.items()
    ]
    known = patients or {case: case for case in homes}
    table = pd.DataFrame(rows, columns=COLUMNS)
    return CellScores(
        planned, table, known, curve or {}, cost or Cost(2, 3.0, 4.0), f"{planned.algorithm}-001", "made up"
    )


def _nested(values: Mapping[str, Any]) -> bool:
    return all(isinstance(each, Mapping) for each in values.values())
