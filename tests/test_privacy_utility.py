"""The study of privacy against utility: its arithmetic, on hand-made runs, and once through the real job.py."""

import json
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
import torch

from fedmed.command_line import read_experiment
from fedmed.core.errors import InputError, RunFailed
from fedmed.core.weights import save_weights
from fedmed.experiment import Experiment
from fedmed.runs.run_folder import RunFolder
from result_stat import privacy_utility as study
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


# ---- which runs belong together


def test_options_are_told_with_what_else_differs(small_experiment: Make) -> None:
    plain, other = small_experiment("--seed", "1"), small_experiment("--seed", "2")
    assert study.told([plain, other]) == ["", ""]
    lots = small_experiment("--batch_size", "4", "--enable_dp", "--dp_epsilon", "21")
    told = study.told([plain, lots])
    assert told[0] == "batch_size 1"
    assert told[1] == "dp_epsilon 21, batch_size 4"  # what is not a default
    assert study.told([plain, small_experiment("--roi_size", "32", "32", "32")])[1] == "roi_size 32x32x32"


def run_row(mechanism: str, seed: int, epsilon: float | None, dice: float, **more: Any) -> dict[str, Any]:
    usual = {"run": f"run-{seed}", "unit": "patient", "guarantee": "formal", "options": "", "delta": 1e-5}
    numbers = {"seed": seed, "epsilon": epsilon, "dice": dice, "challenge_dice": dice / 2}
    return {**usual, "mechanism": mechanism, **numbers, **more}


NO_EPSILON = {"unit": "none", "guarantee": "none", "delta": None}
RUNS = [
    run_row("none", 0, None, 0.8, **NO_EPSILON),
    run_row("dpsgd", 0, 8.0, 0.4, options="lot 4"),
    run_row("dpsgd", 0, 50.0, 0.7, options="lot 8"),
    run_row("none", 1, None, 0.6, **NO_EPSILON),
    run_row("dpsgd", 1, 8.2, 0.6, options="lot 4"),
    run_row("svt", 0, 4e7, 0.1, unit="site's update", guarantee="heuristic"),
    run_row("percentile", 0, None, 0.3, unit="site's update", guarantee="heuristic", delta=None),
]


def test_seeds_are_pooled_and_options_are_not() -> None:
    rows = study.pooled(pd.DataFrame(RUNS)).set_index(["mechanism", "options"])
    assert list(rows.index) == [("none", ""), ("dpsgd", "lot 4"), ("dpsgd", "lot 8"), ("svt", ""), ("percentile", "")]
    assert rows["seeds"].tolist() == [2, 2, 1, 1, 1]
    lot = rows.loc[("dpsgd", "lot 4")]
    assert (lot["dice"], lot["dice_min"], lot["dice_max"]) == pytest.approx((0.5, 0.4, 0.6))
    assert lot["challenge_dice"] == pytest.approx(0.25)
    assert lot["epsilon"] == 8.2
    assert math.isnan(rows.loc[("none", ""), "epsilon"])


def test_the_table_tells_spread_and_budget() -> None:
    lines = study.markdown(study.pooled(pd.DataFrame(RUNS))).splitlines()
    cells = [[cell.strip() for cell in line.split("|")[1:-1]] for line in lines]
    assert {len(row) for row in cells} == {9}
    assert cells[2][:6] == ["none", "none", "none", "-", "-", "-"]
    assert cells[2][6:] == ["0.700 (0.600 to 0.800)", "0.350 (0.300 to 0.400)", "2"]
    assert cells[4] == ["dpsgd", "patient", "formal", "lot 8", "50", "1e-05", "0.700", "0.350", "1"]
    assert cells[5][4] == "4e+07"


def test_numbers_that_are_not_there_are_null_in_json() -> None:
    rows = study.plain(study.pooled(pd.DataFrame(RUNS)))
    assert rows[0]["epsilon"] is None
    assert rows[1]["dice"] == pytest.approx(0.5)


# ---- the figure


def test_a_row_is_a_point_where_it_has_an_epsilon_and_else_a_band() -> None:
    beyond = run_row("gaussian", 0, math.inf, 0.2)
    points, bands = study.placed(study.pooled(pd.DataFrame([*RUNS, beyond])))
    assert points["epsilon"].tolist() == [8.2, 50.0, 4e7]
    assert bands["mechanism"].tolist() == ["none", "percentile", "gaussian"]


def test_the_axis_holds_all_points_and_the_border() -> None:
    assert study.limits([]) == (1.0, 100.0)
    assert study.limits([8.0, 4e7]) == (1.0, 1e8)
    assert study.limits([1.0, 50.0]) == (0.1, 100.0)
    assert study.limits([5e-3]) == (1e-3, 100.0)


def test_markers_tell_unit_and_guarantee_and_the_legend_names_each_mechanism_once() -> None:
    rows = study.pooled(pd.DataFrame(RUNS))
    colours = dict.fromkeys(rows["mechanism"], "C0")
    handles = {str(line.get_label()): line for line in study._legend(rows, colours)}
    assert list(handles) == [
        *("dpsgd: formal, unit: patient", "svt: heuristic, unit: site's update", "none: no protection"),
        "percentile: heuristic, unit: site's update, no epsilon",
    ]
    dpsgd, svt, none, percentile = handles.values()
    assert (dpsgd.get_marker(), svt.get_marker()) == ("o", "s")
    assert (dpsgd.get_markerfacecolor(), svt.get_markerfacecolor()) == ("C0", "white")
    assert (none.get_linestyle(), percentile.get_linestyle()) == ("-", "--")


