"""The audit: each thing that is wrong with a site's files is refused by the name of the file."""

import re
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
import pytest

from fedmed.data.audit import check_files_exist, check_modalities, check_volumes, volume_size
from fedmed.data.cache import Caching
from fedmed.data.datalist import Case
from fedmed.errors import InputError
from fedmed.tasks.brats18 import Brats18

SCHEME = ((0, 1, 2, 4), "brats2018")
SHAPE = (12, 10, 8)


def save(path: Path, values: np.ndarray, affine: Any = None) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    nib.save(nib.Nifti1Image(values, np.eye(4) if affine is None else affine), path)
    return path


@pytest.fixture
def case(tmp_path: Path) -> Case:
    """A sound case of four images."""
    rng = np.random.default_rng(0)
    folder = tmp_path / "case-1"
    images = [save(folder / f"{m}.nii.gz", rng.integers(1, 900, SHAPE).astype(np.int16)) for m in ("a", "b", "c", "d")]
    label = save(folder / "seg.nii.gz", rng.choice([0, 1, 2, 4], SHAPE).astype(np.uint8))
    return Case(tuple(images), label, {})


def refused(case: Case, path: Path) -> str:
    """What the check says; it must name ``path``."""
    with pytest.raises(InputError, match=re.escape(str(path))) as caught:
        check_volumes([case], *SCHEME)
    return str(caught.value)


def test_a_sound_case_passes(case: Case, tmp_path: Path) -> None:
    check_files_exist([case], tmp_path)
    check_modalities([case], ("a", "b", "c", "d"), tmp_path)
    check_volumes([case, case], *SCHEME)


def test_missing_files_are_counted_and_the_first_three_named(case: Case, tmp_path: Path) -> None:
    gone = [*case.image[1:], case.label]
    for path in gone:
        path.unlink()
    with pytest.raises(InputError, match=r"list\.json lists 4 files") as caught:
        check_files_exist([case], tmp_path / "list.json")
    assert [str(path) in str(caught.value) for path in gone] == [True, True, True, False]
    assert "..." in str(caught.value)


def test_one_missing_file_is_named_alone(case: Case, tmp_path: Path) -> None:
    case.label.unlink()
    with pytest.raises(InputError, match="1 files") as caught:
        check_files_exist([case], tmp_path)
    assert str(case.label) in str(caught.value)
    assert "..." not in str(caught.value)


def test_a_folder_is_no_file(case: Case, tmp_path: Path) -> None:
    with pytest.raises(InputError):
        check_files_exist([Case(case.image, case.label.parent, {})], tmp_path)


@pytest.mark.parametrize("count", [3, 5])
def test_a_missing_or_extra_modality_is_named_with_the_case(case: Case, tmp_path: Path, count: int) -> None:
    odd = Case((*case.image, *case.image)[:count], case.label, {})
    with pytest.raises(InputError, match=rf"case-1 in .*list\.json has {count} image files .*a\.nii\.gz.* t1ce, t1"):
        check_modalities([case, odd], ("t1ce", "t1", "t2", "flair"), tmp_path / "list.json")


@pytest.mark.parametrize("part", ["image", "label"])
def test_a_4d_volume_is_refused(case: Case, part: str) -> None:
    path = case.image[2] if part == "image" else case.label
    save(path, np.zeros((*SHAPE, 2), np.uint8))
    assert "4 dimensions" in refused(case, path)


@pytest.mark.parametrize("part", ["image", "label"])
@pytest.mark.parametrize("content", [b"", b"not a volume", b"\x1f\x8b\x08\x00 broken"])
def test_a_file_that_is_no_nifti_is_refused(case: Case, part: str, content: bytes) -> None:
    path = case.image[2] if part == "image" else case.label
    path.write_bytes(content)
    assert "NIfTI" in refused(case, path)


def test_another_kind_of_volume_is_refused(case: Case, tmp_path: Path) -> None:
    path = tmp_path / "case-1" / "seg.mgz"
    nib.save(nib.MGHImage(np.zeros(SHAPE, np.uint8), np.eye(4)), path)
    assert "expected a NIfTI volume" in refused(Case(case.image, path, {}), path)


