"""A study through the real job.py: its runs are made once, one that fails does not stop it, one cut off goes on."""

import contextlib
import io
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import pytest

import job
from fedmed.analysis.evaluation.evaluation_folder import EvaluationFolder
from fedmed.core.cli import run_script
from fedmed.runs import study_runs
from result_stat import study
from tests.federations import here
from tests.toy.toy_task import make_toy

FAILED, STOPPED = 1, 130


class Ran(NamedTuple):
    """A run that was made in this process, as the queue looks at one that goes on in another."""

    returncode: int
    pid: int = 0

    def poll(self) -> int:
        return self.returncode

    def terminate(self) -> None: ...
    def wait(self) -> None: ...


class Launcher:
    """Makes runs in this process, in place of ``study_runs.begin``, which has tests of its own.

    ``broken`` fail without a run folder; ``stopped`` are stopped by Ctrl-C after their first round.
    """

    def __init__(self) -> None:
        self.broken: set[str] = set()
        self.stopped: set[str] = set()
        self.begun: dict[str, list[str]] = {}

    def __call__(
        self, name: str, arguments: Sequence[str], script: Path, artifacts: Path, variables: Mapping[str, str]
    ) -> Ran:
        self.begun[name] = list(arguments)
        log = io.StringIO()
        follower = Stop() if name in self.stopped else here.Follower()
        with contextlib.redirect_stdout(log), contextlib.redirect_stderr(log), here.followed(follower):
            code = FAILED if name in self.broken else run_script(job.main, list(arguments))
        study_runs.log_of(name, artifacts).write_text(log.getvalue() or "no luck\n")
        return Ran(code)


class Stop(here.Follower):
    def record(self, record: Mapping[str, Any]) -> None:
        if record["round"] == 0:
            raise KeyboardInterrupt


@pytest.fixture
def launcher(monkeypatch: pytest.MonkeyPatch) -> Launcher:
    found = Launcher()
    monkeypatch.setattr(study_runs, "begin", found)
    return found


@pytest.fixture
def written(tmp_path: Path) -> Path:
    """A study of two algorithms, two partitions and two seeds of the toy task."""
    make_toy(tmp_path / "data", cases=6, validation=4, noise=60.0, testing=6)
    swapped = tmp_path / "data" / "swapped"  # the sites' lists the other way round
    swapped.mkdir()
    for one, other in (("site-1", "site-2"), ("site-2", "site-1"), ("site-All", "site-All")):
        (swapped / f"{one}.json").write_bytes((tmp_path / "data" / "datalist" / f"{other}.json").read_bytes())
    document = {
        "name": "toy",
        "base": {"task": "toy_task", "dataset_base_dir": "data", "num_rounds": 2},
        "partitions": {
            "given": {"datalist_json_path": "data/datalist"},
            "swapped": {"datalist_json_path": "data/swapped"},
        },
        "algorithms": {"fedavg": {}, "local": {"algorithm": "local"}},
        "seeds": 2,
    }
    path = tmp_path / "study.json"
    path.write_text(json.dumps(document))
    return path


def studied(path: Path, *arguments: str) -> int:
    place = ["--artifacts", str(path.parent / "runs"), "--out", str(path.parent / "found"), "--workers", "1"]
    with here.plugins():
        return run_script(study.main, [str(path), *place, *arguments])


def auroc(run: Path, models: str) -> float:
    """The figure over all test cases by the run's evaluation; of own models the mean of the sites' figures."""
    table = EvaluationFolder(run / "evaluation" / ("best-test" + "-everywhere" * (models == "own"))).table()
    own = table[(table["metric"] == "auroc") & (table["target"] == "overall")]
    chosen = own["site"] != "pooled" if models == "own" else own["site"] == "pooled"
    return float(own[chosen]["value"].mean())


