"""The volume of the whole tumour of a BraTS case, in ml."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from fedmed.core.errors import InputError
from fedmed.data.image_file import read_image


def tumour_ml(label: Path, labels: Sequence[int] | None = None) -> float:
    """The volume of the whole tumour in ml: the label's voxels above 0, times the volume of a voxel (stated in mm).

    Args:
        label: the segmentation.
        labels: the values that it may hold, if they are known.

    Raises:
        InputError: the label cannot be read, is not 3D, or holds what is no label.
    """
    image = read_image(label)
    if image.dimensions != 3:
        raise InputError(f"{label} has {image.dimensions} dimensions; expected a 3D volume: export it again.")
    values = np.unique(image.voxels)
    if not np.isfinite(values).all():
        raise InputError(f"{label} holds voxels that are NaN or infinite; give each its label, or export it again.")
    strange = [] if labels is None else [f"{value:g}" for value in values[~np.isin(values, labels)]]
    if strange:
        shown = ", ".join(strange[:3]) + (", ..." if len(strange) > 3 else "")
        expected = ", ".join(map(str, labels or ()))
        raise InputError(f"{label} holds the label values {shown}; expected {expected} alone: correct the file.")
    return int(np.count_nonzero(image.voxels > 0)) * float(np.prod(image.spacing)) / 1000
