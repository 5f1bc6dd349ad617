"""Checks of a site's volumes before training: every file there, shapes that agree, labels within the stated scheme."""

import zlib
from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import nibabel as nib
import numpy as np

from fedmed.data.datalist import Case
from fedmed.data.windows import Size
from fedmed.errors import InputError

SAME_PLACE_MM = 0.01
"""How far a label's affine may differ from its images', for the rounding of what wrote it."""


def check_files_exist(cases: Iterable[Case], listed_in: Path) -> None:
    """Every image and label file is there.

    Raises:
        InputError: some are not; names the first three and their number.
    """
    missing = [path for case in cases for path in (*case.image, case.label) if not path.is_file()]
    if missing:
        shown = ", ".join(map(str, missing[:3])) + (", ..." if len(missing) > 3 else "")
        raise InputError(
            f"{listed_in} lists {len(missing)} files that are not there: {shown}; "
            "correct the list or the dataset folder that its paths start in."
        )


def check_modalities(cases: Iterable[Case], modalities: Sequence[str], listed_in: Path) -> None:
    """Every case names as many image files as there are modalities.

    Raises:
        InputError: a case names fewer or more.
    """
    for case in cases:
        if len(case.image) != len(modalities):
            names = ", ".join(path.name for path in case.image)
            raise InputError(
                f"{case.name} in {listed_in} has {len(case.image)} image files ({names}); expected one for each of "
                f"{', '.join(modalities)}, in this order."
            )


def check_volumes(cases: Iterable[Case], labels: Sequence[int], scheme: str) -> None:
    """Images and label of a case are 3D and on one grid, and the label holds only the scheme's values.

    Args:
        cases: the cases; each is looked at once, however often it is listed.
        labels: the values that the scheme allows.
        scheme: the scheme's name, for the message.

    Raises:
        InputError: a file is unreadable, shapes differ or a label value is outside the scheme.
    """
    unique = {(case.image, case.label): case for case in cases}.values()
    with ThreadPoolExecutor(max_workers=4) as pool:  # decompression releases the interpreter's lock
        for _ in pool.map(lambda case: _check_case(case, labels, scheme), unique):
            pass


def volume_size(case: Case) -> Size:
    """A case's size in mm along right, anterior and superior: its voxels once it is oriented RAS at 1 mm."""
    image = _opened(case.label)
    order = nib.orientations.io_orientation(image.affine)[:, 0].argsort()
    gaps = np.multiply(np.subtract(image.shape, 1), image.header.get_zooms()[:3])  # between the outer voxels' centres
    x, y, z = (round(float(gaps[axis]) + 1) for axis in order)
    return x, y, z


def tumour_ml(label: Path) -> float:
    """The volume of the whole tumour in ml: the label's voxels above 0, times the volume of a voxel (stated in mm).

    Raises:
        InputError: the label cannot be read.
    """
    voxel_mm3 = float(np.prod(_opened(label).header.get_zooms()[:3], dtype=float))
    return int(np.count_nonzero(_voxels(label) > 0)) * voxel_mm3 / 1000


def _check_case(case: Case, labels: Sequence[int], scheme: str) -> None:
    first = case.image[0]
    _check_grid(first, case.label, SAME_PLACE_MM)
    for other in case.image[1:]:
        _check_grid(other, first, 1e-8)  # MONAI stacks images only if numpy calls their affines close
    outside = sorted(set(np.unique(_voxels(case.label)).tolist()) - set(labels))
    if outside:
        raise InputError(
            f"{case.label} holds the label values {', '.join(f'{v:g}' for v in outside)}, which {scheme} does not know "
            f"(it has {', '.join(map(str, labels))}); state the right label_scheme in the datalist or correct the file."
        )


def _check_grid(image: Path, other: Path, tolerance_mm: float) -> None:
    """Same voxels in the same places: of two volumes of one shape, one may still be flipped against the other."""
    remedy = "the images and the label of a case must be resampled to one grid."
    if _shape(image) != _shape(other):
        raise InputError(f"{image} is {_shape(image)} voxels, but {other} is {_shape(other)}; {remedy}")
    if not np.allclose(_opened(image).affine, _opened(other).affine, atol=tolerance_mm):
        raise InputError(f"{image} lies otherwise in space than {other}: their affines differ; {remedy}")


def _shape(path: Path) -> Size:
    shape = _opened(path).shape
    if len(shape) != 3:
        raise InputError(f"{path} has {len(shape)} dimensions {shape}; expected a 3D volume, one file a modality.")
    return int(shape[0]), int(shape[1]), int(shape[2])


def _opened(path: Path) -> nib.Nifti1Image:
    try:
        image = nib.load(path)
    except Exception as error:  # nibabel raises many kinds for what is no NIfTI file
        raise InputError(f"{path} cannot be read as NIfTI ({error}); export or copy it again.") from error
    if not isinstance(image, nib.Nifti1Image):
        raise InputError(f"{path} is a {type(image).__name__}; expected a NIfTI volume (.nii or .nii.gz).")
    return image


def _voxels(path: Path) -> np.ndarray:
    try:
        return np.asarray(_opened(path).dataobj)
    except (OSError, EOFError, ValueError, zlib.error) as error:
        raise InputError(f"{path} cannot be read to its end ({error}); copy it again.") from error
