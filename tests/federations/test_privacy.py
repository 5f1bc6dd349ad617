"""Formal mechanisms in a pool: what is booked, what stays at the sites, and the stop within the budget.

One of the runs also shows when and where the global model is scored: every second round, each site on its own cases.
"""

import json
from collections.abc import Mapping
from pathlib import Path

import pytest
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from fedmed.privacy.accounting import epsilon_of
from fedmed.privacy.ledger import read_ledger
from fedmed.runs.run_folder import RunFolder
from tests.federations import here
from tests.federations.here import Ended
from tests.toy.toy_task import make_toy

Runs = Mapping[str, Ended]
LINES: Mapping[str, tuple[object, ...]] = {
    # two steps a round at sample rate 1/2: two rounds come to 7.4, three to 9.0
    "patients": (
        *("--num_rounds", 5, "--privacy", "dpsgd", "--dp_noise_multiplier", 1, "--batch_size", 2),
        *("--dp_max_epsilon", 8),
    ),
    "sites": (
        *("--num_rounds", 3, "--privacy", "gaussian", "--dp_target_epsilon", 50, "--dp_clip", 0.1),
        *("--dp_release_metrics", "--dp_send_diagnostics", "--validate_every", 2),
    ),
}


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with two sites' pictures, each with validation cases of its own."""
    place = tmp_path_factory.mktemp("privacy")
    make_toy(place / "data", cases=6, validation=2, noise=20.0)
    for number in (1, 2):
        path = place / "data" / "datalist" / f"site-{number}.json"
        lists = json.loads(path.read_text())
        path.write_text(json.dumps({"training": lists["training"][:4], "validation": lists["training"][4:]}))
    return place


def of(place: Path, *options: object) -> list[object]:
    return here.toys(
        "--dataset_base_dir", place / "data", "--datalist_json_path", place / "data" / "datalist", *options
    )


@pytest.fixture(scope="module")
def runs(place: Path) -> Runs:
    return {name: here.run(place / name, *of(place, *LINES[name])) for name in LINES}


def folder(place: Path, line: str) -> RunFolder:
    return RunFolder.open(place / line / "run-001")


def tags(run: RunFolder, site: str) -> set[str]:
    events = EventAccumulator(str(run.path / "tb_events" / site))
    events.Reload()
    return set(events.Tags()["scalars"])


def test_the_run_stops_before_the_round_that_would_exceed_the_budget(runs: Runs, place: Path) -> None:
    done = runs["patients"]
    assert done.code == 0, done.shown + done.error
    run = folder(place, "patients")
    ledger = read_ledger(run.path / "privacy_ledger.json", "run-001")
    rounds = max(entry.round for entry in ledger.entries)
    assert rounds == 2
    assert ledger.total <= 8 < max(entry.epsilon_next or 0 for entry in ledger.entries if entry.round == rounds)
    assert ledger.total == pytest.approx(epsilon_of([(1.0, 0.5, 2 * rounds)], 1e-5))
    assert f"stopped after {rounds} of 5 rounds: one more would bring epsilon" in done.shown
    assert run.read_json("status")["status"] == "finished"
    assert (run.path / "last_global_model.pt").is_file()
    assert not (run.path / "best_global_model.pt").exists()


def test_under_a_formal_guarantee_no_score_loss_or_count_leaves_a_site(runs: Runs, place: Path) -> None:
    run = folder(place, "patients")
    megabytes = {"megabytes_received", "megabytes_sent"}  # of a model whose size all know
    assert set(run.history().columns) == {"round", "site", "round_seconds", "epsilon", "val_cases", *megabytes}
    assert not run.history()["val_cases"].any()
    assert tags(run, "site-1") == {"privacy_epsilon"}
    assert run.read_json("dataset_overlap")["compared"] == []
    assert "scores stay at the sites" in runs["patients"].shown


def test_the_sites_own_ledgers_hold_what_did_not_leave(runs: Runs, place: Path) -> None:
    run = folder(place, "patients")
    own = read_ledger(run.path / "sites" / "site-1" / "privacy_ledger.json", "run-001")
    sent = [entry for entry in read_ledger(run.path / "privacy_ledger.json").entries if entry.site == "site-1"]
    assert [entry.epsilon_total for entry in own.entries] == [entry.epsilon_total for entry in sent]
    assert all("cosine" in (entry.diagnostics or {}) for entry in own.entries)
    assert all(entry.diagnostics is None for entry in sent)


def test_what_was_asked_for_leaves_and_is_called_unprotected(runs: Runs, place: Path) -> None:
    done = runs["sites"]
    assert done.code == 0, done.shown + done.error
    run = folder(place, "sites")
    ledger = read_ledger(run.path / "privacy_ledger.json")
    assert 0.99 * 50 <= ledger.total <= 50
    assert all("clip_fraction" in (entry.diagnostics or {}) for entry in ledger.entries)
    assert {"val_auroc", "epsilon", "train_loss"} <= set(run.history().columns)
    assert {"val_auroc", "train_loss", "privacy_epsilon"} <= tags(run, "site-2")
    assert "UNPROTECTED" in done.shown
    assert "gaussian, formal: epsilon" in (run.path / "summary.txt").read_text()


def test_the_model_is_scored_every_second_round_and_at_the_end_by_each_site_on_its_own_cases(
    runs: Runs, place: Path
) -> None:
    shown, history = runs["sites"].shown, folder(place, "sites").history()
    scored = history.dropna(subset=["val_auroc"])
    assert sorted(set(scored["round"])) == [0, 2, 3]
    assert (scored["val_cases"] == 2).all()
    assert sorted(set(history.dropna(subset=["train_loss"])["round"])) == [1, 2, 3]
    assert "its share" not in shown
    assert shown.count("val_auroc      -") == 1


def test_a_machine_with_a_policy_refuses_a_job_that_asks_for_less(place: Path) -> None:
    policy = place / "policy.json"
    policy.write_text(json.dumps({"guarantee": "formal"}))
    error = here.run(place, *of(place, "--enable_dp"), PRIVACY_POLICY=str(policy)).refused()
    assert "The privacy policy of site-1 refuses this job: a formal guarantee is demanded" in error
