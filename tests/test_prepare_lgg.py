"""dataset_lgg/prepare.py as a user runs it: its output, its exit code, what it leaves."""

import json
import os
import subprocess
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from fedmed.data.datalist import ALL_SITES, load_datalist, load_split
from tests import scripts
from tests.data.lgg.written_scans import slice_pixels, write_scan, write_set

SCRIPT = scripts.ROOT / "dataset_lgg" / "prepare.py"


def prepare(*arguments: str | Path, cwd: Path) -> subprocess.CompletedProcess[str]:
    return scripts.run(SCRIPT, *arguments, cwd=cwd, variables=os.environ, timeout=120)


def read(path: Path) -> Any:
    return json.loads(path.read_text())


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    """Four institutions, of which one has one patient; two slices a patient."""
    return write_set(tmp_path / "my sét")


def parts_of(lists: Path, tree: Path, site: str) -> dict[str, set[str]]:
    """The patients of each part of a list."""
    splits = load_datalist(lists / f"{site}.json", tree).splits
    return {part: {str(case.extra["patient"]) for case in cases} for part, cases in splits.items()}


def test_split_gives_each_institution_a_list_of_slices_with_three_parts(tree: Path, tmp_path: Path) -> None:
    result = prepare("split", tree, "--out", "lists", cwd=tmp_path)
    assert result.returncode == 0, result.stderr
    lists = tmp_path / "lists"
    assert sorted(path.name for path in lists.iterdir()) == [
        "site-1.json", "site-2.json", "site-3.json", "site-All.json", "split.json", "split.png", "test.json",
    ]  # fmt: skip
    sites = [parts_of(lists, tree, f"site-{number}") for number in (1, 2, 3)]
    for parts, code in zip(sites, ("CS", "DU", "HT"), strict=True):
        assert sum(map(len, parts.values())) == len(set.union(*parts.values()))
        assert {name.split("_")[1] for name in parts["training"] | parts["validation"]} == {code}
        assert {name.split("_")[1] for name in parts["test"]} == {code, "EZ"}
    assert len(set.union(*(set.union(*parts.values()) for parts in sites))) == 23
    every = parts_of(lists, tree, ALL_SITES)
    assert every == {part: set.union(*(parts[part] for parts in sites)) for part in every}
    test, _ = load_split(lists / "test.json", tree, "testing")
    assert {str(case.extra["patient"]) for case in test} == every["test"]
    assert read(lists / "site-2.json")["hospital"] == {"name": "Henry Ford Hospital", "code": "DU"}
    first, second = read(lists / "site-1.json")["training"][:2]
    assert (tree / first["image"]).is_file()
    assert (first["label"], first["institution"]) == (first["image"].replace(".tif", "_mask.tif"), "CS")
    assert (first["image"][-6:], second["image"][-6:]) == ("_1.tif", "_2.tif")
    assert "export DATASET_ROOT=" in result.stdout
    assert "site-2 DU" in result.stdout


def test_the_record_names_each_patient_once_with_its_facts(tree: Path, tmp_path: Path) -> None:
    assert prepare("split", tree, "--out", "lists", "--hold_out", "DU", cwd=tmp_path).returncode == 0
    record = read(tmp_path / "lists" / "split.json")
    assert {row["institution"] for row in record["test"]} == {"DU", "EZ"}
    rows = [row for site in record["sites"].values() for part in ("training", "validation") for row in site[part]]
    rows += record["test"]
    assert len({row["patient"] for row in rows}) == len(rows) == 23
    assert all(row["slices"] == 2 and row["tumour_percent"] > 0 for row in rows)
    assert [site["institution"] for site in record["sites"].values()] == ["CS", "HT"]
    assert record["options"]["hold_out"] == "DU"


