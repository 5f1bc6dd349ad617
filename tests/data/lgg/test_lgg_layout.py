"""Finding the patients of a lower-grade glioma set: their names, the order of slices, and several mistakes at once."""

import shutil
from pathlib import Path

import pytest

from fedmed.core.errors import InputError, Problems
from fedmed.data.lgg.lgg_layout import find_lgg
from tests.data.lgg.written_scans import write_scan, write_set

NAME = "TCGA_CS_4941_19960909"


def problems(root: Path) -> tuple[str, ...]:
    with pytest.raises(Problems) as caught:
        find_lgg(root)
    assert all(sentence.endswith(".") and ". " not in sentence for sentence in caught.value.sentences)
    return caught.value.sentences


def test_a_patient_is_a_folder_whose_name_states_the_institution(tmp_path: Path) -> None:
    write_scan(tmp_path / "dä ta", NAME)
    write_scan(tmp_path / "dä ta", "TCGA_HT_A61A")
    tree = find_lgg(tmp_path / "dä ta")
    assert [(each.name, each.patient, each.institution) for each in tree.patients] == [
        (NAME, "TCGA_CS_4941", "CS"), ("TCGA_HT_A61A", "TCGA_HT_A61A", "HT"),
    ]  # fmt: skip
    assert {code: len(patients) for code, patients in tree.institutions.items()} == {"CS": 1, "HT": 1}
    assert tree.odd == ()


def test_slices_are_in_the_order_of_their_numbers_and_so_are_their_names(tmp_path: Path) -> None:
    write_scan(tmp_path, NAME, slices=12)
    slices = find_lgg(tmp_path).patients[0].slices
    assert [each.number for each in slices] == [*range(1, 13)]
    assert sorted(slices, key=lambda each: each.name) == [*slices]
    assert slices[11].entry(tmp_path) == {
        "image": f"{NAME}/{NAME}_12.tif", "label": f"{NAME}/{NAME}_12_mask.tif", "patient": "TCGA_CS_4941",
        "institution": "CS",
    }  # fmt: skip


def test_every_mistake_of_the_layout_is_a_sentence_and_all_are_told_at_once(tmp_path: Path) -> None:
    first = write_scan(tmp_path, NAME)
    (first / f"{NAME}_2_mask.tif").unlink()
    (first / f"{NAME}_3.tif").unlink()
    write_scan(tmp_path, "TCGA_CS_4941_20010101")
    for name in ("TCGA_CS_Mül ler_1", "patient7", "TCGA_CS__19960909"):
        write_scan(tmp_path, name)
    again = write_scan(tmp_path, "TCGA_DU_1_1")
    for kind in ("", "_mask"):
        shutil.copy(again / f"TCGA_DU_1_1_1{kind}.tif", again / f"TCGA_DU_1_1_01{kind}.tif")
    renamed = write_scan(tmp_path, "TCGA_DU_2_1")
    renamed.rename(tmp_path / "TCGA_DU_3_1")
    told = problems(tmp_path)
    assert len(told) == 8
    for words in (
        f"1 image in {first} has no mask: {NAME}_2.tif",
        f"1 mask in {first} has no image: {NAME}_3_mask.tif",
        f"patient TCGA_CS_4941 has 2 folders ({NAME}, TCGA_CS_4941_20010101)",
        "'TCGA_CS_Mül ler_1'",
        "'patient7' with .tif files is not named as",
        "'TCGA_CS__19960909'",
        f"{again} has several files of one number",
        f"{tmp_path / 'TCGA_DU_3_1'} holds no slice such as TCGA_DU_3_1_1.tif",
    ):
        assert sum(words in sentence for sentence in told) == 1, words


def test_other_things_are_passed_over_and_told_and_hidden_ones_are_not(tmp_path: Path) -> None:
    folder = write_scan(tmp_path, NAME)
    (folder / "notes.txt").touch()
    (folder / ".DS_Store").touch()
    (tmp_path / "datalist").mkdir()
    (tmp_path / ".cache").mkdir()
    (tmp_path / "README.md").touch()
    first, second = find_lgg(tmp_path).odd
    assert first == f"{folder} holds other files than slices (notes.txt), passed over."
    assert second == f"{tmp_path / 'datalist'} holds no .tif file: passed over."


def test_a_folder_without_patients_is_told_where_they_are(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="does not exist"):
        find_lgg(tmp_path / "none")
    write_set(tmp_path / "kaggle_3m", {"CS": 1})
    with pytest.raises(InputError, match=f"give {tmp_path / 'kaggle_3m'}"):
        find_lgg(tmp_path)
