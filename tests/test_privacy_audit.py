"""The privacy audit, started as a user does, on a run folder made here."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pandas as pd
import pytest
import torch

from fedmed.analysis.evaluation.trained_model import initial_network
from fedmed.core.cli import run_script
from fedmed.core.weights import save_weights
from fedmed.experiment import Experiment
from fedmed.privacy.ledger import Entry, Ledger
from fedmed.runs.run_folder import RunFolder
from fedmed.tasks.brats18 import Brats18
from model import BratsSegResNet
from result_stat import privacy_audit
from tests import scripts

LEDGER = Ledger(
    "run-001",
    {"name": "dpsgd", "unit": "patient", "guarantee": "formal"},
    [Entry(site, number, 0.5, 0.5 * number, 1.0, 1e-3) for site in ("site-1", "site-2") for number in (2, 1)],
)


@pytest.fixture
def run(small_experiment: Callable[..., Experiment], tmp_path: Path) -> RunFolder:
    """A finished run with random weights."""
    run = RunFolder.create(tmp_path / "all runs", "run")
    experiment = small_experiment()
    run.write_experiment(experiment)
    run.write_status("finished")
    torch.manual_seed(1)
    save_weights(experiment.task.build_model().state_dict(), run.path / "best_global_model.pt")
    return run


def small(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Brats18, "build_model", lambda self: BratsSegResNet(init_filters=8, blocks_down=(1, 1, 1, 1)))


@pytest.fixture
def small_run(monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest) -> RunFolder:
    small(monkeypatch)
    found: RunFolder = request.getfixturevalue("run")
    return found


def refused(capsys: pytest.CaptureFixture[str], *arguments: object) -> str:
    """The one sentence with which the script ends."""
    assert run_script(privacy_audit.main, [*map(str, arguments)]) == 2
    told = capsys.readouterr().err
    assert told.startswith("error: ")
    assert len(told.strip().splitlines()) == 1
    return told


def test_a_run_is_audited_and_leaves_numbers_cases_and_a_picture(run: RunFolder) -> None:
    place = scripts.ROOT / "result_stat"
    done = scripts.run(place / "privacy_audit.py", run.path, cwd=place)
    assert done.returncode == 0, done.stderr
    assert "no privacy was promised" in done.stdout
    assert "stays on this machine" in done.stdout
    document = json.loads((run.path / "privacy_audit.json").read_text())
    assert [each["attack"] for each in document["attacks"]] == ["loss", "dice", "calibrated loss"]
    assert all(each["members"] == 4 and each["others"] == 2 for each in document["attacks"])
    table = pd.read_csv(run.path / "privacy_audit.csv")
    assert list(table.columns) == ["sites", "case", "member", "loss", "dice", "reference_loss"]
    assert table["member"].sum() == 4
    assert not any(case in (run.path / "privacy_audit.json").read_text() for case in table["case"])
    assert (run.path / "privacy_audit.png").read_bytes().startswith(b"\x89PNG")


def test_the_ledger_stands_beside_the_table(small_run: RunFolder, capsys: pytest.CaptureFixture[str]) -> None:
    LEDGER.save(small_run.path / "privacy_ledger.json")
    assert run_script(privacy_audit.main, [str(small_run.path), "--out", str(small_run.path / "audit")]) == 0
    told = capsys.readouterr().out
    assert "promised by dpsgd (unit: patient): formal" in told
    assert "site-2, round 2: epsilon 1 at delta 0.001" in told
    assert "promised (1%)" in told
    assert (small_run.path / "audit" / "privacy_audit.png").is_file()


def test_a_heuristic_ledger_promises_no_number(small_run: RunFolder, capsys: pytest.CaptureFixture[str]) -> None:
    mechanism = {"name": "percentile", "unit": "site's update", "guarantee": "heuristic"}
    ledger = Ledger("run-001", mechanism, [Entry("site-1", 1, None, None, None, None)])
    ledger.save(small_run.path / "privacy_ledger.json")
    assert run_script(privacy_audit.main, [str(small_run.path)]) == 0
    told = capsys.readouterr().out
    assert "no epsilon, the mechanism is heuristic" in told
    assert "promised (1%)" not in told


def test_the_first_weights_are_the_jobs(small_run: RunFolder, tmp_path: Path) -> None:
    experiment = small_run.experiment()
    torch.manual_seed(experiment.training.seed)
    expected = experiment.task.build_model().state_dict()
    torch.manual_seed(99)
    found = initial_network(experiment).state_dict()
    assert all(torch.equal(expected[name], values) for name, values in found.items())


def test_another_run_can_be_the_reference(small_run: RunFolder) -> None:
    assert run_script(privacy_audit.main, [str(small_run.path), "--reference", str(small_run.path)]) == 0
    table = pd.read_csv(small_run.path / "privacy_audit.csv")
    pd.testing.assert_series_equal(table["loss"], table["reference_loss"], check_names=False)


def test_an_inversion_is_drawn_and_says_whether_it_failed(
    small_run: RunFolder, capsys: pytest.CaptureFixture[str]
) -> None:
    few = ["--inversion", "--inversion_size", "8", "--inversion_steps", "2"]
    assert run_script(privacy_audit.main, [str(small_run.path), *few]) == 0
    assert "which proves nothing about protection" in capsys.readouterr().out
    assert (small_run.path / "privacy_inversion.png").read_bytes().startswith(b"\x89PNG")
    document = json.loads((small_run.path / "privacy_audit.json").read_text())["inversion"]
    assert [each["observed"] for each in document["attempts"]] == ["gradient"] * 2 + ["adam_update"] * 2


def test_what_is_no_run_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    assert "no experiment.json" in refused(capsys, "/nowhere").replace("holds ", "")


def test_a_model_that_is_not_there_is_refused(small_run: RunFolder, capsys: pytest.CaptureFixture[str]) -> None:
    assert "last_global_model.pt is not there" in refused(capsys, small_run.path, "--model", "last")


def test_a_reference_of_another_network_is_refused(
    small_run: RunFolder, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    other = tmp_path / "other.pt"
    save_weights(BratsSegResNet(init_filters=8, blocks_down=(1, 1, 1, 1), out_channels=2).state_dict(), other)
    assert "weights of another network" in refused(capsys, small_run.path, "--reference", other)
    save_weights({"a": torch.zeros(1)}, other)
    assert "a is only in the file" in refused(capsys, small_run.path, "--reference", other)


def test_a_run_whose_cases_are_gone_is_refused(
    small_run: RunFolder, phantom: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert "does not exist" in refused(capsys, small_run.path, "--dataset_base_dir", tmp_path / "gone")
    copy = tmp_path / "copy"
    shutil.copytree(phantom, copy)
    next(copy.rglob("*_t2.nii.gz")).unlink()
    assert "_t2.nii.gz" in refused(capsys, small_run.path, "--dataset_base_dir", copy)


def test_a_ledger_that_is_none_is_refused(small_run: RunFolder, capsys: pytest.CaptureFixture[str]) -> None:
    small_run.write_json("privacy_ledger", {"entries": []})
    assert "no privacy ledger" in refused(capsys, small_run.path)


@pytest.mark.parametrize("arguments", [("--inversion_size", "0"), ("--inversion_steps", "0"), ("--seed", "-1")])
def test_values_out_of_range_are_refused(arguments: tuple[str, str], capsys: pytest.CaptureFixture[str]) -> None:
    assert arguments[0] in refused(capsys, "/nowhere", *arguments)


def test_a_crop_that_no_network_takes_is_refused(small_run: RunFolder, capsys: pytest.CaptureFixture[str]) -> None:
    told = refused(capsys, small_run.path, "--inversion", "--inversion_size", "12")
    assert "--inversion_size is 12; expected a number of at least 8 that 8 divides" in told
