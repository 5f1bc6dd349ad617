"""The checks before a run: which data, which cache folder, and what each site has."""

import dataclasses
import json
from collections.abc import Callable
from pathlib import Path

import pytest

from fedmed.command_line import read_experiment
from fedmed.core.code_version import REPOSITORY
from fedmed.core.errors import InputError
from fedmed.experiment import Experiment
from fedmed.runs import preflight
from fedmed.runs.console import settings
from fedmed.tasks.brats18 import Brats18
from tests.toy.toy_task import add_testing


def with_cache(*arguments: str) -> Path | None:
    return preflight._with_cache(read_experiment(list(arguments))).data.cache_dir


def test_a_run_without_a_cache_folder_keeps_cases_beside_the_run_folders(phantom: Path, tmp_path: Path) -> None:
    data = ["--dataset_base_dir", str(phantom), "--datalist_json_path", str(phantom / "datalist")]
    assert with_cache(*data) == REPOSITORY / "artifacts" / "cache"
    assert with_cache(*data, "--artifacts", str(tmp_path)) == tmp_path / "cache"
    assert with_cache(*data, "--cache_dir", "/mine") == Path("/mine")
    assert with_cache(*data, "--cache_gb", "0") is None


def test_a_run_that_names_no_data_gets_its_tasks_demonstration_also_where_a_cache_folder_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made: list[Path] = []
    monkeypatch.setattr(preflight, "REPOSITORY", tmp_path)
    monkeypatch.setattr(Brats18, "demo_data", lambda self, folder: made.append(folder))
    for number, arguments in enumerate(([], ["--cache_dir", "/mine"]), start=1):
        found = preflight._with_demo_data(read_experiment(arguments)).data
        assert (found.dataset_base_dir, found.datalist_json_path) == (made[-1], made[-1] / "datalist")
        assert len(made) == number
    assert found.cache_dir == Path("/mine")


def test_a_dataset_that_is_named_is_taken(small_experiment: Callable[..., Experiment]) -> None:
    experiment = small_experiment()
    assert preflight._with_demo_data(experiment) is experiment


def test_what_a_run_gets_to_know_of_its_sites_is_found_before_it_starts(
    small_experiment: Callable[..., Experiment], capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    found = preflight.checked(small_experiment("--artifacts", str(tmp_path)), None)
    assert list(found.datalists) == list(found.summaries) == ["site-1", "site-2"]
    assert {facts["training"] for facts in found.summaries.values()} == {2}
    splits = preflight.splits_of(found.datalists)
    assert [len(splits[site]["training"]) for site in splits] == [2, 2]
    assert splits["site-1"]["validation"] == splits["site-2"]["validation"]  # they share these
    assert all(site in found.tables for site in splits)
    shown = capsys.readouterr().out
    assert all(f"{site}" in shown for site in splits)


def test_test_cases_and_classes_are_counted_by_split(
    toy_test_cases: Path, toy_experiment: Callable[..., Experiment], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    found = preflight.checked(toy_experiment("--artifacts", str(tmp_path / "runs")), None)
    splits = preflight.splits_of(found.datalists)
    assert {split: len(names) for split, names in splits["site-2"].items()} == {
        "training": 8,
        "validation": 6,
        "test": 4,
    }
    assert not set(splits["site-1"]["test"]) & set(splits["site-2"]["test"])
    facts = found.summaries["site-2"]
    assert facts["test"] == 4
    assert facts["class_distribution"] == {
        "training": {"flat": 4, "upright": 4},
        "validation": {"flat": 3, "upright": 3},
        "test": {"flat": 2, "upright": 2},
        "all": {"flat": 9, "upright": 9},
    }
    assert "8 training + 6 validation + 4 test cases" in capsys.readouterr().out
    screen = settings(found.experiment, found.summaries, "toy")
    assert "site-1 8+6+4, site-2 8+6+4 (training + validation + test cases)" in screen


@pytest.mark.parametrize("split", ["training", "validation"])
@pytest.mark.parametrize("site", ["site-1", "site-2"])
def test_a_test_case_that_some_site_trains_or_validates_on_ends_a_run_before_it_starts(
    toy_test_cases: Path, toy_experiment: Callable[..., Experiment], tmp_path: Path, split: str, site: str
) -> None:
    entry = json.loads((toy_test_cases / "datalist" / f"{site}.json").read_text())[split][-1]
    path = toy_test_cases / "datalist" / "site-1.json"
    add_testing(path, [entry])
    with pytest.raises(InputError, match=r"hold the same images|tests on"):
        preflight.checked(toy_experiment("--artifacts", str(tmp_path / "runs")), None)


def test_one_list_is_not_enough_for_two_sites(small_experiment: Callable[..., Experiment], phantom: Path) -> None:
    experiment = small_experiment("--datalist_json_path", str(phantom / "datalist" / "site-1.json"))
    with pytest.raises(InputError, match="is one file, but there are 2 sites; give a folder"):
        preflight.checked(experiment, None)


def test_where_the_data_are_the_sites_own_nothing_of_them_is_looked_at(
    small_experiment: Callable[..., Experiment], tmp_path: Path
) -> None:
    """The environment's own check of the machine comes all the same."""
    federated = read_experiment(["--env", "prod", "--startup_kit", str(tmp_path), "--num_rounds", "2"])
    with pytest.raises(InputError, match=r"holds no startup/fed_admin\.json"):
        preflight.checked(federated, None)
    named = dataclasses.replace(federated.environment, startup_kit=None)  # type: ignore[type-var]
    with pytest.raises(InputError, match="--startup_kit DIR"):
        preflight.checked(dataclasses.replace(federated, environment=named), None)


@pytest.mark.parametrize("privacy", ["gaussian", "dpsgd"])
def test_a_delta_that_publishing_a_patient_would_meet_ends_a_run_before_it_starts(
    privacy: str, small_experiment: Callable[..., Experiment], tmp_path: Path
) -> None:
    noise = ("--privacy", privacy, "--dp_noise_multiplier", "1", "--artifacts", str(tmp_path))
    with pytest.raises(InputError, match=r"--dp_delta 0\.5 is not below 1 / 2 patients of site-"):
        preflight.checked(small_experiment(*noise, "--dp_delta", "0.5"), None)
    preflight.checked(small_experiment(*noise, "--dp_delta", "0.4"), None)
    assert not list(tmp_path.glob("run*"))


def test_a_target_that_no_noise_meets_ends_a_run_before_any_site_is_asked() -> None:
    arguments = ["--env", "prod", "--privacy", "gaussian", "--dp_target_epsilon", "1e-9", "--startup_kit", "/no/kit"]
    with pytest.raises(InputError, match="No noise multiplier reaches --dp_target_epsilon 1e-09"):
        preflight.checked(read_experiment(arguments), None)


@pytest.mark.parametrize(
    ("noise", "slow"),
    [
        (("--dp_noise_multiplier", "1"), False),
        (("--dp_noise_multiplier", "1", "--dp_accountant", "prv"), True),
        (("--dp_target_epsilon", "8"), True),
    ],
)
def test_accounting_that_may_take_seconds_is_told(
    noise: tuple[str, ...],
    slow: bool,
    small_experiment: Callable[..., Experiment],
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    preflight.checked(small_experiment("--privacy", "gaussian", *noise, "--artifacts", str(tmp_path)), None)
    assert ("Accounting --privacy gaussian over all rounds" in capsys.readouterr().out) is slow
