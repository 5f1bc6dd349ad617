"""One run of job.py, started as the benchmarks and the study of privacy start theirs, serves both."""

import json
from pathlib import Path

import pytest

from benchmarks import round_time
from benchmarks.bare_loop import bare
from benchmarks.watched_run import Watched, watch
from fedmed.analysis.privacy_utility.utility_plan import PlannedRun, plan
from fedmed.command_line import read_experiment
from fedmed.core.cli import run_script
from result_stat import privacy_utility

TINY = ["--sites", "1", "--cases", "1", "--validation", "1", "--size", "32", "32", "32", "--roi_size", "24", "24", "24"]
TINY += ["--infer_roi_size", "32", "32", "32", "--rounds", "1", "--epochs", "1", "--seeds", "1", "--rows", "none"]


@pytest.fixture(scope="module")
def artifacts(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of the run, with a space in its name."""
    place = tmp_path_factory.mktemp("launched") / "my runs"
    place.mkdir()
    return place


@pytest.fixture(scope="module")
def planned(artifacts: Path) -> PlannedRun:
    """The only run of a tiny study, whose phantoms are made."""
    options = privacy_utility.options_of(privacy_utility.read_arguments(TINY))
    phantoms = artifacts / options.phantoms_name
    (run,) = plan({"none": "--privacy none"}, phantoms, options, read_experiment)
    assert options.make_phantoms(phantoms)
    return run


@pytest.fixture(scope="module")
def watched(planned: PlannedRun, artifacts: Path) -> Watched:
    return watch(planned.arguments, artifacts)


def test_a_watched_run_has_times_memory_and_scores(watched: Watched) -> None:
    assert len(watched.round_s) == 1
    assert watched.round_s[0] > 0
    assert watched.startup_s > 0
    assert watched.peak > 1e8
    assert len(watched.dice) == 2
    assert all(dice is not None and 0 <= dice <= 1 for dice in watched.dice)


def test_a_benchmark_leaves_its_numbers_and_figure(watched: Watched, planned: PlannedRun, tmp_path: Path) -> None:
    facts = round_time.facts(watched, bare(planned.experiment).round_s(steps=1, cases=1, at_once=1))
    args = round_time.read_arguments(["--ways", "ours"])
    round_time.write({"ours": round_time.pooled([facts])}, args, tmp_path / "found")
    found = json.loads((tmp_path / "found.json").read_text())["found"]["ours"]
    assert found["round_s"] > found["bare_round_s"] > 0
    assert found["dice"] == watched.dice
    assert (tmp_path / "found.png").read_bytes().startswith(b"\x89PNG")


def test_a_study_does_not_run_again_what_has_been_run(
    watched: Watched,
    artifacts: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setattr(privacy_utility, "JOB", tmp_path / "no job.py")
    arguments = [*TINY, "--artifacts", str(artifacts), "--out", str(tmp_path / "found")]
    assert run_script(privacy_utility.main, arguments) == 0
    shown = capsys.readouterr()
    assert "phantoms, 1 site with 1 training cases each" in shown.out
    assert "none-seed0-001 is there already" in shown.err
    document = json.loads((tmp_path / "found.json").read_text())
    assert document["runs"][0]["run"] == "none-seed0-001"
    assert document["runs"][0]["dice"] == pytest.approx(watched.dice[-1], abs=1e-4)