def test_folds_test_everybody_once_and_replace_nothing_unasked(tree: Path, tmp_path: Path) -> None:
    result = prepare("split", tree, "--out", "cv", "--folds", "3", cwd=tmp_path)
    assert result.returncode == 0, result.stderr
    folders = sorted(path.name for path in (tmp_path / "cv").iterdir())
    assert folders == ["fold-1", "fold-2", "fold-3"]
    tested: list[str] = []
    for name in folders:
        parts = parts_of(tmp_path / "cv" / name, tree, ALL_SITES)
        assert sum(map(len, parts.values())) == len(set.union(*parts.values()))
        tested += parts["test"]
    assert len(tested) == len({*tested}) == 23
    for folds, force, words in (("3", [], "use --force"), ("2", ["--force"], "already holds fold-3")):
        result = prepare("split", tree, "--out", "cv", "--folds", folds, "--seed", "1", *force, cwd=tmp_path)
        assert (result.returncode, result.stdout) == (2, "")
        assert words in result.stderr
    before = (tmp_path / "cv" / "fold-1" / "split.json").read_bytes()
    result = prepare("split", tree, "--out", "cv", "--folds", "3", "--seed", "1", "--force", cwd=tmp_path)
    assert result.returncode == 0, result.stderr
    assert (tmp_path / "cv" / "fold-1" / "split.json").read_bytes() != before


@pytest.mark.parametrize(
    "options", [("--by", "iid", "--sites", "2"), ("--by", "dirichlet", "--sites", "3"), ("--by", "quantity"),
                ("--validation", "shared"), ("--small", "merge")],
)  # fmt: skip
def test_other_ways(tree: Path, tmp_path: Path, options: tuple[str, ...]) -> None:
    result = prepare("split", tree, "--out", "lists", "--test", "0.3", *options, cwd=tmp_path)
    assert result.returncode == 0, result.stderr
    parts = parts_of(tmp_path / "lists", tree, ALL_SITES)
    assert sum(map(len, parts.values())) == len(set.union(*parts.values())) == 23


def test_audit_counts_and_tells_what_is_odd(tree: Path, tmp_path: Path) -> None:
    (tree / "data.csv").write_text("Patient,age\nTCGA_CS_1000,7\n")
    folder = write_scan(tree, "TCGA_DU_7_1")
    for number in (1, 2, 3):
        pixels = slice_pixels(number)
        pixels[..., 2] = pixels[..., 1]
        Image.fromarray(pixels).save(folder / f"TCGA_DU_7_1_{number}.tif")
    result = prepare("audit", tree, "--report", "report.json", cwd=tmp_path)
    assert result.returncode == 0, result.stderr
    assert "Thomas Jefferson University" in result.stdout
    assert "1 patient without post-contrast, which is a copy of FLAIR: TCGA_DU_7." in result.stderr
    assert "23 patients with a folder that data.csv does not name" in result.stderr
    report = read(tmp_path / "report.json")
    assert report["institutions"]["DU"]["sequences_missing"] == {"post-contrast": 1}
    assert report["patients"]["TCGA_DU_7"]["tumour_slices"] == 2


def test_mistakes_are_a_line_each_and_leave_nothing(tree: Path, tmp_path: Path) -> None:
    for command in (("split", tree, "--out", "lists", "--hold_out", "XY"), ("split", tmp_path, "--out", "lists"),
                    ("audit", tree, "--report", "nowhere/report.json"), ("phantom", tree),
                    ("split", tree, "--out", "lists", "--folds", "1")):  # fmt: skip
        result = prepare(*command, cwd=tmp_path)
        assert (result.returncode, result.stdout) == (2, "")
        assert result.stderr.count("error: ") == 1
    (tree / "TCGA_CS_1000_19990101" / "TCGA_CS_1000_19990101_1.tif").unlink()
    (tree / "TCGA_DU_1000_19990101").rename(tree / "TCGA_CS_1001_20000101")
    for command in (("audit", tree), ("split", tree, "--out", "lists"), ("split", tree, "--out", "cv", "--folds", "2")):
        result = prepare(*command, cwd=tmp_path)
        assert (result.returncode, result.stdout) == (2, "")
        lines = result.stderr.splitlines()
        assert len(lines) == 3
        assert all(line.startswith("error: ") and line.endswith(".") for line in lines)
    assert not (tmp_path / "lists").exists()
    assert not (tmp_path / "cv").exists()


def test_phantom_writes_a_set_that_can_be_audited_and_split(tmp_path: Path) -> None:
    result = prepare("phantom", "set", cwd=tmp_path)
    assert result.returncode == 0, result.stderr
    assert prepare("audit", "set", cwd=tmp_path).returncode == 0
    result = prepare("split", "set", "--out", "lists", "--hold_out", "DU", cwd=tmp_path)
    assert result.returncode == 0, result.stderr
