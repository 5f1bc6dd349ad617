"""One evaluation from start to end: every case scored once, its numbers, their table, and how they were made."""

import hashlib
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import pandas as pd
from tqdm import tqdm

from fedmed.analysis.evaluation.case_scoring import ScoringUnit, caching_after, check_flips, measure
from fedmed.analysis.evaluation.class_figures import CLASSES, class_document
from fedmed.analysis.evaluation.evaluation_cases import EvaluationCases
from fedmed.analysis.evaluation.evaluation_folder import EvaluationFolder
from fedmed.analysis.evaluation.evaluation_source import (
    EvaluationRequest,
    EvaluationSource,
    cases_of,
    folder_of,
    runs_with_a_model,
    source_of,
)
from fedmed.analysis.evaluation.evaluation_table import long_table, summarize
from fedmed.analysis.evaluation.evaluation_text import evaluation_text
from fedmed.analysis.evaluation.finding_figures import FINDING_FIGURES, finding_document
from fedmed.analysis.evaluation.run_thresholds import RunThresholds, choose, decided, thresholds_for
from fedmed.core import machine
from fedmed.core.cli import echo
from fedmed.core.errors import InputError, counted
from fedmed.core.progress import ticking, waiting
from fedmed.data.audit.case_facts import FactsBook
from fedmed.data.prepared.cache import Caching
from fedmed.tasks.base import Task


class Evaluated(NamedTuple):
    """The table of a finished evaluation, and the task whose metrics it holds."""

    task: Task
    table: pd.DataFrame


def evaluate_named(paths: Sequence[Path], labels: Sequence[str], request: EvaluationRequest) -> dict[str, Evaluated]:
    """Evaluate run folders or files of weights; the results by label.

    Raises:
        InputError: one of them cannot be evaluated.
    """
    return {label: evaluate(path, label, request) for path, label in zip(paths, labels, strict=True)}


def evaluate_every(artifacts: Path, request: EvaluationRequest) -> dict[str, Evaluated]:
    """Evaluate every run of a folder that can be; a run that cannot is passed over with a line on stderr.

    Raises:
        InputError: no run can be.
    """
    found = {}
    for run in runs_with_a_model(artifacts):
        try:
            found[run.name] = evaluate(run, run.name, request)
        except InputError as error:
            echo(f"{run.name} is passed over: {error}", sys.stderr)
    if not found:
        raise InputError(f"No run in {artifacts} can be scored; name one to see why.")
    return found


def evaluate(path: Path, label: str, request: EvaluationRequest, tell: Callable[[str], object] = echo) -> Evaluated:
    """Score one source, unless that has been done, and print its numbers.

    Args:
        tell: takes the texts for the screen.

    Raises:
        InputError: it cannot be scored, or was scored with other settings and ``force`` is not given.
    """
    with waiting(f"{label}: the model and its cases are read"):
        source = source_of(path, label, request)
        if request.flips:
            check_flips(source.task)
        caching = caching_after(source.run.experiment() if source.run else None, label)
        listed = cases_of(source, request, FactsBook(caching.disk))
        folder = folder_of(source, request)
        thresholds = thresholds_for(source, request) if source.task.findings else None
        identity = identity_of(source, listed, request)
    if not request.force and folder.finished(identity):
        tell(f"{label}: {source.name} was scored before; --force scores it again")
        if thresholds is not None and thresholds.chosen_here:
            choose(source, folder.cases(), _in_words(listed, source))
    else:
        _score(source, listed, folder, identity, caching, thresholds)
    tell(evaluation_text(label, source.name, folder, source.task))
    return Evaluated(source.task, folder.table())


def identity_of(source: EvaluationSource, listed: EvaluationCases | None, request: EvaluationRequest) -> dict[str, Any]:
    """The facts that are equal where two evaluations are the same; without cases, as far as they are known."""
    hashes = [_sha256(model.weights) for model in source.models.values()]
    identity = {
        "weights_sha256": hashes[0] if len(hashes) == 1 else hashlib.sha256("".join(hashes).encode()).hexdigest(),
        "task": source.task.name,
        "split": request.split,
        "flips": request.flips,
        **({"everywhere": True} if request.everywhere else {}),
        **({"thresholds": thresholds_for(source, request).identity} if source.task.findings else {}),
    }
    if listed is None:
        return identity
    truths = {case.name: case.truth_digest() for case in listed.cases}
    return {**identity, "label_scheme": listed.label_scheme, "truth_sha256": truths, "sites": listed.site_of}


def _score(
    source: EvaluationSource,
    listed: EvaluationCases,
    folder: EvaluationFolder,
    identity: Mapping[str, Any],
    caching: Caching,
    thresholds: RunThresholds | None,
) -> None:
    started, units = time.monotonic(), units_of(source, listed, everywhere="everywhere" in identity)
    journal = folder.begin(identity)
    with ticking(tqdm(total=len(units), desc=f"{source.label}, {source.name}", unit="case")) as bar:
        models = {model.weights: model for model in source.models.values()}
        measure(units, models, listed.label_scheme, caching, journal, bool(identity["flips"]), lambda key: bar.update())
    patients = {case.name: source.task.patient_of(case) for case in listed.cases}
    results = {unit.key: journal.rows[unit.key] for unit in units}
    table = long_table(source.label, results)
    about: dict[str, Any] = {}
    if thresholds is not None:
        table, about = _with_findings(source, listed, table, thresholds)
    with waiting("intervals by the bootstrap"):
        numbers = summarize(table, patients, source.task.METRICS)
    about |= {
        "run": source.label,
        "model": source.name,
        "data": listed.data,
        **identity,
        "patients": patients,
        "cases": list(patients),
        "machine": machine.one_line(machine.describe()),
        "seconds": round(time.monotonic() - started, 1),
    }
    if source.task.classes:
        about[CLASSES] = class_document(table, source.task.classes)
    folder.finish(table, numbers, about)


def _with_findings(
    source: EvaluationSource, listed: EvaluationCases, table: pd.DataFrame, thresholds: RunThresholds
) -> tuple[pd.DataFrame, dict[str, Any]]:
    """The table with the decisions for findings, and the document's figures of each finding."""
    chosen = choose(source, table, _in_words(listed, source)) if thresholds.chosen_here else thresholds.values
    table = decided(table, chosen)
    document = finding_document(table, source.task.findings, chosen)
    return table, {FINDING_FIGURES: {**document, "note": thresholds.note}}


def _in_words(listed: EvaluationCases, source: EvaluationSource) -> str:
    """The cases of an evaluation and its model."""
    word = source.task.rules(None).case
    return f"{counted(len(listed.cases), f'validation {word}')} of {listed.data} with the {source.name} model"


def units_of(source: EvaluationSource, listed: EvaluationCases, *, everywhere: bool = False) -> list[ScoringUnit]:
    """Every case once; where each site has a model of its own, every site's cases, or all, by that model."""
    if "" in source.models:
        weights, site_of = source.models[""].weights, listed.site_of
        return [ScoringUnit(site_of[case.name], case, weights) for case in listed.cases]
    own = {} if everywhere else listed.of_site
    cases = {site: own.get(site, listed.cases) for site in source.models}
    return [ScoringUnit(site, case, source.models[site].weights) for site, own in cases.items() for case in own]


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
