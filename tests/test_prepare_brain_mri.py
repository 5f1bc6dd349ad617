"""dataset_brain_mri/prepare.py as a user runs it: its output, its exit code, what it leaves."""

import hashlib
import json
import os
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest

from fedmed.data.datalist import ALL_SITES, load_datalist, load_split
from tests import scripts
from tests.data.brain_mri.written_heads import (
    hospital,
    picture,
    write_hospitals,
    write_pictures,
    write_two_hospitals,
)

SCRIPT = scripts.ROOT / "dataset_brain_mri" / "prepare.py"


def prepare(*arguments: str | Path, cwd: Path) -> subprocess.CompletedProcess[str]:
    return scripts.run(SCRIPT, *arguments, cwd=cwd, variables=os.environ, timeout=120)


def read(path: Path) -> Any:
    return json.loads(path.read_text())


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    """Two hospitals; South has resized JPEG copies of five of North's images of no tumour, and of one glioma."""
    write_two_hospitals(tmp_path / "my set")
    for number in (0, 200, 201, 202, 203, 204):
        copy = picture(number).resize((80, 80)).convert("RGB")
        copy.save(tmp_path / "my set" / "south" / "mr" / "no tumour" / f"copy {number}.jpg", quality=80)
    return tmp_path / "my set"


