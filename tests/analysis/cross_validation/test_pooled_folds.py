"""All folds together: figures over patients by hand, each patient once, and the document and the picture of them."""

import json
import math
from collections.abc import Callable, Mapping
from pathlib import Path

import pandas as pd
import pytest

from fedmed.analysis.comparison.table_document import markdown
from fedmed.analysis.cross_validation.fold_picture import draw
from fedmed.analysis.cross_validation.fold_report import numbers, report
from fedmed.analysis.cross_validation.folds import Fold
from fedmed.analysis.cross_validation.pooled_folds import PooledFolds, by_fold, by_patient, by_site, pooled
from fedmed.analysis.evaluation.evaluation_folder import EvaluationFolder
from fedmed.analysis.evaluation.evaluation_table import summarize
from fedmed.core.errors import InputError
from fedmed.experiment import Experiment
from fedmed.tasks.brats18 import Brats18
from fedmed.tasks.scoring.metric import Metric

DICE = Metric("dice", "Dice", "", "higher")
MakeRun = Callable[..., Path]

FIRST = {"a1": {"TC": 0.2, "WT": 0.4}, "a2": {"TC": 0.4, "WT": 0.6}, "b": {"TC": 0.9, "WT": 0.7}}
SECOND = {"c": {"TC": 0.5, "WT": 0.7}, "d": {"TC": math.nan, "WT": 0.9}}
OF_PATIENT_A = {"a1": "A", "a2": "A"}
SITES = {"a1": "site-1", "a2": "site-1", "b": "site-2", "c": "site-2", "d": "site-1"}


@pytest.fixture
def evaluations(scored_run: MakeRun) -> dict[str, EvaluationFolder]:
    """Two folds: patient A with two cases and B, then C and D, who has no tumour core."""
    first = scored_run(FIRST, split="test", site=SITES, patient=OF_PATIENT_A)
    second = scored_run(SECOND, split="test", site=SITES)
    return {f"fold-{n}": EvaluationFolder(run / "evaluation" / "best-test") for n, run in ((1, first), (2, second))}


@pytest.fixture
def found(evaluations: Mapping[str, EvaluationFolder]) -> PooledFolds:
    return pooled(Brats18(), evaluations)


def test_a_patients_value_is_the_mean_over_cases_and_targets(found: PooledFolds) -> None:
    table = by_patient(found, DICE).set_index("patient")
    assert table["value"].to_dict() == pytest.approx({"A": 0.4, "b": 0.8, "c": 0.6, "d": 0.9})
    assert table["fold"].to_dict() == {"A": "fold-1", "b": "fold-1", "c": "fold-2", "d": "fold-2"}
    assert table["site"].to_dict() == {"A": "site-1", "b": "site-2", "c": "site-2", "d": "site-1"}


def test_patients_count_once_each_by_site_and_pooled(found: PooledFolds) -> None:
    table = by_site(by_patient(found, DICE)).set_index("site")
    assert table["patients"].to_dict() == {"pooled": 4, "site-1": 2, "site-2": 2}
    assert table["value"].to_dict() == pytest.approx({"pooled": 0.675, "site-1": 0.65, "site-2": 0.7})
    assert table["median"].to_dict() == pytest.approx({"pooled": 0.7, "site-1": 0.65, "site-2": 0.7})
    assert table["lowest"].to_dict() == pytest.approx({"pooled": 0.4, "site-1": 0.4, "site-2": 0.6})
    assert table["low"]["pooled"] < 0.675 < table["high"]["pooled"]


def test_each_fold_has_its_own_figure(found: PooledFolds) -> None:
    table = by_fold(found, DICE).set_index("fold")
    assert table["patients"].to_dict() == {"fold-1": 2, "fold-2": 2}
    assert table["value"].to_dict() == pytest.approx({"fold-1": 3.2 / 6, "fold-2": 0.7})


@pytest.mark.parametrize("again", ["case", "patient"])
def test_nobody_is_scored_twice(again: str, scored_run: MakeRun) -> None:
    first = scored_run({"a": {"TC": 0.5}}, patient={"a": "P"})
    second = scored_run({"a" if again == "case" else "b": {"TC": 0.5}}, patient={"a": "Q", "b": "P"})
    folders = {
        f"fold-{n}": EvaluationFolder(run / "evaluation/best-validation") for n, run in ((1, first), (2, second))
    }
    name = "a" if again == "case" else "P"
    with pytest.raises(InputError, match=f"{name} is scored in fold-2 and in a fold before it"):
        pooled(Brats18(), folders)


def test_a_metric_without_values_of_cases_has_none_of_patients(found: PooledFolds, toy_task: type) -> None:
    assert by_patient(found, toy_task.METRICS[0]).empty


@pytest.fixture
def planned(small_experiment: Callable[..., Experiment], tmp_path: Path) -> list[Fold]:
    experiment, everyone = small_experiment(), frozenset({"A", "b", "c", "d", "e"})
    return [Fold(tmp_path / f"fold-{n}", (), experiment, frozenset(), everyone) for n in (1, 2)]


def test_the_document_has_patients_sites_folds_and_who_was_left_out(found: PooledFolds, planned: list[Fold]) -> None:
    text = markdown(report(planned, found, "what was done"))
    assert "**what was done**" in text
    assert "| pooled | 4 | 0.6750 [" in text
    assert "| fold-1 | 2 | 0.5333 |" in text
    assert "1 patient in the test cases of no fold." in text
    assert "Dice between the sites: worst" in text


def test_the_numbers_are_json_without_nan(found: PooledFolds) -> None:
    document = numbers({"fold-1": "cv-fold-1-001"}, found, "what was done")
    assert json.loads(json.dumps(document, allow_nan=False)) == document
    assert {each["patient"]: each["value"] for each in document["patients"]} == pytest.approx(
        {"A": 0.4, "b": 0.8, "c": 0.6, "d": 0.9}
    )


def test_the_picture_has_every_site_its_patients_and_the_folds(found: PooledFolds, tmp_path: Path) -> None:
    draw(found, "made up", tmp_path / "cv.svg")
    text = (tmp_path / "cv.svg").read_text()
    for part in ("site-1", "site-2", "pooled", "4 patients", "fold-1", "fold-2", "Dice", "made up"):
        assert part in text


def test_the_picture_of_a_metric_over_all_cases_has_the_sites_alone(toy_task: type, tmp_path: Path) -> None:
    rows = [("r", f"site-{n % 2 + 1}", f"c{n}", "flat", q, float(v)) for n in range(12)
            for q, v in (("score", n / 12), ("truth", n % 3 == 0))]  # fmt: skip
    cases = pd.DataFrame(rows, columns=["run", "site", "case", "target", "quantity", "value"]).assign(fold="fold-1")
    patients = {f"c{n}": f"p{n}" for n in range(12)}
    task = toy_task()
    draw(PooledFolds(task, cases, patients, summarize(cases, patients, task.METRICS)), "", tmp_path / "cv.png")
    assert (tmp_path / "cv.png").read_bytes().startswith(b"\x89PNG")
