"""Sizes of cases as a network sees them: volumes in voxels of 1 mm, pictures in pixels; and volumes turned to RAS."""

from pathlib import Path

import nibabel as nib
import numpy as np
from numpy.typing import NDArray
from PIL import Image

from fedmed.core.errors import InputError
from fedmed.data.datalist import Case
from fedmed.data.image_file import ImageFile
from fedmed.data.windows import Size


def volume_size(case: Case) -> Size:
    """The size (X, Y, Z) of a case's first image in mm along right, anterior and superior.

    These are its voxels once it is oriented RAS at 1 mm. Only the header is read.

    Raises:
        InputError: the header cannot be read, or the file is no 3D NIfTI volume.
    """
    path = case.images[0]
    try:
        image = nib.load(path)
    except Exception as error:  # nibabel raises many kinds for what is no NIfTI file
        raise InputError(f"{path} cannot be read as NIfTI ({error}); export or copy it again.") from error
    if not isinstance(image, nib.Nifti1Image) or len(image.shape) != 3:
        found = f"{type(image).__name__} of shape {getattr(image, 'shape', '?')}"
        raise InputError(f"{path} is a {found}; expected a 3D NIfTI volume: export it again.")
    order = nib.orientations.io_orientation(image.affine)[:, 0].argsort()
    gaps = np.multiply(np.subtract(image.shape, 1), image.header.get_zooms()[:3])  # between the outer voxels' centres
    x, y, z = (round(float(gaps[axis]) + 1) for axis in order)
    return x, y, z


def picture_size(case: Case) -> tuple[int, int]:
    """The size (H, W) of a case's first image in pixels. Only the header is read.

    Raises:
        InputError: the header cannot be read.
    """
    path: Path = case.images[0]
    try:
        with Image.open(path) as image:
            return image.height, image.width
    except Exception as error:  # Pillow raises many kinds for what is no picture
        raise InputError(f"{path} cannot be read as an image ({error}); export or copy it again.") from error


def canonical(image: ImageFile) -> tuple[NDArray[np.float32], tuple[float, ...]]:
    """A volume's voxels (X, Y, Z) with axes nearest to right, anterior and superior, and their spacing in mm."""
    with np.errstate(over="ignore"):
        stored = nib.Nifti1Image(image.voxels.astype(np.float32), image.affine)
    turned = nib.as_closest_canonical(stored)
    spacing = np.linalg.norm(turned.affine[:3, :3], axis=0)
    return np.asarray(turned.dataobj, dtype=np.float32), tuple(map(float, spacing))
