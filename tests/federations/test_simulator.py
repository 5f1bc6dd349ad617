"""FLARE's simulator: it ends with the bits of a pool, carries all that a run has, and what breaks in it is named.

Runs are few, as each starts FLARE with a process a site; all else of a run is tested in a pool.
"""

import json
import os
import signal
import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import psutil
import pytest
import torch
from matplotlib.image import imread
from nvflare.apis.dxo import from_file
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from fedmed.core.lines import json_lines
from fedmed.core.names import BEST, LAST, LAST_OWN, LEDGER, LOG, RECORDS, SITES
from fedmed.core.weights import load_weights
from fedmed.data.phantoms.phantom import make_phantom
from fedmed.privacy.ledger import read_ledger
from fedmed.runs.run_folder import RunFolder
from tests.federations import here, launch
from tests.federations.here import Follower
from tests.federations.launch import Begun
from tests.toy.toy_task import make_toy

NAMES = ("site-1", "site-2")
MODEL_BYTES = 4 * 4_702_227
POOL = ("--env", "pool", "--workers", 2)


def events_of(run: RunFolder, site: str) -> dict[str, list[tuple[int, float]]]:
    """The scalars of a site's TensorBoard events by tag: steps and values, which FLARE may carry in another order."""
    events = EventAccumulator(str(run.path / "tb_events" / site))
    events.Reload()
    return {tag: sorted((each.step, each.value) for each in events.Scalars(tag)) for tag in events.Tags()["scalars"]}


def history(run: RunFolder) -> pd.DataFrame:
    """The history without what depends on the machine."""
    table = run.history()
    return table[[name for name in table if not name.endswith("seconds")]]


def assert_same(run: RunFolder, pooled: RunFolder) -> None:
    """Models, history, ledger and the events' steps are those of a pool, bit for bit."""
    paths = [BEST, LAST, *(Path(SITES, site, LAST_OWN) for site in NAMES)]
    assert [(run.path / path).exists() for path in paths] == [(pooled.path / path).exists() for path in paths]
    for path in paths:
        if (run.path / path).exists():
            expected = load_weights(pooled.path / path)
            torch.testing.assert_close(load_weights(run.path / path), expected, rtol=0, atol=0)
    pd.testing.assert_frame_equal(history(run), history(pooled), check_exact=True)
    pd.testing.assert_frame_equal(run.epochs(), pooled.epochs(), check_exact=True)
    assert read_ledger(run.path / LEDGER).entries == read_ledger(pooled.path / LEDGER).entries
    for site in NAMES:
        ours, theirs = events_of(run, site), events_of(pooled, site)
        assert ours.keys() == theirs.keys()
        for tag in ours.keys() - {"train_seconds", "val_seconds"}:
            assert ours[tag] == theirs[tag], tag


# ---- a command line like the published ones, with everything that its user gets


