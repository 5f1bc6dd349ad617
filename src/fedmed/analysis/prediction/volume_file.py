"""A NIfTI file of results, whose voxels lie exactly where those of a patient's image do."""

import gzip
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
from numpy.typing import NDArray

GEOMETRY = (
    "xyzt_units", "qform_code", "sform_code", "quatern_b", "quatern_c", "quatern_d",
    "qoffset_x", "qoffset_y", "qoffset_z", "srow_x", "srow_y", "srow_z",
)  # fmt: skip
"""The fields of a header that place voxels. Others (dates, comments, extensions) may name a patient and stay behind."""


def volume_bytes(voxels: NDArray[Any], like: Path, description: str, compressed: bool) -> bytes:
    """A NIfTI file's content, with the affines and their codes as they stand in another file.

    Args:
        voxels: (X, Y, Z) as ``like``, or (X, Y, Z, C).
        like: the file whose voxels lie in the same places.
        description: of the voxels, for the header, at most 79 characters.
        compressed: for a name in ``.nii.gz``.
    """
    source = nib.load(like)
    assert isinstance(source, nib.Nifti1Image)  # or its subclass of the second version
    header = type(source.header)()
    header.set_data_dtype(voxels.dtype)
    header.set_data_shape(voxels.shape)
    header["pixdim"][:4] = source.header["pixdim"][:4]
    for field in GEOMETRY:
        header[field] = source.header[field]
    header["descrip"] = description.encode()
    content = type(source)(voxels, None, header).to_bytes()
    return _packed(content) if compressed else content


def placed_bytes(voxels: NDArray[Any], affine: NDArray[np.float64], description: str) -> bytes:
    """The content of a compressed NIfTI file of voxels (X, Y, Z) whose place an affine (4, 4) to mm in RAS+ states.

    The description is for the header, at most 79 characters.
    """
    image = nib.Nifti1Image(voxels, None)
    image.set_sform(affine, code="scanner")
    image.set_qform(affine, code="scanner", strip_shears=True)
    image.header.set_xyzt_units("mm")
    image.header["descrip"] = description.encode()
    return _packed(image.to_bytes())


def _packed(content: bytes) -> bytes:
    return gzip.compress(content, compresslevel=6, mtime=0)


def is_compressed(path: Path) -> bool:
    return path.name.lower().endswith(".gz")
