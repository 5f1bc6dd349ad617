"""The ``metadata.json`` of a bundle by MONAI's schema, without a number that was not measured."""

import hashlib
from collections.abc import Mapping, Sequence
from importlib.metadata import version
from typing import Any

from fedmed.analysis.evaluation.evaluation_folder import DOCUMENT, EVALUATION, EvaluationFolder
from fedmed.analysis.evaluation.evaluation_table import POOLED
from fedmed.analysis.evaluation.trained_model import TrainedModel
from fedmed.core.errors import counted
from fedmed.data.brats.brats_layout import MODALITIES
from fedmed.experiment import Experiment
from fedmed.runs.run_folder import RunFolder
from fedmed.tasks.base import Task
from model import BratsSegResNet

DIVISOR = BratsSegResNet.DIVISOR

SCHEMA = "https://github.com/Project-MONAI/MONAI-extra-test-data/releases/download/0.8.1/meta_schema_20240725.json"
"""MONAI's schema of metadata.json, by the address that MONAI's own bundles state."""

VERSION = "0.1.0"

RUNNERS = {"pytorch-ignite": "0.5.5", "fire": "0.7.1"}
"""The packages that MONAI needs beside itself to run a bundle from the command line, in the tested versions."""

USE = "Research only. This is not a medical device and must not be used for diagnosis or treatment."

NOT_STATED = "not stated; whoever passes this bundle on states it here"

REFERENCES = [
    "Myronenko A. 3D MRI brain tumor segmentation using autoencoder regularization. BrainLes 2018. arXiv 1810.11654.",
    "Li W., Milletari F., Xu D., et al. Privacy-preserving federated brain tumour segmentation. MLMI 2019. "
    "arXiv 1910.00962.",
]


def bundle_metadata(model: TrainedModel) -> dict[str, Any]:
    """The content of ``metadata.json``. Scores stand in it only where the run's evaluation found them.

    Raises:
        InputError: a file of the model's run cannot be read.
    """
    run = RunFolder(model.weights.parent) if (model.weights.parent / "experiment.json").is_file() else None
    scores = {"eval_metrics": found} if run and (found := evaluated(run, model)) else {}
    trained = trained_how(run.experiment()) if run else "How it was trained is not known."
    regions = model.task.label_map()["output_channels"]
    what = f"SegResNet that segments {', '.join(regions)} in skull-stripped and co-registered brain MR."
    channels = f"{len(MODALITIES)} channels: {', '.join(MODALITIES)}"
    return {
        "schema": SCHEMA,
        "version": VERSION,
        "changelog": {VERSION: f"exported from {model.label}, {model.weights.name}"},
        "monai_version": version("monai"),
        "pytorch_version": version("torch").partition("+")[0],
        "numpy_version": version("numpy"),
        "required_packages_version": {"nibabel": version("nibabel"), **RUNNERS},
        "name": f"Brain tumour segmentation, {model.label}",
        "task": "Brain tumour segmentation from four MR modalities",
        "description": f"{what} {trained}",
        "intended_use": USE,
        "authors": NOT_STATED,
        "copyright": NOT_STATED,
        "data_source": model.data or NOT_STATED,
        "data_type": "nibabel",
        "image_classes": f"{channels}; resampled to 1 mm, each normalised over its non-zero voxels",
        "pred_classes": "masks that overlap: " + "; ".join(f"{name}, {means}" for name, means in regions.items()),
        **scores,
        "references": REFERENCES,
        "network_data_format": _network_format(regions),
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


def _network_format(regions: Mapping[str, str]) -> dict[str, Any]:
    """The format of the network's input and output and of the masks."""
    size = {"spatial_shape": [f"{DIVISOR}*n"] * 3}
    image = {"type": "image", "format": "magnitude", "modality": "MR", "num_channels": len(MODALITIES), **size}
    image |= {"dtype": "float32", "value_range": [], "is_patch_data": True, "channel_def": _numbered(MODALITIES)}
    pred = {"type": "image", "format": "classes", "num_channels": len(regions), **size}
    pred |= {"dtype": "float32", "value_range": [], "is_patch_data": True, "channel_def": _numbered(list(regions))}
    masks = {**pred, "spatial_shape": ["*"] * 3, "dtype": "uint8", "value_range": [0, 1], "is_patch_data": False}
    return {"inputs": {"image": image}, "outputs": {"pred": pred}, "post_processed_outputs": {"pred": masks}}


def _numbered(names: Sequence[str]) -> dict[str, str]:
    return {str(number): name for number, name in enumerate(names)}
