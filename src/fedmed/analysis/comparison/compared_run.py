"""A finished run with what a comparison needs of it: its evaluation, its privacy and its cost."""

import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd

from fedmed.analysis.comparison.run_cost import Cost, PrivacySpent, cost_of, spent
from fedmed.analysis.evaluation.evaluation_folder import DOCUMENT, EVALUATION, EvaluationFolder
from fedmed.core.errors import InputError
from fedmed.core.names import OWN
from fedmed.experiment import Experiment
from fedmed.runs.run_folder import RunFolder
from fedmed.tasks.base import Metric

FACTS = {
    "task": "another task",
    "split": "another split",
    "label_scheme": "another label scheme",
    "flips": "another use of mirrored copies (--flips)",
}
"""Facts that two evaluations must have in common beside their cases, and the words for a difference."""

BY_CASE = ("cases", "patients", "truth_sha256")

COMPARED_KEYS = (*FACTS, "data", *BY_CASE)
"""The keys of an evaluation's document that a comparison reads."""


@dataclass(frozen=True)
class ComparedRun:
    """A run with the evaluation of one of its models."""

    label: str
    path: Path
    experiment: Experiment
    model: str  # best, last, own or a file's stem
    cases: pd.DataFrame  # the evaluation's long table
    about: Mapping[str, Any]  # its document
    spent: PrivacySpent
    cost: Cost
    status: str
    commit: str  # of the code that made the run; a plus behind it where files differed

    @property
    def patients(self) -> Mapping[str, str]:
        """The patient of each case."""
        patients: Mapping[str, str] = self.about["patients"]
        return patients


def read_runs(paths: Sequence[Path], model: str | None, split: str) -> list[ComparedRun]:
    """The runs, of which each has been evaluated and all on the same cases.

    Args:
        paths: of run folders.
        model: ``best``, ``last``, ``own`` or a file's stem; None for each run's usual one.
        split: ``validation`` or ``test``.

    Raises:
        InputError: there are fewer than two, one comes twice, one cannot be read or was not evaluated so, or they were
            not scored alike on the same cases.
    """
    if len(paths) < 2:
        raise InputError(f"A comparison needs at least two runs, and {len(paths)} is named; name more run folders.")
    seen: set[Path] = set()
    for path in paths:
        if path.resolve() in seen:
            raise InputError(f"{path} is named twice, and a run cannot be compared with itself; name each run once.")
        seen.add(path.resolve())
    labels = RunFolder.labels(paths)
    runs = [_read(path, label, model, split) for path, label in zip(paths, labels, strict=True)]
    for run in runs[1:]:
        _refuse_other(run, runs[0])
    return runs


def metric_of(runs: Sequence[ComparedRun], name: str) -> Metric:
    """A metric of the runs' task by which one model is better than another.

    Raises:
        InputError: there is none of that name, or an evaluation has no values of it.
    """
    usable = {metric.name: metric for metric in runs[0].experiment.task.METRICS if metric.better}
    if name not in usable:
        raise InputError(f"--metric is {name}; expected one of {', '.join(usable)}, which say what is better.")
    for run in runs:
        if not set(usable[name].quantities) <= set(run.cases["quantity"]):
            raise InputError(
                f"The evaluation of {run.label} has no {name}; make it anew with: "
                f"{evaluate_command(run.path, run.model, run.about['split'])} --force"
            )
    return usable[name]


def evaluate_command(path: Path, model: str, split: str) -> str:
    """The command that makes a missing evaluation."""
    which = model if model in ("best", "last", OWN) else f"{model}.pt"
    command = f"python result_stat/evaluate.py {shlex.quote(str(path))} --model {which}"
    return command if split == "validation" else f"{command} --split {split}"


def _read(path: Path, label: str, model: str | None, split: str) -> ComparedRun:
    run = RunFolder.open(path)
    which = model or run.usual_model()
    command = evaluate_command(path, which, split)
    folder = EvaluationFolder(run.path / EVALUATION / f"{which}-{split}")
    if not (folder.path / DOCUMENT).is_file():
        raise InputError(f"{path} has no evaluation of its {which} model on {split} cases; make it with: {command}")
    cases, about = folder.cases(), folder.document()
    if not _whole(cases, about):
        raise InputError(f"{folder.path} is not as an evaluation leaves it; make it anew with: {command} --force")
    cost = cost_of(run.history())
    return ComparedRun(label, path, run.experiment(), which, cases, about, spent(run), cost, run.status, _commit(run))


def _commit(run: RunFolder) -> str:
    known = (run.path / "environment.json").is_file()
    return (run.read_json("environment")["commit"] if known else None) or "not known"


def _whole(cases: pd.DataFrame, about: Mapping[str, Any]) -> bool:
    """True where the document has the known form and is of the cases of the table."""
    if not set(COMPARED_KEYS) <= set(about):
        return False
    by_case = [about[name] for name in BY_CASE]
    if not all(isinstance(each, dict | list) and set(each) == set(cases["case"]) for each in by_case):
        return False
    return not cases.empty


def _refuse_other(run: ComparedRun, first: ComparedRun) -> None:
    """Refuse a run that was not scored on the very cases of the first, and in the same way."""
    for name, words in FACTS.items():
        if run.about[name] != first.about[name]:
            raise InputError(
                f"{run.label} was scored with {words} than {first.label} ({run.about[name]}, not "
                f"{first.about[name]}); score both alike with result_stat/evaluate.py."
            )
    for one, other in ((run, first), (first, run)):
        extra = sorted(set(one.about["cases"]) - set(other.about["cases"]))
        if extra:
            raise InputError(
                f"{one.label} was scored on {extra[0]} and {other.label} was not ({len(one.about['cases'])} and "
                f"{len(other.about['cases'])} cases); score both on the same cases with result_stat/evaluate.py."
            )
    for name, words in (("truth_sha256", "the truth"), ("patients", f"the {run.experiment.task.unit}")):
        differing = [case for case in first.about["cases"] if run.about[name][case] != first.about[name][case]]
        if differing:
            raise InputError(
                f"{words.capitalize()} of {differing[0]} is another one for {run.label} than for {first.label}; score "
                "both on the same data with result_stat/evaluate.py."
            )
