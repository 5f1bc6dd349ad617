"""The recipe: the exported job names this project's controller with the whole plan, and little else."""

import dataclasses
import json
from pathlib import Path
from typing import Any

import pytest

from fedmed.command_line import read_experiment
from fedmed.core.entries import Entries
from fedmed.environments.flare.job_folder import export_job
from fedmed.experiment import new_run_id
from fedmed.server.plan import ServerPlan
from model import BratsSegResNet

CONTROLLER = "fedmed.environments.flare.controller.FederationController"
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
def test_the_job_runs_our_controller_with_the_plan(
    tmp_path: Path, arguments: list[str], algorithm: dict[str, Any]
) -> None:
    server, _ = exported(tmp_path, *arguments)
    (controller,) = server["workflows"]
    assert controller["path"] == CONTROLLER
    plan = controller["args"]["plan"]
    assert (plan["algorithm"], plan["rounds"], plan["key_metric"]) == (algorithm, 7, "val_dice")
    assert plan["sites"] == [f"site-{number}" for number in range(1, 6)]
    names = [name for kind in ("trainable", "statistics", "counters") for name in plan["entries"][kind]]
    assert sorted(names) == sorted(BratsSegResNet().state_dict())


def test_the_plan_survives_its_way_through_the_job(tmp_path: Path) -> None:
    arguments = [
        "--n_clients",
        "5",
        "--num_rounds",
        "7",
        "--sites_per_round",
        "2",
        "--validate_every",
        "3",
        "--seed",
        "4",
    ]
    arguments += ["--privacy", "gaussian", "--dp_noise_multiplier", "1", "--dp_max_epsilon", "50"]
    experiment = read_experiment([*arguments, "--min_clients", "2", "--round_timeout", "60"])
    server, _ = configured(export_job(experiment, tmp_path))
    plan = ServerPlan(**server["workflows"][0]["args"]["plan"])
    assert plan.plain() == ServerPlan.of(experiment, Entries.of(BratsSegResNet())).plain()
    assert (plan.sites_per_round, plan.validate_every, plan.seed) == (2, 3, 4)
    assert (plan.max_epsilon, plan.books, plan.delta) == (50.0, True, 1e-5)
    assert plan.figure_forms == experiment.task.figure_forms()


def test_neither_selector_nor_aggregator_of_flare_stands_beside_the_controller(tmp_path: Path) -> None:
    server, _ = exported(tmp_path)
    assert sorted(part["path"] for part in server["components"] if not part["path"].startswith("nvflare.")) == [
        "fedmed.environments.flare.curves_receiver.CurvesReceiver",
        "fedmed.environments.flare.first_weights.FirstWeights",
    ]
    told = str([part["id"] + part["path"] for part in server["components"]]).lower()
    assert "selector" not in told
    assert "aggregator" not in told


@pytest.mark.parametrize("privacy", [(), ("--enable_dp", "--dp_gamma", "0.5")], ids=["none", "svt"])
def test_no_filter_of_a_job_decides_what_leaves_a_site(tmp_path: Path, privacy: tuple[str, ...]) -> None:
    """The mechanism acts in the site's process, by the experiment that travels."""
    _, client = exported(tmp_path, *privacy)
    assert client["task_result_filters"] == client["task_data_filters"] == []
    (travelling,) = tmp_path.rglob("app_site/config/experiment.json")
    mechanism = json.loads(travelling.read_text())["privacy"]
    assert (mechanism["name"], mechanism.get("dp_gamma")) == (("svt", 0.5) if privacy else ("none", None))


def test_the_cross_site_evaluation_follows_the_rounds_without_a_time_limit(tmp_path: Path) -> None:
    server, _ = exported(tmp_path, "--cross_site")
    rounds, cross_site = server["workflows"]
    assert rounds["path"] == CONTROLLER
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
    assert controller["args"]["plan"]["split_validation"] is False


def test_what_a_round_does_about_faults_reaches_the_server_and_the_sites(tmp_path: Path) -> None:
    name = new_run_id()
    options = ["--env", "prod", "--min_clients", "3", "--round_timeout", "60", "--site_silence", "30"]
    options += ["--max_update_ratio", "50", "--max_weight_ratio", "20", "--enable_dp", "--n_clients", "5"]
    path = export_job(dataclasses.replace(read_experiment(options), run_id=name), tmp_path)
    server, client = configured(path)
    (controller,) = server["workflows"]
    plan = controller["args"]["plan"]
    assert (plan["min_clients"], plan["round_timeout"], plan["site_silence"]) == (3, 60, 30.0)
    assert (plan["max_update_ratio"], plan["max_weight_ratio"]) == (50.0, 20.0)
    assert controller["args"]["run_id"] == name
    (heartbeat,) = [part for part in client["components"] if part["path"] == HEARTBEAT]
    assert heartbeat["args"] == {"every_s": 5.0, "spared": True}
    meta = json.loads((path / "meta.json").read_text())
    assert (meta["min_clients"], meta["mandatory_clients"]) == (3, [])


def test_by_default_all_must_answer_and_none_is_spared(tmp_path: Path) -> None:
    server, client = exported(tmp_path)
    (controller,) = server["workflows"]
    assert controller["args"].get("needed_updates") is controller["args"].get("round_timeout") is None
    (heartbeat,) = [part for part in client["components"] if part["path"] == HEARTBEAT]
    assert heartbeat["args"]["spared"] is False
    (meta,) = [json.loads(path.read_text()) for path in tmp_path.rglob("meta.json")]
    assert (meta["min_clients"], len(meta["mandatory_clients"])) == (5, 5)


def test_sites_that_start_anew_each_round_are_never_lost(tmp_path: Path) -> None:
    server, _ = exported(tmp_path, "--threads", "1", "--allow_restart")
    assert server["workflows"][0]["args"]["plan"]["site_silence"] == 0
