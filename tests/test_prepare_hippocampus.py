"""dataset_hippocampus/prepare.py as a user runs it: its output, its exit code, what it leaves."""

import json
import os
import subprocess
from pathlib import Path

import pytest

from fedmed.data.datalist import load_datalist, load_split
from tests import scripts
from tests.data.hippocampus.written import write_case

SCRIPT = scripts.ROOT / "dataset_hippocampus" / "prepare.py"


def prepare(*arguments: str | Path, cwd: Path) -> subprocess.CompletedProcess[str]:
    return scripts.run(SCRIPT, *arguments, cwd=cwd, variables=os.environ, timeout=60)


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    for number in range(40):
        write_case(tmp_path / "my set", number, ("8-bit", "thousands", "thousands", "millions")[number % 4])
    return tmp_path / "my set"


def test_split_leaves_lists_of_sites_and_a_test_that_no_site_has(tree: Path, tmp_path: Path) -> None:
    result = prepare("split", tree, "--out", "lists", cwd=tmp_path)
    assert result.returncode == 0, result.stderr
    lists = tmp_path / "lists"
    assert sorted(path.name for path in lists.iterdir()) == [
        *(f"site-{i}.json" for i in (1, 2, 3, 4)), "site-All.json", "split.json", "split.png", "test.json",
    ]  # fmt: skip
    test, scheme = load_split(lists / "test.json", tree, "testing")
    assert (len(test), scheme) == (8, None)
    seen = {case.name for site in (1, 2, 3, 4) for case in load_datalist(lists / f"site-{site}.json", tree).all_cases}
    assert seen.isdisjoint(case.name for case in test)
    assert len(seen) == 32
    record = json.loads((lists / "split.json").read_text())
    assert [site["source"] for site in record["sites"].values()] == ["8-bit", "millions", "thousands", "thousands"]
    assert {row["source"] for row in record["test"]} == {"8-bit", "millions", "thousands"}
    assert "export DATASET_ROOT=" in result.stdout


def test_mistakes_are_one_sentence_and_leave_nothing(tree: Path, tmp_path: Path) -> None:
    for arguments, words in (
        (("split", tree, "--out", "lists", "--sites", "1"), "--sites is 1"),
        (("split", tmp_path, "--out", "lists"), "holds no hippocampus set"),
        (("phantom", tree), "is not an empty folder"),
    ):
        result = prepare(*arguments, cwd=tmp_path)
        assert (result.returncode, result.stdout) == (2, "")
        assert result.stderr.startswith("error: ")
        assert words in result.stderr
    assert not (tmp_path / "lists").exists()


def test_phantom_writes_a_set_that_can_be_split(tmp_path: Path) -> None:
    assert prepare("phantom", "set", "--cases", "2", cwd=tmp_path).returncode == 0
    result = prepare("split", "set", "--out", "lists", "--by", "iid", "--sites", "2", cwd=tmp_path)
    assert result.returncode == 0, result.stderr
