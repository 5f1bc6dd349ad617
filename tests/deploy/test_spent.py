"""The command that shows a hospital what its patients have spent: since when, by job, and no name of a patient."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from deploy import spent
from fedmed.core.cli import run_script
from fedmed.core.names import POLICY_VARIABLE, SITE_LEDGER_VARIABLE
from fedmed.experiment import Experiment
from fedmed.privacy.patient_spending import PatientSpending
from fedmed.privacy.site_wide_ledger import SiteWideLedger

NOISY = ("--privacy", "gaussian", "--dp_noise_multiplier", "8")


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The ledger's folder, which the environment names."""
    monkeypatch.setenv(SITE_LEDGER_VARIABLE, str(tmp_path / "ledger"))
    return tmp_path / "ledger"


def said(capsys: pytest.CaptureFixture[str], *arguments: str) -> str:
    assert run_script(spent.main, arguments) == 0
    return capsys.readouterr().out


def test_a_ledger_is_begun_once_and_shown(
    folder: Path, toy_experiment: Callable[..., Experiment], capsys: pytest.CaptureFixture[str]
) -> None:
    assert f"{folder}: an empty ledger" in said(capsys, "--begin")
    assert run_script(spent.main, ["--begin"]) == 2
    assert "never begun anew" in capsys.readouterr().err
    assert "0 jobs on 0 patients" in said(capsys, "--delta", "1e-3")
    ledger = SiteWideLedger(folder)
    people = {name: [f"image of {name}"] for name in ("Anna", "Bert", "Carl")}
    both = PatientSpending(ledger, toy_experiment(*NOISY), "north", "run-1", people)
    both.book(1)
    both.book(2)
    PatientSpending(ledger, toy_experiment(*NOISY), "north", "run-2", {"Anna": ["image of Anna"]}).book(1)
    PatientSpending(ledger, toy_experiment("--privacy", "svt"), "north", "run-3", {"Dora": []}).book(1)
    shown = said(capsys, "--delta", "1e-3")
    assert f"begun on {ledger.since}: 3 jobs on 4 patients" in shown
    lines = [line.split() for line in shown.splitlines()]
    rows = {line[0]: line for line in lines if line and line[0].startswith("run-")}
    assert [rows[name][1:5] for name in ("run-1", "run-2", "run-3")] == [
        ["north", "gaussian", "3", "2"],
        ["north", "gaussian", "1", "1"],
        ["north", "svt", "1", "1"],
    ]
    assert rows["run-1"][5] == ledger.since[:8] + rows["run-1"][5][8:]  # a day
    assert "no formal guarantee" in shown
    of_people = {float(line[1]): int(line[0]) for line in lines if len(line) == 2 and line[0].isdigit()}
    assert [of_people[epsilon] for epsilon in sorted(of_people)] == [1, 2, 1]  # Dora, Bert and Carl, Anna
    assert not any(name in shown for name in (*people, "Dora"))


def test_the_policys_delta_and_budget_are_shown(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    said(capsys, "--begin")
    (tmp_path / "policy.json").write_text(json.dumps({"max_epsilon": 8, "max_delta": 1e-4}))
    monkeypatch.setenv(POLICY_VARIABLE, str(tmp_path / "policy.json"))
    assert "The policy allows a patient epsilon 8 at delta 0.0001." in said(capsys)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ([], "PRIVACY_POLICY names no policy"),
        (["--delta", "1e-3"], "holds no ledger"),
        (["--delta", "2"], "2 is not above 0 and below 1"),
        (["--delta", "x"], "invalid share value"),
    ],
)
def test_what_cannot_be_shown_is_told_in_a_sentence(
    folder: Path, capsys: pytest.CaptureFixture[str], arguments: list[str], words: str
) -> None:
    assert run_script(spent.main, arguments) == 2
    error = capsys.readouterr().err
    assert words in error
    assert error.count("\n") == 1
    assert not folder.exists()


def test_without_a_ledger_the_variable_is_asked_for(capsys: pytest.CaptureFixture[str]) -> None:
    assert run_script(spent.main, ["--delta", "1e-3"]) == 2
    assert "SITE_LEDGER is not set" in capsys.readouterr().err