@pytest.mark.parametrize("rows", [RUNS, RUNS[:1], RUNS[1:2]], ids=["all", "bands alone", "points alone"])
def test_the_figure_is_drawn(rows: list[dict[str, Any]], tmp_path: Path) -> None:
    study.draw(study.pooled(pd.DataFrame(rows)), "phantoms", tmp_path / "figure.png")
    assert (tmp_path / "figure.png").read_bytes().startswith(b"\x89PNG")


# ---- finished runs


def test_finished_runs_become_a_table_and_a_figure(
    make_run: MakeRun, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    budget = ledger("patient", "formal", entry("site-1", 1, 7.0), entry("site-2", 1, 6.0))
    runs = [make_run("--seed", "0"), make_run("--seed", "1"), make_run("--enable_dp", ledger=budget)]
    arguments = ["--out", str(tmp_path / "new" / "found"), "--runs", *(str(run.path) for run in runs)]
    assert study.main(arguments) == 0
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


def test_runs_on_other_data_or_another_task_are_refused(
    make_run: MakeRun, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first, other = make_run(), make_run("--dataset_base_dir", str(tmp_path))
    with pytest.raises(
        InputError, match=r"run-002 has another dataset than .*run-001 .*; give runs of one task on the same data"
    ):
        study.read_runs([first, other])
    other = make_run()
    other.write_json("dataset_splits", {"site-1": {"training": ["a"], "validation": ["v"]}})
    with pytest.raises(InputError, match="run-003 has other cases than"):
        study.read_runs([first, other])
    names = iter(["brats18", "lungs"])
    monkeypatch.setattr(type(first.experiment().task), "name", property(lambda self: next(names)))
    with pytest.raises(InputError, match=r"another task than .* \(brats18, not lungs\)"):
        study.refuse_other(first, first)


def test_a_run_that_comes_twice_or_has_not_ended_is_refused(make_run: MakeRun, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(study, "scores", lambda run: {"dice": 0.5, "challenge_dice": 0.5})
    with pytest.raises(InputError, match="run-001 and run-002 are the same experiment with the same seed"):
        study.read_runs([make_run(), make_run()])
    run = make_run()
    run.write_status("running")
    with pytest.raises(InputError, match="run-003 is no finished run"):
        study.read_runs([run])


# ---- the study itself

TINY = ["--sites", "2", "--cases", "1", "--validation", "1", "--size", "32", "32", "32", "--roi_size", "24", "24", "24"]
TINY += ["--infer_roi_size", "32", "32", "32", "--rounds", "1", "--epochs", "1", "--seeds", "1", "--rows", "none"]


def test_a_study_runs_and_does_not_run_again_what_has_been_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    arguments = [*TINY, "--artifacts", str(tmp_path / "my runs"), "--out", str(tmp_path / "found")]
    assert study.main(arguments) == 0, capsys.readouterr().err
    first = (tmp_path / "found.json").read_text()
    assert "none-seed0-001" in first
    assert "phantoms, 2 sites with 1 training cases each" in capsys.readouterr().out
    monkeypatch.setattr(study, "launch", None)
    assert study.main(arguments) == 0
    again = json.loads((tmp_path / "found.json").read_text())
    assert again["runs"] == json.loads(first)["runs"]


def test_only_a_finished_run_of_the_same_settings_counts_as_run(small_experiment: Make, tmp_path: Path) -> None:
    experiment = small_experiment("--job_name", "none-seed0")
    assert study.finished(tmp_path, experiment) is None
    runs = [RunFolder.create(tmp_path, "none-seed0") for _ in range(3)]
    runs[0].write_experiment(experiment)
    runs[0].write_status("finished")
    runs[1].write_experiment(small_experiment("--job_name", "none-seed0", "--seed", "1"))
    runs[1].write_status("finished")
    runs[2].write_experiment(experiment)
    runs[2].write_status("failed")
    found = study.finished(tmp_path, small_experiment("--job_name", "none-seed0", "--cache_dataset", "1"))
    assert found is not None
    assert found.name == "none-seed0-001"
    assert study.finished(tmp_path, small_experiment("--job_name", "none-seed0", "--learning_rate", "1")) is None


def test_all_rows_of_the_built_in_grid_differ_in_more_than_their_names(tmp_path: Path) -> None:
    assert len({*study.GRID.values()}) == len(study.GRID)
    args = study.read_arguments(["--seeds", "2"])
    planned = study.plan({name: study.GRID[name] for name in ("none", "svt")}, tmp_path, args)
    assert [each.experiment.job_name for each in planned] == ["none-seed0", "svt-seed0", "none-seed1", "svt-seed1"]
    assert [each.experiment.training.seed for each in planned] == [0, 0, 1, 1]


def test_a_rows_options_come_before_those_of_the_study(tmp_path: Path) -> None:
    row = study.planned("lots", "--batch_size 4 --num_rounds 3", 5, tmp_path, study.read_arguments([]))
    assert (row.experiment.training.batch_size, row.experiment.training.num_rounds) == (4, 3)
    assert row.experiment.training.seed == 5
    assert read_experiment(row.arguments) == row.experiment


@pytest.mark.parametrize(("code", "error"), [("sys.exit(2)", InputError), ("sys.exit(1)", RunFailed)])
def test_a_run_that_fails_is_told_with_its_last_words(
    code: str, error: type[Exception], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    last_words = "print('begin', flush=True)\nprint('no luck', file=sys.stderr)"
    (tmp_path / "job.py").write_text(f"import sys\n{last_words}\n{code}\n")
    monkeypatch.setattr(study, "HERE", tmp_path / "result_stat")
    row = study.planned("none", "", 0, tmp_path, study.read_arguments([]))
    with pytest.raises(error, match=r"none-seed0 ended with exit code \d \(no luck\); its output is in"):
        study.launch(row, tmp_path)


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
    assert study.main([*arguments, "--out", str(place / "found")]) == 2
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
