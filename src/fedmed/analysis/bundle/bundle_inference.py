"""The configuration by which MONAI makes masks of a patient's files with a BraTS model, without our code."""

from collections.abc import Mapping
from typing import Any

from fedmed.analysis.bundle.bundle_parts import evaluator, made
from fedmed.data.brats.brats_layout import NAMINGS
from fedmed.data.brats.brats_transforms import PADDING
from fedmed.tasks.brats18 import Brats18
from model import BratsSegResNet

DIVISOR = BratsSegResNet.DIVISOR

FITTED = (
    "$(lambda window: lambda inputs, network, *args, **kwargs: monai.inferers.sliding_window_inference("
    f"inputs, [min(edge, -(-size // {DIVISOR}) * {DIVISOR}) for edge, size in zip(window, inputs.shape[2:])], "
    "1, network, 0.5, 'gaussian', *args, **kwargs))(@window)"
)
"""The inferer whose window shrinks to a smaller volume, as that of :meth:`fedmed.tasks.brats18.Brats18.infer`.

References such as ``@window`` are known in the outermost scope of an expression alone, so they are arguments."""

FILES = (
    "$sorted(glob.glob(os.path.join(glob.escape(@dataset_dir), '**', '*' + @suffixes[0] + '.nii*'), recursive=True))"
)

CASE_ITEMS = (
    "$(lambda files, suffixes: [{'image': [stem + suffix + '.nii' + end for suffix in suffixes]} "
    "for stem, _, end in (file.rpartition(suffixes[0] + '.nii') for file in files)])(@files, @suffixes)"
)

NAME = (
    "$(lambda suffixes: lambda meta, saver: {'subject': os.path.basename(str(meta['filename_or_obj']))"
    ".rpartition(suffixes[0] + '.nii')[0], 'idx': None})(@suffixes)"
)
"""A case's files are called after the first of them, without the ending of its modality."""


def inference(task: Brats18, network: Mapping[str, Any]) -> dict[str, Any]:
    """The content of ``inference.json``.

    Args:
        task: the task with the preprocessing, windows and arithmetic of probabilities.
        network: the arguments of MONAI's SegResNet.
    """
    naming = NAMINGS["brats2018"]
    return {
        "imports": ["$import glob", "$import os"],
        "bundle_root": ".",
        "dataset_dir": "$@bundle_root + '/data'",
        "output_dir": "$@bundle_root + '/eval'",
        "suffixes": [naming.separator + part for part in naming.image],
        "files": FILES,
        "cases": CASE_ITEMS,
        "device": "$torch.device('cuda:0' if torch.cuda.is_available() else 'cpu')",
        "network_def": made("networks.nets.SegResNet", **network),
        "network": "$@network_def.to(@device)",
        "preprocessing": made("transforms.Compose", transforms=_preprocessing(task)),
        "dataset": made("data.Dataset", data="@cases", transform="@preprocessing"),
        "dataloader": made("data.DataLoader", dataset="@dataset", batch_size=1, shuffle=False, num_workers=0),
        "window": list(task.infer_roi_size),
        "inferer": FITTED if task.windows == "fitted" else _padded(),
        "postprocessing": made("transforms.Compose", transforms=_postprocessing()),
        **evaluator(),
    }


def _of_image(transform: str, **arguments: Any) -> dict[str, Any]:
    return made(f"transforms.{transform}", keys="image", **arguments)


def _preprocessing(task: Brats18) -> list[dict[str, Any]]:
    """The transforms by which ``task`` prepares the images of a case that it scores, float16's rounding included."""
    normalized = _of_image("NormalizeIntensityd", nonzero=True, channel_wise=True)
    once, late = ([normalized], []) if task.normalize == "volume" else ([], [normalized])
    return [
        _of_image("LoadImaged", reader="NibabelReader"),
        _of_image("EnsureChannelFirstd"),
        _of_image("Spacingd", pixdim=[1.0, 1.0, 1.0], mode="bilinear"),
        _of_image("Orientationd", axcodes="RAS", labels=None),
        *([*once, _of_image("CastToTyped", dtype="$torch.float16")] if once else []),
        *(
            [_of_image("CropForegroundd", source_key="image", select_fn="$lambda x: x != 0")]
            if task.crop_to_brain
            else []
        ),
        *([_of_image("DivisiblePadd", k=PADDING)] if task.windows == "padded" else []),
        _of_image("CastToTyped", dtype="$torch.float32"),
        *late,
    ]


def _padded() -> dict[str, Any]:
    return made("inferers.SlidingWindowInferer", roi_size="@window", sw_batch_size=1, overlap=0.5, mode="gaussian")


def _postprocessing() -> list[dict[str, Any]]:
    """Probabilities go back to the grid of the case's files before they are thresholded there."""
    back = {"transform": "@preprocessing", "orig_keys": "image", "nearest_interp": False, "to_tensor": True}
    return [
        made("transforms.Activationsd", keys="pred", sigmoid=True),
        made("transforms.Invertd", keys="pred", **back),
        made("transforms.Lambdad", keys="pred", func="$lambda probability: probability > 0.5"),
        made(
            "transforms.SaveImaged",
            keys="pred",
            output_dir="@output_dir",
            output_postfix="regions",
            output_ext=".nii.gz",
            output_dtype="$np.uint8",
            output_name_formatter=NAME,
            resample=False,
            separate_folder=False,
        ),
    ]
