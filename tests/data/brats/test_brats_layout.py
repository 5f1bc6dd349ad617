"""The BraTS layouts: what counts as a case, and what is said of one that cannot be used."""

from pathlib import Path

import pytest

from fedmed.core.errors import InputError
from fedmed.data.brats.brats_layout import (
    CaseFiles,
    find_case_files,
    find_cases,
    label_scheme,
    part_in_name,
    patient_id,
    read_name,
)
from fedmed.data.datalist import load_datalist
from fedmed.data.splits.site_lists import write_site_lists

PARTS_2018 = ("t1ce", "t1", "t2", "flair", "seg")
PARTS_2023 = ("t1c", "t1n", "t2w", "t2f", "seg")


def make_case(folder: Path, parts: tuple[str, ...] = PARTS_2018, separator: str = "_", end: str = ".nii.gz") -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    for part in parts:
        (folder / f"{folder.name}{separator}{part}{end}").touch()
    return folder


def test_label_schemes() -> None:
    assert label_scheme(None) == label_scheme("brats2018")
    assert (label_scheme("brats2018").labels, label_scheme("brats2018").enhancing) == ((0, 1, 2, 4), 4)
    assert (label_scheme("brats2023").labels, label_scheme("brats2023").enhancing) == ((0, 1, 2, 3), 3)


@pytest.mark.parametrize("name", ["brats1999", ""])
def test_unknown_label_scheme_names_the_known_ones(name: str) -> None:
    with pytest.raises(InputError, match="brats2018, brats2023"):
        label_scheme(name)


@pytest.mark.parametrize(
    ("case", "patient"),
    [
        ("Brats18_TCIA09_177_1", "Brats18_TCIA09_177"),
        ("Brats18_CBICA_AAB_1", "Brats18_CBICA_AAB"),
        ("Brats18_2013_11_1", "Brats18_2013_11"),
        ("BraTS19_TCIA09_177_2", "BraTS19_TCIA09_177"),
        ("BraTS20_Training_001", "BraTS20_Training_001"),
        ("BraTS2021_00000", "BraTS2021_00000"),
        ("BraTS-GLI-00005-000", "BraTS-GLI-00005"),
        ("BraTS-MEN-00004-001", "BraTS-MEN-00004"),
        ("patient_12_1", "patient_12_1"),
        ("Åsa Öberg-1", "Åsa Öberg-1"),
    ],
)
def test_patient_of_a_case(case: str, patient: str) -> None:
    assert patient_id(case) == patient


@pytest.mark.parametrize("end", [".nii.gz", ".nii"])
def test_2018_case(tmp_path: Path, end: str) -> None:
    case = find_case_files(make_case(tmp_path / "HGG" / "Brats18_TCIA09_177_1", end=end))
    assert case.name == "Brats18_TCIA09_177_1"
    assert [p.name for p in case.image] == [f"{case.name}_{part}{end}" for part in ("t1ce", "t1", "t2", "flair")]
    assert case.label.name == f"{case.name}_seg{end}"
    assert (case.scheme, case.grade, case.patient) == ("brats2018", "HGG", "Brats18_TCIA09_177")


def test_2023_case_has_the_same_channel_order(tmp_path: Path) -> None:
    case = find_case_files(make_case(tmp_path / "BraTS-GLI-00005-000", PARTS_2023, "-"))
    assert [p.name.split("-")[-1] for p in case.image] == ["t1c.nii.gz", "t1n.nii.gz", "t2w.nii.gz", "t2f.nii.gz"]
    assert (case.scheme, case.grade, case.patient) == ("brats2023", None, "BraTS-GLI-00005")


def test_compressed_file_goes_first(tmp_path: Path) -> None:
    folder = make_case(tmp_path / "a")
    make_case(folder, end=".nii")
    assert all(path.name.endswith(".nii.gz") for path in (*find_case_files(folder).image,))


@pytest.mark.parametrize("part", PARTS_2018)
def test_missing_file_is_named(tmp_path: Path, part: str) -> None:
    folder = make_case(tmp_path / "case 7")
    (folder / f"case 7_{part}.nii.gz").unlink()
    with pytest.raises(InputError) as error:
        find_case_files(folder)
    assert str(folder) in str(error.value)
    assert f"lacks {part}: looked for case 7_{part}.nii.gz" in str(error.value)


