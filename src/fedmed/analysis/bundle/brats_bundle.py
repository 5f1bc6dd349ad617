"""The bundle of a BraTS model: MONAI's own network and transforms, on four NIfTI files a case."""

from collections.abc import Mapping
from importlib.metadata import version
from typing import Any

from monai.networks.nets import SegResNet
from torch import nn

from fedmed.analysis.bundle.bundle_inference import inference
from fedmed.analysis.bundle.bundle_parts import BundleParts, tensor_format
from fedmed.analysis.evaluation.trained_model import TrainedModel
from fedmed.core.errors import InputError
from fedmed.data.brats.brats_layout import MODALITIES
from fedmed.tasks.brats18 import Brats18
from model import BratsSegResNet

REFERENCES = [
    "Myronenko A. 3D MRI brain tumor segmentation using autoencoder regularization. BrainLes 2018. arXiv 1810.11654.",
    "Li W., Milletari F., Xu D., et al. Privacy-preserving federated brain tumour segmentation. MLMI 2019. "
    "arXiv 1910.00962.",
]


def brats_bundle(model: TrainedModel, task: Brats18) -> BundleParts:
    """The parts of the bundle.

    Raises:
        InputError: the network is none that MONAI can build by itself.
    """
    regions: Mapping[str, str] = task.label_map()["output_channels"]
    classes = "masks that overlap: " + "; ".join(f"{name}, {means}" for name, means in regions.items())
    channels = f"{len(MODALITIES)} channels: {', '.join(MODALITIES)}"
    return BundleParts(
        config=inference(task, _arguments(model.network)),
        about={
            "name": f"Brain tumour segmentation, {model.label}",
            "task": "Brain tumour segmentation from four MR modalities",
            "description": (
                f"SegResNet that segments {', '.join(regions)} in skull-stripped and co-registered brain MR."
            ),
            "image_classes": f"{channels}; resampled to 1 mm, each normalised over its non-zero voxels",
            "pred_classes": classes,
            "data_type": "nibabel",
            "references": REFERENCES,
            "network_data_format": _network_format(regions),
        },
        packages={"nibabel": version("nibabel")},
        input_and_output=(
            f"A case is four NIfTI files, in this order: {', '.join(MODALITIES)}. They must be skull-stripped and lie "
            "on one grid. The output of a\ncase is `<case>_regions.nii.gz` on the grid of its files, with a mask a "
            f"channel, in this order: {', '.join(regions)}. As\n{classes}."
        ),
        cases=(
            "Cases are found below `dataset_dir` by BraTS 2018's names, `<case>_t1ce.nii.gz` and so on; files of the "
            "later years need\n`--suffixes \"['-t1c','-t1n','-t2w','-t2f']\"`."
        ),
    )


def _arguments(network: nn.Module) -> dict[str, Any]:
    """The arguments with which MONAI builds the network by itself."""
    if not isinstance(network, SegResNet):
        raise InputError(
            f"The network is a {type(network).__name__}; a bundle of brats18 can be made of a SegResNet alone."
        )
    arguments: dict[str, Any] = network.arguments  # type: ignore[assignment]
    return {"spatial_dims": 3, **arguments}


def _network_format(regions: Mapping[str, str]) -> dict[str, Any]:
    """The format of the network's input and output and of the masks."""
    edges = [f"{BratsSegResNet.DIVISOR}*n"] * 3
    image = tensor_format(MODALITIES, edges, format="magnitude", modality="MR")
    pred = tensor_format([*regions], edges, format="classes")
    masks = {**pred, "spatial_shape": ["*"] * 3, "dtype": "uint8", "value_range": [0, 1], "is_patch_data": False}
    return {"inputs": {"image": image}, "outputs": {"pred": pred}, "post_processed_outputs": {"pred": masks}}
