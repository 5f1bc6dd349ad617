"""The scripts after the run, started as a user does, on run folders made here."""

import json
import shutil
import subprocess
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from types import ModuleType

import pandas as pd
import pytest
import torch
from torch.utils.tensorboard import SummaryWriter

from fedmed.algorithms.ditto import Ditto
from fedmed.algorithms.local import Local
from fedmed.core import machine
from fedmed.core.cli import run_script
from fedmed.core.weights import save_weights
from fedmed.experiment import Experiment
from fedmed.runs.run_folder import RunFolder
from result_stat import evaluate, plot_tensorboard_events, report

ROOT = Path(__file__).resolve().parents[1]


@pytest.fixture
def artifacts(small_experiment: Callable[..., Experiment], tmp_path: Path) -> Path:
    """Two runs with random weights and three rounds of events, in a folder with a space in its name."""
    place = tmp_path / "all runs"
    for seed in range(2):
        run = RunFolder.create(place, "run")
        experiment = small_experiment("--seed", str(seed))
        run.write_experiment(experiment)
        run.write_status("finished")
        torch.manual_seed(seed)
        save_weights(experiment.task.build_model().state_dict(), run.path / "best_global_model.pt")
        with SummaryWriter(str(run.path / "tb_events" / "site-1")) as writer:
            for step in range(3):
                writer.add_scalar("val_dice", 0.1 * step, step)
    return place


