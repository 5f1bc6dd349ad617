"""The study of privacy against utility as a user starts it: on finished runs, and once through the real job.py."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from fedmed.core.cli import run_script
from fedmed.core.weights import save_weights
from fedmed.experiment import Experiment
from fedmed.runs.run_folder import RunFolder
from result_stat import privacy_utility
from tests.ledgers import entry, ledger

Make = Callable[..., Experiment]
MakeRun = Callable[..., RunFolder]


@pytest.fixture
def make_run(small_experiment: Make, tmp_path: Path) -> MakeRun:
    """Makes a finished run with random weights from further arguments of job.py; with a ledger where one is given."""

    def make(*arguments: str, ledger: dict[str, Any] | None = None) -> RunFolder:
        experiment = small_experiment(*arguments)
        run = RunFolder.create(tmp_path / "all runs", "run")
        run.write_experiment(experiment)
        run.write_status("finished")
        run.write_json("dataset_splits", {"site-1": {"training": ["a", "b"], "validation": ["v"]}})
        torch.manual_seed(experiment.training.seed)
        save_weights(experiment.task.build_model().state_dict(), run.path / "last_global_model.pt")
        if ledger is not None:
            run.write_json("privacy_ledger", ledger)
        return run

    return make


def test_finished_runs_become_a_table_and_a_figure(
    make_run: MakeRun, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    budget = ledger("patient", "formal", entry("site-1", 1, 7.0), entry("site-2", 1, 6.0))
    runs = [make_run("--seed", "0"), make_run("--seed", "1"), make_run("--enable_dp", ledger=budget)]
    arguments = ["--out", str(tmp_path / "new" / "found"), "--runs", *(str(run.path) for run in runs)]
    assert run_script(privacy_utility.main, arguments) == 0
    told = capsys.readouterr().out
    assert told.startswith(
        "phantoms, 1 site with 2 training cases each, 1 validation case, 1 rounds x 1 epochs, seeds 0, 1"
    )
    document = json.loads((tmp_path / "new" / "found.json").read_text())
    assert [row["seeds"] for row in document["rows"]] == [2, 1]
    assert [row["epsilon"] for row in document["rows"]] == [None, 7.0]
    assert [row["run"] for row in document["runs"]] == ["run-001", "run-002", "run-003"]
    assert document["machine"]["cores"] > 0
    scores = [run["challenge_dice"] for run in document["runs"][:2]]
    assert document["rows"][0]["challenge_dice"] == pytest.approx(sum(scores) / 2)
    assert (tmp_path / "new" / "found.png").is_file()


BAD = {
    "no such row": (["--rows", "none", "gauss"], "--rows names gauss, which is no row of the grid"),
    "no seeds": (["--seeds", "0"], "--seeds is 0"),
    "no rounds": (["--rows", "none", "--rounds", "0"], "--num_rounds is 0"),
    "phantoms too small": (["--rows", "none", "--size", "8", "8", "8"], "8"),
    "no such file": (["--grid", "/nowhere.json"], "--grid /nowhere.json cannot be read as JSON"),
    "no run": (["--runs", "/nowhere"], "/nowhere holds no experiment.json"),
    "both": (["--runs", "/nowhere", "--seeds", "2"], "--seeds says how to make runs, but --runs names finished ones"),
    "unknown option": (["--epsilon", "2"], "--epsilon"),
}
GRIDS = {
    "a list": ('["--privacy none"]', "holds no rows"),
    "nothing": ("{}", "holds no rows"),
    "no text": ('{"a": {"privacy": "none"}}', "holds no rows"),
    "no JSON": ("--privacy none", "cannot be read as JSON"),
    "unknown mechanism": ('{"a": "--privacy secret"}', "Row 'a' of the grid cannot be run: argument --privacy"),
    "odd name": ('{"a b": "--privacy none"}', "Row 'a b' of the grid cannot be run: --job_name is a b-seed0"),
    "open quote": ('{"a": "--privacy \'none"}', "Row 'a' of the grid cannot be run: No closing quotation"),
    "a seed": ('{"a": "--seed=3"}', "it gives --seed=3, which the study itself gives"),
}


def refused(arguments: list[str], place: Path, capsys: pytest.CaptureFixture[str]) -> str:
    assert run_script(privacy_utility.main, [*arguments, "--out", str(place / "found")]) == 2
    error = capsys.readouterr().err
    assert error.startswith("error: ")
    assert error.count("\n") == 1
    return error


@pytest.mark.parametrize(("arguments", "words"), BAD.values(), ids=BAD)
def test_bad_input_ends_with_one_sentence_and_code_2(
    arguments: list[str], words: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    where = [] if "--runs" in arguments else ["--artifacts", str(tmp_path)]
    assert words in refused([*arguments, *where], tmp_path, capsys)


@pytest.mark.parametrize(("text", "words"), GRIDS.values(), ids=GRIDS)
def test_a_bad_grid_is_refused_before_anything_is_made(
    text: str, words: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "grid.json").write_text(text)
    arguments = ["--grid", str(tmp_path / "grid.json"), "--artifacts", str(tmp_path / "runs")]
    assert words in refused(arguments, tmp_path, capsys)
    assert not (tmp_path / "runs").exists()
