"""The published lists: they are whole and in the project, and ``split --by published`` gives them again."""

import hashlib
import json
import shutil
import subprocess
from collections import Counter
from pathlib import Path

import pytest

from fedmed.core.errors import InputError
from fedmed.data.brats.brats_layout import CaseFiles, patient_id
from fedmed.data.brats.published_split import differences, published_split, read_assignment
from fedmed.data.datalist import Datalist, load_datalist
from tests import scripts

FOLDER = scripts.ROOT / "dataset_brats18" / "datalist"
LISTS = ["site-1.json", "site-2.json", "site-3.json", "site-4.json", "site-All.json"]

GRADES = {"site-1": (60, 0), "site-2": (61, 0), "site-3": (50, 11), "site-4": (8, 52), "validation": (31, 12)}
"""High and low grade of each published part; 242 + 43 cases, 210 of them HGG as in BraTS 2018."""

ASSIGNMENT_SHA256 = "eb35ae5b645f1f84dc977dd27a5861150d4b2ba90814fcb059a267ef2c2872f0"
"""Of the sorted lines ``<part> <case>``."""


def read(folder: Path = FOLDER) -> dict[str, Datalist]:
    return {name.removesuffix(".json"): load_datalist(folder / name, Path()) for name in LISTS}


def made_up(names: list[str]) -> list[CaseFiles]:
    return [CaseFiles(name, (), Path(name) / "seg", "brats2018", None, patient_id(name)) for name in names]


def names_of(cases: tuple[CaseFiles, ...]) -> list[str]:
    return [case.name for case in cases]


def plant(tree: Path, layout: str = "training/{grade}/{case}", ending: str = ".nii.gz") -> Path:
    """A tree of the 285 cases in empty files."""
    for case in read()["site-All"].all_cases:
        folder = tree / layout.format(grade=case.extra["grade"], case=case.name)
        folder.mkdir(parents=True)
        for part in ("t1ce", "t1", "t2", "flair", "seg"):
            (folder / f"{case.name}_{part}{ending}").touch()
    return tree


def split(tree: Path, out: Path, *options: str) -> subprocess.CompletedProcess[str]:
    arguments = ("split", tree, "--by", "published", "--out", out, *options)
    return scripts.run(scripts.ROOT / "dataset_brats18" / "prepare.py", *arguments, cwd=tree, timeout=60)


def test_the_lists_have_the_published_numbers() -> None:
    lists = read()
    assert read_assignment(FOLDER).keys() == GRADES.keys()
    for site, found in lists.items():
        graded = {part: Counter(case.extra["grade"] for case in cases) for part, cases in found.splits.items()}
        wanted = GRADES.get(site, (179, 63))  # site-All trains on what the four do
        assert (graded["training"]["HGG"], graded["training"]["LGG"]) == wanted
        assert (graded["validation"]["HGG"], graded["validation"]["LGG"]) == GRADES["validation"]
        assert {case.name for case in found.validation} == {case.name for case in lists["site-1"].validation}
    trained = [case.name for site in list(GRADES)[:4] for case in lists[site].training]
    assert sorted(trained) == sorted(case.name for case in lists["site-All"].training)
    assert len({case.extra["patient"] for case in lists["site-All"].all_cases}) == 285


def test_the_assignment_is_the_published_one() -> None:
    rows = sorted(f"{part} {name}" for part, names in read_assignment(FOLDER).items() for name in names)
    assert hashlib.sha256("\n".join(rows).encode()).hexdigest() == ASSIGNMENT_SHA256


def test_a_case_is_one_line_with_the_published_paths() -> None:
    lines = (FOLDER / "site-1.json").read_text().splitlines()
    assert json.loads(lines[3].rstrip(",")) == {
        "image": [
            f"training/HGG/Brats18_CBICA_AOD_1/Brats18_CBICA_AOD_1_{part}.nii.gz"
            for part in ("t1ce", "t1", "t2", "flair")
        ],
        "label": "training/HGG/Brats18_CBICA_AOD_1/Brats18_CBICA_AOD_1_seg.nii.gz",
        "patient": "Brats18_CBICA_AOD",
        "grade": "HGG",
    }
    assert sum("Brats18_" in line for line in lines) == 103


