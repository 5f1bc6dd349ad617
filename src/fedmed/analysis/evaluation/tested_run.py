"""The test figures of a run of classes, scored when the run has ended where its data are here."""

import sys
from collections.abc import Mapping
from typing import Any

import numpy as np

from fedmed.analysis.evaluation.class_figures import CLASSES
from fedmed.analysis.evaluation.evaluation_cases import has_test_cases
from fedmed.analysis.evaluation.evaluation_folder import EVALUATION, EvaluationFolder
from fedmed.analysis.evaluation.evaluation_source import EvaluationRequest
from fedmed.analysis.evaluation.run_evaluation import evaluate
from fedmed.core.cli import echo
from fedmed.core.errors import InputError
from fedmed.core.site_scores import mean_of_values
from fedmed.runs.model_record import META
from fedmed.runs.run_folder import RunFolder


def score_test_cases(run: RunFolder) -> None:
    """Evaluate the model of a finished run on its lists' test cases, if they have any, and complete the model's record.

    The evaluation is an ordinary one, which ``evaluate.py --split test`` finds made. Where it cannot be made the run
    stands, and a line says why.
    """
    _, lists = run.experiment().data.resolved()
    if not has_test_cases(lists):
        return
    try:
        evaluate(run.path, run.name, EvaluationRequest(split="test"))
        made = EvaluationFolder(run.path / EVALUATION / f"{run.usual_model()}-test").document()
    except InputError as error:
        echo(f"The test cases were not scored: {error}", sys.stderr)
        return
    meta = run.read_json(META)
    run.write_json(META, {**meta, "metrics": {**meta["metrics"], **published_figures(made[CLASSES])}})


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
