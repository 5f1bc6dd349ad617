"""The volume of a tumour, by hand."""

from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
import pytest

from fedmed.core.errors import InputError
from fedmed.data.brats.tumour_volume import tumour_ml

SHAPE = (12, 10, 8)


def save(path: Path, values: np.ndarray, affine: np.ndarray | None = None) -> Path:
    nib.save(nib.Nifti1Image(values, np.eye(4) if affine is None else affine), path)
    return path


def test_the_tumours_volume_is_that_of_its_voxels(tmp_path: Path) -> None:
    label = np.zeros(SHAPE, np.uint8)
    label[3, 3, 3:8] = (1, 2, 4, 4, 1)
    assert tumour_ml(save(tmp_path / "a.nii.gz", label, np.diag([-2.0, 3, 2, 1]))) == pytest.approx(5 * 12 / 1000)
    assert tumour_ml(save(tmp_path / "b.nii.gz", label.astype(np.float32))) == pytest.approx(0.005)
    assert tumour_ml(save(tmp_path / "c.nii.gz", np.zeros(SHAPE, np.uint8))) == 0


def test_a_label_that_cannot_be_read_is_refused(tmp_path: Path) -> None:
    path = save(tmp_path / "a.nii.gz", np.zeros(SHAPE, np.uint8))
    path.write_bytes(path.read_bytes()[:-4])
    with pytest.raises(InputError, match=r"a\.nii\.gz.*copy it again"):
        tumour_ml(path)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda label: label[..., None].repeat(2, -1), "4 dimensions; expected a 3D volume"),
        (lambda label: label[..., 0], "2 dimensions"),
        (lambda label: np.where(label == 4, np.nan, label), "NaN or infinite"),
        (lambda label: np.where(label == 4, 3, label), "holds the label values 3; expected 0, 1, 2, 4 alone"),
        (lambda label: label - 1.5, r"values -1.5, -0.5, 0.5, \.\.\.;"),
    ],
)
def test_what_is_no_label_has_no_volume(tmp_path: Path, change: Any, said: str) -> None:
    label = np.zeros(SHAPE, np.float32)
    label[3, 3, 3:8] = (1, 2, 4, 4, 1)
    path = save(tmp_path / "a.nii.gz", change(label).astype(np.float32))
    with pytest.raises(InputError, match=rf"a\.nii\.gz .*{said}"):
        tumour_ml(path, (0, 1, 2, 4))
