"""The bundle of a model of slices: its network and preparation are files of this project, which the bundle holds."""

from importlib.metadata import version
from typing import Any

from fedmed.analysis.bundle.bundle_parts import BundleParts, evaluator, made, tensor_format
from fedmed.analysis.bundle.bundle_sources import network_arguments, network_kind, sources
from fedmed.analysis.evaluation.trained_model import TrainedModel
from fedmed.data.lgg.head_volume import CHANNELS
from fedmed.tasks.lgg import TOGETHER, Lgg

PREPARATION, FILES = "fedmed.data.lgg.head_volume", "fedmed.data.lgg.slice_folders"
"""The modules of the transforms and of the files."""

REFERENCES = [
    "Buda M., Saha A., Mazurowski M. A. Association of genomic subtypes of lower-grade gliomas with shape features "
    "automatically extracted by a deep learning algorithm. Computers in Biology and Medicine 2019. arXiv 1906.03720.",
    "Chen J., Lu Y., Yu Q., et al. TransUNet: transformers make strong encoders for medical image segmentation. 2021. "
    "arXiv 2102.04306.",
]


def slice_bundle(model: TrainedModel, task: Lgg) -> BundleParts:
    """The parts of the bundle.

    Raises:
        InputError: the network is none of this project's networks of slices.
    """
    kind = network_kind(model)
    channels, edge = ", ".join(CHANNELS), task.image_size
    target = ", ".join(task.TARGETS)
    classes = f"{target}: 255 where the probability is above one half, else 0"
    return BundleParts(
        config=slice_inference(task, kind, network_arguments(model)),
        about={
            "name": f"Lower-grade glioma segmentation, {model.label}",
            "task": "Segmentation of lower-grade gliomas in slices of brain MR",
            "description": f"{type(model.network).__name__} that marks the FLAIR abnormality in slices of brain MR.",
            "image_classes": f"{len(CHANNELS)} channels: {channels}. {task.preparation()}",
            "pred_classes": classes,
            "data_type": "TIFF or PNG of three channels, a file a slice",
            "references": REFERENCES,
            "network_data_format": _network_format(task),
        },
        packages={name: version(name) for name in ("nibabel", "pillow", "scipy", "einops")},
        input_and_output=(
            f"A case is a patient's folder of slices, TIFF or PNG of one size, with {channels} as\nred, green and "
            "blue; FLAIR stands in for a sequence that is missing. All slices of the folder are one volume and are\n"
            "normalised together. The output of a slice is `<folder>/<slice>_mask` with its own ending and size,\n"
            f"{classes}. The network itself sees slices of {edge} x {edge} pixels.\nThe files below `fedmed` are the "
            "network's and those of the preparation."
        ),
        cases=(
            "Every folder at or below `dataset_dir` with slices is a case; files whose name ends in `_mask` are passed "
            "over.\nRun it in the bundle's folder, where Python finds `fedmed`."
        ),
        sources=sources([kind.rpartition(".")[0], PREPARATION, FILES]),
    )


def slice_inference(task: Lgg, kind: str, arguments: dict[str, Any]) -> dict[str, Any]:
    """The content of ``inference.json``.

    Args:
        task: the task with the preparation.
        kind: the network's class with its module.
        arguments: of its constructor.
    """
    back = {"transform": "@preprocessing", "orig_keys": "image", "nearest_interp": False, "to_tensor": True}
    return {
        "bundle_root": ".",
        "dataset_dir": "$@bundle_root + '/data'",
        "output_dir": "$@bundle_root + '/eval'",
        "cases": {"_target_": f"{FILES}.folder_items", "root": "@dataset_dir"},
        "device": "$torch.device('cuda:0' if torch.cuda.is_available() else 'cpu')",
        "network_def": {"_target_": kind, **arguments},
        "network": "$@network_def.to(@device)",
        "preprocessing": made(
            "transforms.Compose",
            transforms=[
                {"_target_": f"{PREPARATION}.ReadSlices", "keys": ["image"]},
                {"_target_": f"{PREPARATION}.NormalizeVolume"},
                {"_target_": f"{PREPARATION}.SquareSlices", "edge": task.image_size},
                {"_target_": f"{PREPARATION}.SlicesLast", "keys": ["image"]},
                made("transforms.CastToTyped", keys="image", dtype="$torch.float16"),
                made("transforms.CastToTyped", keys="image", dtype="$torch.float32"),
            ],
        ),
        "dataset": made("data.Dataset", data="@cases", transform="@preprocessing"),
        "dataloader": made("data.DataLoader", dataset="@dataset", batch_size=1, shuffle=False, num_workers=0),
        "inferer": made("inferers.SliceInferer", roi_size=[task.image_size] * 2, sw_batch_size=TOGETHER, spatial_dim=2),
        "postprocessing": made(
            "transforms.Compose",
            transforms=[
                made("transforms.Activationsd", keys="pred", sigmoid=True),
                made("transforms.Invertd", keys="pred", **back),
                {"_target_": f"{FILES}.WriteMasks", "output_dir": "@output_dir"},
            ],
        ),
        **evaluator(),
    }


def _network_format(task: Lgg) -> dict[str, Any]:
    """The format of the network's input and output, a slice, and of a slice's mask."""
    edges = [task.image_size] * 2
    image = tensor_format(CHANNELS, edges, format="magnitude", modality="MR")
    pred = tensor_format(task.TARGETS, edges, format="segmentation")
    mask = {**pred, "spatial_shape": ["*"] * 2, "dtype": "uint8", "value_range": [0, 255], "is_patch_data": False}
    return {"inputs": {"image": image}, "outputs": {"pred": pred}, "post_processed_outputs": {"pred": mask}}
