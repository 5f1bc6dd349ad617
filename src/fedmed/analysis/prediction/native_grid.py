"""From a patient's files to probabilities and labels on the files' own grid."""

from collections.abc import Callable, Hashable, Sequence
from pathlib import Path
from typing import Any

import monai.transforms as mt
import numpy as np
from monai.data import MetaTensor
from monai.utils import convert_to_tensor
from numpy.typing import NDArray

from fedmed.analysis.evaluation.trained_model import TrainedModel
from fedmed.core.errors import InputError
from fedmed.data.brats.brats_layout import NECROSIS, OEDEMA, LabelScheme
from fedmed.tasks.base import NativeGrid, SliceVolumes

BRATS_REGIONS = ("TC", "WT", "ET")
"""The targets of BraTS, in the order of the network's channels."""

THRESHOLD = 0.5
"""A voxel is of a region where its probability is above this."""


def probabilities(model: TrainedModel, images: Sequence[Path], flips: bool) -> NDArray[np.float32]:
    """Probabilities (3, X, Y, Z) of TC, WT and ET in the files' voxels, 0 to 1.

    The network sees the images as in an evaluation. Its probabilities at 1 mm are interpolated linearly between the
    files' voxels, and taken from the nearest voxel beyond the last; outside a box around the brain they are 0.

    Args:
        model: of the task ``brats18``.
        images: the files in the order of ``MODALITIES``, on one grid (X, Y, Z).
        flips: the mean over the image and its seven mirrored copies.

    Raises:
        InputError: the model is of another task, or its prediction holds NaN.
    """
    task = brain_tumour_task(model)
    return led_back(model, task, task.new_patient(), [str(path) for path in images], flips)


def led_back(
    model: TrainedModel, task: NativeGrid | SliceVolumes, prepare: Callable[[Any], Any], given: Any, flips: bool
) -> NDArray[np.float32]:
    """Probabilities (targets, ...) on the grid from which ``prepare`` makes the network's input.

    Args:
        prepare: the task's transform of ``image``, a transform of MONAI that can be inverted.
        given: its ``image``.
        flips: the mean over the image and its mirrored copies.

    Raises:
        InputError: the prediction holds NaN.
    """
    assert isinstance(prepare, mt.InvertibleTransform)  # by the contract of the two
    image = prepare({"image": given})["image"]
    with model.inference():
        seen = convert_to_tensor(image, track_meta=False, device=model.device)[None]
        found = task.probabilities(model.network, seen, flips)[0]
    item: dict[Hashable, Any] = {"image": image, "found": MetaTensor(found.cpu().clone())}
    back = mt.Invertd("found", transform=prepare, orig_keys="image", nearest_interp=False)(item)["found"]
    return np.asarray(convert_to_tensor(back, track_meta=False).clamp(0, 1), dtype=np.float32)


def brain_tumour_task(model: TrainedModel) -> NativeGrid:
    """The model's task, which must segment the tumour of BraTS on the grid of a new patient's files.

    Raises:
        InputError: it is another one.
    """
    task = model.task
    if not isinstance(task, NativeGrid) or task.TARGETS != BRATS_REGIONS:
        raise InputError(
            f"{model.label} was trained for the task {task.name}; expected a model of brats18: give one of those."
        )
    return task


def painted(regions: NDArray[np.bool_], scheme: LabelScheme) -> NDArray[np.uint8]:
    """Labels (X, Y, Z) of the regions TC, WT and ET (3, X, Y, Z), which a network does not keep inside one another.

    As is usual for BraTS the inner region wins: WT is painted as oedema, over it TC as necrosis, over it ET. So TC
    outside WT enlarges the whole tumour, and ET outside TC the core.
    """
    core, whole, enhancing = regions
    labels = np.zeros(core.shape, np.uint8)
    for where, label in ((whole, OEDEMA), (core, NECROSIS), (enhancing, scheme.enhancing)):
        labels[where] = label
    return labels