@pytest.fixture
def merged(tmp_path: Path) -> Path:
    """24 + 12 images of two classes in Training, 6 + 3 in Testing, of which two are near copies of training's."""
    tree = tmp_path / "merged"
    for name, place in (("glioma", 0), ("notumor", 100)):
        write_pictures(tree / "Training" / name, place, 24 - place // 10)
        write_pictures(tree / "Testing" / name, 50 + place, 6 - place // 33)
    picture(0).resize((128, 128)).save(tree / "Testing" / "glioma" / "twin.png")
    picture(101).convert("RGB").save(tree / "Testing" / "notumor" / "twin.jpg", quality=60)
    return tree


def parts_of(lists: Path, tree: Path, site: str) -> dict[str, dict[str, str]]:
    """The patient of each image, by part."""
    found = load_datalist(lists / f"{site}.json", tree)
    parts = {"training": found.training, "validation": found.validation, "testing": found.testing}
    return {part: {case.name: case.extra["patient"] for case in cases} for part, cases in parts.items()}


def test_split_gives_each_hospital_a_list_with_three_parts(tree: Path, tmp_path: Path) -> None:
    result = prepare("split", tree, "--out", "lists", cwd=tmp_path)
    assert result.returncode == 0, result.stderr
    lists = tmp_path / "lists"
    assert sorted(path.name for path in lists.iterdir()) == [
        "site-1.json", "site-2.json", "site-All.json", "split.json", "split.png", "test.json",
    ]  # fmt: skip
    north, south = (parts_of(lists, tree, site) for site in ("site-1", "site-2"))
    assert sum(map(len, north.values())) == 40
    assert sum(map(len, south.values())) == 16
    for one, other in (("training", "validation"), ("training", "testing"), ("validation", "testing")):
        groups = [{*north[part].values(), *south[part].values()} for part in (one, other)]
        assert groups[0].isdisjoint(groups[1])
    every = parts_of(lists, tree, ALL_SITES)
    assert every == {part: {**north[part], **south[part]} for part in every}
    test, _ = load_split(lists / "test.json", tree, "testing")
    assert {case.name for case in test} == {*every["testing"]}
    assert read(lists / "site-2.json")["hospital"] == {
        "name": "South", "city": "Aachen", "country": "Germany", "latitude": 50.8, "longitude": 6.1, "fictional": True,
    }  # fmt: skip
    entry = read(lists / "site-2.json")["training"][0]
    assert entry["label"] == "no_tumor"
    assert (tree / entry["image"]).is_file()
    assert entry["hospital"] == "South"
    assert "export DATASET_ROOT=" in result.stdout


def test_the_record_has_file_index_hash_and_part_of_every_image(tree: Path, tmp_path: Path) -> None:
    assert prepare("split", tree, "--out", "lists", "--drop_duplicates", cwd=tmp_path).returncode == 0
    record = read(tmp_path / "lists" / "split.json")
    assert [site["hospital"] for site in record["sites"].values()] == ["North", "South"]
    rows = [
        (part, row) for site in record["sites"].values() for part in ("training", "validation", "testing")
        for row in site[part]
    ]  # fmt: skip
    assert len({row["index"] for _, row in rows}) == len(rows)
    for _, row in rows:
        assert row["sha256"] == hashlib.sha256((tree / row["case"]).read_bytes()).hexdigest()
        assert len(row["perceptual_hash"]) == 16
    assert [row["case"] for part, row in rows if part == "testing"] == [row["case"] for row in record["test"]]
    images = {path.relative_to(tree).as_posix() for path in tree.rglob("*") if path.suffix in (".png", ".jpg")}
    assert images == {row["case"] for _, row in rows} | {*record["left_out"]}
    assert record["options"]["drop_duplicates"] is True


def test_dropping_copies_keeps_the_first_hospitals_and_no_group_of_several_classes(tree: Path, tmp_path: Path) -> None:
    result = prepare("split", tree, "--out", "lists", "--drop_duplicates", cwd=tmp_path)
    assert result.returncode == 0, result.stderr
    left_out = read(tmp_path / "lists" / "split.json")["left_out"]
    folder = "south/mr/no tumour"
    assert left_out == {
        **{f"{folder}/copy {number}.jpg": f"copy of north/none/{number}.png" for number in range(200, 205)},
        **dict.fromkeys(
            ("north/glioma/0.png", f"{folder}/copy 0.jpg"), "its copies are of the classes glioma, no_tumor"
        ),
    }
    assert "7 images left out: 5 as near copies of others, 2" in result.stderr
    assert sum(map(len, parts_of(tmp_path / "lists", tree, ALL_SITES).values())) == 49


def test_audit_tells_paths_counts_and_copies(tree: Path, tmp_path: Path) -> None:
    result = prepare("audit", tree, "--report", "report.json", cwd=tmp_path)
    assert result.returncode == 0, result.stderr
    assert "north/pituitary tumor: pituitary, 10 images" in result.stdout
    assert "Aachen, Germany (fictional)" in result.stdout
    assert "South has no glioma, meningioma and pituitary: its metrics of these classes are n/a" in result.stderr
    assert "North and South have 6 pairs of near copies" in result.stderr
    assert "north/glioma/0.png (glioma) and south/mr/no tumour/copy 0.jpg (no_tumor)" in result.stderr
    report = read(tmp_path / "report.json")
    assert report["parts"]["South"] == {
        "images": 16, "unreadable": 0, "classes": {"glioma": 0, "meningioma": 0, "no_tumor": 16, "pituitary": 0},
        "groups": 16, "modes": {"L": 10, "RGB": 6}, "formats": {"PNG": 10, "JPEG": 6},
        "sizes": {"96 x 96": 10, "80 x 80": 6},
    }  # fmt: skip
    assert report["copies"]["pairs"] == 6


def test_images_that_cannot_be_read_are_listed_and_left_out_on_demand(tree: Path, tmp_path: Path) -> None:
    folder = tree / "north" / "glioma"
    (folder / "cut.jpg").write_bytes(b"")
    (folder / "text.jpg").write_text("hello")
    for command in (("audit", tree), ("split", tree, "--out", "lists")):
        result = prepare(*command, cwd=tmp_path)
        assert result.returncode == 2
        assert f"error: {folder / 'cut.jpg'} is empty (0 bytes)" in result.stderr
        assert f"error: {folder / 'text.jpg'} cannot be read as an image" in result.stderr
        assert "2 images that cannot be read" in result.stderr
        assert "Traceback" not in result.stderr
    assert not (tmp_path / "lists").exists()
    result = prepare("split", tree, "--out", "lists", "--skip_unreadable", cwd=tmp_path)
    assert result.returncode == 0, result.stderr
    assert "2 images left out, as they cannot be read: north/glioma/cut.jpg, north/glioma/text.jpg" in result.stderr
    assert {*read(tmp_path / "lists" / "split.json")["left_out"]} == {"north/glioma/cut.jpg", "north/glioma/text.jpg"}


def test_the_published_test_is_kept_and_its_copies_are_counted_or_leave_training(merged: Path, tmp_path: Path) -> None:
    result = prepare("split", merged, "--out", "lists", cwd=tmp_path)
    assert result.returncode == 0, result.stderr
    twins = {"Testing/glioma/twin.png", "Testing/notumor/twin.jpg"}
    assert "2 test images with near copies in training: Testing/glioma/twin.png, Testing/notumor/twin" in result.stderr
    lists = tmp_path / "lists"
    test = {case.name for case in load_split(lists / "test.json", merged, "testing")[0]}
    alone = {case.name for case in load_split(lists / "test_without_copies.json", merged, "testing")[0]}
    assert test == {path.relative_to(merged).as_posix() for path in (merged / "Testing").rglob("*.*")}
    assert alone == test - twins
    every = parts_of(lists, merged, ALL_SITES)
    assert {*every["testing"]} == test
    assert len(every["training"]) + len(every["validation"]) == 38
    assert [len(parts_of(lists, merged, f"site-{site}")["testing"]) for site in (1, 2, 3)] == [4, 4, 3]

    result = prepare("split", merged, "--out", "clean", "--drop_duplicates", cwd=tmp_path)
    assert result.returncode == 0, result.stderr
    every = parts_of(tmp_path / "clean", merged, ALL_SITES)
    assert {*every["testing"]} == test
    trained = {**every["training"], **every["validation"]}
    assert len(trained) == 36
    assert {"Training/glioma/0.png", "Training/notumor/101.png"}.isdisjoint(trained)
    assert {*trained.values()}.isdisjoint(every["testing"].values())


def test_the_audit_of_the_merged_set_names_the_copies_of_test_images(merged: Path, tmp_path: Path) -> None:
    result = prepare("audit", merged, "--report", "report.json", cwd=tmp_path)
    assert "2 test images with near copies in Training" in result.stderr
    assert read(tmp_path / "report.json")["copies"]["test_images_with_copies_in_training"] == {
        "Testing/glioma/twin.png": ["Training/glioma/0.png"],
        "Testing/notumor/twin.jpg": ["Training/notumor/101.png"],
    }


def test_other_hospitals_may_be_named_and_several_mistakes_are_a_line_each(tree: Path, tmp_path: Path) -> None:
    shutil.copytree(tree / "north" / "glioma", tree / "west" / "g")
    class_map = {"g": "gliom", "h": "glioma"}
    path = write_hospitals(tmp_path, hospital("West", "west", class_map, location={"city": "x"}))
    result = prepare("audit", tree, "--hospitals", path, cwd=tmp_path)
    assert (result.returncode, result.stdout) == (2, "")
    lines = result.stderr.splitlines()
    assert len(lines) == 4
    assert all(line.startswith("error: ") and line.endswith(".") for line in lines)
    write_hospitals(tmp_path, hospital("West", "west", {"g": "glioma"}))
    result = prepare("split", tree, "--hospitals", path, "--out", "lists", cwd=tmp_path)
    assert result.returncode == 0, result.stderr
    assert "site-1 West" in result.stdout


def test_mistakes_are_one_sentence_and_leave_nothing(tree: Path, tmp_path: Path) -> None:
    for arguments, words in (
        (("split", tree, "--out", "lists", "--test", "official"), "only the merged set has an official test"),
        (("split", tmp_path / "none", "--out", "lists"), "does not exist"),
        (("audit", tree, "--report", "nowhere/report.json"), "cannot be written"),
        (("phantom", tree), "is not an empty folder"),
    ):
        result = prepare(*arguments, cwd=tmp_path)
        assert (result.returncode, result.stdout) == (2, "")
        assert words in result.stderr
        assert result.stderr.count("error: ") == 1
    assert not (tmp_path / "lists").exists()


def test_phantom_writes_a_set_that_can_be_audited_and_split(tmp_path: Path) -> None:
    result = prepare("phantom", "set", "--cases", "2", "--validation", "1", "--test", "1", cwd=tmp_path)
    assert result.returncode == 0, result.stderr
    assert prepare("audit", "set", cwd=tmp_path).returncode == 0
    result = prepare("split", "set", "--out", "lists", "--by", "iid", "--sites", "2", cwd=tmp_path)
    assert result.returncode == 0, result.stderr