def test_a_study_makes_its_runs_once_and_leaves_its_page(
    written: Path, launcher: Launcher, capsys: pytest.CaptureFixture[str]
) -> None:
    launcher.broken, launcher.stopped = {"swapped-local-seed1"}, {"given-local-seed0"}
    assert studied(written) == FAILED
    shown = capsys.readouterr()
    assert len(launcher.begun) == 8
    lines = [line for line in shown.err.splitlines() if line.endswith("is finished") or line.startswith("failed: ")]
    assert len(lines) == 8 + 2  # one where a run ends, and the two failures at the end
    assert "of 8 done" not in shown.err  # no table, as there is no terminal
    log = written.parent / "runs" / "swapped-local-seed1.log"
    assert f"failed: swapped-local-seed1 ended with exit code 1 (no luck); its output is in {log}." in shown.err
    document = json.loads((written.parent / "found.json").read_text())
    assert set(document["failures"]) == {"swapped-local-seed1", "given-local-seed0"}
    assert len(document["runs"]) == 6

    launcher.begun, launcher.broken, launcher.stopped = {}, set(), set()
    assert studied(written) == 0
    begun = launcher.begun
    assert set(begun) == {"swapped-local-seed1", "given-local-seed0"}
    assert begun["given-local-seed0"][:2] == ["--resume", str(written.parent / "runs" / "given-local-seed0-001")]
    assert "--resume" not in begun["swapped-local-seed1"]
    document = json.loads((written.parent / "found.json").read_text())
    assert document["failures"] == {}
    assert document["ranks"]["blocks"] == 4
    assert document["study"]["name"] == "toy"
    assert document["machine"]["packages"]["torch"]
    runs = {(run["partition"], run["algorithm"], run["seed"]): run for run in document["runs"]}
    assert len(runs) == 8
    for run in runs.values():
        assert run["score"]["value"] == pytest.approx(auroc(written.parent / "runs" / run["run"], run["models"]))
        assert run["models"] == ("own" if run["algorithm"] == "local" else "global")
        assert set(run["own_site"]) == {"site-1", "site-2"}
        assert run["settings"]["training"]["seed"] == run["seed"]
        assert run["megabytes_sent"] > 0
    text = (written.parent / "found.md").read_text()
    assert "Partition given: AUROC on the test cases" in text
    assert "| local | each site's own |" in text
    assert (written.parent / "found.png").read_bytes().startswith(b"\x89PNG")
    page = (written.parent / "found.html").read_text()
    assert "data:image/png;base64" in page

    folder = EvaluationFolder(written.parent / "runs" / "given-local-seed1-001" / "evaluation" / "best-test-everywhere")
    pairs = folder.cases()[["site", "case"]].drop_duplicates()
    assert pairs.groupby("site")["case"].nunique().to_dict() == {"site-1": 12, "site-2": 12}  # of six each

    capsys.readouterr()
    assert studied(written, "--dry_run") == 0
    assert "8 runs, cells of the grid; 8 are there (#):" in capsys.readouterr().out


def test_the_grid_has_the_options_that_tuning_chose(written: Path, launcher: Launcher) -> None:
    document = json.loads(written.read_text())
    tries = [
        {"learning_rate": 1e-9},
        {"learning_rate": 0.05, "num_rounds": 3},
    ]  # the first one leaves the model as it was
    document |= {"partitions": {"given": document["partitions"]["given"]}, "algorithms": {"fedavg": {}}, "seeds": 1}
    written.write_text(json.dumps({**document, "tuning": {"tries": {"fedavg": tries}}}))
    launcher.broken = {"try1-given-fedavg-seed1"}
    assert studied(written) == FAILED
    assert list(launcher.begun) == ["try1-given-fedavg-seed1", "try2-given-fedavg-seed1", "given-fedavg-seed0"]
    found = json.loads((written.parent / "found.json").read_text())
    assert (found["tuning"]["fedavg"]["number"], found["tuning"]["fedavg"]["chosen"]) == (2, tries[1])
    assert found["tuning"]["fedavg"]["scores"][0] is None
    assert found["runs"][0]["settings"]["training"]["learning_rate"] == 0.05
    assert len(found["runs"][0]["validation"]) == 4
    assert list(found["failures"]) == ["try1-given-fedavg-seed1"]


def test_a_dry_run_shows_the_runs_and_makes_nothing(
    written: Path, launcher: Launcher, capsys: pytest.CaptureFixture[str]
) -> None:
    assert studied(written, "--dry_run") == 0
    shown = capsys.readouterr().out
    assert shown.splitlines() == [
        "8 runs, cells of the grid; 0 are there (#):",
        "         fedavg  local",
        "given    ..      ..",
        "swapped  ..      ..",
    ]
    assert (launcher.begun, (written.parent / "runs").exists()) == ({}, False)


@pytest.mark.parametrize(
    ("keys", "arguments", "words"),
    [
        ({"algorithms": {"fedavg": {"num_rounds": 0}}}, [], "algorithm fedavg: --num_rounds is 0"),
        ({"attack": {}}, [], 'did you mean "attacks"'),
        ({}, ["--workers", "0"], "--workers is 0; expected a whole number from 1"),
        ({}, ["--memory", "0"], "--memory is 0.0; expected a number from 0.1"),
    ],
)
def test_bad_input_ends_with_one_sentence_and_code_2(
    keys: dict[str, Any],
    arguments: list[str],
    words: str,
    written: Path,
    launcher: Launcher,
    capsys: pytest.CaptureFixture[str],
) -> None:
    written.write_text(json.dumps({**json.loads(written.read_text()), **keys}))
    assert studied(written, *arguments) == 2
    error = capsys.readouterr().err
    assert error.startswith("error: ")
    assert error.count("\n") == 1
    assert words in error
    assert (launcher.begun, (written.parent / "runs").exists()) == ({}, False)
