"""A pool ends with the bits of its sites answering the server one by one, however many workers there are.

That the simulator does too is tested with the simulator.
"""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
import pytest
import torch

from fedmed.command_line import read_experiment
from fedmed.core.names import BEST, BEST_OWN, LAST, LAST_OWN, LEDGER, RUN_VARIABLE, SITES, STATE_VARIABLE
from fedmed.core.weights import load_weights
from fedmed.environments.sim import MOST_SITES
from fedmed.environments.worker_pool.event_file import EventFile
from fedmed.experiment import Experiment
from fedmed.privacy.ledger import read_ledger
from fedmed.runs.run_folder import RunFolder
from fedmed.server.federation_server import FederationServer, ServerFiles
from fedmed.server.plan import ServerPlan
from fedmed.server.site_sample import drawn
from fedmed.site.local_training import LocalSite
from fedmed.site.site import Site
from fedmed.site.site_events import SiteEvents
from tests.federations import here
from tests.toy.toy_task import make_toy

NAMES = ("site-1", "site-2", "site-3", "site-4")
ROUNDS = 3


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Pictures of four sites, of which the last has fewer than the others."""
    data = tmp_path_factory.mktemp("toy") / "data"
    make_toy(data, sites=4, cases=6, noise=20.0)
    last = data / "datalist" / f"{NAMES[-1]}.json"
    lists = json.loads(last.read_text())
    last.write_text(json.dumps({**lists, "training": lists["training"][:4]}))
    return data


def of(data: Path, *options: object) -> list[object]:
    """The arguments of a pool of the four sites, two of them a worker."""
    lists = ("--dataset_base_dir", data, "--datalist_json_path", data / "datalist")
    return [*here.toys("--n_clients", len(NAMES), "--workers", 2, "--num_rounds", ROUNDS), *lists, *options]


class Outcome(NamedTuple):
    """All that two equal runs have in common."""

    models: Mapping[str, Mapping[str, torch.Tensor]]
    history: pd.DataFrame
    epochs: pd.DataFrame
    entries: Sequence[Mapping[str, Any]]


def outcome(run: RunFolder) -> Outcome:
    paths = [run.path / name for name in (BEST, LAST)]
    paths += [run.path / SITES / site / name for site in NAMES for name in (BEST_OWN, LAST_OWN)]
    models = {str(path.relative_to(run.path)): load_weights(path) for path in paths if path.is_file()}
    ledger = read_ledger(run.path / LEDGER)
    entries = [entry.travelling(True) for entry in ledger.entries]
    return Outcome(models, without_seconds(run.history()), run.epochs(), entries)


def without_seconds(history: pd.DataFrame) -> pd.DataFrame:
    return history[[name for name in history if not name.endswith("seconds")]]


def assert_same(one: Outcome, other: Outcome) -> None:
    assert one.models.keys() == other.models.keys()
    for name, weights in one.models.items():
        torch.testing.assert_close(other.models[name], weights, rtol=0, atol=0)
    pd.testing.assert_frame_equal(one.history, other.history, check_exact=True)
    pd.testing.assert_frame_equal(one.epochs, other.epochs, check_exact=True)
    assert one.entries == other.entries


def one_by_one(place: Path, arguments: Sequence[object]) -> Outcome:
    """The run of these arguments in this process, in which every site has a network of its own."""
    with here.plugins(), pytest.MonkeyPatch.context() as patch:
        patch.setenv(STATE_VARIABLE, str(place / SITES))
        patch.setenv(RUN_VARIABLE, "run-001")
        patch.setenv("DUPLICATES_KEY", "k" * 32)
        experiment = read_experiment([*map(str, arguments)])
        model = experiment.task.first_model(experiment.training.seed)
        plan = ServerPlan.of(experiment, experiment.algorithm.parts(model).shared)
        server = FederationServer(plan, ServerFiles(place, place / "server"), model.state_dict, 0.0)
        sites = {name: site_of(experiment, name, place) for name in experiment.training.sites}
        while question := server.next(sites, 0.0):
            for name in question.sites:
                server.take(name, sites[name].answer(question), 0.0)
            server.close(0.0)
    return folder_of(place, server)


def site_of(experiment: Experiment, name: str, place: Path) -> Site:
    return Site(LocalSite(experiment, name, "run-001"), SiteEvents(name, "run-001", EventFile(place / "events" / name)))


def folder_of(place: Path, server: FederationServer) -> Outcome:
    """What a run folder would hold."""
    records = server.checkpoints.records
    folder = RunFolder(place)
    lines = folder.path / "rounds.jsonl"
    assert lines.resolve() == records
    history, epochs = folder.history(), folder.epochs()
    paths: dict[str, Path] = {}
    if server.plan.algorithm["name"] != "local":
        paths = {BEST: place / "app_server" / "best_FL_global_model.pt", LAST: place / "app_server/FL_global_model.pt"}
    own = [Path(SITES, site, name) for site in NAMES for name in (BEST_OWN, LAST_OWN)]
    paths |= {str(path): place / path for path in own}
    models = {name: load_weights(path) for name, path in paths.items() if path.is_file()}
    entries = [entry for record in folder.records() for entry in record["privacy"].values()]
    return Outcome(models, without_seconds(history), epochs, entries)


NOISE = ("--dp_noise_multiplier", 0.5, "--insecure_seeded_noise", "--dp_release_metrics", "--dp_send_diagnostics")
COMBINATIONS: Mapping[str, tuple[object, ...]] = {
    "fedavg": ("--batch_norm",),
    "fedprox": ("--algorithm", "fedprox", "--aggregation_epochs", 2),
    "best epoch": ("--send", "best", "--aggregation_epochs", 3, "--batch_norm"),
    "local": ("--algorithm", "local", "--num_rounds", 6, "--schedule", "plateau", "--patience", 0),
    "toy_algorithm": ("--algorithm", "toy_algorithm", "--aggregation_epochs", 2),
    "ditto": ("--algorithm", "ditto", "--ditto_lambda", 0.5, "--batch_norm"),
    "percentile": ("--privacy", "percentile", "--percentile", 50, "--dp_send_diagnostics"),
    "exclude_vars": ("--privacy", "exclude_vars", "--exclude_vars", "layers.8", "--dp_send_diagnostics"),
    "gaussian": ("--privacy", "gaussian", *NOISE, "--dp_adaptive_clip"),
    "dpsgd": ("--privacy", "dpsgd", *NOISE, "--batch_size", 2),
    "every second": ("--validate_every", 2, "--seed", 5),
    "sampled": ("--sites_per_round", 2, "--algorithm", "toy_algorithm"),
}


@pytest.mark.parametrize("options", COMBINATIONS.values(), ids=COMBINATIONS)
def test_sites_that_pass_through_workers_end_with_the_bits_of_sites_of_their_own(
    data: Path, tmp_path: Path, options: tuple[object, ...]
) -> None:
    pooled = outcome(here.run(tmp_path / "pool", *of(data, *options)).well())
    assert pooled.models
    assert_same(pooled, one_by_one(tmp_path / "alone", of(data, *options)))


@pytest.mark.parametrize(
    "options", [("--workers", 1), ("--workers", 4), ("--state_gb", 0), ("--freed_memory", "return")]
)
def test_workers_and_their_memory_change_no_bit(data: Path, tmp_path: Path, options: tuple[object, ...]) -> None:
    """With as many threads, as sums over other parts are rounded otherwise."""
    usual = of(data, "--algorithm", "toy_algorithm", "--cpu_threads", 1)
    one, other = (here.run(tmp_path / str(n), *usual, *more) for n, more in enumerate(((), options)))
    assert_same(outcome(one.well()), outcome(other.well()))


def test_the_noise_of_svt_is_new_in_each_run_and_its_ledger_the_same(data: Path, tmp_path: Path) -> None:
    options = of(data, "--enable_dp", "--num_rounds", 2)
    one = outcome(here.run(tmp_path / "pool", *options).well())
    other = one_by_one(tmp_path / "alone", options)
    assert len(one.entries) == 2 * len(NAMES)
    spent = [[(each["site"], each["round"], each["epsilon_total"]) for each in run.entries] for run in (one, other)]
    assert spent[0] == spent[1]
    assert any(not torch.equal(one.models[LAST][name], other.models[LAST][name]) for name in one.models[LAST])


def test_each_round_trains_the_sites_that_are_drawn(data: Path, tmp_path: Path) -> None:
    run = here.run(tmp_path, *of(data, "--sites_per_round", 2, "--num_rounds", 6, "--seed", 7)).well()
    history = run.history()
    trained = history[history["train_loss"].notna()].groupby("round")["site"].apply(sorted)
    assert trained.to_dict() == {round: drawn(NAMES, NAMES, 2, 7, round - 1) for round in range(1, 7)}
    assert len({tuple(sites) for sites in trained}) > 1
    assert not list(run.path.rglob("after-*.pt"))


def test_the_run_folder_is_whole_and_nothing_else_is_left(data: Path, tmp_path: Path) -> None:
    ended = here.run(tmp_path, *of(data))
    run = ended.well()
    names = {path.name for path in run.path.iterdir()} - {".lock"}
    assert {"best_global_model.pt", "curves.png", "dataset_overlap.json", "privacy_ledger.json", "tb_events"} <= names
    assert not names & {"pool", "sites"}
    assert run.status == "finished"
    assert "pool of 2 worker processes, on the CPU" in ended.shown
    assert (run.path / "training.log").read_text() == ""
    assert run.read_json("dataset_overlap")["compared"] == [*NAMES]
    losses = run.history().query("round > 0")["train_loss"]
    assert np.isfinite(losses).all()


@pytest.mark.parametrize("algorithm", ["fedavg", "local"])
def test_every_model_is_scored_at_every_site(data: Path, tmp_path: Path, algorithm: str) -> None:
    """The figures are those of scoring the models of the run folder here; FedAvg's does not keep the sites' own."""
    options = of(data, "--algorithm", algorithm, "--cross_site")
    run = here.run(tmp_path, *options).well()
    table = pd.read_csv(run.path / "cross_site.csv")
    found = table[table["metric"] == "val_auroc"].pivot(index="model", columns="site", values="value")
    models = {site: run.path / SITES / site / LAST_OWN for site in NAMES}
    if algorithm == "local":
        kept = [run.path / SITES, *(run.path / SITES).rglob("*")]  # of server and sites
        assert {path.stat().st_mode & 0o077 for path in kept} == {0}
    if algorithm == "fedavg":
        models = {"global": run.path / LAST, "best global": run.path / BEST}
    assert set(found.index) == set(models) | set(NAMES)
    assert set(found.columns) == set(NAMES)
    with here.plugins():
        judge = LocalSite(read_experiment([*map(str, options)]), "site-1", keep_state=False)
        for model, path in models.items():
            judge.load(load_weights(path))
            assert found.loc[model, "site-1"] == pytest.approx(judge.evaluate()["val_auroc"], abs=1e-9), model


def test_more_sites_than_the_simulator_takes_are_no_trouble(tmp_path: Path) -> None:
    make_toy(tmp_path / "data", sites=(sites := MOST_SITES + 20), cases=2, validation=2)
    lists = ("--dataset_base_dir", tmp_path / "data", "--datalist_json_path", tmp_path / "data" / "datalist")
    options = ("--n_clients", sites, "--sites_per_round", 12, "--num_rounds", 2, "--workers", 2, "--batch_size", 2)
    history = here.run(tmp_path, *here.toys(*options, "--validate_every", 2), *lists).well().history()
    assert history[history["train_loss"].notna()].groupby("round").size().tolist() == [12, 12]