LINE = "--n_clients 2 --num_rounds 2 --gpu 0,1"


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a space in its name that holds a phantom federation."""
    place = tmp_path_factory.mktemp("a place")
    make_phantom(place / "data set", place / "data lists", sites=2, cases=1, validation=2, size=(32, 32, 32))
    return place


def line_of(place: Path) -> list[object]:
    data = ["--dataset_base_dir", place / "data set", "--datalist_json_path", place / "data lists"]
    return [*LINE.split(), "--cross_site", "--learning_rate", 1e-3, *data]


@pytest.fixture(scope="module")
def done(place: Path) -> subprocess.CompletedProcess[str]:
    (place / "sim").mkdir()
    return launch.run(place / "sim", *line_of(place), "--workspace", place / "work space")


@pytest.fixture(scope="module")
def run(place: Path, done: subprocess.CompletedProcess[str]) -> RunFolder:
    return launch.finished(done, place / "sim" / "artifacts" / "run-001")


@pytest.fixture(scope="module")
def pooled(place: Path) -> RunFolder:
    return here.run(place / "pool", *line_of(place), *POOL).well()


def test_the_line_ends_well_with_both_models(run: RunFolder) -> None:
    assert run.read_json("status")["status"] == "finished"
    for name in (BEST, LAST, "curves.png", LOG, "environment.json", "dataset_stats.json", "label_map.json"):
        assert (run.path / name).stat().st_size > 0


def test_one_line_a_round_and_one_for_the_final_model(run: RunFolder, done: subprocess.CompletedProcess[str]) -> None:
    output = done.stdout.splitlines()
    assert [text.split()[1] for text in output if text.startswith("round ")] == ["1/2", "2/2"]
    assert sum(text.startswith("final model") for text in output) == 1
    assert not any("INFO" in text for text in output)  # FLARE's log is in training.log


def test_without_a_gpu_the_sites_run_on_the_cpu_and_say_so(done: subprocess.CompletedProcess[str]) -> None:
    if torch.cuda.is_available():
        pytest.skip("this machine has a GPU")
    assert "this machine has no GPU" in done.stdout


def test_it_ends_with_the_bits_of_a_pool(run: RunFolder, pooled: RunFolder) -> None:
    assert_same(run, pooled)
    theirs = {path.name for path in pooled.path.iterdir()}
    assert {path.name for path in run.path.iterdir()} == theirs


def test_the_cross_site_scores_are_those_of_a_pool(run: RunFolder, pooled: RunFolder) -> None:
    ours, theirs = (
        pd.read_csv(each.path / "cross_site.csv").sort_values(["model", "site", "metric"], ignore_index=True)
        for each in (run, pooled)
    )
    pd.testing.assert_frame_equal(ours, theirs, check_exact=False, rtol=1e-12)
    assert set(ours["model"]) == {"global", "best global", *NAMES}
    assert imread(run.path / "cross_site.png").shape[1] > 300


def test_the_sites_hand_in_what_their_own_last_training_came_to(run: RunFolder, place: Path) -> None:
    """FedAvg's global model is the mean of these, as all sites take as many steps from the same weights."""
    handed_in = next((place / "work space").rglob("model_shareables"))
    sent = [{n: np.asarray(v) for n, v in from_file(str(handed_in / site)).data.items()} for site in NAMES]
    last = load_weights(run.path / LAST)
    assert any(np.abs(sent[0][name] - sent[1][name]).max() > 1e-4 for name in last)
    for name, values in last.items():
        np.testing.assert_allclose(np.mean([each[name] for each in sent], axis=0), values, atol=1e-6)


def test_the_history_holds_every_site_and_round_and_the_bytes_that_moved(run: RunFolder) -> None:
    found = run.history()
    assert sorted(zip(found["round"], found["site"], strict=True)) == [
        (done, site) for done in range(3) for site in NAMES
    ]
    assert found.groupby("round")["val_cases"].sum().tolist() == [2, 2, 2]  # each of the shared cases once
    total = found.query("round > 0").groupby("site")[["megabytes_received", "megabytes_sent"]].sum()
    for site in NAMES:  # the last model is sent once more, to be scored
        assert total.loc[site].tolist() == pytest.approx([3 * MODEL_BYTES / 1e6, 2 * MODEL_BYTES / 1e6], rel=1e-3)
    csv = pd.read_csv(run.path / "training_history.csv")
    pd.testing.assert_frame_equal(csv, found, check_dtype=False)


def test_tensorboard_scores_stand_at_rounds_and_losses_at_steps(run: RunFolder) -> None:
    events = events_of(run, "site-2")
    assert [step for step, _ in events["val_dice"]] == [0, 1, 2]
    assert [step for step, _ in events["train_loss"]] == [1, 2]  # a case, one epoch a round


def test_the_workspace_that_was_asked_for_stays(run: RunFolder, place: Path) -> None:
    server = place / "work space" / "run-001" / "server" / "simulate_job" / "app_server"
    assert (server / "best_FL_global_model.pt").is_file()
    assert not (run.path / "flare").exists()


def test_the_job_holds_no_path_of_this_machine(run: RunFolder, place: Path) -> None:
    site = place / "work space" / "run-001" / "site-1" / "simulate_job" / "app_site-1"
    shipped = json.loads((site / "config" / "experiment.json").read_text())
    assert str(place) not in json.dumps(shipped)
    assert (site / "custom" / "fedmed" / "tasks" / "brats18.py").is_file()


# ---- what else goes through FLARE, with the toy task


@pytest.fixture(scope="module")
def pictures(tmp_path_factory: pytest.TempPathFactory) -> Path:
    pictures = tmp_path_factory.mktemp("toy") / "data"
    make_toy(pictures, cases=4, validation=4, noise=20.0)
    return pictures


