"""The bundle of a model of pictures, of one class each or of several findings: a table of their probabilities."""

from collections.abc import Mapping
from importlib.metadata import version
from typing import Any, NamedTuple

from fedmed.analysis.bundle.bundle_parts import BundleParts, evaluator, made, tensor_format
from fedmed.analysis.bundle.bundle_sources import network_arguments, network_kind, sources
from fedmed.analysis.evaluation.decision_thresholds import thresholds_of
from fedmed.analysis.evaluation.trained_model import TrainedModel
from fedmed.tasks.brain_mri import BrainMri
from fedmed.tasks.chest_xray import ChestXray

PREPARATION, FILES = "fedmed.data.prepared.picture_transforms", "fedmed.data.prepared.picture_folder"
"""The modules of the transforms and of the files."""

PictureTask = BrainMri | ChestXray


class Kind(NamedTuple):
    """The words of one task's bundle."""

    title: str
    pictures: str
    modality: str
    references: list[str]


KINDS: Mapping[type[PictureTask], Kind] = {
    BrainMri: Kind(
        "Classification of brain tumours",
        "slices of brain MR",
        "MR",
        ["He K., Zhang X., Ren S., Sun J. Deep residual learning for image recognition. CVPR 2016. arXiv 1512.03385."],
    ),
    ChestXray: Kind(
        "Findings in chest radiographs",
        "frontal chest films",
        "DX",
        [
            "Wang X., Peng Y., Lu L., et al. ChestX-ray8: hospital-scale chest X-ray database and benchmarks. CVPR "
            "2017. arXiv 1705.02315.",
            "Rajpurkar P., Irvin J., Zhu K., et al. CheXNet: radiologist-level pneumonia detection on chest X-rays. "
            "2017. arXiv 1711.05225.",
        ],
    ),
}


def picture_bundle(model: TrainedModel, task: PictureTask) -> BundleParts:
    """The parts of the bundle.

    Raises:
        InputError: the network is none of this project's networks of pictures, or its thresholds cannot be read.
    """
    about, network = KINDS[type(task)], network_kind(model)
    channels = ["grey"] if task.channels == 1 else ["red", "green", "blue"]
    scaled = "mean 0 and variance 1 each" if task.channels == 1 else "ImageNet's normalisation"
    answer = _answer(task, model)
    return BundleParts(
        config=picture_inference(task, model),
        about={
            "name": f"{about.title}, {model.label}",
            "task": about.title,
            "description": f"{type(model.network).__name__} for {about.pictures}: {', '.join(task.TARGETS)}.",
            "image_classes": (
                f"{', '.join(channels)}; a square of {task.image_size} pixels, black beside the shorter edge, {scaled}"
            ),
            "pred_classes": answer,
            "data_type": "PNG, JPEG, TIFF or DICOM of one frame, a file a picture",
            "references": about.references,
            "network_data_format": _network_format(task, channels, about.modality),
        },
        packages={name: version(name) for name in ("nibabel", "pillow", "pydicom", "scipy")},
        input_and_output=(
            f"A case is one file with one of the {about.pictures}: PNG, JPEG, TIFF or DICOM of one frame. The output "
            "is one table,\n`predictions.csv`, with a row a file and a column for each of "
            f"{', '.join(task.TARGETS)}:\n{answer}.\nThe network itself sees {task.image_size} x {task.image_size} "
            "pixels. The files below `fedmed` are the network's and those of the preparation."
        ),
        cases=(
            "Every picture at or below `dataset_dir` is a case, by the ending of its name.\n"
            "Run it in the bundle's folder, where Python finds `fedmed`."
        ),
        sources=sources([network.rpartition(".")[0], PREPARATION, FILES]),
    )


def picture_inference(task: PictureTask, model: TrainedModel) -> dict[str, Any]:
    """The content of ``inference.json``."""
    several = bool(task.findings)
    decided = thresholds_of(model) if several else None
    chosen = list(decided.values) if decided and decided.file else None
    return {
        "bundle_root": ".",
        "dataset_dir": "$@bundle_root + '/data'",
        "output_dir": "$@bundle_root + '/eval'",
        "cases": {"_target_": f"{FILES}.picture_items", "root": "@dataset_dir"},
        "device": "$torch.device('cuda:0' if torch.cuda.is_available() else 'cpu')",
        "network_def": {"_target_": network_kind(model), **network_arguments(model)},
        "network": "$@network_def.to(@device)",
        "preprocessing": made(
            "transforms.Compose",
            transforms=[
                {"_target_": f"{PREPARATION}.ReadPicture", "channels": task.channels},
                {"_target_": f"{PREPARATION}.SquarePicture", "edge": task.image_size},
                {"_target_": f"{PREPARATION}.NormalizePicture"},
                made("transforms.CastToTyped", keys="image", dtype="$torch.float16"),
                made("transforms.CastToTyped", keys="image", dtype="$torch.float32"),
            ],
        ),
        "dataset": made("data.Dataset", data="@cases", transform="@preprocessing"),
        "dataloader": made("data.DataLoader", dataset="@dataset", batch_size=1, shuffle=False, num_workers=0),
        "inferer": made("inferers.SimpleInferer"),
        "postprocessing": made(
            "transforms.Compose",
            transforms=[
                made("transforms.Activationsd", keys="pred", **{"sigmoid" if several else "softmax": True}),
                {
                    "_target_": f"{FILES}.WriteProbabilities",
                    "output_dir": "@output_dir",
                    "names": list(task.TARGETS),
                    "several": several,
                    "thresholds": chosen,
                },
            ],
        ),
        **evaluator(),
    }


def _answer(task: PictureTask, model: TrainedModel) -> str:
    """The meaning of a row, in words."""
    if task.classes:
        return "probabilities whose sum is 1, and the most probable class"
    if thresholds_of(model).file is None:
        return "a probability each, on which nothing is decided as the run chose no thresholds"
    return "a probability each, and the findings that reach their thresholds, which `configs/inference.json` states"


def _network_format(task: PictureTask, channels: list[str], modality: str) -> dict[str, Any]:
    """The format of the network's input and of its output, logits."""
    image = tensor_format(channels, [task.image_size] * 2, format="magnitude", modality=modality)
    pred = tensor_format(task.TARGETS, [], type="logits", format="logits")
    return {
        "inputs": {"image": {**image, "is_patch_data": False}},
        "outputs": {"pred": {**pred, "is_patch_data": False}},
    }
