"""The experiment: JSON out and in, nothing of the launching machine in what travels, and every value checked."""

import dataclasses
import json
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from fedmed.algorithms.fedprox import FedProx
from fedmed.command_line import read_experiment
from fedmed.core.errors import InputError
from fedmed.core.settings import Data, Faults, Performance, Training
from fedmed.environments.flare.job_folder import export_job
from fedmed.environments.sim import Sim
from fedmed.experiment import Experiment, new_run_id
from fedmed.privacy.dpsgd import DPSGD
from fedmed.privacy.svt import SVT
from fedmed.runs import preflight
from fedmed.runs.run_folder import RunFolder
from fedmed.site.local_training import LocalSite
from fedmed.tasks.brats18 import Brats18


def experiment(*arguments: str) -> Experiment:
    return read_experiment(list(arguments))


@pytest.mark.parametrize(
    "arguments",
    [
        "",
        "--n_clients 1 --precision bf16 --seed 7 --job_name my.run-2_b --crop_to_brain",
        "--roi_size 32 40 48 --infer_roi_size 64 64 64 --cache_dataset 0.5 --cache_gb 1.5 --cache_dir /c",
        "--privacy svt --dp_epsilon 0.01 --dp_fraction 0.8",
        "--algorithm fedprox --fedproxloss_mu 0.1",
        "--min_clients 2 --round_timeout 60 --site_silence 20.5 --max_update_ratio 0",
        "--threads 4 --gpu 0,0 --verbose --workspace /a/b --dataset_base_dir /data --datalist_json_path /lists",
    ],
)
def test_json_and_back_is_the_same_experiment(arguments: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("torch.cuda.device_count", lambda: 0)
    original = experiment(*arguments.split())
    assert Experiment.from_json(original.to_json()) == original


def test_the_travelling_copy_holds_no_path_of_this_machine() -> None:
    paths = ["--dataset_base_dir", "/xylophone/d", "--datalist_json_path", "/xylophone/l"]
    paths += ["--workspace", "/xylophone/w", "--artifacts", "/xylophone/a", "--cache_dir", "/xylophone/c"]
    original = experiment(*paths, "--num_rounds", "7", "--enable_dp")
    assert original.to_json().count("xylophone") >= 4
    text = original.to_json(travelling=True)
    assert "xylophone" not in text
    arrived = Experiment.from_json(text)
    for part in ("task", "algorithm", "privacy", "training", "performance", "job_name"):
        assert getattr(arrived, part) == getattr(original, part)
    assert arrived.data == Data()


@pytest.mark.parametrize(("folder", "limit", "kept"), [(True, 2.0, True), (True, 0.0, False), (False, 2.0, False)])
def test_a_machine_keeps_cases_on_disk_where_a_folder_and_a_size_are_named(
    tmp_path: Path, folder: bool, limit: float, kept: bool
) -> None:
    named = ["--cache_dir", str(tmp_path / "c")] if folder else []
    caching = experiment(*named, "--cache_gb", str(limit), "--cache_dataset", "0.25").caching()
    assert caching.share_in_memory == 0.25
    assert (caching.disk is not None) == (tmp_path / "c").exists() == kept
    if caching.disk:
        assert (caching.disk.folder, caching.disk.limit_bytes) == (tmp_path / "c", 2 * 10**9)


def test_a_site_adds_its_own_data() -> None:
    own = Data(Path("/mine"), Path("/lists"))
    original = experiment()
    assert original.with_data(own) == dataclasses.replace(original, data=own)


@pytest.mark.parametrize(
    ("cls", "name", "value"),
    [
        (Training, "n_clients", 0),
        (Training, "num_rounds", 0),
        (Training, "aggregation_epochs", 0),
        (Training, "batch_size", 0),
        (Training, "learning_rate", 0.0),
        (Training, "learning_rate", -1.0),
        (Training, "learning_rate", float("nan")),
        (Training, "learning_rate", float("inf")),
        (Training, "weight_decay", -1e-5),
        (Training, "seed", -1),
        (Performance, "cache_dataset", 1.5),
        (Performance, "cache_dataset", -0.5),
        (Performance, "cache_dataset", float("nan")),
        (Performance, "cache_gb", -1.0),
        (Performance, "cache_gb", float("nan")),
        (Performance, "cache_gb", float("inf")),
    ],
)
def test_a_value_out_of_range_is_refused_and_shown(cls: type, name: str, value: float) -> None:
    with pytest.raises(InputError) as caught:
        cls(**{name: value})
    assert f"--{name} is {value};" in str(caught.value)


def test_a_plateau_needs_scores_that_leave_the_sites() -> None:
    private = ("--privacy", "gaussian", "--dp_noise_multiplier", "1", "--schedule", "plateau")
    with pytest.raises(InputError, match="--schedule plateau follows the scores, and --privacy gaussian keeps them"):
        experiment(*private)
    assert experiment(*private, "--dp_release_metrics").training.schedule == "plateau"
    assert experiment("--enable_dp", "--schedule", "plateau").training.schedule == "plateau"


@pytest.mark.parametrize("name", ["my run", "a/b", "..", "../up", ".hidden", "-x", "", "a\n", "tschüß"])
def test_a_job_name_that_is_no_plain_folder_name_is_refused(name: str) -> None:
    with pytest.raises(InputError) as caught:
        dataclasses.replace(experiment(), job_name=name)
    assert f"--job_name is {name};" in str(caught.value)


def test_sites_are_numbered_and_a_single_one_is_central() -> None:
    assert Training(n_clients=3).sites == ("site-1", "site-2", "site-3")
    assert Training(n_clients=1).sites == ("site-All",)


def broken(change: str) -> str:
    document: dict[str, Any] = json.loads(experiment().to_json())
    if change == "plug-in without a name":
        del document["task"]["name"]
    elif change.startswith("no "):
        del document[change.removeprefix("no ")]
    elif change == "unknown plug-in":
        document["algorithm"]["name"] = "magic"
    elif change == "unknown option":
        document["training"]["nonsense"] = 1
    elif change == "value out of range":
        document["training"]["num_rounds"] = 0
    return json.dumps(document)


@pytest.mark.parametrize("text", ["", "{", "[]", "3", '"text"', "null", "{}"])
def test_a_file_that_is_no_json_object_is_refused(text: str) -> None:
    with pytest.raises(InputError):
        Experiment.from_json(text)


@pytest.mark.parametrize("section", ["task", "env", "training", "performance", "data", "job_name"])
def test_a_file_that_lacks_a_part_is_refused(section: str) -> None:
    with pytest.raises(InputError):
        Experiment.from_json(broken(f"no {section}"))


@pytest.mark.parametrize(
    ("change", "shown"),
    [
        ("unknown plug-in", "magic"),
        ("unknown option", "nonsense"),
        ("value out of range", "num_rounds is 0"),
        ("plug-in without a name", "name"),
    ],
)
def test_a_file_with_something_unknown_or_wrong_is_refused_by_name(change: str, shown: str) -> None:
    with pytest.raises(InputError, match=shown):
        Experiment.from_json(broken(change))


def test_data_are_resolved_where_they_are(tmp_path: Path) -> None:
    (tmp_path / "lists").mkdir()
    one = tmp_path / "lists" / "site-1.json"
    one.write_text("{}")
    assert Data(tmp_path, tmp_path / "lists").resolved() == (tmp_path, tmp_path / "lists")
    assert Data(tmp_path, one).resolved() == (tmp_path, one)


def test_data_that_are_not_named_are_asked_for_by_option_and_variable(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"--dataset_base_dir.*DATASET_ROOT"):
        Data(None, tmp_path).resolved()
    with pytest.raises(InputError, match=r"--datalist_json_path.*DATALIST_ROOT"):
        Data(tmp_path, None).resolved()


def test_data_that_do_not_exist_are_refused_by_path(tmp_path: Path) -> None:
    gone = tmp_path / "gone"
    for data in (Data(gone, tmp_path), Data(tmp_path, gone)):
        with pytest.raises(InputError, match=f"{gone} does not exist"):
            data.resolved()


def test_a_file_is_no_dataset_folder(tmp_path: Path) -> None:
    file = tmp_path / "images.zip"
    file.touch()
    with pytest.raises(InputError, match=f"{file} is a file"):
        Data(file, tmp_path).resolved()


def test_environment_variables_name_this_sites_data(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    assert Data.of_this_site() == Data()
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("DATASET_ROOT", "my data")
    monkeypatch.setenv("DATALIST_ROOT", "/lists")
    assert Data.of_this_site() == Data(tmp_path / "my data", Path("/lists"))


def test_an_empty_environment_variable_counts_as_none(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DATASET_ROOT", "")
    assert Data.of_this_site() == Data()


def test_a_file_of_an_earlier_version_that_knows_nothing_of_faults_still_opens() -> None:
    document = json.loads(experiment("--num_rounds", "7", "--min_clients", "1").to_json())
    del document["faults"], document["run_id"]
    found = Experiment.from_json(json.dumps(document))
    assert (found.faults, found.run_id, found.training.num_rounds) == (Faults(), None, 7)


EARLIER = """{
  "task": {"name": "brats18", "crop_to_brain": false, "foreground_crops": 0.0, "infer_roi_size": [240, 240, 160],
           "normalize": "volume", "roi_size": null, "windows": "fitted"},
  "algorithm": {"name": "fedprox", "fedproxloss_mu": 0.1},
  "privacy": {"name": "svt", "dp_epsilon": 0.001, "dp_fraction": 0.9, "dp_gamma": 0.0001, "dp_max_epsilon": null,
              "dp_noise_var": 1.0, "dp_send_diagnostics": false},
  "env": {"name": "sim", "allow_restart": false, "gpu": null, "threads": null, "verbose": false, "workspace": null},
  "training": {"aggregation_epochs": 1, "allow_overlap": false, "batch_size": 1, "cross_site": false,
               "learning_rate": 0.0001, "n_clients": 2, "num_rounds": 600, "precision": "auto", "seed": 3,
               "site_names": null, "validate_every": 1, "weight_decay": 1e-05},
  "performance": {"cache_dataset": 0.0, "cache_gb": 20.0, "cpu_threads": null, "freed_memory": "keep",
                  "memory_format": "auto", "num_workers": 0, "poll_s": 0.05, "sites_at_once": 1,
                  "validation": "split"},
  "data": {"cache_dir": null, "datalist_json_path": "/lists", "dataset_base_dir": "/data"},
  "faults": {"max_update_ratio": 100.0, "min_clients": null, "round_timeout": null, "site_silence": 120.0},
  "job_name": "run",
  "run_id": null
}"""
"""A file of the version in which sites took turns."""


def test_a_file_of_the_version_in_which_sites_took_turns_still_opens(tmp_path: Path) -> None:
    (tmp_path / "experiment.json").write_text(EARLIER)
    found = RunFolder.open(tmp_path).experiment()
    assert found.task == Brats18()
    assert (found.algorithm, found.privacy) == (FedProx(fedproxloss_mu=0.1), SVT())
    assert (found.training, found.performance) == (Training(n_clients=2, seed=3, num_rounds=600), Performance())
    assert found.data == Data(Path("/data"), Path("/lists"))
    assert "sites_at_once" not in found.to_json()
    assert Experiment.from_json(found.to_json()) == found


def test_what_was_retired_is_read_over_and_nothing_else_is() -> None:
    document = json.loads(EARLIER)
    document["performance"]["sites_at_twice"] = 1
    with pytest.raises(InputError, match="sites_at_twice"):
        Experiment.from_json(json.dumps(document))
    document = json.loads(EARLIER)
    document["training"]["sites_at_once"] = 1
    with pytest.raises(InputError, match="sites_at_once"):
        Experiment.from_json(json.dumps(document))


NOISE = ("--privacy", "dpsgd", "--dp_noise_multiplier", "1", "--dp_delta", "0.1")


def test_it_is_validated_once_at_the_launcher_and_once_at_a_site(
    small_experiment: Callable[..., Experiment], phantom: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A check may build a network of many millions of parameters, and each part's check is asked by the one of all."""
    checks = Counter[str]()

    def counted(cls: type, name: str) -> None:
        usual = getattr(cls, name)

        def call(self: Any, *arguments: Any) -> Any:
            checks[f"{cls.__name__}.{name}"] += 1
            return usual(self, *arguments)

        monkeypatch.setattr(cls, name, call)

    counted(Experiment, "__post_init__")
    counted(DPSGD, "check")
    counted(Sim, "check")
    counted(Brats18, "build_model")
    once = {"Experiment.__post_init__": 1, "DPSGD.check": 1, "Sim.check": 1, "Brats18.build_model": 1}
    described = preflight.checked(small_experiment(*NOISE, "--cache_dir", str(tmp_path / "cache")), None).experiment
    run = RunFolder.create(tmp_path, "run")
    run.write_experiment(described)
    described.named(new_run_id())
    assert checks == once
    (tmp_path / "job").mkdir()
    export_job(described, tmp_path / "job")  # it needs the first weights too
    assert checks == {**once, "Brats18.build_model": 2}
    checks.clear()
    text = next((tmp_path / "job").rglob("app_site/**/experiment.json")).read_text()
    arrived = Experiment.from_json(text).with_data(Data(phantom, phantom / "datalist"))
    assert checks == once
    monkeypatch.setenv("FEDMED_STATE", str(tmp_path / "state"))
    LocalSite(arrived, "site-1")  # and the network that is trained
    assert checks == {**once, "Brats18.build_model": 2}


def test_a_runs_name_travels_with_it_and_is_no_path() -> None:
    name = new_run_id()
    assert name != new_run_id()
    named = dataclasses.replace(experiment(), run_id=name)
    assert Experiment.from_json(named.to_json(travelling=True)).run_id == name
    document = json.loads(named.to_json())
    for wrong in ("", "../up", f"{name}/x", f"{name}\n", "0" * 32, 5, ["x"]):
        with pytest.raises(InputError, match="The run is called"):
            Experiment.from_json(json.dumps({**document, "run_id": wrong}))


@pytest.mark.parametrize("min_clients", [0, 3, "1"])
def test_faults_in_a_file_are_checked(min_clients: object) -> None:
    document = json.loads(experiment("--n_clients", "2").to_json())
    document["faults"]["min_clients"] = min_clients
    with pytest.raises(InputError, match="min_clients"):
        Experiment.from_json(json.dumps(document))