def toys(data: Path, *options: object) -> list[object]:
    lists = ("--dataset_base_dir", data, "--datalist_json_path", data / "datalist")
    return ["--task", "toy_task", "--n_clients", 2, *lists, *options]


def simulated(project: Path, place: Path, arguments: list[object]) -> tuple[RunFolder, str]:
    """The folder of a run of the simulator that must end well, and what it showed."""
    with Begun(place / "sim" / "run-001", *arguments, "--artifacts", place / "sim", project=project) as begun:
        shown = begun.end()
    return begun.folder, shown


def test_sites_that_train_alone_end_with_the_bits_of_a_pool_and_score_each_others_models(
    pictures: Path, toy_project: Path, tmp_path: Path
) -> None:
    arguments = toys(pictures, "--algorithm", "local", "--num_rounds", 2, "--cross_site")
    run, shown = simulated(toy_project, tmp_path, [*arguments, "--workspace", tmp_path / "flare"])
    pooled = here.run(tmp_path / "pool", *arguments, *POOL).well()
    assert_same(run, pooled)
    ours, theirs = (pd.read_csv(each.path / "cross_site.csv") for each in (run, pooled))
    keys = ["model", "site", "metric"]
    pd.testing.assert_frame_equal(
        ours.sort_values(keys, ignore_index=True), theirs.sort_values(keys, ignore_index=True)
    )
    assert not list(run.path.glob("*.pt"))
    own = [load_weights(run.path / SITES / site / LAST_OWN) for site in NAMES]
    assert any(not torch.equal(own[0][name], own[1][name]) for name in own[0])
    for site, weights in zip(NAMES, own, strict=True):
        handed_in = from_file(str(next((tmp_path / "flare").rglob("model_shareables")) / site)).data
        assert all(np.array_equal(handed_in[name], values.numpy()) for name, values in weights.items())
    assert "local: no global model; each site's own models are in sites/" in shown


def test_sites_that_send_their_best_epoch_end_with_the_bits_of_a_pool(
    pictures: Path, toy_project: Path, tmp_path: Path
) -> None:
    """Of the layers that they share, and with the head that each keeps for itself."""
    arguments = toys(pictures, "--send", "best", "--aggregation_epochs", 3, "--num_rounds", 2, "--batch_norm",
                     "--optimizer", "sgd", "--schedule", "cosine", "--learning_rate", 0.01,
                     "--algorithm", "partial", "--share", "layers.4,layers.8", "--private", "layers.8")  # fmt: skip
    run, shown = simulated(toy_project, tmp_path, arguments)
    assert_same(run, here.run(tmp_path / "pool", *arguments, *POOL).well())
    assert "each site sends its best epoch by its own validation cases" in shown
    epochs = run.epochs()
    assert epochs.groupby(["round", "site"])["epoch"].apply(list).tolist() == 4 * [[1, 2, 3]]
    assert {"train_loss", "train_accuracy", "val_loss", "val_accuracy"} <= set(epochs.dropna(axis=1))
    best = epochs.loc[epochs.groupby(["round", "site"])["val_auroc"].idxmax()]  # of equals the first
    assert best["epoch"].tolist() == run.history().query("round > 0")["sent_epoch"].tolist()
    assert len(events_of(run, "site-1")["epoch_val_accuracy"]) == 6
    assert run.history().groupby("round")["learning_rate"].first().dropna().to_dict() == {1: 0.01, 2: 0.005}
    assert events_of(run, "site-1")["learning_rate"] == [(1, pytest.approx(0.01)), (2, pytest.approx(0.005))]


def test_a_private_run_ends_with_the_bits_and_the_ledger_of_a_pool_and_stops_within_its_budget(
    pictures: Path, toy_project: Path, tmp_path: Path
) -> None:
    """Under a formal guarantee no score, loss or count leaves a site."""
    noise = ("--privacy", "dpsgd", "--dp_noise_multiplier", 1, "--batch_size", 2, "--insecure_seeded_noise")
    arguments = toys(pictures, *noise, "--num_rounds", 5, "--dp_max_epsilon", 8)
    run, shown = simulated(toy_project, tmp_path, arguments)
    pooled = here.run(tmp_path / "pool", *arguments, *POOL).well()
    assert_same(run, pooled)
    assert "of 5 rounds: one more would bring epsilon" in shown
    megabytes = {"megabytes_received", "megabytes_sent"}  # of a model whose size all know
    assert set(run.history().columns) == {"round", "site", "round_seconds", "epsilon", "val_cases", *megabytes}
    assert not run.history()["val_cases"].any()
    assert events_of(run, "site-1").keys() == {"privacy_epsilon"}
    for site in NAMES:
        assert read_ledger(run.path / SITES / site / LEDGER).total == read_ledger(run.path / LEDGER).total


