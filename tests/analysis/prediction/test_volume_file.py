"""A result's header says of places what the patient's does, to the bit, and nothing of the patient."""

from pathlib import Path

import nibabel as nib
import numpy as np
import pytest

from fedmed.analysis.prediction.volume_file import GEOMETRY, volume_bytes
from tests.analysis.prediction.patients import OBLIQUE

SHAPE = (6, 5, 4)


def scan(path: Path, kind: type = nib.Nifti1Image, dtype: str = "<i2") -> Path:
    """A scan whose sform and qform differ in their codes, with a name in its header."""
    image = kind(np.arange(120).reshape(SHAPE).astype(dtype), None)
    image.set_qform(OBLIQUE, 1)
    image.set_sform(OBLIQUE, 4)
    image.header["descrip"] = b"Jane Doe"
    image.header["aux_file"] = b"jane.txt"
    image.header.set_slope_inter(2.5, -7)
    image.header.set_xyzt_units("mm", "sec")
    image.header.extensions.append(nib.nifti1.Nifti1Extension("comment", b"Jane Doe"))
    nib.save(image, path)
    return path


@pytest.mark.parametrize("kind", [nib.Nifti1Image, nib.Nifti2Image])
@pytest.mark.parametrize("dtype", ["<i2", ">f4"])
@pytest.mark.parametrize("compressed", [True, False])
def test_it_lies_where_the_scan_lies(tmp_path: Path, kind: type, dtype: str, compressed: bool) -> None:
    like = scan(tmp_path / "scan.nii.gz", kind, dtype)
    voxels = np.random.default_rng(0).integers(0, 5, SHAPE).astype(np.uint8)
    path = tmp_path / ("out.nii.gz" if compressed else "out.nii")
    path.write_bytes(volume_bytes(voxels, like, "labels", compressed))
    source, made = nib.load(like), nib.load(path)
    assert type(made) is kind
    assert made.get_data_dtype() == np.uint8
    np.testing.assert_array_equal(np.asarray(made.dataobj), voxels)
    np.testing.assert_array_equal(made.affine, source.affine)
    for field in GEOMETRY:
        np.testing.assert_array_equal(made.header[field], source.header[field])
    np.testing.assert_array_equal(made.header["pixdim"][:4], source.header["pixdim"][:4])
    assert b"jane" not in made.to_bytes().lower()


def test_probabilities_have_a_fourth_axis(tmp_path: Path) -> None:
    like = scan(tmp_path / "scan.nii.gz")
    voxels = np.random.default_rng(0).random((*SHAPE, 3)).astype(np.float32)
    (tmp_path / "p.nii").write_bytes(volume_bytes(voxels, like, "TC, WT, ET", compressed=False))
    made = nib.load(tmp_path / "p.nii")
    assert made.shape == (*SHAPE, 3)
    np.testing.assert_array_equal(np.asarray(made.dataobj), voxels)
    np.testing.assert_array_equal(made.affine, nib.load(like).affine)


def test_equal_results_are_equal_bytes(tmp_path: Path) -> None:
    like = scan(tmp_path / "scan.nii.gz")
    one, other = (volume_bytes(np.ones(SHAPE, np.uint8), like, "labels", compressed=True) for _ in range(2))
    assert one == other
