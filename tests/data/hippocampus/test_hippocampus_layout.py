"""Cases of the Decathlon's hippocampus set: found in either layout, measured, and refused where files are missing."""

from pathlib import Path

import pytest

from fedmed.core.errors import InputError
from fedmed.data.hippocampus.hippocampus_layout import FOLDERS, SOURCES, find_hippocampus_cases, measures_of
from tests.data.hippocampus.written import write_case


@pytest.mark.parametrize("folders", FOLDERS)
def test_cases_are_found_in_both_layouts_and_hidden_files_are_not(tmp_path: Path, folders: tuple[str, str]) -> None:
    for number in (7, 3):
        write_case(tmp_path, number, "8-bit", folders=folders)
    (tmp_path / folders[0] / "._hippocampus_003.nii.gz").write_bytes(b"macOS")
    cases = find_hippocampus_cases(tmp_path)
    assert [case.name for case in cases] == ["hippocampus_003", "hippocampus_007"]
    assert len({case.patient for case in cases}) == 2
    entry = cases[0].entry(tmp_path)
    assert entry["image"] == f"{folders[0]}/hippocampus_003.nii.gz"
    assert entry["label"] == f"{folders[1]}/hippocampus_003.nii.gz"


@pytest.mark.parametrize("source", SOURCES)
def test_intensities_tell_the_source_and_the_label_the_volume(tmp_path: Path, source: str) -> None:
    write_case(tmp_path, 1, source, voxels=30)
    found = measures_of(find_hippocampus_cases(tmp_path)[0])
    assert found.source == source
    assert found.volume_ml == pytest.approx(0.030)  # voxels of 1 mm


def test_a_folder_without_the_set_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="does not exist"):
        find_hippocampus_cases(tmp_path / "none")
    with pytest.raises(InputError, match="expected the folders images and labels or imagesTr and labelsTr"):
        find_hippocampus_cases(tmp_path)
    for folder in FOLDERS[0]:
        (tmp_path / folder).mkdir()
    with pytest.raises(InputError, match="holds no NIfTI file"):
        find_hippocampus_cases(tmp_path)


def test_an_image_without_a_label_is_refused_by_name(tmp_path: Path) -> None:
    for number in (1, 2):
        write_case(tmp_path, number, "thousands")
    (tmp_path / "labels" / "hippocampus_002.nii.gz").unlink()
    with pytest.raises(InputError, match=r"1 of the 2 images .* such as hippocampus_002"):
        find_hippocampus_cases(tmp_path)