# ---- what breaks


ROUNDS = 30


class StopAfter(Follower):
    """Presses Ctrl-C after a round."""

    def record(self, record: Mapping[str, Any]) -> None:
        if record["round"] == 0:
            os.kill(os.getpid(), signal.SIGINT)


def test_a_run_goes_on_from_pool_to_simulator_and_back_whatever_has_ended_it(
    pictures: Path, toy_project: Path, tmp_path: Path
) -> None:
    """It begins in a pool and is stopped there; in the simulator a site is killed, then the terminal closed. In a pool
    again, it ends with the bits of a run to which none of this happened.
    """
    algorithm = ("--algorithm", "toy_algorithm", "--batch_norm", "--aggregation_epochs", 2, "--schedule", "plateau",
                 "--patience", 4)  # fmt: skip
    arguments = toys(pictures, *algorithm, "--num_rounds", ROUNDS)
    run = tmp_path / "run-001"
    assert here.run(tmp_path, *arguments, *POOL, follower=StopAfter()).code == 130
    with Begun(run, "--resume", run, "--env", "sim", project=toy_project) as begun:
        family = after_two_rounds(begun)
        begun.worker("site-2").kill()
        shown = begun.end(code=1)
    assert "site-2 died" in shown
    assert "Traceback" not in shown
    assert "site-2" in begun.folder.read_json("status")["reason"]
    nothing_is_left_and_what_was_there_stays(family, begun.folder)
    with Begun(run, "--resume", run, project=toy_project) as begun:
        family = after_two_rounds(begun)
        os.kill(begun.pid, signal.SIGHUP)  # as when its terminal is closed; as Ctrl-C does
        begun.end(code=130)
    nothing_is_left_and_what_was_there_stays(family, begun.folder)
    assert (run / LOG).stat().st_size > 0
    assert not launch.processes_with(str(tmp_path))
    ended = here.run(tmp_path, "--resume", run, *POOL).well()
    uncut = here.run(tmp_path / "uncut", *arguments, *POOL).well()
    for path in (BEST, LAST, *(Path(SITES, site, LAST_OWN) for site in NAMES)):
        torch.testing.assert_close(load_weights(run / path), load_weights(uncut.path / path), rtol=0, atol=0)
    pd.testing.assert_frame_equal(history(ended), history(uncut), check_exact=True)
    assert not list(run.rglob("after-*.pt"))
    bytes_count_messages_and_extras(run)


def after_two_rounds(begun: Begun) -> list[psutil.Process]:
    """All processes of a resumed run that has done two rounds."""
    before = begun.history["round"].max()
    begun.wait_for("resumed after round")
    begun.wait_for_a_round(int(before) + 2)
    return begun.everything()


def nothing_is_left_and_what_was_there_stays(family: list[psutil.Process], run: RunFolder) -> None:
    assert len(family) >= 3  # the simulator and two sites
    assert not [process for process in family if process.is_running() and process.status() != psutil.STATUS_ZOMBIE]
    assert run.read_json("status")["status"] == "failed"
    assert not run.history().empty
    assert load_weights(run.path / LAST)


def bytes_count_messages_and_extras(run: Path) -> None:
    model = load_weights(run / LAST)
    sizes = {name: values.nbytes for name, values in model.items()}
    private = sum(size for name, size in sizes.items() if name.startswith("layers.8."))
    drift = sum(size for name, size in sizes.items() if name.endswith(("weight", "bias"))) - private
    running = sum(size for name, size in sizes.items() if ".running_" in name)
    rounds = [record for record in json_lines(run / RECORDS) if not record.get("final")]
    assert len(rounds) == ROUNDS
    for record in rounds:
        measured = record["round"] > 0  # the running statistics, before the model is scored
        for moved in record["bytes"].values():
            once = 0 if measured else private  # in the first round, as all begin with the same private entries
            assert moved["received"] == (1 + measured) * (sum(sizes.values()) - private) + drift + once
            assert moved["sent"] == sum(sizes.values()) - private + drift + measured * running
