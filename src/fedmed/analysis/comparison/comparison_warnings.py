"""Sentences on what weakens a comparison of runs, each where it applies. Pure functions."""

from collections.abc import Mapping, Sequence

from fedmed.analysis.comparison.compared_run import ComparedRun
from fedmed.analysis.evaluation.evaluation_table import FEW, OF_FEW
from fedmed.core.errors import counted
from fedmed.core.names import OWN
from fedmed.core.units import Unit, in_unit
from fedmed.tasks.base import Metric


def comparison_warnings(runs: Sequence[ComparedRun], metric: Metric) -> list[str]:
    """Every warning that applies to these runs, which were scored on the same cases, compared by a metric."""
    unit = runs[0].experiment.task.unit
    patients = _patients(runs[0].patients, unit, tested_by_case=metric.combines == "values")
    return [*_code(runs), *_traffic(runs), *patients, *_models(runs), *_unfinished(runs)]


def _code(runs: Sequence[ComparedRun]) -> list[str]:
    commits = {run.label: run.commit for run in runs}
    if len(set(commits.values())) == 1 and not any(commit.endswith("+") for commit in commits.values()):
        return []
    listed = ", ".join(f"{label} {commit}" for label, commit in commits.items())
    return [f"The runs are not known to be of one code ({listed}; + is with changes that were not committed)."]


def _traffic(runs: Sequence[ComparedRun]) -> list[str]:
    alone = ", ".join(run.label for run in runs if not _shares(run))
    if not alone:
        return []
    return [f"MB of {alone} are what FLARE's protocol moves: the untrained model, and differences of zero."]


def _shares(run: ComparedRun) -> bool:
    """True where the run's sites have trained anything together."""
    return run.experiment.algorithm.has_global_model or run.experiment.algorithm.has_private


def _patients(patients: Mapping[str, str], unit: Unit, *, tested_by_case: bool) -> list[str]:
    number = len(set(patients.values()))
    few = f"{counted(number, unit)} are few: {in_unit(OF_FEW, unit)}"
    repeated = f"Several cases are of one {unit}; Wilcoxon's test counts them as independent, which they are not."
    dependent = tested_by_case and number < len(patients)
    return [*([few] if number < FEW else []), *([repeated] if dependent else [])]


def _models(runs: Sequence[ComparedRun]) -> list[str]:
    models = {run.model for run in runs}
    found = []
    if models == {"best", "last"}:
        last = ", ".join(run.label for run in runs if run.model == "last")
        found.append(f"No best model was chosen of {last}, as scores stay at the sites: its last one is compared.")
    if models & {"best", OWN} and runs[0].about["split"] == "validation":
        found.append(
            "A best model was chosen by its scores on validation cases, which flatters it on them; --model last and "
            "--split test do not."
        )
    return found


def _unfinished(runs: Sequence[ComparedRun]) -> list[str]:
    return [f"{run.label} did not finish, it is {run.status}." for run in runs if run.status != "finished"]