def test_a_truncated_label_is_refused(case: Case) -> None:
    shape = (32, 32, 32)
    for path in case.image:
        save(path, np.ones(shape, np.int16))
    save(case.label, np.random.default_rng(0).choice([0, 1, 2, 4], shape).astype(np.uint8))
    whole = case.label.read_bytes()
    case.label.write_bytes(whole[: len(whole) * 2 // 3])
    assert "cannot be read to its end" in refused(case, case.label)


def test_a_label_with_damaged_bytes_is_refused(case: Case) -> None:
    label = np.zeros((48, 48, 48), np.uint8)
    label[10:30, 12:33, 9:20] = 2
    for path in case.image:
        save(path, np.ones(label.shape, np.int16))
    whole = bytearray(save(case.label, label).read_bytes())
    whole[150:154] = b"\xff" * 4
    case.label.write_bytes(whole)
    refused(case, case.label)


def test_shapes_that_differ_are_refused_with_both(case: Case) -> None:
    save(case.image[1], np.zeros((12, 10, 9), np.int16))
    said = refused(case, case.image[1])
    assert "(12, 10, 9)" in said
    assert "(12, 10, 8)" in said


@pytest.mark.parametrize(
    ("value", "dtype", "shown"),
    [(3, np.uint8, "3"), (-1, np.int16, "-1"), (0.5, np.float32, "0.5"), (np.nan, np.float32, "nan")],
)
def test_a_label_value_outside_the_scheme_is_refused_and_shown(
    case: Case, value: float, dtype: type, shown: str
) -> None:
    label = np.zeros(SHAPE, dtype)
    label[0, 0, :3] = (1, 4, value)
    save(case.label, label)
    assert f"label values {shown}, which brats2018 does not know (it has 0, 1, 2, 4)" in refused(case, case.label)


def test_labels_stored_as_floats_are_accepted(case: Case) -> None:
    save(case.label, np.full(SHAPE, 4.0, np.float64))
    check_volumes([case], *SCHEME)


def test_a_bad_case_is_found_among_good_ones(case: Case, tmp_path: Path) -> None:
    bad = save(tmp_path / "case-2" / "seg.nii.gz", np.full(SHAPE, 7, np.uint8))
    with pytest.raises(InputError, match="case-2"):
        check_volumes([case, Case(case.image, bad, {}), case], *SCHEME)


@pytest.mark.parametrize("part", ["image", "label"])
def test_a_file_that_lies_otherwise_in_space_is_refused(case: Case, part: str) -> None:
    """Equal shapes are not enough: the network would see the one flipped against the other."""
    path = case.image[2] if part == "image" else case.label
    save(path, np.ones(SHAPE, np.uint8), np.diag([-1.0, -1.0, 1.0, 1.0]))
    said = refused(case, case.image[2] if part == "image" else case.image[0])
    assert "space" in said


@pytest.mark.parametrize("shift_mm", [0.0, 0.002, 1.0])
def test_images_that_pass_can_be_loaded_together(case: Case, shift_mm: float) -> None:
    affine = np.eye(4)
    affine[0, 3] = shift_mm
    save(case.image[2], np.ones(SHAPE, np.int16), affine)
    try:
        check_volumes([case], *SCHEME)
    except InputError:
        assert shift_mm > 0
        return
    Brats18().eval_set([case], "brats2018", Caching())[0]


PERMUTED = np.array([[0, 0, 1, 0], [-1, 0, 0, 9], [0, 1, 0, 0], [0, 0, 0, 1]], float)


@pytest.mark.parametrize(
    "affine",
    [np.eye(4), np.diag([-1.0, -1, 1, 1]), PERMUTED, np.diag([1.5, 1, 1, 1]), np.diag([2.0, 3, 2, 1])],
    ids=["RAS", "LPS", "permuted", "1.5 mm", "2 and 3 mm"],
)
def test_the_volumes_size_is_that_of_the_image_that_the_network_sees(case: Case, affine: np.ndarray) -> None:
    for path in (*case.image, case.label):
        save(path, np.ones(SHAPE, np.uint8), affine)
    item = Brats18().eval_set([case], "brats2018", Caching())[0]
    assert volume_size(case) == tuple(item["image"].shape[1:])