def test_git_ignores_all_but_the_published_lists() -> None:
    if not shutil.which("git") or not (scripts.ROOT / ".git").exists():
        pytest.skip("no checkout")
    names = [*LISTS, "site-5.json", "test.json", "split.json", "split.png"]
    paths = [f"dataset_brats18/datalist/{name}" for name in names]
    command = ["git", "check-ignore", "--no-index", *paths]
    ignored = subprocess.run(command, cwd=scripts.ROOT, capture_output=True, text=True, check=False).stdout.split()
    assert ignored == paths[len(LISTS) :]


def test_the_split_of_the_published_tree_is_the_lists_byte_for_byte(tmp_path: Path) -> None:
    done = split(plant(tmp_path / "tree"), tmp_path / "lists")
    assert done.returncode == 0, done
    assert "leave out" not in done.stderr.replace("left out of record", "")
    for name in LISTS:
        assert (tmp_path / "lists" / name).read_bytes() == (FOLDER / name).read_bytes()


@pytest.mark.parametrize(("layout", "ending"), [("{case}", ".nii"), ("MICCAI/{grade}/some/{case}", ".nii.gz")])
def test_another_layout_has_the_same_assignment(tmp_path: Path, layout: str, ending: str) -> None:
    tree = plant(tmp_path / "tree", layout, ending)
    assert split(tree, tmp_path / "lists").returncode == 0
    assert read_assignment(tmp_path / "lists") == read_assignment(FOLDER)
    found = load_datalist(tmp_path / "lists" / "site-All.json", tree)
    assert all(file.is_file() for case in found.all_cases for file in case.files)


def test_what_the_tree_lacks_and_what_was_not_published_is_said(tmp_path: Path) -> None:
    tree = plant(tmp_path / "tree")
    shutil.rmtree(tree / "training" / "HGG" / "Brats18_CBICA_AOD_1")
    other = tree / "training" / "LGG" / "Brats18_TCIA09_254_1"
    for file in other.iterdir():
        file.rename(file.with_name(file.name.replace("TCIA09_254", "NEW_1")))
    other.rename(other.with_name("Brats18_NEW_1_1"))
    done = split(tree, tmp_path / "lists")
    assert done.returncode == 0
    missing, unknown, _ = done.stderr.splitlines()
    assert "2 of the 285 published cases" in missing
    assert "Brats18_CBICA_AOD_1, Brats18_TCIA09_254_1; add them" in missing
    assert "1 of the 284 cases there" in unknown
    assert "Brats18_NEW_1_1; to use them" in unknown
    found = read(tmp_path / "lists")
    assert [len(found[site].training) for site in found] == [59, 61, 61, 59, 240]
    with pytest.raises(InputError, match=r"59 cases for site-1.*get the folder from the project again"):
        read_assignment(tmp_path / "lists")


def test_a_tree_of_other_cases_is_refused() -> None:
    cases = made_up(["BraTS2021_00000", "BraTS2021_00002"])
    with pytest.raises(InputError, match=r"None of the 2 cases, such as BraTS2021_00000, .* --by iid"):
        published_split(cases, read_assignment(FOLDER))


def test_a_part_without_a_case_is_refused() -> None:
    assignment = read_assignment(FOLDER)
    cases = made_up([name for part in assignment if part != "site-3" for name in assignment[part]])
    with pytest.raises(InputError, match=r"No case is there for site-3: .* Brats18_CBICA_ABY_1, "):
        published_split(cases, assignment)


def test_the_split_keeps_the_published_order_whatever_the_trees() -> None:
    assignment = read_assignment(FOLDER)
    cases = made_up(sorted(name for names in assignment.values() for name in names))
    found = published_split(cases, assignment)
    assert {site: tuple(names_of(found.sites[site])) for site in found.sites} == {
        site: names for site, names in assignment.items() if site != "validation"
    }
    assert tuple(names_of(found.validation)) == assignment["validation"]
    assert differences(cases, assignment) == []


def test_lists_that_are_not_the_published_ones_are_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="lacks a published list"):
        read_assignment(tmp_path)
    shutil.copytree(FOLDER, tmp_path, dirs_exist_ok=True)
    shutil.copy(FOLDER / "site-2.json", tmp_path / "site-3.json")  # of the same size
    with pytest.raises(InputError, match="each case once"):
        read_assignment(tmp_path)


def test_no_other_split_goes_into_the_folder_of_the_published_lists(tmp_path: Path) -> None:
    before = {name: (FOLDER / name).read_bytes() for name in LISTS}
    done = split(tmp_path, FOLDER, "--by", "iid", "--force")
    assert done.returncode == 2
    assert "is for the published lists alone; choose another folder" in done.stderr
    assert {name: (FOLDER / name).read_bytes() for name in LISTS} == before
