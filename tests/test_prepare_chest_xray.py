"""dataset_chest_xray/prepare.py as a user runs it: its output, its exit code, what it leaves."""

import json
import os
import subprocess
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from fedmed.data.datalist import ALL_SITES, load_datalist
from fedmed.data.phantoms.chest_xray_phantom import demo_chest_xray
from tests import scripts
from tests.data.chest_xray.written_films import HEADER, pixels, save

SCRIPT = scripts.ROOT / "dataset_chest_xray" / "prepare.py"


def prepare(*arguments: str | Path, cwd: Path) -> subprocess.CompletedProcess[str]:
    return scripts.run(SCRIPT, *arguments, cwd=cwd, variables=os.environ, timeout=120)


def read(path: Path) -> Any:
    return json.loads(path.read_text())


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    """Three sites' phantoms with published lists, without their own lists."""
    demo_chest_xray(tmp_path / "made", cases=5, validation=1, test=2)
    for name in ("PHANTOM.json", "datalist"):
        (tmp_path / "made" / name).rename(tmp_path / name)
    return tmp_path / "made"


def test_split_writes_lists_by_patient_with_the_findings_of_each_part(tree: Path, tmp_path: Path) -> None:
    result = prepare("split", tree, "--out", "lists", "--by", "view", cwd=tmp_path)
    assert result.returncode == 0, result.stderr
    lists = tmp_path / "lists"
    assert sorted(path.name for path in lists.iterdir()) == [
        "site-1.json", "site-2.json", "site-All.json", "split.json", "split.png", "test.json",
    ]  # fmt: skip
    everyone = load_datalist(lists / f"{ALL_SITES}.json", tree)
    assert len(everyone.all_cases) == len([*tree.rglob("*.png")])
    parts = [{case.extra["patient"] for case in cases} for cases in everyone.splits.values()]
    assert not parts[0] & parts[1]
    assert not parts[2] & (parts[0] | parts[1])
    assert {case.images[0].name for case in everyone.testing} == {*(tree / "test_list.txt").read_text().split()}
    record = read(lists / "split.json")
    assert record["options"]["test"] == "official"
    films = [row for site in record["sites"].values() for row in site["training"]]
    assert sum(record["counts"][site]["films"] for site in ("site-1", "site-2")) == len(films)
    effusions = sum("Effusion" in row["findings"].split("|") for row in films)
    assert sum(record["counts"][site]["findings"]["Effusion"] for site in ("site-1", "site-2")) == effusions
    assert "Most often together:" in result.stdout
    assert "export DATASET_ROOT=" in result.stdout


def test_audit_tells_sideways_films_copies_sizes_and_patients_on_two_sides(tree: Path, tmp_path: Path) -> None:
    assert prepare("split", tree, "--out", "lists", "--by", "iid", "--sites", "2", cwd=tmp_path).returncode == 0
    lists = tmp_path / "lists"
    one, two = (read(lists / f"site-{number}.json") for number in (1, 2))
    for entry in one["training"]:
        film = np.asarray(Image.open(tree / entry["image"]))
        Image.fromarray(np.rot90(film)).save(tree / entry["image"])
    first, other = two["training"][0], two["validation"][0]
    Image.open(tree / other["image"]).convert("RGBA").resize((80, 80)).save(tree / other["image"])
    two["validation"].append(one["training"][0])
    (lists / "site-2.json").write_text(json.dumps(two))
    twin = next(each for each in two["training"] if each["patient"] != first["patient"])
    (tree / twin["image"]).write_bytes((tree / first["image"]).read_bytes())
    result = prepare("audit", tree, "--lists", "lists", "--report", "report.json", cwd=tmp_path)
    assert result.returncode == 0, result.stderr
    said = result.stderr
    assert "films of site-1 look turned by a quarter to the left" in said
    assert "films of site-2 look" not in said
    assert f"1 patient with films in training of site-1 and in validation: {one['training'][0]['patient']}" in said
    assert "Films of 2 sizes" in said
    assert f"1 film in the mode RGBA, converted to grey: {other['image']}" in said
    assert (
        f"1 pair of films of two patients that are one film: {' and '.join(sorted((first['image'], twin['image'])))}"
        in said
    )
    report = read(tmp_path / "report.json")
    assert report["films"][one["training"][0]["image"]]["suspicion"] == "turned by a quarter to the left"
    assert set(report["sites"]) == {"site-1", "site-2"}
    lines = result.stdout.splitlines()
    assert next(line for line in lines if line.startswith("Hernia")).split()[1:] == [
        str(report["sites"][site]["findings"]["Hernia"]) for site in ("site-1", "site-2")
    ]


def test_mistakes_of_the_table_are_a_line_each_and_nothing_is_written(tree: Path, tmp_path: Path) -> None:
    table = tree / "Data_Entry_2017.csv"
    lines = table.read_text().splitlines()
    fields = lines[1].split(",")
    lines[1] = ",".join([fields[0], "Effusions|No Finding", *fields[2:]])
    lines.append(lines[2])
    table.write_text("\n".join([*lines, ""]))
    for command in (("audit", tree), ("split", tree, "--out", "lists")):
        result = prepare(*command, cwd=tmp_path)
        assert result.returncode == 2
        errors = [line for line in result.stderr.splitlines() if line.startswith("error: ")]
        assert len(errors) == 3
        assert "the nearest is 'Effusion'" in result.stderr
        assert "'No Finding' beside a finding" in result.stderr
        assert "twice or more" in result.stderr
        assert "Traceback" not in result.stderr
    assert not (tmp_path / "lists").exists()


def test_films_that_cannot_be_read_are_errors_of_the_audit(tmp_path: Path) -> None:
    tree = tmp_path / "set"
    rows = "".join(f"0000000{n}_000.png,Mass,0,{n},50,F,PA,64,64,0.1,0.1,\n" for n in (1, 2))
    save(tree / "00000001_000.png", pixels(1))
    (tree / "00000002_000.png").write_bytes((tree / "00000001_000.png").read_bytes()[:200])
    (tree / "Data_Entry_2017.csv").write_text(HEADER + rows)
    result = prepare("audit", tree, cwd=tmp_path)
    assert result.returncode == 2
    assert "error: " in result.stderr
    assert "00000002_000.png cannot be read" in result.stderr
    assert "No film has Atelectasis or Cardiomegaly" in result.stderr


def test_phantom_writes_a_set_that_audit_finds_nothing_wrong_with(tmp_path: Path) -> None:
    result = prepare("phantom", "set", "--cases", "4", "--validation", "1", "--test", "1", cwd=tmp_path)
    assert result.returncode == 0, result.stderr
    assert "no patient data" in result.stdout
    found = prepare("audit", "set", "--lists", "set/datalist", cwd=tmp_path)
    assert found.returncode == 0, found.stderr
    assert "look" not in found.stderr.replace("look at them", "")
    assert "on two sides" not in found.stderr
