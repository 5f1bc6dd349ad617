"""The picture of cases: which are chosen, and that what is drawn is the right way round."""

from dataclasses import replace
from io import BytesIO
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
from matplotlib.image import imread

from fedmed.core.errors import InputError
from fedmed.data.brats.brats_layout import CaseFiles, find_cases
from fedmed.data.brats.case_picture import case_picture, chosen_cases, picture_format


def case(name: str) -> CaseFiles:
    return CaseFiles(name, (), Path(name), "brats2018", None, name)


def one_case(tree: Path, affine: list[float]) -> list[CaseFiles]:
    """A case whose tumour lies at the end of the first axis."""
    folder = tree / "Brats18_X_1_1"
    folder.mkdir(parents=True)
    image = np.full((20, 20, 20), 100, dtype=np.int16)
    label = np.zeros(image.shape, dtype=np.uint8)
    label[16:, 8:12, 8:12] = 4
    for part in ("t1ce", "t1", "t2", "flair", "seg"):
        volume = label if part == "seg" else image
        nib.save(nib.Nifti1Image(volume, np.diag([*affine, 1.0])), folder / f"{folder.name}_{part}.nii.gz")
    return find_cases(tree)


def test_the_first_case_of_each_of_two_institutions_is_chosen() -> None:
    cases = [case(f"Brats18_{name}_1") for name in ("A_1", "A_2", "B_1", "C_1")]
    assert [each.name for each in chosen_cases(cases, None)] == ["Brats18_A_1_1", "Brats18_B_1_1"]
    unknown = [case(f"BraTS-GLI-0000{i}-000") for i in range(3)]
    assert chosen_cases(unknown, None) == unknown[:2]


def test_named_cases_are_chosen_in_their_order() -> None:
    cases = [case(name) for name in "abc"]
    assert [each.name for each in chosen_cases(cases, ["c", "a"])] == ["c", "a"]
    with pytest.raises(InputError, match="no case x, y among 3"):
        chosen_cases(cases, ["x", "a", "y"])


@pytest.mark.parametrize(("affine", "right"), [([-1.0, -1.0, 1.0], True), ([1.0, 1.0, 1.0], False)])
def test_the_patients_left_is_on_the_right(tmp_path: Path, affine: list[float], right: bool) -> None:
    """The end of an axis that runs to the left is seen on the right, whatever way the file is stored."""
    picture = imread(BytesIO(case_picture(one_case(tmp_path, affine), "made up")))[..., :3]
    panel = picture[int(0.3 * len(picture)) :, int(0.82 * picture.shape[1]) :]
    reddish = (panel[..., 0] - panel[..., 2] > 0.5) & (panel[..., 1] < 0.5)
    columns = np.flatnonzero(reddish.any(axis=0)) / panel.shape[1]
    assert (columns.mean() > 0.5) == right


def test_unreadable_file_is_named(tmp_path: Path) -> None:
    cases = one_case(tmp_path, [-1.0, -1.0, 1.0])
    cases[0].image[2].write_bytes(b"none")
    with pytest.raises(InputError, match=r"t2\.nii\.gz is no NIfTI file"):
        case_picture(cases, "")


@pytest.mark.parametrize(("part", "place"), [("t2", 2), ("seg", 4)])
@pytest.mark.parametrize("shape", [(20, 20, 20, 3), (20, 20), (20, 20, 19), (0, 20, 20)])
def test_what_is_no_volume_of_the_labels_size_is_refused(
    tmp_path: Path, part: str, place: int, shape: tuple[int, ...]
) -> None:
    cases = one_case(tmp_path, [-1.0, -1.0, 1.0])
    path = (*cases[0].image, cases[0].label)[place]
    nib.save(nib.Nifti1Image(np.ones(shape, np.uint8), np.eye(4)), path)
    with pytest.raises(InputError, match=rf"{part}\.nii\.gz") as caught:
        case_picture(cases, "")
    assert "\n" not in str(caught.value)


def test_colours_are_refused(tmp_path: Path) -> None:
    cases = one_case(tmp_path, [-1.0, -1.0, 1.0])
    colours = np.zeros((20, 20, 20), dtype=[("R", "u1"), ("G", "u1"), ("B", "u1")])
    nib.save(nib.Nifti1Image(colours, np.eye(4)), cases[0].image[1])
    with pytest.raises(InputError, match=r"t1\.nii\.gz.*one plain number"):
        case_picture(cases, "")


@pytest.mark.parametrize("name", ["Brats18_X_1_\udcff", "a $b$ \\frac{"])
def test_any_name_of_a_folder_is_drawn(tmp_path: Path, name: str) -> None:
    (case,) = one_case(tmp_path, [-1.0, -1.0, 1.0])
    assert case_picture([replace(case, name=name)], name)


@pytest.mark.parametrize(("format", "start"), [("png", b"\x89PNG"), ("svg", b"<?xml"), ("pdf", b"%PDF")])
def test_the_format_is_the_one_of_the_name(tmp_path: Path, format: str, start: bytes) -> None:
    assert picture_format(Path(f"a.b.{format.upper()}")) == format
    assert case_picture(one_case(tmp_path, [-1.0, -1.0, 1.0]), "", format).startswith(start)


@pytest.mark.parametrize(("name", "said"), [("a.jpg", "ends in .jpg;"), ("a", "ends in nothing;"), (".png", "nothing")])
def test_another_format_is_refused(name: str, said: str) -> None:
    with pytest.raises(InputError, match=said):
        picture_format(Path(name))