def test_files_named_after_another_case_do_not_count(tmp_path: Path) -> None:
    folder = make_case(tmp_path / "a")
    folder.rename(tmp_path / "b")
    with pytest.raises(InputError, match=r"looked for b_t1ce.nii.gz.* found a_flair.nii.gz"):
        find_case_files(tmp_path / "b")


def test_both_namings_in_a_folder(tmp_path: Path) -> None:
    folder = make_case(tmp_path / "a")
    make_case(folder, PARTS_2023, "-")
    with pytest.raises(InputError, match="mixes both namings"):
        find_case_files(folder)


def test_folder_without_a_case(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="holds no BraTS case"):
        find_case_files(tmp_path)
    with pytest.raises(InputError, match="does not exist"):
        find_case_files(tmp_path / "nowhere")


@pytest.mark.parametrize(
    ("name", "case_and_part"),
    [
        ("Brats18_A_1_1_t1ce.nii.gz", ("Brats18_A_1_1", "t1ce")),
        ("BraTS-GLI-00005-000-t1c.nii", ("BraTS-GLI-00005-000", "t1ce")),
        ("a-b-t2f.nii.gz", ("a-b", "flair")),
        ("a-seg.nii", ("a", "label")),
        ("a_t1.nii.gz", ("a", "t1")),
        ("a_t1.nii.txt", None),
        ("t1.nii.gz", None),
        ("a_t1n.nii.gz", None),
    ],
)
def test_a_file_name_states_its_case_and_modality(name: str, case_and_part: tuple[str, str] | None) -> None:
    assert read_name(name) == case_and_part
    assert part_in_name(name) == (case_and_part[1] if case_and_part else None)


def test_tree_with_grades_below_a_top_folder(tmp_path: Path) -> None:
    top = tmp_path / "MICCAI_BraTS_2018_Data_Training"
    for grade, name in (("LGG", "Brats18_b_1_1"), ("HGG", "Brats18_c_1_1"), ("HGG", "Brats18_a_1_1")):
        make_case(top / grade / name)
    (top / "survival_data.csv").touch()
    cases = find_cases(tmp_path)
    assert [(case.name, case.grade) for case in cases] == [
        ("Brats18_a_1_1", "HGG"),
        ("Brats18_b_1_1", "LGG"),
        ("Brats18_c_1_1", "HGG"),
    ]


def test_flat_tree_with_spaces_and_other_letters(tmp_path: Path) -> None:
    make_case(tmp_path / "Åsa Öberg 1")
    make_case(tmp_path / "患者 2")
    assert [(case.name, case.grade) for case in find_cases(tmp_path)] == [("Åsa Öberg 1", None), ("患者 2", None)]


def test_hidden_files_and_folders_are_passed_over(tmp_path: Path) -> None:
    folder = make_case(tmp_path / "a")
    (folder / "._a-t1c.nii.gz").touch()
    make_case(tmp_path / ".trash" / "a")
    assert [case.name for case in find_cases(tmp_path)] == ["a"]


def test_linked_folders_are_followed(tmp_path: Path) -> None:
    make_case(tmp_path / "store" / "HGG" / "a")
    (tmp_path / "tree").mkdir()
    (tmp_path / "tree" / "HGG").symlink_to(tmp_path / "store" / "HGG")
    assert [(case.name, case.grade) for case in find_cases(tmp_path / "tree")] == [("a", "HGG")]


def test_tree_that_does_not_exist(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="does not exist"):
        find_cases(tmp_path / "nowhere")


def test_tree_without_cases_says_what_was_looked_for(tmp_path: Path) -> None:
    (tmp_path / "notes.nii.gz").touch()
    with pytest.raises(InputError, match=r"<case>_t1ce\.nii\.gz .*<case>-t1c\.nii\.gz"):
        find_cases(tmp_path)


def test_tree_of_two_schemes(tmp_path: Path) -> None:
    make_case(tmp_path / "a")
    make_case(tmp_path / "b", PARTS_2023, "-")
    with pytest.raises(InputError, match=r"mixes label schemes: .*brats2018.*brats2023"):
        find_cases(tmp_path)


