"""The ``metadata.json`` of a bundle by MONAI's schema, without a number that was not measured."""

import hashlib
from importlib.metadata import version
from typing import Any

from fedmed.analysis.bundle.bundle_parts import BundleParts
from fedmed.analysis.evaluation.evaluation_folder import DOCUMENT, EVALUATION, EvaluationFolder
from fedmed.analysis.evaluation.evaluation_table import POOLED
from fedmed.analysis.evaluation.trained_model import TrainedModel
from fedmed.core.errors import counted
from fedmed.experiment import Experiment
from fedmed.runs.run_folder import RunFolder
from fedmed.tasks.base import Task

SCHEMA = "https://github.com/Project-MONAI/MONAI-extra-test-data/releases/download/0.8.1/meta_schema_20240725.json"
"""MONAI's schema of metadata.json, by the address that MONAI's own bundles state."""

VERSION = "0.1.0"

RUNNERS = {"pytorch-ignite": "0.5.5", "fire": "0.7.1"}
"""The packages that MONAI needs beside itself to run a bundle from the command line, in the tested versions."""

USE = "Research only. This is not a medical device and must not be used for diagnosis or treatment."

NOT_STATED = "not stated; whoever passes this bundle on states it here"


def bundle_metadata(model: TrainedModel, parts: BundleParts) -> dict[str, Any]:
    """The content of ``metadata.json``. Scores stand in it only where the run's evaluation found them.

    Raises:
        InputError: a file of the model's run cannot be read.
    """
    run = RunFolder(model.weights.parent) if (model.weights.parent / "experiment.json").is_file() else None
    scores = {"eval_metrics": found} if run and (found := evaluated(run, model)) else {}
    trained = trained_how(run.experiment()) if run else "How it was trained is not known."
    return {
        "schema": SCHEMA,
        "version": VERSION,
        "changelog": {VERSION: f"exported from {model.label}, {model.weights.name}"},
        "monai_version": version("monai"),
        "pytorch_version": version("torch").partition("+")[0],
        "numpy_version": version("numpy"),
        "required_packages_version": {**parts.packages, **RUNNERS},
        **parts.about,
        "description": f"{parts.about['description']} {trained}",
        "intended_use": USE,
        "authors": NOT_STATED,
        "copyright": NOT_STATED,
        "data_source": model.data or NOT_STATED,
        **scores,
    }


def trained_how(experiment: Experiment) -> str:
    """The training of the model, in two sentences."""
    training = experiment.training
    return (
        f"Trained with {experiment.algorithm.name} over {counted(len(training.sites), 'site')} in at most "
        f"{counted(training.num_rounds, 'round')}. Privacy mechanism {experiment.privacy.statement()}."
    )


def evaluated(run: RunFolder, model: TrainedModel) -> dict[str, float]:
    """The means over all cases that ``result_stat/evaluate.py`` found for these very weights, without mirrored copies,
    on the data of the run.

    Names are ``<split>_<metric>_<region>``, and ``<split>_cases`` is the number of cases.

    Raises:
        InputError: an evaluation of the run cannot be read.
    """
    digest = hashlib.sha256(model.weights.read_bytes()).hexdigest()
    scores: dict[str, float] = {}
    for path in sorted(run.path.glob(f"{EVALUATION}/*/{DOCUMENT}")):
        folder = EvaluationFolder(path.parent)
        about = folder.document()
        if (about["weights_sha256"], about["flips"], about["data"]) == (digest, False, model.data):
            scores |= {f"{about['split']}_{name}": value for name, value in _pooled(folder, model.task).items()}
    return scores


def _pooled(folder: EvaluationFolder, task: Task) -> dict[str, float]:
    """The evaluation's means over all cases, of metrics for which there is a better and a worse."""
    table = folder.table()
    names = [metric.name for metric in task.METRICS if metric.better]
    rows = table[(table["site"] == POOLED) & table["metric"].isin(names)].dropna(subset=["value"])
    columns = rows[["metric", "target", "value"]].itertuples(index=False)
    means = {f"{metric}_{target.lower()}": value for metric, target, value in columns}
    return {"cases": len(folder.document()["cases"]), **means}
