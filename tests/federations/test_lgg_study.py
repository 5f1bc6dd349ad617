"""The study of gliomas by institution through the real job.py, at the smallest size."""

import json
from pathlib import Path

import pytest

from benchmarks import lgg
from fedmed.core.cli import run_script
from fedmed.runs import study_runs
from tests.data.lgg.written_scans import write_set
from tests.federations import here


def test_the_study_makes_its_runs_once_and_scores_every_patient(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(study_runs, "launch", here.launched)
    tree, out = write_set(tmp_path / "set", {"CS": 7, "DU": 6, "EZ": 1}), tmp_path / "figs" / "study"
    own = [str(tree), "--work", str(tmp_path / "work"), "--folds", "2", "--hold_out", "DU", "--seeds", "1"]
    own += ["--ways", "local", "--out", str(out)]
    job = ["--preset", "demo", "--num_rounds", "1", "--aggregation_epochs", "1", "--env", "pool", "--batch_size", "4"]
    assert run_script(lgg.main, [*own, "--", *job]) == 0
    assert "is there already" not in capsys.readouterr().err
    document = json.loads(out.with_suffix(".json").read_text())
    names = {f"local-seed0-{lists}-001" for lists in ("fold-1", "fold-2", "without-DU")}
    assert set(document["runs"]) == names
    assert all(run["hours"] > 0 for run in document["runs"].values())
    patients = {part: [row for row in document["patients"] if row["part"] == part] for part in ("folds", "hold_out")}
    assert len(patients["folds"]) == len({row["patient"] for row in patients["folds"]}) == 14
    assert {row["institution"] for row in patients["hold_out"]} == {"DU"}
    assert [row["site"] for row in document["others_alone"]] == ["site-1"]
    assert out.with_suffix(".png").read_bytes().startswith(b"\x89PNG")
    assert run_script(lgg.main, [*own, "--", *job]) == 0
    again = capsys.readouterr()
    assert all(f"{name} is there already" in again.err for name in names)
    assert again.out.endswith(f"{out}.md, .json, .png\n")
