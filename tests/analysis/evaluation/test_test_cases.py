"""Whose test cases are: those of the sites' lists by their sites, else those of test.json, which are nobody's."""

import json
from collections.abc import Callable
from pathlib import Path

import pandas as pd
import pytest

from fedmed.analysis.evaluation.evaluation_cases import SHARED, EvaluationCases, evaluation_cases
from fedmed.analysis.evaluation.evaluation_source import EvaluationRequest
from fedmed.analysis.evaluation.run_evaluation import evaluate
from fedmed.core.errors import InputError
from fedmed.core.weights import save_weights
from fedmed.experiment import Experiment
from fedmed.runs.run_folder import RunFolder
from fedmed.tasks.base import Task
from tests.toy.toy_task import add_testing

OF_SITE_1, OF_SITE_2 = ([f"toy-{number:03d}" for number in numbers] for numbers in (range(22, 26), range(26, 30)))


def listed(task: type[Task], dataset: Path, lists: Path, *sites: str) -> EvaluationCases:
    return evaluation_cases(task(), dataset, lists, sites or ("site-1", "site-2"), "test")


def names(found: EvaluationCases) -> dict[str, list[str]]:
    return {site: [case.name for case in cases] for site, cases in found.of_site.items()}


@pytest.mark.parametrize("sites", [("site-1", "site-2"), ("site-All",), ("site-1",)])
def test_every_lists_test_cases_are_its_sites_whoever_trained(
    toy_task: type[Task], toy_test_cases: Path, sites: tuple[str, ...]
) -> None:
    lists = toy_test_cases / "datalist"
    (lists / "test.json").write_text(json.dumps({"testing": []}))  # which is not looked at
    (lists / "split.json").write_text(json.dumps({"sites": {}, "test": []}))
    found = listed(toy_task, toy_test_cases, lists, *sites)
    assert names(found) == {"site-1": OF_SITE_1, "site-2": OF_SITE_2}
    assert found.site_of == {**dict.fromkeys(OF_SITE_1, "site-1"), **dict.fromkeys(OF_SITE_2, "site-2")}


def test_lists_of_any_name_are_sites(toy_task: type[Task], toy_test_cases: Path) -> None:
    lists = toy_test_cases / "datalist"
    (lists / "site-2.json").rename(lists / "St-Anna.json")
    assert set(names(listed(toy_task, toy_test_cases, lists, "site-All"))) == {"site-1", "St-Anna"}


def test_a_case_that_two_sites_test_on_is_scored_once(toy_task: type[Task], toy_test_cases: Path) -> None:
    lists = toy_test_cases / "datalist"
    both = json.loads((lists / "site-1.json").read_text())["testing"]
    add_testing(lists / "site-2.json", both)
    found = listed(toy_task, toy_test_cases, lists)
    assert found.site_of == dict.fromkeys(OF_SITE_1, SHARED)


def test_test_cases_of_site_all_alone_are_its_own(toy_task: type[Task], toy_test_cases: Path) -> None:
    lists = toy_test_cases / "datalist"
    for site in ("site-1", "site-2"):
        (lists / f"{site}.json").unlink()
    assert set(names(listed(toy_task, toy_test_cases, lists, "site-All"))) == {"site-All"}


def test_without_any_test_json_is_taken(toy_task: type[Task], toy_data: Path, toy_test_cases: Path) -> None:
    lists = toy_test_cases / "datalist"
    document = json.loads((lists / "site-1.json").read_text())
    for path in lists.glob("*.json"):
        add_testing(path, [])
    with pytest.raises(InputError, match=r'test\.json is not there, nor has a site\'s list "testing"'):
        listed(toy_task, toy_test_cases, lists)
    (lists / "test.json").write_text(json.dumps({"testing": document["testing"]}))
    assert listed(toy_task, toy_test_cases, lists).site_of == dict.fromkeys(OF_SITE_1, SHARED)


def test_the_cases_of_a_file_are_the_sites_beside_it(toy_task: type[Task], toy_test_cases: Path) -> None:
    lists = toy_test_cases / "datalist"
    entries = json.loads((lists / "site-All.json").read_text())["testing"]
    some = lists / "test_without_copies.json"
    some.write_text(json.dumps({"testing": entries[1:6]}))
    assert names(listed(toy_task, toy_test_cases, some)) == {"site-1": OF_SITE_1[1:], "site-2": OF_SITE_2[:2]}
    elsewhere = toy_test_cases / "some.json"
    some.rename(elsewhere)
    assert set(listed(toy_task, toy_test_cases, elsewhere).site_of.values()) == {SHARED}


def test_a_list_that_cannot_be_read_is_complained_of(toy_task: type[Task], toy_test_cases: Path) -> None:
    (toy_test_cases / "datalist" / "site-2.json").write_text('{"training"')
    with pytest.raises(InputError, match=r"site-2\.json cannot be read as JSON"):
        listed(toy_task, toy_test_cases, toy_test_cases / "datalist")


def test_a_model_is_scored_on_them_by_site(
    toy_test_cases: Path, toy_experiment: Callable[..., Experiment], tmp_path: Path
) -> None:
    experiment = toy_experiment("--n_clients", "1")
    run = RunFolder.create(tmp_path / "runs", "run")
    run.write_experiment(experiment)
    save_weights(experiment.task.first_model(0).state_dict(), run.path / "best_global_model.pt")
    run.write_status("finished")
    table = evaluate(run.path, run.name, EvaluationRequest(split="test")).table
    own = table[(table["metric"] == "accuracy") & (table["target"] == "overall")]
    assert dict(zip(own["site"], own["cases"], strict=True)) == {"pooled": 8, "site-1": 4, "site-2": 4}
    cases = pd.read_csv(run.path / "evaluation" / "best-test" / "cases.csv")
    assert set(cases["site"]) == {"site-1", "site-2"}
