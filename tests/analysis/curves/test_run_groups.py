"""Which runs are repetitions of one experiment, and what a legend calls them."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from fedmed.analysis.curves.run_groups import group_runs
from fedmed.experiment import Experiment
from fedmed.runs.run_folder import RunFolder

Make = Callable[..., Experiment]


@pytest.fixture
def run(small_experiment: Make, tmp_path: Path) -> Callable[..., Path]:
    def make(*arguments: str, cases: tuple[str, ...] = ("a", "b")) -> Path:
        folder = RunFolder.create(tmp_path, "run")
        folder.write_experiment(small_experiment(*arguments))
        folder.write_json("dataset_splits", {"site-1": {"training": [], "validation": list(cases)}})
        return folder.path

    return make


def groups(*runs: Path) -> dict[str, tuple[str, ...]]:
    return {group.label: group.runs for group in group_runs({path.name: path for path in runs})}


def test_seeds_of_one_experiment_are_one_group_wherever_they_ran(run: Callable[..., Path], tmp_path: Path) -> None:
    first = run("--seed", "0")
    second = run("--seed", "1", "--job_name", "again", "--cache_dir", str(tmp_path), "--workspace", str(tmp_path))
    assert groups(first, second) == {"fedavg, no privacy (2 seeds)": ("run-001", "run-002")}


def test_groups_are_called_by_what_differs(run: Callable[..., Path]) -> None:
    plain = [run("--seed", str(seed)) for seed in (0, 1)]
    prox = [run("--seed", str(seed), "--fedproxloss_mu", "0.01") for seed in (0, 1)]
    private = run("--enable_dp")
    assert groups(*plain, *prox, private) == {
        "fedavg, no privacy (2 seeds)": ("run-001", "run-002"),
        "fedprox, no privacy, fedproxloss_mu 0.01 (2 seeds)": ("run-003", "run-004"),
        "run-005": ("run-005",),
    }


def test_a_seed_that_ran_twice_is_not_counted_twice(run: Callable[..., Path]) -> None:
    assert list(groups(run(), run(), run("--seed", "1"))) == ["fedavg, no privacy (3 runs of 2 seeds)"]


def test_runs_on_other_cases_are_apart(run: Callable[..., Path]) -> None:
    found = groups(run("--seed", "0"), run("--seed", "1"), run("--seed", "2", cases=("c",)))
    assert found == {"run-001 and 1 more (2 seeds)": ("run-001", "run-002"), "run-003": ("run-003",)}


def test_folders_without_an_experiment_stay_apart(tmp_path: Path) -> None:
    for name in ("theirs", "others"):
        (tmp_path / name).mkdir()
    assert groups(tmp_path / "theirs", tmp_path / "others") == {"theirs": ("theirs",), "others": ("others",)}


def test_settings_that_an_older_version_did_not_write_tell_runs_apart(run: Callable[..., Path]) -> None:
    new, old = run("--seed", "0"), run("--seed", "1")
    document = json.loads((old / "experiment.json").read_text())
    del document["training"]["validate_every"]
    (old / "experiment.json").write_text(json.dumps(document))
    assert len(groups(new, old)) == 2