def test_every_run_is_scored_and_its_cases_are_kept(artifacts: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run_script(evaluate.main, ["--artifacts", str(artifacts)]) == 0
    printed = capsys.readouterr().out
    for run in ("run-001", "run-002"):
        folder = artifacts / run / "evaluation" / "best-validation"
        cases = pd.read_csv(folder / "cases.csv")
        assert list(cases.columns) == ["run", "site", "case", "target", "quantity", "value"]
        assert set(cases["target"]) == {"TC", "WT", "ET"}
        overall = cases[cases["quantity"] == "dice"]["value"].mean()
        assert f"{overall:.4f}" in printed
        table = pd.read_csv(folder / "table.csv").set_index(["site", "target", "metric"])
        assert table.loc[("pooled", "overall", "dice"), "value"] == pytest.approx(overall)
        about = json.loads((folder / "evaluation.json").read_text())
        assert (about["run"], about["model"], about["split"]) == (run, "best", "validation")
        assert set(about["patients"]) == set(cases["case"]) == set(about["truth_sha256"])


def test_what_was_scored_is_kept_until_it_is_forced(artifacts: Path) -> None:
    run = artifacts / "run-001"
    assert run_script(evaluate.main, [str(run)]) == 0
    numbers = run / "evaluation" / "best-validation" / "cases.csv"
    numbers.write_text(numbers.read_text().replace("TC", "tc"))
    assert run_script(evaluate.main, [str(run)]) == 0
    assert ",tc," in numbers.read_text()
    assert run_script(evaluate.main, [str(run), "--flips"]) == 2  # of other settings, so it is refused
    assert ",tc," in numbers.read_text()
    assert run_script(evaluate.main, [str(run), "--force"]) == 0
    assert ",tc," not in numbers.read_text()


def test_a_checkpoint_of_others_is_scored_on_the_lists_that_are_named(
    artifacts: Path, phantom: Path, tmp_path: Path
) -> None:
    """As the published code leaves it: FLARE's best_FL_global_model.pt, in a folder of its own."""
    weights = torch.load(artifacts / "run-001" / "best_global_model.pt", weights_only=True)
    (tmp_path / "theirs").mkdir()
    torch.save({**weights, "train_conf": {"train": {"model": "SegResNet"}}}, tmp_path / "theirs" / "best_FL.pt")
    lists = ["--dataset_base_dir", str(phantom), "--datalist", str(phantom / "datalist")]
    assert run_script(evaluate.main, [str(tmp_path / "theirs" / "best_FL.pt"), *lists]) == 0
    cases = pd.read_csv(tmp_path / "theirs" / "evaluation" / "best_FL-validation" / "cases.csv")
    assert cases["case"].nunique() == 2


def test_models_of_the_sites_are_scored_each_on_its_own_cases(artifacts: Path) -> None:
    run = RunFolder(artifacts / "run-001")
    for site in ("site-1", "site-2"):
        (run.path / "sites" / site).mkdir(parents=True)
        shutil.copy(run.path / "best_global_model.pt", run.path / "sites" / site / "best_local_model.pt")
    (run.path / "best_global_model.pt").unlink()
    run.write_experiment(replace(run.experiment(), algorithm=Local()))
    assert run_script(evaluate.main, [str(run.path)]) == 0
    cases = pd.read_csv(run.path / "evaluation" / "best-validation" / "cases.csv")
    assert cases.groupby("site")["case"].nunique().to_dict() == {"site-1": 2, "site-2": 2}


def test_personal_models_are_scored_beside_the_global_one_each_on_its_sites_cases(artifacts: Path) -> None:
    run, other = RunFolder(artifacts / "run-001"), RunFolder(artifacts / "run-002")
    for site, source in (("site-1", run), ("site-2", other)):
        (run.path / "sites" / site).mkdir(parents=True)
        shutil.copy(source.path / "best_global_model.pt", run.path / "sites" / site / "best_local_model.pt")
    run.write_experiment(replace(run.experiment(), algorithm=Ditto()))
    for model in ("own", "best"):
        assert run_script(evaluate.main, [str(run.path), "--model", model]) == 0
    folder = run.path / "evaluation" / "own-validation"
    cases = pd.read_csv(folder / "cases.csv")
    dice = cases[cases["quantity"] == "dice"].groupby("site")["value"].mean()
    assert cases.groupby("site")["case"].nunique().to_dict() == {"site-1": 2, "site-2": 2}
    table = pd.read_csv(folder / "table.csv").set_index(["site", "target", "metric"])["value"]
    assert table["pooled", "overall", "dice"] == pytest.approx(dice.mean())  # the rows of both
    globally = pd.read_csv(run.path / "evaluation" / "best-validation" / "table.csv")
    of_global = globally.set_index(["site", "target", "metric"])["value"]["pooled", "overall", "dice"]
    assert of_global == pytest.approx(dice["site-1"])  # whose personal model is a copy of it
    assert dice["site-2"] != pytest.approx(dice["site-1"])
    assert run_script(evaluate.main, [str(other.path), "--model", "own"]) == 2  # of FedAvg, which has none


def test_the_shell_script_hands_its_arguments_to_evaluate(tmp_path: Path) -> None:
    """By the project's own interpreter where there is one, from any folder."""
    place = tmp_path / "the project"
    for folder in (place / "result_stat", place / ".venv" / "bin"):
        folder.mkdir(parents=True)
    shutil.copy(ROOT / "result_stat" / "testing_models_3d.sh", place / "result_stat")
    own = place / ".venv" / "bin" / "python"
    own.write_text("#!/bin/sh\necho own\nprintf '%s\\n' \"$@\"\n")
    own.chmod(0o755)
    command = ["bash", str(place / "result_stat" / "testing_models_3d.sh"), "run 1", "--model", "last"]
    done = subprocess.run(command, capture_output=True, text=True, cwd=tmp_path, check=True)
    first, script, *arguments = done.stdout.splitlines()
    assert (first, Path(script), arguments) == ("own", place / "result_stat" / "evaluate.py", command[2:])
    own.unlink()
    (place / "result_stat" / "evaluate.py").write_text("print('found')")
    assert subprocess.run(command, capture_output=True, text=True, cwd=tmp_path, check=True).stdout == "found\n"


def test_curves_are_drawn_without_a_screen_and_kept(artifacts: Path) -> None:
    assert curves("--artifacts", artifacts) == 0
    drawn = (artifacts / "curves.png").read_bytes()
    assert drawn.startswith(b"\x89PNG")
    other = artifacts / "other.png"
    refusals: list[list[object]] = [[], ["--out", artifacts], ["--out", artifacts / "curves.pdf"]]
    for arguments in [*refusals, ["/nowhere", "--out", other], [artifacts, "--out", other]]:
        assert curves("--artifacts", artifacts, *arguments) == 2
    assert (artifacts / "curves.png").read_bytes() == drawn
    assert curves("--artifacts", artifacts, "--smooth", "0", "--force") == 0
    assert (artifacts / "curves.png").read_bytes() != drawn


def curves(*arguments: object) -> int:
    """The script in this process, which is quicker."""
    return run_script(plot_tensorboard_events.main, [str(argument) for argument in arguments])


def test_the_picture_names_seeds_and_says_that_sites_scored_different_cases(artifacts: Path) -> None:
    for number in (1, 2):
        run = RunFolder(artifacts / f"run-00{number}")
        run.write_json("dataset_splits", {"site-1": {"training": [], "validation": ["a", "b"]}})
        run.write_json("training_history", [{"round": 1, "site": "site-1", "val_cases": 1}])
    out = artifacts / "new folder" / "runs.svg"
    assert curves("--artifacts", artifacts, "--sites", "--out", out) == 0
    words = " ".join(out.read_text().split())
    assert "fedavg, no privacy (2 seeds)" in words
    assert "run-001, run-002 scored different cases" in words.replace("--> <!-- ", "")


def test_every_point_becomes_a_row_of_the_table(artifacts: Path) -> None:
    out = artifacts / "curves.csv"
    assert curves(artifacts / "run-001", artifacts / "run-001", artifacts / "run-002", "--out", out) == 0
    table = pd.read_csv(out)
    assert list(table.columns) == ["run", "site", "tag", "step", "value", "smoothed"]
    assert table.groupby("run").size().to_dict() == {"run-001": 3, "run-002": 3}
    assert table["smoothed"].tolist() == pytest.approx([0, 0.02, 0.056] * 2)  # 0.8 of the last, 0.2 of 0, 0.1, 0.2


def test_what_is_missing_or_damaged_is_told(artifacts: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with SummaryWriter(str(artifacts / "theirs" / "site-1")) as writer:
        writer.add_scalar("loss", 0.5, 1)
    (events,) = (artifacts / "run-002" / "tb_events" / "site-1").iterdir()
    events.write_bytes(events.read_bytes()[:-1])
    runs = [artifacts / name for name in ("run-001", "run-002", "theirs")]
    assert curves(*runs, "--tag", "all", "--out", artifacts / "all.png") == 0
    warnings = capsys.readouterr().err.splitlines()
    assert all(line.startswith("warning: ") for line in warnings)
    for words in ("cut off", "theirs has no val_dice", "run-001 has no loss", "run-001 at 2, run-002 at 1"):
        assert sum(words in line for line in warnings) == 1


@pytest.mark.parametrize(
    ("script", "arguments", "words"),
    [
        (evaluate, ["--artifacts", "/nowhere"], "no run with a model"),
        (evaluate, ["/nowhere"], "no experiment.json"),
        (evaluate, ["--nonsense"], "--nonsense"),
        (plot_tensorboard_events, ["--artifacts", "/nowhere"], "no run with tb_events"),
        (report, ["/nowhere"], "no experiment.json"),
        (report, ["/nowhere", "--out", "/nowhere/page.pdf"], "ends in .html"),
    ],
)
def test_bad_input_ends_with_one_sentence_and_code_2(
    script: ModuleType, arguments: list[str], words: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run_script(script.main, arguments) == 2
    told = capsys.readouterr().err
    assert told.startswith("error: ")
    assert told.count("\n") == 1
    assert words in told


@pytest.mark.parametrize(
    ("script", "arguments", "words"),
    [
        (report, ["--pictures", "-1"], "--pictures is -1; expected a whole number from 0 to 100"),
        (report, ["--pictures", "9" * 20], "expected a whole number from 0 to 100"),
        (report, ["--model", "/nowhere.pt"], "/nowhere.pt is not there"),
        (report, ["--dataset_base_dir", "/nowhere"], "/nowhere does not exist"),
        (report, ["--task", "brats18"], "--task is for files of weights"),
        (report, ["--out", "/proc/page.html"], "--out /proc cannot be written"),
        (evaluate, ["--task", "brats18"], "--task is for files of weights"),
        (evaluate, [".", "."], "is named twice; name it once"),
    ],
)
def test_what_would_do_nothing_or_be_ignored_is_refused(
    artifacts: Path, script: ModuleType, arguments: list[str], words: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run_script(script.main, [str(artifacts / "run-001"), *arguments][-2 if "." in arguments else 0 :]) == 2
    told = capsys.readouterr().err
    assert told.startswith("error: ")
    assert told.count("\n") == 1
    assert words in told
    assert not (artifacts / "run-001" / "report.html").exists()


def test_a_run_that_failed_early_has_a_page_that_says_so(
    small_experiment: Callable[..., Experiment], tmp_path: Path
) -> None:
    run = RunFolder.create(tmp_path, "run")
    run.write_experiment(small_experiment())
    run.write_status("failed", "the disk was full")
    run.write_json("environment", machine.describe())
    run.write_json("dataset_stats", {})
    assert run_script(report.main, [str(run.path)]) == 0
    page = (run.path / "report.html").read_text()
    assert "The run is failed: the disk was full" in page
    assert "The run was not scored" in page


def test_an_unknown_tag_is_answered_with_the_known_ones(artifacts: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert curves("--artifacts", artifacts, "--tag", "dice") == 2
    assert "val_dice" in capsys.readouterr().err


@pytest.mark.parametrize("model", ["best", "last", "/nowhere.pt"])
def test_a_run_without_the_model_is_refused(artifacts: Path, capsys: pytest.CaptureFixture[str], model: str) -> None:
    run = artifacts / "run-001"
    (run / "best_global_model.pt").unlink()
    assert run_script(evaluate.main, [str(run), "--model", model]) == 2
    assert "is not there (run-001 is finished)" in capsys.readouterr().err


def test_cases_that_are_gone_are_told_of(artifacts: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "empty").mkdir()
    assert run_script(evaluate.main, [str(artifacts / "run-001"), "--dataset_base_dir", str(tmp_path / "empty")]) == 2
    assert "site-1.json" in capsys.readouterr().err
    assert not (artifacts / "run-001" / "evaluation").exists()