def test_two_folders_of_one_name(tmp_path: Path) -> None:
    make_case(tmp_path / "HGG" / "a")
    make_case(tmp_path / "LGG" / "a")
    with pytest.raises(InputError, match="Two folders hold a case called a"):
        find_cases(tmp_path)


def test_synthetic_cases_do_not_get_among_others(tmp_path: Path) -> None:
    make_case(tmp_path / "HGG" / "real")
    make_case(tmp_path / "phantom" / "training" / "made_up")
    (tmp_path / "phantom" / "PHANTOM.json").touch()
    assert [case.name for case in find_cases(tmp_path)] == ["real"]
    assert [case.name for case in find_cases(tmp_path / "phantom")] == ["made_up"]


def two_cases(tree: Path) -> tuple[CaseFiles, CaseFiles]:
    one, two = find_cases(make_case(tree / "HGG" / "a").parent.parent)[0], find_case_files(make_case(tree / "b"))
    return one, two


def test_site_lists_can_be_read_back(tmp_path: Path) -> None:
    one, two = two_cases(tmp_path / "data")
    write_site_lists(tmp_path / "new" / "lists", {"site-1": [one]}, [two], tmp_path / "data", "brats2018")
    assert sorted(p.name for p in (tmp_path / "new").rglob("*")) == ["lists", "site-1.json", "site-All.json"]
    for site in ("site-1", "site-All"):
        read = load_datalist(tmp_path / "new" / "lists" / f"{site}.json", tmp_path / "data")
        assert (read.training[0].images, read.training[0].target) == (one.image, one.label)
        assert read.training[0].extra == {"patient": "a", "grade": "HGG"}
        assert read.validation[0].extra == {"patient": "b"}
        assert read.label_scheme == "brats2018"


def test_different_lists_stay_unless_replaced(tmp_path: Path) -> None:
    one, two = two_cases(tmp_path / "data")
    lists = tmp_path / "lists"
    lists.mkdir()
    (lists / "site-All.json").write_text("{}")
    (lists / "other.txt").write_text("kept")
    with pytest.raises(InputError, match=r"other lists: site-All\.json"):
        write_site_lists(lists, {"site-1": [one]}, [two], tmp_path / "data", "brats2018")
    assert sorted(p.name for p in lists.iterdir()) == ["other.txt", "site-All.json"]
    assert (lists / "site-All.json").read_text() == "{}"
    write_site_lists(lists, {"site-1": [one]}, [two], tmp_path / "data", replace=True)
    assert load_datalist(lists / "site-All.json", tmp_path / "data").training[0].name == "a"
    assert (lists / "other.txt").read_text() == "kept"
    write_site_lists(lists, {"site-1": [one]}, [two], tmp_path / "data")  # the same again is no conflict


def test_lists_cannot_replace_a_file(tmp_path: Path) -> None:
    one, two = two_cases(tmp_path / "data")
    (tmp_path / "lists").touch()
    with pytest.raises(InputError, match="is a file"):
        write_site_lists(tmp_path / "lists", {"site-1": [one]}, [two], tmp_path / "data")


def test_old_lists_stay_until_the_new_ones_are_in_place(tmp_path: Path) -> None:
    """A folder in the place of the last file stops the writing; nothing of the old split may be gone by then."""
    one, two = two_cases(tmp_path / "data")
    lists = tmp_path / "lists"
    (lists / "site-All.json").mkdir(parents=True)
    for name in ("site-9.json", "test.json"):
        (lists / name).write_text("{}")
    with pytest.raises(OSError, match="lists"):
        write_site_lists(lists, {"site-1": [one]}, [two], tmp_path / "data", replace=True)
    assert sorted(path.name for path in lists.iterdir()) == ["site-1.json", "site-9.json", "site-All.json", "test.json"]
    (lists / "site-All.json").rmdir()
    write_site_lists(lists, {"site-1": [one]}, [two], tmp_path / "data", replace=True)
    assert sorted(path.name for path in lists.iterdir()) == ["site-1.json", "site-All.json"]
