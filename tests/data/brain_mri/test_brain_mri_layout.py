"""The layouts of sets: class folders, lists, Training and Testing; every path that was tried is told."""

import unicodedata
from pathlib import Path

import pytest

from fedmed.core.errors import InputError, Problems
from fedmed.data.brain_mri.brain_mri_layout import BrainMriTree, find_brain_mri
from tests.data.brain_mri.written_heads import hospital, write_hospitals, write_pictures, write_two_hospitals
from tests.scripts import ROOT

PUBLIC = ROOT / "dataset_brain_mri" / "hospitals.json"


def found_in(tree: Path) -> BrainMriTree:
    return find_brain_mri(tree, None, PUBLIC)


def problems_of(tree: Path) -> str:
    with pytest.raises(Problems) as caught:
        found_in(tree)
    return "\n".join(caught.value.sentences)


def test_images_are_in_the_order_of_hospitals_classes_and_files(tmp_path: Path) -> None:
    write_two_hospitals(tmp_path, each=2)
    found = found_in(tmp_path)
    assert [image.index for image in found.images] == [*range(10)]
    assert [image.label for image in found.images[:8:2]] == ["meningioma", "glioma", "no_tumor", "pituitary"]
    assert [(image.file, image.hospital) for image in found.images[8:]] == [
        ("south/mr/no tumour/1000.png", "South"), ("south/mr/no tumour/1001.png", "South"),
    ]  # fmt: skip
    assert not found.merged
    assert {each.path: each.found for each in found.looked}["north/pituitary tumor"] == "pituitary, 2 images"


def test_a_fourth_hospital_is_its_images_and_one_entry(tmp_path: Path) -> None:
    write_two_hospitals(tmp_path, each=1)
    before = found_in(tmp_path).images
    entries = [hospital(each.name, each.folder, each.class_map) for each in found_in(tmp_path).hospitals]
    write_hospitals(tmp_path, *entries, hospital("East", "east", {"gliome": "glioma"}))
    write_pictures(tmp_path / "east" / "gliome", 5000, 3)
    after = found_in(tmp_path).images
    assert after[: len(before)] == before
    assert [image.label for image in after[len(before) :]] == ["glioma"] * 3


def test_names_match_whatever_their_case_and_form_of_unicode(tmp_path: Path) -> None:
    write_hospitals(tmp_path, hospital("Süd", "süd mr", {"Hirnanhangdrüse ": "pituitary"}))
    write_pictures(tmp_path / "süd mr" / unicodedata.normalize("NFD", "hirnanhangdrüse"), 0, 2)
    assert [image.label for image in found_in(tmp_path).images] == ["pituitary"] * 2


def test_training_and_testing_folders_of_a_hospital_are_looked_into(tmp_path: Path) -> None:
    write_hospitals(tmp_path, hospital("Kaggle", "kaggle", {"no_tumor": "no_tumor"}))
    write_pictures(tmp_path / "kaggle" / "Training" / "no_tumor", 0, 2)
    write_pictures(tmp_path / "kaggle" / "Testing" / "no_tumor", 10, 1)
    assert [image.file.split("/")[1] for image in found_in(tmp_path).images] == ["Training", "Training", "Testing"]


def test_the_merged_set_has_a_published_test_and_no_hospitals(tmp_path: Path) -> None:
    write_pictures(tmp_path / "Training" / "notumor", 0, 2)
    write_pictures(tmp_path / "Training" / "glioma", 10, 1)
    write_pictures(tmp_path / "Testing" / "glioma", 20, 1)
    found = found_in(tmp_path)
    assert found.merged
    assert [(image.label, image.official_test) for image in found.images] == [
        ("glioma", False), ("no_tumor", False), ("no_tumor", False), ("glioma", True),
    ]  # fmt: skip


def test_a_list_gives_the_classes_of_its_images(tmp_path: Path) -> None:
    write_hospitals(tmp_path, hospital("Clinic", "clinic", {"Gliom": "glioma", "keiner": "no_tumor"}))
    write_pictures(tmp_path / "clinic" / "scans", 0, 3)
    lines = "\ufeffid,image,label\r\n7,scans/2.png,GLIOM\r\n8,scans/0.png,keiner\r\n"
    (tmp_path / "clinic" / "list.csv").write_text(lines, encoding="utf-8")
    found = found_in(tmp_path)
    assert [(image.file, image.label) for image in found.images] == [
        ("clinic/scans/2.png", "glioma"), ("clinic/scans/0.png", "no_tumor"),
    ]  # fmt: skip
    assert found.looked[0].found == "a list of 2 images"


