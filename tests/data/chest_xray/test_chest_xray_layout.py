"""NIH's layout, a subset of it and lists beside a folder are found; what is missing or odd is told."""

from pathlib import Path

import pytest

from fedmed.core.errors import InputError, Problems
from fedmed.data.chest_xray.chest_xray_layout import find_chest_xray
from tests.data.chest_xray.written_films import pixels, save, write_set, write_table

ROWS = {"00000001_000.png": "Cardiomegaly|Mass", "00000001_001.png": "No Finding", "00000002_000.png": "Hernia"}


def refused(root: Path, **how: object) -> tuple[str, ...]:
    with pytest.raises(Problems) as caught:
        find_chest_xray(root, **how)  # type: ignore[arg-type]
    return caught.value.sentences


def test_films_of_several_folders_are_found_with_their_facts(tmp_path: Path) -> None:
    write_set(tmp_path, dict(list(ROWS.items())[:2]), "images_001/images")
    save(tmp_path / "images_012" / "images" / "00000002_000.png", pixels())
    write_table(tmp_path, ROWS)
    tree = find_chest_xray(tmp_path)
    assert [film.file for film in tree.films] == [
        "images_001/images/00000001_000.png", "images_001/images/00000001_001.png",
        "images_012/images/00000002_000.png",
    ]  # fmt: skip
    assert [film.findings for film in tree.films] == [("Cardiomegaly", "Mass"), (), ("Hernia",)]
    assert tree.films[2].entry(tmp_path) == {
        "image": "images_012/images/00000002_000.png", "label": ["Hernia"], "patient": "00000002", "view": "AP",
        "age": 50, "follow_up": 0, "sex": "F",
    }  # fmt: skip
    assert tree.odd == tree.absent == ()


def test_listed_films_that_are_missing_are_refused_unless_a_subset_is_meant(tmp_path: Path) -> None:
    write_set(tmp_path, dict(list(ROWS.items())[:1]))
    write_table(tmp_path, ROWS)
    (sentence,) = refused(tmp_path)
    assert sentence.startswith("2 of 3 listed films are not in")
    assert "--subset" in sentence
    tree = find_chest_xray(tmp_path, subset=True)
    assert [film.name for film in tree.films] == ["00000001_000"]
    assert tree.absent == ("00000001_001.png", "00000002_000.png")


def test_a_folder_without_any_listed_film_is_refused_as_a_subset_too(tmp_path: Path) -> None:
    write_table(tmp_path, ROWS)
    (sentence,) = refused(tmp_path, subset=True)
    assert sentence.startswith("None of the 3 listed films is in")


def test_a_film_that_is_there_and_not_listed_is_told_and_left_out(tmp_path: Path) -> None:
    write_set(tmp_path, ROWS)
    save(tmp_path / "images_001" / "images" / "00000009_000.png", pixels())
    save(tmp_path / "lists" / "split.png", pixels())  # beside a split's lists
    tree = find_chest_xray(tmp_path)
    assert len(tree.films) == 3
    assert tree.odd == ("1 film in no table or list, left out: 00000009_000.png.",)


def test_a_name_in_two_folders_needs_the_one_that_is_meant(tmp_path: Path) -> None:
    write_set(tmp_path, ROWS, "images")
    save(tmp_path / "thumbnails" / "00000001_000.png", pixels())
    (sentence,) = refused(tmp_path)
    assert sentence.startswith("00000001_000.png lie in two folders; name the one that is meant with --images")
    tree = find_chest_xray(tmp_path, images="images")
    assert {film.file.split("/")[0] for film in tree.films} == {"images"}
    with pytest.raises(InputError, match="expected a folder inside"):
        find_chest_xray(tmp_path, images="..")


def test_lists_with_labels_beside_a_folder_are_enough(tmp_path: Path) -> None:
    (tmp_path / "labels").mkdir()
    for part, name in (("train", "00000001_000.png"), ("val", "00000002_000.png"), ("test", "00000003_000.png")):
        (tmp_path / "labels" / f"{part}_list.txt").write_text(f"{name} 0 1{' 0' * 12}\n")
        save(tmp_path / "images" / name, pixels())
    tree = find_chest_xray(tmp_path)
    assert [(film.part, film.findings, film.view) for film in tree.films] == [
        ("train", ("Cardiomegaly",), ""), ("val", ("Cardiomegaly",), ""), ("test", ("Cardiomegaly",), ""),
    ]  # fmt: skip
    assert tree.parts == {"train", "val", "test"}


def test_a_set_without_a_table_or_without_findings_is_refused(tmp_path: Path) -> None:
    save(tmp_path / "images" / "00000001_000.png", pixels())
    (sentence,) = refused(tmp_path)
    assert "has no table of films (such as Data_Entry_2017.csv" in sentence
    (tmp_path / "train_val_list.txt").write_text("00000001_000.png\n")
    (sentence,) = refused(tmp_path)
    assert sentence.startswith("00000001_000.png stand in a list and in no table with findings")


def test_films_of_unknown_patients_are_told(tmp_path: Path) -> None:
    save(tmp_path / "film7.png", pixels())
    (tmp_path / "own.csv").write_text("Image Index,Finding Labels\nfilm7.png,Mass\n")
    tree = find_chest_xray(tmp_path)
    assert tree.films[0].patient == "film7"
    assert "1 film of unknown patients, each of whom counts as one: film7.png" in tree.odd[0]


def test_a_folder_that_is_not_there_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="does not exist"):
        find_chest_xray(tmp_path / "none")
