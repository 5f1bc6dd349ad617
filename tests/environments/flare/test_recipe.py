"""The recipes: this project's controller and aggregator are the ones that the exported job names."""

import dataclasses
import json
from pathlib import Path
from typing import Any

import pytest

from fedmed.command_line import read_experiment
from fedmed.environments.flare.job_folder import export_job
from fedmed.experiment import new_run_id
from model import BratsSegResNet

HEARTBEAT = "fedmed.environments.flare.heartbeat.Heartbeat"


def exported(folder: Path, *arguments: str) -> tuple[dict[str, Any], dict[str, Any]]:
    """The server's and the clients' configuration of the job."""
    return configured(export_job(read_experiment(["--n_clients", "5", "--num_rounds", "7", *arguments]), folder))


def configured(path: Path) -> tuple[dict[str, Any], dict[str, Any]]:
    server, client = (
        json.loads((path / part / "config" / f"config_fed_{n}.json").read_text())
        for part, n in (("app_server", "server"), ("app_site", "client"))
    )
    return server, client


@pytest.mark.parametrize(
    ("arguments", "algorithm"),
    [
        ([], {"name": "fedavg"}),
        (["--fedproxloss_mu", "0.1"], {"name": "fedprox", "fedproxloss_mu": 0.1}),
        (["--fedproxloss_mu", "0"], {"name": "fedprox", "fedproxloss_mu": 0.0}),
    ],
    ids=["fedavg", "fedprox", "fedprox of mu 0"],
)
def test_the_job_runs_our_controller_with_our_aggregator(
    tmp_path: Path, arguments: list[str], algorithm: dict[str, Any]
) -> None:
    server, _ = exported(tmp_path, *arguments)
    (controller,) = server["workflows"]
    assert controller["path"] == "fedmed.environments.flare.controller.GuardedFedAvg"
    assert controller["args"]["num_clients"] == 5
    assert controller["args"]["num_rounds"] == 7
    assert controller["args"].get("fedprox_mu") is None  # the sites know it from the experiment
    assert controller["args"]["aggregator"]["path"] == "fedmed.environments.flare.aggregator.GuardedAggregator"
    aggregator = controller["args"]["aggregator"]["args"]
    assert (aggregator["algorithm"], aggregator["num_rounds"]) == (algorithm, 7)
    names = [name for kind in ("trainable", "statistics", "counters") for name in aggregator["entries"][kind]]
    assert sorted(names) == sorted(BratsSegResNet().state_dict())


def test_the_controller_chooses_the_best_model_and_no_selector_beside_it(tmp_path: Path) -> None:
    server, _ = exported(tmp_path)
    assert [part for part in server["components"] if "selector" in (part["id"] + part["path"]).lower()] == []
    assert server["workflows"][0]["args"]["key_metric"] == "val_dice"


def part_of(entry: dict[str, Any]) -> dict[str, Any]:
    """The only filter of an entry of the configuration."""
    (part,) = entry["filters"]
    return dict(part)


def test_sites_send_differences_through_the_mechanisms_filter(tmp_path: Path) -> None:
    _, client = exported(tmp_path, "--enable_dp", "--dp_gamma", "0.5")
    (entry,) = client["task_result_filters"]
    assert part_of(entry)["args"]["statistics"] == []  # the network has none
    assert set(entry["tasks"]) == {"train", "submit_model"}  # the latter would be the raw weights
    part = part_of(entry)
    assert part["path"] == "fedmed.environments.flare.privacy_filter.PrivacyFilter"
    assert part["args"]["mechanism"]["name"] == "svt"
    assert part["args"]["mechanism"]["dp_gamma"] == 0.5
    assert client["executors"][0]["executor"]["args"]["params_transfer_type"] == "DIFF"


def test_without_a_mechanism_nothing_is_filtered(tmp_path: Path) -> None:
    assert exported(tmp_path)[1]["task_result_filters"] == []


def test_the_cross_site_evaluation_follows_the_rounds_without_a_time_limit(tmp_path: Path) -> None:
    server, _ = exported(tmp_path, "--cross_site")
    rounds, cross_site = server["workflows"]
    assert rounds["path"] == "fedmed.environments.flare.controller.GuardedFedAvg"
    assert cross_site["path"].endswith("CrossSiteModelEval")
    assert (cross_site["args"]["submit_model_timeout"], cross_site["args"]["validation_timeout"]) == (0, 0)


@pytest.mark.parametrize(
    ("algorithm", "names"),
    [("fedavg", ["FL_global_model.pt", "best_FL_global_model.pt"]), ("local", [])],
)
def test_the_untrained_model_is_no_part_of_the_cross_site_evaluation(
    tmp_path: Path, algorithm: str, names: list[str]
) -> None:
    server, _ = exported(tmp_path, "--cross_site", "--algorithm", algorithm)
    used = server["workflows"][1]["args"]["model_locator_id"]
    (locator,) = [part for part in server["components"] if part["id"] == used]
    assert locator["path"] == "fedmed.environments.flare.cross_site_workflow.GlobalModels"
    assert locator["args"] == {"pt_persistor_id": "persistor", "names": names}


def test_sites_that_train_alone_share_no_validation(tmp_path: Path) -> None:
    (controller,) = exported(tmp_path, "--algorithm", "local")[0]["workflows"]
    assert controller["args"]["split_validation"] is False


def test_what_a_round_does_about_faults_reaches_the_server_and_the_sites(tmp_path: Path) -> None:
    name = new_run_id()
    options = ["--env", "prod", "--min_clients", "3", "--round_timeout", "60", "--site_silence", "30"]
    options += ["--max_update_ratio", "50", "--enable_dp", "--n_clients", "5"]
    path = export_job(dataclasses.replace(read_experiment(options), run_id=name), tmp_path)
    server, client = configured(path)
    (controller,) = server["workflows"]
    told = {key: controller["args"][key] for key in ("needed_updates", "round_timeout", "site_silence", "run_id")}
    assert told == {"needed_updates": 3, "round_timeout": 60, "site_silence": 30.0, "run_id": name}
    assert controller["args"]["aggregator"]["args"]["max_update_ratio"] == 50.0
    (heartbeat,) = [
        part for part in client["components"] if part["path"] == "fedmed.environments.flare.heartbeat.Heartbeat"
    ]
    assert heartbeat["args"] == {"every_s": 5.0, "spared": True}
    assert client["task_result_filters"][0]["filters"][0]["args"]["run_id"] == name
    meta = json.loads((path / "meta.json").read_text())
    assert (meta["min_clients"], meta["mandatory_clients"]) == (3, [])


def test_by_default_all_must_answer_and_none_is_spared(tmp_path: Path) -> None:
    server, client = exported(tmp_path)
    (controller,) = server["workflows"]
    assert controller["args"].get("needed_updates") is controller["args"].get("round_timeout") is None
    (heartbeat,) = [
        part for part in client["components"] if part["path"] == "fedmed.environments.flare.heartbeat.Heartbeat"
    ]
    assert heartbeat["args"]["spared"] is False
    (meta,) = [json.loads(path.read_text()) for path in tmp_path.rglob("meta.json")]
    assert (meta["min_clients"], len(meta["mandatory_clients"])) == (5, 5)


def test_sites_that_start_anew_each_round_are_never_lost(tmp_path: Path) -> None:
    server, _ = exported(tmp_path, "--threads", "1", "--allow_restart")
    assert server["workflows"][0]["args"].get("site_silence", 0) == 0  # FLARE leaves defaults out