@pytest.mark.parametrize(
    ("lines", "words"),
    [
        ("file,label\nscans/0.png,glioma\n", "has the columns file, label; expected image and label"),
        ("", "has the columns (none)"),
        ("image,label\n", "lists no image"),
        ("image,label\nscans/0.png,gliom\n", "Line 2 of"),
        ("image,label\nscans/0.png,gliom\n", "most like it there is 'glioma'"),
        ("image,label\nscans/9.png,glioma\n", "is no image file"),
        ("image,label\n../other/0.png,glioma\n", "expected a path inside"),
        ("image,label\n/etc/0.png,glioma\n", "expected a path inside"),
        ("image,label\n,glioma\n", "expected a path inside"),
        ("image,label\nscans/0.png\n", "has the label ''"),
        ("image,label\nscans/0.png,glioma\nscans/0.png,glioma\n", "Line 3 of"),
        ('image,label\n"scans/0.png,glioma\n', "cannot be read as a list"),
    ],
)
def test_mistakes_of_a_list(tmp_path: Path, lines: str, words: str) -> None:
    write_hospitals(tmp_path, hospital("Clinic", "clinic", {"glioma": "glioma"}))
    write_pictures(tmp_path / "clinic" / "scans", 0, 1)
    (tmp_path / "clinic" / "list.csv").write_text(lines)
    assert words in problems_of(tmp_path)


def test_two_lists_are_one_too_many(tmp_path: Path) -> None:
    write_hospitals(tmp_path, hospital("Clinic", "clinic", {"glioma": "glioma"}))
    (tmp_path / "clinic").mkdir()
    for name in ("a.csv", "b.csv"):
        (tmp_path / "clinic" / name).write_text("image,label\n")
    assert "holds 2 lists (a.csv, b.csv)" in problems_of(tmp_path)


def test_folders_that_do_not_fit_are_named_with_the_name_most_like_theirs(tmp_path: Path) -> None:
    write_two_hospitals(tmp_path, each=1)
    (tmp_path / "north" / "glioma").rename(tmp_path / "north" / "pituitary tumour")
    told = problems_of(tmp_path)
    assert "pituitary tumour holds 1 image and is not in the class_map of North" in told
    assert "'pituitary tumor' (pituitary)" in told
    assert f"North has no folder 'glioma' for glioma (tried {tmp_path / 'north' / 'glioma'})" in told


def test_empty_folders_missing_hospitals_and_folders_twice_are_told(tmp_path: Path) -> None:
    write_two_hospitals(tmp_path, each=1)
    (tmp_path / "north" / "glioma" / "0.png").unlink()
    assert f"{tmp_path / 'north' / 'glioma'} holds no image" in problems_of(tmp_path)
    one = hospital("One", "north", {"glioma": "glioma"})
    for folder in ("north", "./north", "north/glioma", "."):
        write_hospitals(tmp_path, one, {**one, "name": "Two", "folder": folder})
        assert f"Two has the folder {folder}, and One has north" in problems_of(tmp_path)
    (tmp_path / "link").symlink_to(tmp_path / "north")
    write_hospitals(tmp_path, one, {**one, "name": "Two", "folder": "link"})
    assert "Two has the folder link" in problems_of(tmp_path)
    write_hospitals(tmp_path, {**one, "folder": "west"})
    assert f"The folder {tmp_path / 'west'} of One does not exist" in problems_of(tmp_path)


def test_what_is_no_image_is_passed_over_and_told(tmp_path: Path) -> None:
    write_two_hospitals(tmp_path, each=1)
    (tmp_path / "north" / "glioma" / "notes.txt").write_text("x")
    (tmp_path / "north" / "glioma" / ".DS_Store").write_text("x")
    (tmp_path / "north" / "papers").mkdir()
    found = found_in(tmp_path)
    assert len(found.images) == 5
    assert found.odd == (f"{tmp_path / 'north' / 'glioma'} holds 1 other entry than images, passed over.",)
    assert {each.path: each.found for each in found.looked}["north/papers"] == "no images: passed over"


def test_a_tree_that_is_none_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="does not exist"):
        found_in(tmp_path / "nowhere")
    assert problems_of(tmp_path).count("does not exist") == 3  # of the public sets' hospitals
    for name in ("Training", "Testing"):
        (tmp_path / name).mkdir()
    assert problems_of(tmp_path).count("holds no class folder") == 2
