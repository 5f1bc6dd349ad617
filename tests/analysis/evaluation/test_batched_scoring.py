"""A task that scores several cases at once gives the rows that one case at a time gives, each case recorded apart."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

from fedmed.analysis.evaluation import case_scoring
from fedmed.analysis.evaluation.case_scoring import ScoringUnit, measure
from fedmed.analysis.evaluation.evaluation_cases import validation_cases
from fedmed.analysis.evaluation.evaluation_folder import ScoringJournal
from fedmed.analysis.evaluation.trained_model import TrainedModel, open_model
from fedmed.core.weights import save_weights
from fedmed.data.prepared.cache import Caching
from fedmed.experiment import Experiment
from fedmed.tasks.base import Row
from fedmed.tasks.scoring.classification_metrics import class_rows
from tests.toy.toy_task import CLASSES, ToyTask


@dataclass(frozen=True)
class ToyInBatches(ToyTask):
    """The toy task, which notes how many cases it gets at once."""

    asked: list[int] = field(default_factory=list)

    def measure_many(
        self, model: nn.Module, items: Sequence[Mapping[str, Any]], device: torch.device
    ) -> list[list[Row]]:
        self.asked.append(len(items))
        scores = model(torch.stack([torch.as_tensor(item["image"]) for item in items])).float().softmax(dim=1).tolist()
        return [class_rows(item["case"], CLASSES, own, item["label"]) for item, own in zip(items, scores, strict=True)]


@pytest.fixture
def model(toy_experiment: Callable[..., Experiment], tmp_path: Path) -> TrainedModel:
    save_weights(toy_experiment().task.first_model(0).state_dict(), tmp_path / "w.pt")
    return open_model(tmp_path / "w.pt", task_name="toy_task")


def test_cases_are_scored_together_and_recorded_one_by_one(
    model: TrainedModel, toy_experiment: Callable[..., Experiment], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(case_scoring, "AT_ONCE", 2)
    task = ToyInBatches()
    together = replace(model, task=task)
    units = [ScoringUnit("shared", case, model.weights) for case in validation_cases(toy_experiment()).cases]
    one, other = (ScoringJournal(tmp_path / name, {}) for name in ("one", "other"))
    measure(units, {model.weights: model}, None, Caching(), one)
    measure(units[:1], {model.weights: together}, None, Caching(), other)
    told: list[object] = []
    again = ScoringJournal(tmp_path / "other", {})
    measure(units, {model.weights: together}, None, Caching(), again, on_case=told.append)
    assert task.asked == [1, 2, 2, 1]  # the first case was scored before
    assert told == [unit.key for unit in units]
    assert (tmp_path / "other").read_text().count("\n") == 1 + len(units)
    for key, rows in one.rows.items():
        assert [row[:3] for row in again.rows[key]] == [row[:3] for row in rows]
        assert [row.value for row in again.rows[key]] == pytest.approx([row.value for row in rows], abs=1e-6)
