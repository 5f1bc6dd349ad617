"""Scoring case by case: the same numbers as during the run, and none is made twice."""

from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from fedmed.analysis.evaluation.case_scoring import ScoringUnit, caching_after, measure, score
from fedmed.analysis.evaluation.evaluation_cases import EvaluationCases, validation_cases
from fedmed.analysis.evaluation.evaluation_folder import ScoringJournal
from fedmed.analysis.evaluation.trained_model import TrainedModel, open_model
from fedmed.core.errors import InputError
from fedmed.core.weights import save_weights
from fedmed.data.prepared.cache import Caching
from fedmed.experiment import Experiment
from fedmed.tasks.scoring.metric_catalogue import SEGMENTATION_METRICS

Make = Callable[..., Experiment]


@pytest.fixture
def model(small_experiment: Make, tmp_path: Path) -> TrainedModel:
    torch.manual_seed(0)
    save_weights(small_experiment().task.build_model().state_dict(), tmp_path / "w.pt")
    return open_model(tmp_path / "w.pt")


@pytest.fixture
def listed(small_experiment: Make) -> EvaluationCases:
    return validation_cases(small_experiment())


def units(listed: EvaluationCases, model: TrainedModel) -> list[ScoringUnit]:
    return [ScoringUnit("shared", case, model.weights) for case in listed.cases]


def test_every_metric_of_every_case_and_region(model: TrainedModel, listed: EvaluationCases, tmp_path: Path) -> None:
    journal = ScoringJournal(tmp_path / "p.jsonl", {})
    measure(units(listed, model), {model.weights: model}, listed.label_scheme, Caching(), journal)
    rows = [row for of_case in journal.rows.values() for row in of_case]
    expected = {(c.name, r, m.name) for c in listed.cases for r in ("TC", "WT", "ET") for m in SEGMENTATION_METRICS}
    assert {row[:3] for row in rows} == expected
    assert len(rows) == len(expected)


def test_dice_is_that_of_the_run(model: TrainedModel, listed: EvaluationCases, tmp_path: Path) -> None:
    """One window covers the volume, so that its Gaussian weights change nothing."""
    journal = ScoringJournal(tmp_path / "p.jsonl", {})
    measure(units(listed, model), {model.weights: model}, listed.label_scheme, Caching(), journal)
    later = {row[:3]: row.value for of_case in journal.rows.values() for row in of_case}
    for row in score(model, listed.cases, listed.label_scheme, Caching()):
        assert later[row[:3]] == pytest.approx(row.value, abs=1e-6, nan_ok=True)


def test_what_is_done_is_not_done_again(model: TrainedModel, listed: EvaluationCases, tmp_path: Path) -> None:
    journal = ScoringJournal(tmp_path / "p.jsonl", {})
    every = units(listed, model)
    measure(every[:1], {model.weights: model}, listed.label_scheme, Caching(), journal)
    first = journal.rows[every[0].key]
    told: list[object] = []
    again = ScoringJournal(tmp_path / "p.jsonl", {})
    measure(every, {model.weights: model}, listed.label_scheme, Caching(), again, on_case=told.append)
    assert [row.value for row in again.rows[every[0].key]] == pytest.approx([r.value for r in first], nan_ok=True)
    assert told == [unit.key for unit in every]
    assert (tmp_path / "p.jsonl").read_text().count("\n") == 1 + len(every)


def test_a_prediction_that_is_nan_is_refused_by_the_cases_name(
    model: TrainedModel, listed: EvaluationCases, tmp_path: Path
) -> None:
    with torch.no_grad():
        next(model.network.parameters()).fill_(float("nan"))
    with pytest.raises(InputError, match=rf"{listed.cases[0].name}: .* holds NaN"):
        measure(units(listed, model), {model.weights: model}, None, Caching(), ScoringJournal(tmp_path / "p.jsonl", {}))


def test_a_run_is_scored_from_the_cache_that_it_used_if_that_is_still_there(
    small_experiment: Make, tmp_path: Path
) -> None:
    experiment = small_experiment("--cache_dir", str(tmp_path / "cache"))
    assert caching_after(experiment, "run") == Caching()
    (tmp_path / "cache").mkdir()
    disk = caching_after(experiment, "run").disk
    assert disk is not None
    assert disk.folder == tmp_path / "cache"


def test_a_cache_that_cannot_be_written_is_done_without(
    small_experiment: Make, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("CACHE_ROOT", "/proc")
    assert caching_after(small_experiment(), "run") == Caching()
    assert "/proc cannot be written" in capsys.readouterr().err
