"""Which file is taken for which modality, and what is refused before any of them is opened."""

from collections.abc import Sequence
from pathlib import Path

import pytest

from fedmed.analysis.prediction.patient_files import files_by_name, named_files
from fedmed.core.errors import InputError
from fedmed.data.brats.brats_layout import MODALITIES, NAMINGS


def put(folder: Path, *names: str) -> Path:
    folder.mkdir(exist_ok=True)
    for name in names:
        (folder / name).write_bytes(b"")
    return folder


def names(case: str, year: str = "brats2018", ending: str = ".nii.gz") -> list[str]:
    return [f"{case}{NAMINGS[year].separator}{part}{ending}" for part in NAMINGS[year].image]


@pytest.mark.parametrize("year", NAMINGS)
@pytest.mark.parametrize("ending", [".nii.gz", ".nii"])
def test_a_folder_need_not_bear_the_cases_name(tmp_path: Path, year: str, ending: str) -> None:
    label = f"a b{NAMINGS[year].separator}seg{ending}"
    folder = put(tmp_path / "patient 7", *names("a b", year, ending), label, "notes.txt", "._a b_t1.nii.gz")
    found = files_by_name([folder])
    assert found.name == "patient 7"
    assert tuple(found.images) == MODALITIES
    assert [path.name for path in found.images.values()] == names("a b", year, ending)
    assert found.reference == folder / names("a b", year, ending)[0]


def test_files_are_told_by_their_names_in_any_order(tmp_path: Path) -> None:
    folder = put(tmp_path / "x", *names("a", "brats2023"), "a-seg.nii.gz")
    found = files_by_name(sorted(folder.iterdir(), reverse=True))
    assert found.name == "a"
    assert [path.name for path in found.images.values()] == names("a", "brats2023")


def test_files_of_any_name_are_named_one_by_one(tmp_path: Path) -> None:
    folder = put(tmp_path / "x", "0.nii", "1.nii", "2.nii", "3.nii")
    given = {modality: folder / f"{n}.nii" for n, modality in enumerate(MODALITIES)}
    found = named_files(dict(reversed(given.items())))
    assert found.name == "0"
    assert list(found.images.items()) == list(given.items())


@pytest.mark.parametrize(
    ("held", "said"),
    [
        (names("a")[:2], r"lacks t2, flair \(there is a_t1.nii.gz, a_t1ce.nii.gz\); expected .*-t2w.nii.gz"),
        ([], r"lacks t1ce, t1, t2, flair \(there is no file\)"),
        ([*names("a"), "b_t1.nii.gz"], "holds 2 files for t1 "),
        ([*names("a"), "a-t1n.nii.gz"], r"holds 2 files for t1 \(a-t1n.nii.gz, a_t1.nii.gz\)"),
        ([*names("a"), "a_t1.nii"], "holds 2 files for t1 "),
        ([*names("a")[:3], "b_flair.nii.gz"], r"files of several cases \(a, b\)"),
    ],
)
def test_a_folder_that_leaves_a_doubt_is_refused(tmp_path: Path, held: Sequence[str], said: str) -> None:
    with pytest.raises(InputError, match=said):
        files_by_name([put(tmp_path / "x", *held)])


def test_a_folder_of_dicom_is_told_what_to_do(tmp_path: Path) -> None:
    (tmp_path / "IM1").write_bytes(bytes(128) + b"DICM")
    with pytest.raises(InputError, match=r"DICOM files such as IM1.*dcm2niix"):
        files_by_name([tmp_path])


def test_paths_that_are_no_files_or_tell_nothing_are_refused(tmp_path: Path) -> None:
    folder = put(tmp_path / "x", "a_t1.nii.gz", "scan.nii.gz")
    for inputs, said in (
        ([tmp_path / "none"], "does not exist"),
        ([folder, folder / "a_t1.nii.gz"], "is a folder"),
        (
            [folder / "scan.nii.gz", folder / "a_t1.nii.gz"],
            "scan.nii.gz tells no modality.*--t1ce, --t1, --t2 and --fl",
        ),
    ):
        with pytest.raises(InputError, match=said):
            files_by_name(inputs)


def test_options_that_are_missing_or_contradict_a_name_are_refused(tmp_path: Path) -> None:
    folder = put(tmp_path / "x", *names("a"))
    given = dict(zip(MODALITIES, [folder / name for name in names("a")], strict=True))
    assert named_files(given).name == "a"
    with pytest.raises(InputError, match="There is no --t1 and --flair"):
        named_files({modality: given[modality] for modality in ("t1ce", "t2")})
    with pytest.raises(InputError, match="given as --t1, but its name says t2"):
        named_files({**given, "t1": given["t2"]})
    with pytest.raises(InputError, match=r"gone\.nii does not exist"):
        named_files({**given, "t1": folder / "gone.nii"})
