"""Models scored on the test cases of a study."""

from pathlib import Path

from fedmed.analysis.evaluation.evaluation_folder import EVALUATION, EvaluationFolder
from fedmed.analysis.evaluation.evaluation_source import EvaluationRequest
from fedmed.analysis.evaluation.run_evaluation import evaluate
from fedmed.runs.run_folder import RunFolder


def tested(run: RunFolder, model: str, test: Path) -> EvaluationFolder:
    """The evaluation of a run's ``best`` or ``last`` model on the test list of a study, made if it is missing.

    A site's own model is scored on the test cases that the site's list beside it has; where no list has any, on all.
    """
    folder = run.path / EVALUATION / f"{model}-study"
    evaluate(run.path, run.name, EvaluationRequest(model=model, datalist=test, split="test", folder=folder))
    return EvaluationFolder(folder)
