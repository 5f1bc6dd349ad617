"""Whose the cases are on which a model is scored, and which lists are refused."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from fedmed.analysis.evaluation.evaluation_cases import (
    SHARED,
    EvaluationCases,
    Split,
    evaluation_cases,
    validation_cases,
)
from fedmed.core.errors import InputError
from fedmed.experiment import Experiment
from fedmed.tasks.brats18 import Brats18

Make = Callable[..., Experiment]


def rewritten(phantom: Path, place: Path, change: Callable[[dict[str, Any], str], None]) -> Path:
    """A copy of the phantoms' lists, each changed."""
    lists = place / "lists"
    shutil.copytree(phantom / "datalist", lists)
    for path in lists.glob("*.json"):
        document = json.loads(path.read_text())
        change(document, path.stem)
        path.write_text(json.dumps(document))
    return lists


def found(phantom: Path, lists: Path, split: Split = "validation") -> EvaluationCases:
    return evaluation_cases(Brats18(), phantom, lists, ("site-1", "site-2"), split)


def test_a_case_on_every_list_is_scored_once_and_is_no_sites(small_experiment: Make) -> None:
    listed = validation_cases(small_experiment())
    assert len(listed.cases) == 2
    assert set(listed.site_of.values()) == {SHARED}
    assert listed.label_scheme == "brats2018"


def test_a_case_on_one_list_is_that_sites(phantom: Path, tmp_path: Path) -> None:
    def own(document: dict[str, Any], site: str) -> None:
        if site == "site-1":
            document["validation"] = document["validation"][:1]
        if site == "site-2":
            document["validation"] = document["validation"][1:] + document["validation"][:1]

    listed = found(phantom, rewritten(phantom, tmp_path, own))
    sites = [listed.site_of[case.name] for case in listed.cases]
    assert sites == [SHARED, "site-2"]


def test_one_list_is_of_the_site_that_it_is_named_after(phantom: Path) -> None:
    listed = found(phantom, phantom / "datalist" / "site-2.json")
    assert set(listed.site_of.values()) == {"site-2"}


def test_test_cases_are_no_sites(phantom: Path, tmp_path: Path) -> None:
    lists = rewritten(phantom, tmp_path, lambda document, site: None)
    entry = json.loads((lists / "site-1.json").read_text())["training"][0]
    (lists / "test.json").write_text(json.dumps({"testing": [entry]}))
    assert list(found(phantom, lists, "test").site_of.values()) == [SHARED]


def test_a_list_of_validation_cases_alone_is_enough(phantom: Path, tmp_path: Path) -> None:
    lists = rewritten(phantom, tmp_path, lambda document, site: document.pop("training"))
    assert len(found(phantom, lists / "site-1.json").cases) == 2


def test_a_missing_test_list_is_told_of(phantom: Path) -> None:
    with pytest.raises(InputError, match=r"no list of test cases.*prepare\.py split --test"):
        found(phantom, phantom / "datalist", "test")


def test_cases_that_are_gone_are_told_of(phantom: Path, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="site-1"):
        evaluation_cases(Brats18(), tmp_path, phantom / "datalist", ("site-1",), "validation")


def test_lists_of_different_label_schemes_are_refused(phantom: Path, tmp_path: Path) -> None:
    def stated(document: dict[str, Any], site: str) -> None:
        document["validation"] = document["validation"][site == "site-2" :][:1]
        if site == "site-2":
            document.pop("label_scheme")

    with pytest.raises(InputError, match="different label schemes"):
        found(phantom, rewritten(phantom, tmp_path, stated))


def test_two_cases_of_one_name_are_refused(phantom: Path, tmp_path: Path) -> None:
    shutil.copytree(phantom, tmp_path / "set")
    shutil.copytree(phantom, tmp_path / "set" / "other")

    def moved(document: dict[str, Any], site: str) -> None:
        if site == "site-2":
            for entry in document["validation"]:
                entry["image"] = [f"other/{path}" for path in entry["image"]]
                entry["label"] = f"other/{entry['label']}"

    with pytest.raises(InputError, match="Two cases are called"):
        found(tmp_path / "set", rewritten(phantom, tmp_path, moved))
