"""The result of a run: one truth about the best model, and words where there is none."""

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from fedmed.core import machine
from fedmed.core.names import SUMMARY
from fedmed.core.site_scores import PERSONAL
from fedmed.experiment import Experiment
from fedmed.runs import run_result
from fedmed.runs.run_folder import RunFolder
from fedmed.runs.run_monitor import RunMonitor
from tests.runs.test_single_run import record

Finish = Callable[..., RunFolder]


@pytest.fixture
def finished(small_experiment: Callable[..., Experiment], tmp_path: Path) -> Finish:
    """Makes the folder of a finished run of these records."""

    def make(records: list[dict[str, Any]], *arguments: str) -> RunFolder:
        folder = RunFolder.create(tmp_path, "run")
        monitor = RunMonitor(folder, small_experiment("--num_rounds", "3", *arguments))
        folder.write_json("environment", machine.describe())
        folder.write_json("dataset_stats", {})
        for each in records:
            monitor.record(each)
        run_result.finish(monitor, 61.0)
        return folder

    return make


def summary_of(folder: RunFolder) -> str:
    return (folder.path / SUMMARY).read_text()


def test_the_best_model_is_the_one_that_the_server_chose(finished: Finish) -> None:
    """It alone knows which file it kept, so no other rule stands beside its own."""
    records = [record(0, 0.9), record(1, 0.5, best=True), record(2, 0.6, best=True), record(3, 0.7, final=True)]
    summary = summary_of(finished(records))
    assert "best, after round 2" in summary
    assert "last, after round 3" in summary
    assert "took       1:01" in summary


def test_a_run_in_which_nobody_scored_a_trained_model_says_so(finished: Finish) -> None:
    summary = summary_of(finished([record(0, 0.9), record(1, 0.9, final=True)]))
    assert "No best model was chosen: no site reported val_dice for a trained model." in summary


def test_a_run_whose_scores_stay_at_the_sites_says_so(finished: Finish) -> None:
    silent = [{**record(n, 0.0, final=n == 1), "sites": {"site-1": {"val_cases": 0}}} for n in (0, 1)]
    summary = summary_of(finished(silent, "--privacy", "gaussian", "--dp_noise_multiplier", "1"))
    assert "No best model was chosen: scores stay at the sites" in summary


def test_a_run_with_personal_models_shows_their_scores_and_names_their_files(finished: Finish) -> None:
    records = [record(0, 0.9), record(1, 0.5, best=True), record(2, 0.6, final=True)]
    for number, each in enumerate(records[1:], start=1):
        each["sites"]["site-1"][PERSONAL] = number / 5
    folder = finished(records, "--algorithm", "ditto")
    summary = " ".join(summary_of(folder).split())
    assert "best, after round 1" in summary  # the global model's table stands before
    assert "site-1 0.5000 0.6000 0.4000 after round 2 0.4000" in summary
    assert f"personal {folder.path}/sites/<site>: best_local_model.pt, last_local_model.pt" in summary
    assert "lambda 1; twice the training time and state" in summary
    assert folder.read_json("model_meta")["personal_models"] == {"site-1": {"best_epoch": 2, "best": 0.4, "last": 0.4}}
    assert list(folder.history()["val_personal"].dropna()) == [0.2, 0.4]


def test_where_scores_stay_at_the_sites_there_is_no_table_of_personal_models(finished: Finish) -> None:
    silent = [{**record(n, 0.0, final=n == 1), "sites": {"site-1": {"val_cases": 0}}} for n in (0, 1)]
    options = ("--algorithm", "ditto", "--privacy", "gaussian", "--dp_noise_multiplier", "1")
    summary = summary_of(finished(silent, *options))
    assert "personal best" not in summary
    assert "<site>: last_local_model.pt;" in summary


def test_a_run_that_stopped_within_its_budget_says_so(finished: Finish) -> None:
    stopped = "stopped after 1 of 3 rounds: one more would bring epsilon at site-1 to 9"
    summary = summary_of(finished([record(0, 0.1), record(1, 0.2, best=True, final=True, stopped=stopped)]))
    assert re.search(f"^stopped +{stopped}$", summary, re.MULTILINE)


def test_a_cross_site_evaluation_without_any_score_is_told(finished: Finish) -> None:
    folder = finished([record(0, 0.1), record(1, 0.2, best=True, final=True)], "--cross_site")
    assert "cross-site no model was scored at any site; training.log says why" in summary_of(folder)
    assert not list(folder.path.glob("cross_site*"))
