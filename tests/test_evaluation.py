from collections.abc import Callable
from pathlib import Path

from fedmed.data.cache import Caching
from fedmed.data.datalist import load_datalist
from fedmed.evaluation import long_table, score, validation_cases
from fedmed.experiment import Experiment
from fedmed.run_folder import save_weights
from fedmed.tasks.base import Row
from fedmed.trained_model import open_model

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
    rows = score(open_model(tmp_path / "w.pt"), cases, scheme, Caching())
    assert {(r.case, r.region) for r in rows} == {(c.name, r) for c in cases for r in ("TC", "WT", "ET")}
    assert all(0 <= r.value <= 1 for r in rows if r.metric == "challenge_dice")


def test_the_long_table_has_a_column_for_each_field() -> None:
    table = long_table("run-7", [Row("a", "TC", "dice", 0.5)])
    assert table.to_dict("records") == [{"run": "run-7", "case": "a", "region": "TC", "metric": "dice", "value": 0.5}]
