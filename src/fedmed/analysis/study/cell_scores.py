"""A finished run of a study with its model scored on the test cases of all sites, its course and its cost."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import pandas as pd

from fedmed.analysis.comparison.run_cost import Cost, cost_of
from fedmed.analysis.evaluation.evaluation_cases import SHARED
from fedmed.analysis.evaluation.evaluation_folder import EVALUATION, EvaluationFolder
from fedmed.analysis.evaluation.evaluation_source import EvaluationRequest
from fedmed.analysis.evaluation.patient_bootstrap import mean_figure_interval, rows_of
from fedmed.analysis.evaluation.run_evaluation import evaluate
from fedmed.analysis.study.learning_speed import validation_curve
from fedmed.analysis.study.study_cells import Cell
from fedmed.core.statistics import Estimate
from fedmed.runs.run_folder import RunFolder
from fedmed.tasks.base import Metric

OWN = "own"
"""The model of an evaluation that stands for each site's own, of a run that has a global one too."""

GLOBAL = ""
"""Stands for the site of the one model of a run whose sites have none of their own."""


@dataclass(frozen=True)
class CellScores:
    """A cell with the rows of its test cases.

    Attributes:
        cases: the columns model (the site whose own it is, or :data:`GLOBAL`), home (the site whose list names the
            case), case, target, quantity and value. Each model has scored every case.
        patients: the patient of each case.
        curve: the key score on the validation cases by round; empty where ``beside``.
        run: the name of the run folder.
        data: the data in words.
        beside: True of sites' own models that a run has beside its global one.
    """

    cell: Cell
    cases: pd.DataFrame
    patients: Mapping[str, str]
    curve: Mapping[int, float]
    cost: Cost
    run: str = ""
    data: str = ""
    environment: Mapping[str, Any] | None = None
    beside: bool = False

    @property
    def label(self) -> str:
        """The algorithm as the page names it."""
        return f"{self.cell.algorithm}, own" if self.beside else self.cell.algorithm

    @property
    def metric(self) -> Metric:
        """The metric of the study: the task's first one."""
        return self.cell.experiment.task.METRICS[0]

    @property
    def own(self) -> bool:
        """True where each site has a model of its own."""
        return GLOBAL not in set(self.cases["model"])

    @cached_property
    def by_model(self) -> dict[str, pd.DataFrame]:
        """The rows of each model."""
        return {str(model): rows for model, rows in self.cases.groupby("model", sort=False)}

    def has(self, site: str) -> bool:
        """True where a model is the site's own or that of all sites."""
        return site in self.by_model or not self.own

    def rows_at(self, site: str) -> pd.DataFrame:
        """The rows of the model that a site has."""
        return self.by_model[site if self.own else GLOBAL]

    @cached_property
    def pooled(self) -> Estimate:
        """The figure over the test cases of all sites; of own models the mean of their figures."""
        return mean_figure_interval(self.metric, list(self.by_model.values()), self.patients)

    @cached_property
    def by_site(self) -> dict[str, float]:
        """The figure over each site's own test cases, by the site's own model or the global one; those that have any.

        Test cases that are no site's are left out.
        """
        found = {}
        for site, rows in self.cases.groupby("home"):
            mine = rows[rows["model"].isin((GLOBAL, site))]
            if site != SHARED and len(mine):
                found[str(site)] = self.metric.reduce(rows_of(mine[mine["quantity"].isin(self.metric.quantities)]))
        return found


def scored(cell: Cell, run: RunFolder) -> list[CellScores]:
    """The scores of each result of a finished run on the test cases of all sites. They are made unless they are there.

    Raises:
        InputError: they cannot be made.
    """
    return [_scored(cell, run, which) for which in results_of(run)]


def results_of(run: RunFolder) -> list[str]:
    """The model that a run is scored by, and :data:`OWN` where it has besides it one of each site's own."""
    algorithm = run.experiment().algorithm
    return [run.usual_model(), *([OWN] if algorithm.has_own_models and not algorithm.scores_own else [])]


def _scored(cell: Cell, run: RunFolder, which: str) -> CellScores:
    own = bool(run.local_models(which))
    folder = run.path / EVALUATION / (f"{which}-test-everywhere" if own else f"{which}-test")
    request = EvaluationRequest(model=which, split="test", everywhere=own, folder=folder)
    evaluate(run.path, run.name, request, tell=lambda text: None)
    made = EvaluationFolder(folder)
    document, cases = made.document(), made.cases()
    found = cases.assign(model=cases["site"] if own else GLOBAL, home=cases["case"].map(document["sites"]))
    return CellScores(
        cell=cell,
        cases=found.drop(columns=["run", "site"]),
        patients=document["patients"],
        curve={} if which == OWN else validation_curve(run),
        cost=cost_of(run.history()),
        run=run.name,
        data=document["data"],
        environment=run.read_json("environment"),
        beside=which == OWN,
    )
