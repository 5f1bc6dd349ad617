from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from fedmed.data.cache import Caching
from fedmed.data.datalist import load_datalist
from fedmed.errors import InputError
from fedmed.evaluation import long_table, model_file, score, validation_cases
from fedmed.experiment import Experiment
from fedmed.run_folder import RunFolder, save_weights
from fedmed.tasks.base import Row

Make = Callable[..., Experiment]


def test_a_shared_case_is_scored_once(small_experiment: Make, phantom: Path) -> None:
    experiment = small_experiment()
    cases, scheme = validation_cases(experiment, experiment.data)
    shared = load_datalist(phantom / "datalist" / "site-1.json", phantom).validation
    assert [case.name for case in cases] == [case.name for case in shared]
    assert scheme == "brats2018"


def test_every_case_and_region_gets_its_row(small_experiment: Make, tmp_path: Path) -> None:
    experiment = small_experiment()
    cases, scheme = validation_cases(experiment, experiment.data)
    save_weights(experiment.task.build_model().state_dict(), tmp_path / "w.pt")
    rows = score(experiment, tmp_path / "w.pt", cases, scheme, Caching())
    assert {(r.case, r.region) for r in rows} == {(c.name, r) for c in cases for r in ("TC", "WT", "ET")}
    assert all(0 <= r.value <= 1 for r in rows if r.metric == "challenge_dice")


def test_weights_of_another_network_are_refused(small_experiment: Make, tmp_path: Path) -> None:
    experiment = small_experiment()
    save_weights(torch.nn.Linear(2, 2).state_dict(), tmp_path / "other.pt")
    with pytest.raises(InputError, match="another network"):
        score(experiment, tmp_path / "other.pt", [], None, Caching())


def test_a_run_without_that_model_is_refused_with_its_status(small_experiment: Make, tmp_path: Path) -> None:
    run = RunFolder.create(tmp_path, "run")
    run.write_experiment(small_experiment())
    run.write_status("failed", "power")
    with pytest.raises(InputError, match="run-001 is failed"):
        model_file(run, "best")
    save_weights({"w": torch.zeros(1)}, run.path / "best_global_model.pt")
    assert model_file(run, "best") == run.path / "best_global_model.pt"


def test_the_long_table_has_a_column_for_each_field() -> None:
    table = long_table("run-7", [Row("a", "TC", "dice", 0.5)])
    assert table.to_dict("records") == [{"run": "run-7", "case": "a", "region": "TC", "metric": "dice", "value": 0.5}]
