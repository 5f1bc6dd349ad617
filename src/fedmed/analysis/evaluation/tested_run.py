"""The figures of a run of classes or findings that are made when it has ended, where its data are here."""

import sys
from collections.abc import Mapping
from typing import Any

import numpy as np

from fedmed.analysis.evaluation.class_figures import CLASSES
from fedmed.analysis.evaluation.evaluation_cases import has_test_cases
from fedmed.analysis.evaluation.evaluation_folder import EVALUATION, EvaluationFolder
from fedmed.analysis.evaluation.evaluation_source import EvaluationRequest
from fedmed.analysis.evaluation.finding_figures import FINDING_FIGURES
from fedmed.analysis.evaluation.run_evaluation import evaluate
from fedmed.core.cli import echo
from fedmed.core.errors import InputError
from fedmed.core.site_scores import mean_of_values
from fedmed.runs.model_record import META
from fedmed.runs.run_folder import RunFolder


def score_ended_run(run: RunFolder) -> None:
    """Choose the thresholds of a run of findings on its validation cases, and score the run's test cases."""
    if run.experiment().task.findings:
        choose_thresholds(run)
    score_test_cases(run)


def choose_thresholds(run: RunFolder) -> None:
    """Evaluate the model of a finished run of findings on its validation cases, which leaves ``thresholds.json``.

    As with :func:`score_test_cases`, the run stands where that cannot be done, and a line says why.
    """
    if run.experiment().privacy.withholds_metrics:
        echo("No thresholds are chosen, as scores stay at the sites; result_stat/evaluate.py chooses them.")
        return
    try:
        evaluate(run.path, run.name, EvaluationRequest())
    except InputError as error:
        echo(f"No thresholds were chosen: {error}", sys.stderr)


def score_test_cases(run: RunFolder) -> None:
    """Evaluate the model of a finished run on its lists' test cases, if they have any, and complete the model's record.

    The evaluation is an ordinary one, which ``evaluate.py --split test`` finds made. Where it cannot be made the run
    stands, and a line says why. Under a mechanism that keeps scores at the sites none is made unasked.
    """
    experiment = run.experiment()
    _, lists = experiment.data.resolved()
    if not has_test_cases(lists):
        return
    if experiment.privacy.withholds_metrics:
        echo(
            "The test cases are not scored, as scores stay at the sites; result_stat/evaluate.py --split test does it."
        )
        return
    try:
        evaluate(run.path, run.name, EvaluationRequest(split="test"))
        made = EvaluationFolder(run.path / EVALUATION / f"{run.usual_model()}-test").document()
    except InputError as error:
        echo(f"The test cases were not scored: {error}", sys.stderr)
        return
    meta = run.read_json(META)
    figures = published_figures(made[CLASSES]) if CLASSES in made else published_findings(made[FINDING_FIGURES])
    run.write_json(META, {**meta, "metrics": {**meta["metrics"], **figures}})


def published_figures(classes: Mapping[str, Any]) -> dict[str, Any]:
    """The test figures under the published names; means are over the classes that have the figure.

    Args:
        classes: as :func:`fedmed.analysis.evaluation.class_figures.class_document` makes it, of at least one case.
    """
    matrix, per_class = np.array(classes["confusion_matrix"]), classes["per_class"]
    found = {
        name: mean_of_values(of[name] for of in per_class.values() if of[name] is not None)
        for name in ("f1", "precision", "recall")
    }
    return {
        "test_accuracy": float(matrix.trace() / matrix.sum()),
        **{f"avg_{name}": value for name, value in found.items()},
        "per_class": per_class,
        "confusion_matrix": classes["confusion_matrix"],
    }


def published_findings(findings: Mapping[str, Any]) -> dict[str, Any]:
    """The test figures of findings; means are over the findings that have the figure, None where none has.

    Args:
        findings: as :func:`fedmed.analysis.evaluation.finding_figures.finding_document` makes it.
    """
    per_class = {
        name: {**found, "threshold": findings["thresholds"][name]} for name, found in findings["per_finding"].items()
    }
    names = {"auroc": "test_auroc", "average_precision": "test_average_precision"}
    names |= {name: f"avg_{name}" for name in ("f1", "precision", "recall")}
    means = {
        published: mean_of_values(of[name] for of in per_class.values() if of[name] is not None)
        for name, published in names.items()
    }
    return {**means, "per_class": per_class}
