"""A cross-validation through the real job.py: its runs are made once, and each patient is scored once."""

import json
from pathlib import Path

import pytest

from fedmed.core.cli import run_script
from fedmed.runs import study_runs
from result_stat import cross_validate
from tests.federations import here
from tests.toy.toy_task import make_toy, write_folds


def test_a_cross_validation_makes_its_runs_once_and_pools_their_test_cases(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    make_toy(tmp_path / "data", cases=6, validation=4, noise=20.0)
    place = write_folds(tmp_path / "data")
    monkeypatch.setattr(study_runs, "launch", here.launched)
    own = [str(place), "--artifacts", str(tmp_path / "runs"), "--name", "toy"]
    job = ["--task", "toy_task", "--dataset_base_dir", str(tmp_path / "data"), "--env", "pool", "--num_rounds", "2"]
    with here.plugins():
        assert run_script(cross_validate.main, [*own, "--", *job]) == 0
        first = capsys.readouterr()
        assert run_script(cross_validate.main, [*own, "--", *job]) == 0
    again = capsys.readouterr()
    assert "is there already" not in first.err
    assert all(f"toy-fold-{number}-001 is there already" in again.err for number in (1, 2))
    assert len(list((tmp_path / "runs").glob("*/experiment.json"))) == 2
    document = json.loads((tmp_path / "runs" / "toy.json").read_text())
    assert document["runs"] == {"fold-1": "toy-fold-1-001", "fold-2": "toy-fold-2-001"}
    rows = {(row["site"], row["target"], row["metric"]): row for row in document["table"]}
    pooled = rows["pooled", "overall", "accuracy"]
    assert (pooled["cases"], pooled["patients"]) == (12, 12)
    assert {site for site, _, _ in rows} == {"pooled", "site-1", "site-2"}
    text = (tmp_path / "runs" / "toy.md").read_text()
    assert "compare the scores of the folds' models with each other" in text
    assert (tmp_path / "runs" / "toy.png").read_bytes().startswith(b"\x89PNG")


def test_bad_input_ends_with_one_sentence_and_code_2(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run_script(cross_validate.main, [str(tmp_path), "--artifacts", str(tmp_path / "runs")]) == 2
    error = capsys.readouterr().err
    assert error.startswith("error: ")
    assert error.count("\n") == 1
    assert not (tmp_path / "runs").exists()
