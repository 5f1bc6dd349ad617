"""The lists of sites: three parts, and what a list states of its site."""

import json
from pathlib import Path

import pytest

from fedmed.core.errors import InputError
from fedmed.data.datalist import load_datalist
from fedmed.data.splits.site_lists import write_site_lists
from tests.data.splits.made_up import pictures


def test_test_cases_and_facts_of_a_site_stand_in_its_list(tmp_path: Path) -> None:
    one, two = pictures(6, "a"), pictures(6, "b")
    write_site_lists(
        tmp_path,
        {"site-1": one[:2], "site-2": two[:2]},
        {"site-1": one[2:4], "site-2": two[2:4]},
        tmp_path,
        testing={"site-1": one[4:], "site-2": two[4:]},
        facts={"site-1": {"hospital": {"name": "North"}}},
    )
    documents = {path.stem: json.loads(path.read_text()) for path in tmp_path.glob("*.json")}
    assert documents["site-1"]["hospital"] == {"name": "North"}
    assert "hospital" not in documents["site-2"]
    assert "hospital" not in documents["site-All"]
    for site, size in (("site-1", 2), ("site-2", 2), ("site-All", 4)):
        found = load_datalist(tmp_path / f"{site}.json", tmp_path)
        assert [len(each) for each in (found.training, found.validation, found.testing)] == [size] * 3
    assert [each.name for each in load_datalist(tmp_path / "site-1.json", tmp_path).testing] == [
        case.name for case in one[4:]
    ]


def test_lists_without_test_cases_are_as_before(tmp_path: Path) -> None:
    cases = pictures(4, "a")
    write_site_lists(tmp_path, {"site-1": cases[:2]}, cases[2:], tmp_path)
    assert [*json.loads((tmp_path / "site-1.json").read_text())] == ["training", "validation"]


def test_a_list_of_test_cases_of_another_split_does_not_stay(tmp_path: Path) -> None:
    cases = pictures(4, "a")
    besides = {"test.json": b"{}", "test_without_copies.json": b"{}"}
    write_site_lists(tmp_path, {"site-1": cases[:2]}, cases[2:], tmp_path, besides=besides)
    with pytest.raises(InputError, match=r"test\.json, test_without_copies\.json"):
        write_site_lists(tmp_path, {"site-1": cases[:2]}, cases[2:], tmp_path)
    write_site_lists(tmp_path, {"site-1": cases[:2]}, cases[2:], tmp_path, replace=True)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["site-1.json", "site-All.json"]
