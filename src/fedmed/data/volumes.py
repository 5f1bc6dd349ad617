"""Sizes of what a case holds: its volume in voxels of 1 mm, its tumour in ml."""

from collections.abc import Sequence
from pathlib import Path

import nibabel as nib
import numpy as np

from fedmed.core.errors import InputError
from fedmed.data.datalist import Case
from fedmed.data.image_file import read_image
from fedmed.data.windows import Size


def volume_size(case: Case) -> Size:
    """A case's size in mm along right, anterior and superior: its voxels once it is oriented RAS at 1 mm.

    Raises:
        InputError: the label's header cannot be read.
    """
    try:
        image = nib.load(case.label)
    except Exception as error:  # nibabel raises many kinds for what is no NIfTI file
        raise InputError(f"{case.label} cannot be read as NIfTI ({error}); export or copy it again.") from error
    if not isinstance(image, nib.Nifti1Image) or len(image.shape) != 3:
        found = f"{type(image).__name__} of shape {getattr(image, 'shape', '?')}"
        raise InputError(f"{case.label} is a {found}; expected a 3D NIfTI volume: export it again.")
    order = nib.orientations.io_orientation(image.affine)[:, 0].argsort()
    gaps = np.multiply(np.subtract(image.shape, 1), image.header.get_zooms()[:3])  # between the outer voxels' centres
    x, y, z = (round(float(gaps[axis]) + 1) for axis in order)
    return x, y, z


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
