"""A case's sizes: its volume against what MONAI loads, its picture by hand."""

from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
import pytest
from PIL import Image

from fedmed.core.errors import InputError
from fedmed.data.datalist import Case
from fedmed.data.prepared.cache import Caching
from fedmed.data.volumes import picture_size, volume_size
from fedmed.tasks.brats18 import Brats18

SHAPE = (12, 10, 8)
PERMUTED = np.array([[0, 0, 1, 0], [-1, 0, 0, 9], [0, 1, 0, 0], [0, 0, 0, 1]], float)


def save(path: Path, values: np.ndarray, affine: np.ndarray | None = None, kind: Any = nib.Nifti1Image) -> Path:
    nib.save(kind(values, np.eye(4) if affine is None else affine), path)
    return path


@pytest.mark.parametrize(
    "affine",
    [np.eye(4), np.diag([-1.0, -1, 1, 1]), PERMUTED, np.diag([1.5, 1, 1, 1]), np.diag([2.0, 3, 2, 1])],
    ids=["RAS", "LPS", "permuted", "1.5 mm", "2 and 3 mm"],
)
def test_the_volumes_size_is_that_of_the_image_that_the_network_sees(tmp_path: Path, affine: np.ndarray) -> None:
    values = np.random.default_rng(0).integers(1, 900, SHAPE).astype(np.int16)
    images = tuple(save(tmp_path / f"{m}.nii.gz", values, affine) for m in ("t1ce", "t1", "t2", "flair"))
    case = Case(images, save(tmp_path / "seg.nii.gz", (values % 3).astype(np.uint8), affine), {})
    item = Brats18().eval_set([case], "brats2018", Caching())[0]
    assert volume_size(case) == tuple(item["image"].shape[1:])


def test_the_volumes_size_is_in_mm_along_the_patients_axes(tmp_path: Path) -> None:
    affine = np.array([[0, 0, 2.0, 0], [3, 0, 0, 0], [0, -1, 0, 0], [0, 0, 0, 1]])
    case = Case((save(tmp_path / "a b ä.nii", np.zeros((5, 9, 4), np.uint8), affine),), 0, {})
    assert volume_size(case) == (3 * 2 + 1, 4 * 3 + 1, 8 + 1)


@pytest.mark.parametrize("content", [None, b"", b"This is a text.", b"\x1f\x8b\x08\x00 broken"])
def test_an_image_whose_header_cannot_be_read_is_refused(tmp_path: Path, content: bytes | None) -> None:
    path = tmp_path / "seg ä.nii.gz"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(InputError, match="again") as caught:
        volume_size(Case((path,), 0, {}))
    assert str(path) in str(caught.value)


def test_an_image_of_another_kind_is_refused(tmp_path: Path) -> None:
    path = save(tmp_path / "seg.mgz", np.zeros(SHAPE, np.uint8), kind=nib.MGHImage)
    with pytest.raises(InputError, match=r"seg\.mgz"):
        volume_size(Case((path,), 0, {}))


def test_a_4d_image_is_refused(tmp_path: Path) -> None:
    path = save(tmp_path / "seg.nii", np.zeros((*SHAPE, 2), np.uint8))
    with pytest.raises(InputError, match=r"seg\.nii"):
        volume_size(Case((path,), 0, {}))


@pytest.mark.parametrize("ending", [".png", ".jpg", ".tif"])
def test_the_size_of_a_picture_is_height_and_width(tmp_path: Path, ending: str) -> None:
    Image.new("RGB", (30, 20)).save(tmp_path / f"a{ending}")
    assert picture_size(Case((tmp_path / f"a{ending}",), 1, {})) == (20, 30)


@pytest.mark.parametrize("content", [None, b"", b"This is a text."])
def test_a_picture_whose_header_cannot_be_read_is_refused(tmp_path: Path, content: bytes | None) -> None:
    path = tmp_path / "a ä.png"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(InputError, match="again") as caught:
        picture_size(Case((path,), 1, {}))
    assert str(path) in str(caught.value)
