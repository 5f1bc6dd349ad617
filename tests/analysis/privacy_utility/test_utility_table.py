"""The table of a study: its arithmetic, and the runs that do not belong together."""

import math
from collections.abc import Callable
from pathlib import Path

import pandas as pd
import pytest

from fedmed.analysis.privacy_utility import utility_table
from fedmed.analysis.privacy_utility.utility_table import (
    as_json,
    differing_options,
    markdown,
    pooled,
    read_runs,
    refuse_other,
)
from fedmed.core.errors import InputError
from fedmed.experiment import Experiment
from fedmed.runs.run_folder import RunFolder
from tests.analysis.privacy_utility.utility_rows import METRICS, RUNS

Make = Callable[..., Experiment]
MakeRun = Callable[..., RunFolder]


@pytest.fixture
def make_run(small_experiment: Make, tmp_path: Path) -> MakeRun:
    """Makes a finished run without a model from further arguments of job.py."""

    def make(*arguments: str) -> RunFolder:
        run = RunFolder.create(tmp_path / "runs", "run")
        run.write_experiment(small_experiment(*arguments))
        run.write_status("finished")
        run.write_json("dataset_splits", {"site-1": {"training": ["a", "b"], "validation": ["v"]}})
        return run

    return make


@pytest.fixture(autouse=True)
def _scores(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(utility_table, "scores", lambda run: {"dice": 0.5, "challenge_dice": 0.5})


def test_options_are_told_with_what_else_differs(small_experiment: Make) -> None:
    plain, other = small_experiment("--seed", "1"), small_experiment("--seed", "2")
    assert differing_options([plain, other]) == ["", ""]
    lots = small_experiment("--batch_size", "4", "--enable_dp", "--dp_epsilon", "21")
    told = differing_options([plain, lots])
    assert told[0] == "batch_size 1"
    assert told[1] == "dp_epsilon 21, batch_size 4"  # what is not a default
    assert differing_options([plain, small_experiment("--roi_size", "32", "32", "32")])[1] == "roi_size 32x32x32"


def test_seeds_are_pooled_and_options_are_not() -> None:
    rows = pooled(pd.DataFrame(RUNS), METRICS).set_index(["mechanism", "options"])
    assert list(rows.index) == [("none", ""), ("dpsgd", "lot 4"), ("dpsgd", "lot 8"), ("svt", ""), ("percentile", "")]
    assert rows["seeds"].tolist() == [2, 2, 1, 1, 1]
    lot = rows.loc[("dpsgd", "lot 4")]
    assert (lot["dice"], lot["dice_min"], lot["dice_max"]) == pytest.approx((0.5, 0.4, 0.6))
    assert lot["challenge_dice"] == pytest.approx(0.25)
    assert lot["epsilon"] == 8.2
    assert math.isnan(rows.loc[("none", ""), "epsilon"])


def test_the_table_tells_spread_and_budget() -> None:
    lines = markdown(pooled(pd.DataFrame(RUNS), METRICS), METRICS).splitlines()
    cells = [[cell.strip() for cell in line.split("|")[1:-1]] for line in lines]
    assert {len(row) for row in cells} == {9}
    assert cells[2][:6] == ["none", "none", "none", "-", "-", "-"]
    assert cells[2][6:] == ["0.700 (0.600 to 0.800)", "0.350 (0.300 to 0.400)", "2"]
    assert cells[4] == ["dpsgd", "patient", "formal", "lot 8", "50", "1e-05", "0.700", "0.350", "1"]
    assert cells[5][4] == "4e+07"


def test_numbers_that_are_not_there_are_null_in_json() -> None:
    rows = as_json(pooled(pd.DataFrame(RUNS), METRICS))
    assert rows[0]["epsilon"] is None
    assert rows[1]["dice"] == pytest.approx(0.5)


def test_runs_on_other_data_or_another_task_are_refused(
    make_run: MakeRun, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first, other = make_run(), make_run("--dataset_base_dir", str(tmp_path))
    with pytest.raises(
        InputError, match=r"run-002 has another dataset than .*run-001 .*; give runs of one task on the same data"
    ):
        read_runs([first, other])
    other = make_run()
    other.write_json("dataset_splits", {"site-1": {"training": ["a"], "validation": ["v"]}})
    with pytest.raises(InputError, match="run-003 has other cases than"):
        read_runs([first, other])
    names = iter(["brats18", "lungs"])
    monkeypatch.setattr(type(first.experiment().task), "name", property(lambda self: next(names)))
    with pytest.raises(InputError, match=r"another task than .* \(brats18, not lungs\)"):
        refuse_other(first, first)


def test_a_run_that_comes_twice_or_has_not_ended_is_refused(make_run: MakeRun, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(InputError, match="run-001 and run-002 are the same experiment with the same seed"):
        read_runs([make_run(), make_run()])
    run = make_run()
    run.write_status("running")
    with pytest.raises(InputError, match="run-003 is no finished run"):
        read_runs([run])
